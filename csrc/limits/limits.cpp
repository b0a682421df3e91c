#include "limits.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../cpu/dispatch.h"
#include "../cpu/isas.h"
#include "../cpu/relax.h"
#include "../memory.h"
#include "loops.h"

namespace onepass::limits {

#define ONEPASS_DECLARE(isa) const Loops& loops_##isa();
ONEPASS_ISAS(ONEPASS_DECLARE)
#undef ONEPASS_DECLARE

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A spinning barrier that gives the core up when it waits long.
class Barrier {
 public:
  explicit Barrier(int n) : n_(n) {}
  void wait() {
    const int phase = phase_.load();
    if (arrived_.fetch_add(1) + 1 == n_) {
      arrived_.store(0);
      phase_.fetch_add(1);
      return;
    }
    for (int64_t spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
      spins < 100000 ? relax() : static_cast<void>(sched_yield());
    }
  }

 private:
  const int n_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> phase_{0};
};

template <class Job>
void on_threads(int n, Job job) {
  std::vector<std::thread> others;
  for (int rank = 1; rank < n; ++rank) others.emplace_back(job, rank);
  job(0);
  for (std::thread& thread : others) thread.join();
}

// Shortest time in which all threads did body(rank) once, over repetitions for some seconds.
template <class Begin, class Body>
double best_time(int threads, double seconds, Begin begin, Body body) {
  Barrier barrier(threads);
  std::atomic<bool> done{false};
  double best = 1e30;
  on_threads(threads, [&](int rank) {
    begin(rank);
    barrier.wait();
    const Clock::time_point first = Clock::now();
    while (!done.load()) {
      barrier.wait();
      const Clock::time_point start = Clock::now();
      body(rank);
      barrier.wait();
      if (rank == 0) {
        best = std::min(best, since(start));
        done.store(since(first) > seconds);
      }
      barrier.wait();
    }
  });
  return best;
}

const Loops* find_loops(const std::string& isa) {
#define ONEPASS_FIND(name) \
  if (isa == #name) return &loops_##name();
  ONEPASS_ISAS(ONEPASS_FIND)
#undef ONEPASS_FIND
  return nullptr;
}

constexpr int64_t kRounds = 50000;

}  // namespace

double multiply_add_rate(const std::string& isa, bool float64, int threads, double seconds) {
  const std::vector<std::string> here = available_isas();
  if (std::find(here.begin(), here.end(), isa) == here.end()) {
    throw std::invalid_argument("isa: this machine cannot run '" + isa + "'");
  }
  const Loops* loops = find_loops(isa);
  if (!loops) throw std::invalid_argument("isa: '" + isa + "' has no loops to measure limits with");
  const auto run = float64 ? loops->multiply_add64 : loops->multiply_add32;
  const double time = best_time(threads, seconds, [](int) {}, [run](int) { run(kRounds); });
  const int lanes = loops->vector_bytes / (float64 ? 8 : 4);
  return 2.0 * kChains * kRounds * lanes * threads / time;
}

double stream_seconds(int reads, int updates, int writes, int64_t lines, int threads,
                      double seconds) {
  const Pass run = find_loops(available_isas().front())->pass(reads, updates, writes);
  const int count = reads + updates + writes;
  const int64_t share = std::max<int64_t>(4, lines / threads / 4 * 4), own = share * threads;
  // Arrays begin at different offsets in a page, so that they do not fight for one cache set.
  const int64_t stride = (own * 64 + 4095) / 4096 * 4096 + 576;
  const size_t bytes = static_cast<size_t>(stride) * count;
  if (run == nullptr) return -1.0;
  const Memory block = allocate_huge(bytes);
  char* const memory = static_cast<char*>(block.get());
  std::vector<Line*> arrays;
  for (int k = 0; k < count; ++k) arrays.push_back(reinterpret_cast<Line*>(memory + k * stride));
  const int64_t passes = std::max<int64_t>(1, (int64_t{16} << 20) / (own * 64 * count));
  const double time = best_time(
      threads, seconds,
      [&](int rank) {
        for (Line* array : arrays) {
          for (int64_t i = rank * share; i < (rank + 1) * share; ++i) array[i] = 1.0f - Line{};
        }
      },
      [&](int rank) {
        for (int64_t p = 0; p < passes; ++p) run(arrays, rank * share, (rank + 1) * share);
      });
  return time / static_cast<double>(passes) * static_cast<double>(lines) / static_cast<double>(own);
}

double core_to_core_seconds(double seconds) {
  constexpr int kTrips = 2000;
  alignas(64) std::atomic<int> ball{0};
  const double time = best_time(
      2, seconds, [](int) {},
      [&](int rank) {
        for (int trip = 0; trip < kTrips; ++trip) {
          while (ball.load(std::memory_order_acquire) != rank) relax();
          ball.store(1 - rank, std::memory_order_release);
        }
      });
  return time / (2.0 * kTrips);
}

double spin_seconds(int threads, int64_t rounds) {
  Barrier barrier(threads);
  std::vector<double> times(threads);
  on_threads(threads, [&](int rank) {
    barrier.wait();
    const Clock::time_point start = Clock::now();
    uint64_t x = 1;
    for (int64_t i = 0; i < rounds; ++i) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      asm volatile("" : "+r"(x));
    }
    times[rank] = since(start);
  });
  return *std::max_element(times.begin(), times.end());
}

}  // namespace onepass::limits
