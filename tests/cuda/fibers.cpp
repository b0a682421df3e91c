#include "fibers.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <numeric>
#include <string_view>

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace onepass::fibers {

void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fputs("fibers: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::fflush(stderr);
  std::abort();
}

namespace {

enum class Order { kForward, kReverse, kRandom };

Order chosen_order() {
  const char* text = std::getenv("ONEPASS_FIBERS");
  const std::string_view wanted = text == nullptr ? "" : text;
  if (wanted.empty() || wanted == "forward") return Order::kForward;
  if (wanted == "reverse") return Order::kReverse;
  if (wanted == "random") return Order::kRandom;
  fail("ONEPASS_FIBERS must be forward, reverse or random, got %s", text);
}

}  // namespace

Scheduler& Scheduler::made() {
  thread_local Scheduler scheduler;
  own_ = &scheduler;
  return scheduler;
}

void Scheduler::run_grid(dim3 grid, dim3 block, Body body, void* arguments) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024) fail("a block of %zu threads", threads);
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  if (blocks == 0 || blocks > INT_MAX || grid.y > 65535 || grid.z > 65535) {
    fail("a grid of %u x %u x %u blocks", grid.x, grid.y, grid.z);
  }
  count_ = static_cast<int>(threads);
  body_ = body;
  arguments_ = arguments;
  grid_dim = grid;
  block_dim = block;
  release(&start_);
  for (const int b : in_order(static_cast<int>(blocks))) run_block(b);
  acquire(&end_);
  spent_.clear();
}

std::vector<int> Scheduler::in_order(int n) {
  std::vector<int> items(n);
  std::iota(items.begin(), items.end(), 0);
  return in_order(std::move(items));
}

std::vector<int> Scheduler::in_order(std::vector<int> items) {
  static const Order order = chosen_order();
  if (order == Order::kReverse) std::reverse(items.begin(), items.end());
  if (order == Order::kRandom) {
    for (std::size_t i = items.size(); i > 1; --i) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      std::swap(items[i - 1], items[(random_ >> 33) % i]);
    }
  }
  return items;
}

// Threads read these places, and are not ordered behind the writes of a later block.
ONEPASS_UNSEEN void Scheduler::start_block(int block) {
  const auto b = static_cast<unsigned>(block);
  block_idx = {b % grid_dim.x, b / grid_dim.x % grid_dim.y, b / grid_dim.x / grid_dim.y};
}

void Scheduler::run_block(int block) {
  start_block(block);
  threads_.assign(count_, {});
  at_warp_.assign((count_ + 31) / 32, 0);
  order_ = in_order(count_);
  started_ = 0;
  done_ = at_barrier_ = 0;
  go(main_, next());
  // Blocks are not ordered, so only the end of the launch is behind what this one did there.
  for (auto& entry : shared_) {
    if (kRaces) spent_.push_back(std::move(entry.second));
  }
  shared_.clear();
}

// Who runs now: threads that were released, else threads that have not begun, else, when all have
// ended, whoever started the block.
Fiber& Scheduler::next() {
  while (ready_.empty()) {
    if (started_ < order_.size()) return idle_fiber();
    if (done_ == count_) return main_;
    if (!release_barrier()) stuck();
  }
  current_ = ready_.back();
  ready_.pop_back();
  Thread& thread = threads_[current_];
  thread.state = State::kRunning;
  return *thread.fiber;
}

// The one that ran last, as its stack is in the caches. Or, as ThreadSanitizer finds no races
// between threads on one fiber, the one that has waited longest: two blocks in a row share none.
// (More would cost: with it a fiber takes a megabyte.)
Fiber& Scheduler::idle_fiber() {
  const int enough = kRaces ? std::max(2 * count_, 256) : 0;
  if (idle_.empty() || static_cast<int>(fibers_.size()) < enough) {
    fibers_.push_back(std::make_unique<Fiber>(&Scheduler::fiber_main, this));
    return *fibers_.back();
  }
  Fiber* const fiber = kRaces ? idle_.front() : idle_.back();
  kRaces ? idle_.pop_front() : idle_.pop_back();
  return *fiber;
}

ONEPASS_UNSEEN void Scheduler::go(Fiber& from, Fiber& to) {
  running_ = &to;
  if (&from != &to) from.switch_to(to);
}

