// CUDA on the CPU, for tests: kernels compile with a plain C++ compiler and every thread of a block
// runs as a fiber. Blocks run one after another, threads until they wait for each other. What a GPU
// would get wrong silently ends the process with a message here: a barrier that some threads of a
// block never reach, a warp operation that some of its lanes never reach. Shared memory starts as
// NaN and is allocated block by block, so that AddressSanitizer sees an overrun. ThreadSanitizer
// sees each thread as one of its own, ordered by launches, barriers and fences only.
// ONEPASS_FIBERS=forward|reverse|random says which block and which thread goes first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "cuda_runtime_api.h"
#include "fiber_switch.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

namespace onepass::fibers {

// Ends the process: what is wrong with a kernel, where.
[[noreturn]] void fail(const char* format, ...);

// A place in the source at which threads wait: all that meet must wait at the same.
struct Site {
  const char* file;
  int line;
  bool operator==(const Site&) const = default;
};

enum class Exchange { kNone, kXor, kDown, kUp, kFrom };

// The threads of one block, of one kernel, on this operating system's thread.
class Scheduler {
 public:
  static Scheduler& here() { return own_ == nullptr ? made() : *own_; }

  using Body = void (*)(void* arguments);
  void run_grid(dim3 grid, dim3 block, Body body, void* arguments);

  // Called by fibers.
  void block_barrier(Site site);
  uint64_t warp_exchange(unsigned mask, uint64_t value, Exchange how, int by, Site site);
  // The block's memory under this key, made at the first call; its bytes are all ones.
  void* shared(const void* key, std::size_t bytes);
  void fence();

  dim3 thread_idx, block_idx, block_dim, grid_dim;

 private:
  enum class State : uint8_t { kNew, kRunning, kReady, kAtBarrier, kAtWarp, kDone };
  struct Thread {
    State state = State::kNew;
    Fiber* fiber = nullptr;  // that it runs on
    dim3 idx;
    Site site{};
    unsigned mask = 0;
    uint64_t value = 0;
    Exchange how = Exchange::kNone;
    int by = 0;
  };
  using Memory = std::unique_ptr<unsigned char[]>;

  static Scheduler& made();
  void start_block(int block);
  void run_block(int block);
  std::vector<int> in_order(int n);
  std::vector<int> in_order(std::vector<int> items);
  Fiber& next();
  Fiber& idle_fiber();
  void go(Fiber& from, Fiber& to);
  static void fiber_main(void* scheduler);
  void begin_thread(Fiber& own);
  void end_thread();
  void suspend();
  void arrive_at_barrier(Site site);
  bool release_barrier();
  void arrive_at_warp(unsigned mask, uint64_t value, Exchange how, int by, Site site);
  void release_warp();
  int source(int thread) const;
  void meet(const std::vector<int>& threads);
  void* find_shared(const void* key, std::size_t bytes);
  [[noreturn]] void stuck();
  [[noreturn]] void stuck_warp(int thread);

  static inline constinit thread_local Scheduler* own_ = nullptr;

  int count_ = 0, current_ = 0, done_ = 0, at_barrier_ = 0;
  Body body_ = nullptr;
  void* arguments_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<unsigned> at_warp_;  // the lanes of each warp that wait
  std::vector<int> order_;         // in which threads start
  std::size_t started_ = 0;
  std::vector<int> ready_;  // the next one last
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::deque<Fiber*> idle_;
  Fiber* running_ = nullptr;
  Fiber main_;
  std::map<const void*, Memory> shared_;
  std::vector<Memory> spent_;             // shared memory of blocks that have ended
  char start_ = 0, end_ = 0, fence_ = 0;  // marks
  uint64_t random_ = 0x9E3779B97F4A7C15u;
};

template <class... A>
struct Call {
  void (*kernel)(A...);
  std::tuple<A...> arguments;
  static void run(void* self) {
    auto& call = *static_cast<Call*>(self);
    std::apply(call.kernel, call.arguments);
  }
};

template <class T>
inline T exchange(unsigned mask, T value, Exchange how, int by, Site site) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = Scheduler::here().warp_exchange(mask, bits, how, by, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class Key, class T>
T& shared_memory(Key) {
  static const char key = 0;
  return *static_cast<T*>(Scheduler::here().shared(&key, sizeof(T)));
}

}  // namespace onepass::fibers

#define threadIdx (::onepass::fibers::Scheduler::here().thread_idx)
#define blockIdx (::onepass::fibers::Scheduler::here().block_idx)
#define blockDim (::onepass::fibers::Scheduler::here().block_dim)
#define gridDim (::onepass::fibers::Scheduler::here().grid_dim)

// Inside templates these names are found when they are instantiated, as macros with their place.
#define ONEPASS_FIBER_SITE (::onepass::fibers::Site{__FILE__, __LINE__})
#define __syncthreads() (::onepass::fibers::Scheduler::here().block_barrier(ONEPASS_FIBER_SITE))
#define ONEPASS_FIBER_EXCHANGE(mask, value, how, by)                              \
  (::onepass::fibers::exchange(mask, value, ::onepass::fibers::Exchange::how, by, \
                               ONEPASS_FIBER_SITE))
#define __syncwarp(mask) ((void)ONEPASS_FIBER_EXCHANGE(mask, 0, kNone, 0))
#define __shfl_xor_sync(mask, value, by) ONEPASS_FIBER_EXCHANGE(mask, value, kXor, by)
#define __shfl_down_sync(mask, value, by) ONEPASS_FIBER_EXCHANGE(mask, value, kDown, by)
#define __shfl_up_sync(mask, value, by) ONEPASS_FIBER_EXCHANGE(mask, value, kUp, by)
#define __shfl_sync(mask, value, lane) ONEPASS_FIBER_EXCHANGE(mask, value, kFrom, lane)
#define __threadfence() (::onepass::fibers::Scheduler::here().fence())

// As on a GPU, atomic and nothing more: only fences order other accesses by it.
inline int atomicAdd(int* at, int value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

// name[...] is memory that the threads of a block share.
#define ONEPASS_SHARED(type, name, extents) \
  using name##_Type = type extents;         \
  auto& name = ::onepass::fibers::shared_memory<decltype([] {}), name##_Type>({})
