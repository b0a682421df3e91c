#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "../memory.h"
#include "affinity.h"
#include "barrier.h"
#include "denormals.h"
#include "relax.h"

namespace onepass {
namespace {

constexpr int kMaxThreads = 1024;
// A helper spins this long for its next job; waking it from sleep costs about 50 us.
constexpr auto kSpinTime = std::chrono::microseconds(100);
// So many calls in a row, none later than a helper would spin, are a loop: its helpers are woken,
// and wait longer, as the call that wakes them goes on alone.
constexpr int kLoopOfCalls = 8;
constexpr auto kRousedSpinTime = std::chrono::microseconds(500);
// Each costs a microsecond to keep from the caller's core, where one of many seldom is.
constexpr std::size_t kFewHelpers = 8;
// Work from which an awake, or a sleeping, helper pays: waking one costs 50 to 60 us, so alone the
// work must take about 150 us.
std::atomic<double> work_awake{500'000};
std::atomic<double> work_asleep{15'000'000};

// Helpers' worth of members without a core for this share of a job's time hold each other up: two
// members are then hardly faster than the caller alone. Judged for jobs long enough to tell.
constexpr double kCrowded = 0.25;
constexpr double kWorkJudged = 50'000'000;
// A job too small to be judged that way has waited for a member without a core if it took so long
// beyond the longest that its work may take.
constexpr auto kStalled = std::chrono::milliseconds(1);
constexpr std::chrono::duration<double, std::nano> kLongestWork(4.0);
constexpr auto kFirstPause = std::chrono::milliseconds(100);
constexpr auto kLongestPause = std::chrono::milliseconds(400);

using Clock = std::chrono::steady_clock;

// Time of this thread without a core, but for a constant.
std::chrono::nanoseconds time_lost() {
  timespec used{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) != 0) return {};
  const auto running = std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  return Clock::now().time_since_epoch() - running;
}

std::atomic<bool> flush{true};

// The work area that a member brings to every team: one large page, in which nothing is far.
Memory new_area() { return allocate_huge(kScratchBytes); }

void* area_of_this_thread() {
  thread_local const Memory area = new_area();
  return area.get();
}

int parse_threads(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  // OMP_NUM_THREADS may be a list for nested regions: its first number counts.
  const bool list = *end == ',' && std::string(name) == "OMP_NUM_THREADS";
  if (end == text || (*end != '\0' && !list) || value < 1 || value > kMaxThreads) {
    throw std::invalid_argument(std::string(name) + " must be a whole number from 1 to " +
                                std::to_string(kMaxThreads) + ", got '" + text + "'");
  }
  return static_cast<int>(value);
}

int default_threads() {
  if (const int own = parse_threads("ONEPASS_NUM_THREADS")) return own;
  if (const int omp = parse_threads("OMP_NUM_THREADS")) return omp;
  return std::min(usable_cores(), kMaxThreads);
}

std::atomic<int> wanted_threads{0};

}  // namespace

void wait_at(Barrier& barrier, int rank) { barrier.wait(rank); }

namespace {

class Pool {
 public:
  explicit Pool(int wanted) : wanted_(wanted), ends_(wanted - 1), barrier_(wanted) {
    helpers_.reserve(wanted - 1);
    elsewhere_.reserve(wanted - 1);
    for (int rank = 1; rank < wanted; ++rank) areas_.push_back(new_area());
    try {
      for (int rank = 1; rank < wanted; ++rank) {
        helpers_.emplace_back([this, rank] { serve(rank, areas_[rank - 1].get()); });
      }
    } catch (const std::system_error&) {
      // The system grants no more threads: results are the same with those that there are.
    }
    size_ = barrier_.size = static_cast<int>(helpers_.size()) + 1;
  }

  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      order_.stop = true;
      order_.ticket.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& helper : helpers_) helper.join();
  }

  int wanted() const { return wanted_; }
  bool awake() const { return asleep_.load(std::memory_order_acquire) == 0; }
  bool stands_back(Clock::time_point now) const { return now < alone_until_; }

  // Notes a call too small to wake helpers for, `gap` after the last one's end. In a loop of such
  // calls the helpers are woken, for the calls that follow: this one goes on alone.
  void note_small_call(Clock::duration gap) {
    in_a_row_ = gap < kSpinTime ? in_a_row_ + 1 : 0;
    if (in_a_row_ < kLoopOfCalls) return;
    in_a_row_ = 0;
    rouse([&] { roused_.fetch_add(1, std::memory_order_relaxed); });
  }