// What follows runs on the stacks of fibers. ThreadSanitizer takes a kernel for its thread's deed
// and all else for main_'s.

// A fiber runs threads that have not begun until one waits, or has released others: they come
// first. Where ThreadSanitizer looks, each thread of a block has a fiber of its own.
ONEPASS_UNSEEN void Scheduler::fiber_main(void* scheduler) {
  auto& self = *static_cast<Scheduler*>(scheduler);
  Fiber& own = *self.running_;
  for (;;) {
    do {
      self.begin_thread(own);
      own.answer();
      acquire(&self.start_);
      self.body_(self.arguments_);
      release(&self.end_);
      self.main_.answer();
      self.end_thread();
    } while (!kRaces && self.ready_.empty() && self.started_ < self.order_.size());
    self.idle_.push_back(&own);
    self.go(own, self.next());
  }
}

ONEPASS_UNSEEN void Scheduler::begin_thread(Fiber& own) {
  current_ = order_[started_++];
  Thread& thread = threads_[current_];
  thread.state = State::kRunning;
  thread.fiber = &own;
  const auto t = static_cast<unsigned>(current_);
  thread.idx = {t % block_dim.x, t / block_dim.x % block_dim.y, t / block_dim.x / block_dim.y};
  thread_idx = thread.idx;
  if (kRaces) {
    char name[64];
    std::snprintf(name, sizeof name, "thread %d of block %u, %u, %u", current_, block_idx.x,
                  block_idx.y, block_idx.z);
    own.name(name);
  }
}

// Others have been current meanwhile, but who comes back is again.
void Scheduler::end_thread() {
  threads_[current_].state = State::kDone;
  ++done_;
}

ONEPASS_UNSEEN void Scheduler::suspend() {
  go(*running_, next());
  thread_idx = threads_[current_].idx;
}

ONEPASS_UNSEEN void Scheduler::block_barrier(Site site) {
  const Fiber& own = *running_;
  main_.answer();
  arrive_at_barrier(site);
  suspend();
  own.answer();
}

ONEPASS_UNSEEN uint64_t Scheduler::warp_exchange(unsigned mask, uint64_t value, Exchange how,
                                                 int by, Site site) {
  const Fiber& own = *running_;
  main_.answer();
  arrive_at_warp(mask, value, how, by, site);
  suspend();
  value = threads_[current_].value;
  own.answer();
  return value;
}

ONEPASS_UNSEEN void* Scheduler::shared(const void* key, std::size_t bytes) {
  main_.answer();
  void* const memory = find_shared(key, bytes);
  running_->answer();
  acquire(memory);
  return memory;
}

// Orders what threads do by their fences alone, whatever tells them of each other.
void Scheduler::fence() {
  acquire(&fence_);
  release(&fence_);
}

// All of these threads have waited for each other. The mark is new: of one that served before,
// threads would learn what others have done since.
ONEPASS_UNSEEN void Scheduler::meet(const std::vector<int>& threads) {
  if (!kRaces) return;
  const Thread* const all = threads_.data();
  const int* const met = threads.data();
  const std::size_t n = threads.size();
  char* const mark = new char;
  for (std::size_t i = 0; i < n; ++i) all[met[i]].fiber->answer(), release(mark);
  for (std::size_t i = 0; i < n; ++i) all[met[i]].fiber->answer(), acquire(mark);
  main_.answer();
  delete mark;
}

void Scheduler::arrive_at_barrier(Site site) {
  Thread& self = threads_[current_];
  self.state = State::kAtBarrier;
  self.site = site;
  ++at_barrier_;
}

bool Scheduler::release_barrier() {
  if (at_barrier_ != count_) return false;
  const Site site = threads_[0].site;
  for (int t = 0; t < count_; ++t) {
    if (threads_[t].site != site) {
      fail("divergent barrier: thread 0 waits at %s:%d, thread %d at %s:%d", site.file, site.line,
           t, threads_[t].site.file, threads_[t].site.line);
    }
    threads_[t].state = State::kReady;
  }
  at_barrier_ = 0;
  ready_ = in_order(count_);
  meet(ready_);
  std::reverse(ready_.begin(), ready_.end());
  return true;
}

void Scheduler::arrive_at_warp(unsigned mask, uint64_t value, Exchange how, int by, Site site) {
  const int lane = current_ % 32, lanes = std::min(32, count_ - (current_ - lane));
  if ((mask >> lane & 1) == 0) {
    fail("%s:%d: lane %d is not in its own mask %08x", site.file, site.line, lane, mask);
  }
  if (lanes < 32 && mask >> lanes != 0) {
    fail("%s:%d: mask %08x has lanes that the block does not have", site.file, site.line, mask);
  }
  Thread& self = threads_[current_];
  self.state = State::kAtWarp;
  self.site = site;
  self.mask = mask;
  self.value = value;
  self.how = how;
  self.by = by;
  unsigned& waiting = at_warp_[current_ / 32];
  waiting |= 1u << lane;
  if ((waiting & mask) == mask) release_warp();
}

// Frees the lanes of the mask of the thread that came last, with what each of them gets.
void Scheduler::release_warp() {
  const int first = current_ / 32 * 32;
  const Thread& last = threads_[current_];
  std::vector<int> lanes;
  for (int l = 0; l < 32; ++l) {
    if ((last.mask >> l & 1) == 0) continue;
    const Thread& other = threads_[first + l];
    if (other.site != last.site || other.mask != last.mask) {
      fail("divergent warp: thread %d waits at %s:%d with mask %08x, thread %d at %s:%d with %08x",
           current_, last.site.file, last.site.line, last.mask, first + l, other.site.file,
           other.site.line, other.mask);
    }
    lanes.push_back(first + l);
  }
  uint64_t values[32] = {};
  for (const int t : lanes) values[t - first] = threads_[t].value;
  for (const int t : lanes) {
    threads_[t].value = values[source(t)];
    threads_[t].state = State::kReady;
  }
  at_warp_[current_ / 32] &= ~last.mask;
  if (last.how == Exchange::kNone) meet(lanes);  // a shuffle orders no memory
  lanes = in_order(std::move(lanes));
  ready_.insert(ready_.end(), lanes.rbegin(), lanes.rend());
}

// The lane whose value a thread gets.
int Scheduler::source(int thread) const {
  const Thread& t = threads_[thread];
  const int lane = thread % 32;
  int from = lane;
  if (t.how == Exchange::kXor) from = lane ^ t.by;
  if (t.how == Exchange::kDown) from = lane + t.by;
  if (t.how == Exchange::kUp) from = lane - t.by;
  if (t.how == Exchange::kFrom) from = t.by & 31;
  if (from < 0 || from > 31) from = lane;  // as on a GPU: its own
  if ((t.mask >> from & 1) == 0) {
    fail("%s:%d: lane %d reads from lane %d, which is not in mask %08x", t.site.file, t.site.line,
         lane, from, t.mask);
  }
  return from;
}

void Scheduler::stuck() {
  int thread = -1, ended = 0;
  for (int t = count_ - 1; t >= 0; --t) {
    const State state = threads_[t].state;
    if (state == State::kDone) ++ended;
    if (state == State::kAtWarp) stuck_warp(t);
    if (state == State::kAtBarrier) thread = t;
  }
  const Site site = threads_[thread].site;
  fail(
      "divergent barrier: thread %d of block %u, %u, %u waits at %s:%d; %d of %d threads wait at a "
      "barrier, %d have ended",
      thread, block_idx.x, block_idx.y, block_idx.z, site.file, site.line, at_barrier_, count_,
      ended);
}

void Scheduler::stuck_warp(int thread) {
  const Thread& t = threads_[thread];
  const int lane = std::countr_zero(t.mask & ~at_warp_[thread / 32]);
  const bool ended = threads_[thread / 32 * 32 + lane].state == State::kDone;
  fail(
      "divergent warp: thread %d of block %u, %u, %u waits at %s:%d with mask %08x for lane %d, "
      "which %s",
      thread, block_idx.x, block_idx.y, block_idx.z, t.site.file, t.site.line, t.mask, lane,
      ended ? "has ended" : "waits at a barrier");
}

void* Scheduler::find_shared(const void* key, std::size_t bytes) {
  auto& memory = shared_[key];
  if (memory == nullptr) {
    memory.reset(new unsigned char[bytes]);
    std::memset(memory.get(), 0xFF, bytes);
    release(memory.get());
  }
  return memory.get();
}

}  // namespace onepass::fibers