  void run(double work, Clock::time_point start, const std::function<void(Team&)>& job) {
    void* const area = area_of_this_thread();
    order_.job = &job;
    order_.judged = work >= kWorkJudged;
    const uint32_t ticket = order_.ticket.fetch_add(1, std::memory_order_seq_cst) + 1;
    if (asleep_.load(std::memory_order_seq_cst) > 0) rouse([] {});
    take_part(job, 0, area);
    for (std::size_t i = 0; i < helpers_.size(); ++i) wait_for(ends_[i].ticket, ticket);
    const std::chrono::nanoseconds lost(lost_.exchange(0, std::memory_order_relaxed));
    if (!part_from_helpers()) judge_company(Clock::now(), start, work, lost);
  }

 private:
  // Wakes the helpers, by no lock of ours held up, once `reason` is there to be seen.
  template <class Reason>
  void rouse(const Reason& reason) {
    {
      std::lock_guard lock(mutex_);
      reason();
    }
    const int mine = sched_getcpu();
    if (helpers_.size() <= kFewHelpers) {
      for (auto& helper : helpers_) elsewhere_.emplace_back(helper.native_handle(), mine);
    }
    wake_.notify_all();
    elsewhere_.clear();
  }

  // Sends helpers away that share their caller's core. Whether there was one, which says nothing
  // about other programs.
  bool part_from_helpers() {
    bool any = false;
    const int mine = sched_getcpu();
    for (std::size_t i = 0; i < helpers_.size(); ++i) {
      if (ends_[i].core != mine) continue;
      any |= Elsewhere(helpers_[i].native_handle(), mine).possible();
    }
    return any;
  }

  // Runs this member's part and notes how long it had no core meanwhile. A job must not throw: the
  // others would wait for ever.
  void take_part(const std::function<void(Team&)>& job, int rank, void* area) noexcept {
    const bool judged = order_.judged;
    const auto before = judged ? time_lost() : std::chrono::nanoseconds();
    Team team{rank, size_, &barrier_, area};
    job(team);
    if (judged) lost_.fetch_add((time_lost() - before).count(), std::memory_order_relaxed);
  }

  // Where other programs want the cores, a team is slower than its caller alone: it stands back for
  // a while, longer each time that it finds the cores still crowded.
  void judge_company(Clock::time_point now, Clock::time_point start, double work,
                     std::chrono::nanoseconds lost) {
    const auto elapsed = now - start;
    if (order_.judged ? lost < kCrowded * (size_ - 1) * elapsed
                      : elapsed < kStalled + work * kLongestWork) {
      pause_ = kFirstPause;
      return;
    }
    alone_until_ = now + pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
  }

  void serve(int rank, void* area) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals belong to the caller's threads
    End& end = ends_[rank - 1];
    uint32_t seen = 0;
    while (true) {
      seen = next_ticket(seen);
      if (order_.stop) return;
      {
        DenormalGuard guard(flush.load(std::memory_order_relaxed));
        take_part(*order_.job, rank, area);
      }
      end.core = sched_getcpu();
      end.ticket.store(seen, std::memory_order_release);  // then the job may be gone
    }
  }

  uint32_t next_ticket(uint32_t seen) {
    Clock::duration patience = kSpinTime;
    while (true) {
      const auto until = Clock::now() + patience;
      for (int spins = 0;; ++spins) {
        const uint32_t ticket = order_.ticket.load(std::memory_order_acquire);
        if (ticket != seen) return ticket;
        relax();
        if (spins % 64 == 63 && Clock::now() > until) break;
      }
      std::unique_lock lock(mutex_);
      const uint32_t roused = roused_.load(std::memory_order_relaxed);
      asleep_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, [&] {
        return order_.ticket.load(std::memory_order_seq_cst) != seen ||
               roused_.load(std::memory_order_relaxed) != roused;
      });
      asleep_.fetch_sub(1, std::memory_order_seq_cst);
      patience = kRousedSpinTime;
    }
  }

  // What a helper says at the end of its part, in a line of its own.
  struct alignas(64) End {
    std::atomic<uint32_t> ticket{0};
    int core = 0;  // on which it ended
  };

  // What helpers look at, in one line of memory: all of it reaches them at once.
  struct alignas(64) Order {
    std::atomic<uint32_t> ticket{0};  // of the current job; wraps around
    const std::function<void(Team&)>* job = nullptr;
    bool judged = false;
    bool stop = false;
  };

  const int wanted_;
  int size_ = 1;               // read by helpers only after the first ticket
  std::vector<Memory> areas_;  // of the helpers
  std::vector<End> ends_;
  std::vector<std::thread> helpers_;
  std::vector<Elsewhere> elsewhere_;  // helpers that are being woken
  Barrier barrier_;
  Order order_;
  alignas(64) std::atomic<int> asleep_{0};
  std::atomic<uint32_t> roused_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  alignas(64) Clock::time_point alone_until_{};  // of the caller alone
  int in_a_row_ = 0;
  std::chrono::milliseconds pause_ = kFirstPause;
  alignas(64) std::atomic<int64_t> lost_{0};  // nanoseconds that members had no core
};

// One caller at a time owns the pool. After fork the child has none of its threads: the old pool is
// dropped without being destroyed and a new one is made at the next call.
struct Shared {
  std::mutex owner;
  Pool* pool = nullptr;
  std::atomic<Clock::time_point> small_call_ended{Clock::time_point{}};

  Pool& of_size(int size) {
    if (pool == nullptr || pool->wanted() != size) {
      delete pool;
      pool = nullptr;
      pool = new Pool(size);
    }
    return *pool;
  }
};

Shared* shared = nullptr;

void forget_after_fork() { shared = new Shared; }

// Joins the helpers before the process's statics go.
struct Shutdown {
  ~Shutdown() {
    if (shared == nullptr || !shared->owner.try_lock()) return;
    delete shared->pool;
    shared->pool = nullptr;
    shared->owner.unlock();
  }
};

Shared& shared_pool() {
  static const bool ready = [] {
    shared = new Shared;
    pthread_atfork(nullptr, nullptr, forget_after_fork);
    return true;
  }();
  static Shutdown shutdown;
  static_cast<void>(ready);
  return *shared;
}

}  // namespace

int threads() {
  int n = wanted_threads.load(std::memory_order_relaxed);
  if (n == 0) {
    n = default_threads();
    wanted_threads.store(n, std::memory_order_relaxed);
  }
  return n;
}

void set_threads(int n) {
  if (n < 1 || n > kMaxThreads) {
    throw std::invalid_argument("set_threads: n must be from 1 to " + std::to_string(kMaxThreads) +
                                ", got " + std::to_string(n));
  }
  wanted_threads.store(n, std::memory_order_relaxed);
}

void set_team_thresholds(double awake, double asleep) {
  work_awake.store(awake);
  work_asleep.store(asleep);
}

bool flush_denormals() { return flush.load(); }
void set_flush_denormals(bool on) { flush.store(on); }

// Whether this thread holds the helpers: its job may call the user's Python, which may ask for
// another team.
thread_local bool holds_helpers = false;

namespace {

void run_alone(const std::function<void(Team&)>& job) {
  Team alone{0, 1, nullptr, area_of_this_thread()};
  job(alone);
}

}  // namespace

void run_team(double work, const std::function<void(Team&)>& job) {
  DenormalGuard guard(flush.load(std::memory_order_relaxed));
  const int n = threads();
  if (n > 1 && !holds_helpers && work >= work_awake.load(std::memory_order_relaxed)) {
    Shared& holder = shared_pool();
    std::unique_lock own(holder.owner, std::try_to_lock);
    if (own.owns_lock()) {
      Pool& pool = holder.of_size(n);
      const auto now = Clock::now();
      if (!pool.stands_back(now)) {
        if (work >= work_asleep.load(std::memory_order_relaxed) || pool.awake()) {
          holds_helpers = true;
          pool.run(work, now, job);
          holds_helpers = false;
          return;
        }
        pool.note_small_call(now - holder.small_call_ended.load(std::memory_order_relaxed));
        own.unlock();
        run_alone(job);
        holder.small_call_ended.store(Clock::now(), std::memory_order_relaxed);
        return;
      }
    }
  }
  run_alone(job);
}

}  // namespace onepass
