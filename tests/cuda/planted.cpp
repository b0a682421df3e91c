// Kernels with a mistake each, and the same kernels without it: what the fibers and the sanitizers
// must find, and what they must let pass. `planted NAME` runs the one with the mistake, `planted
// right` all without; each is a line of output, "right" or "wrong".
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "../../csrc/cuda/dialect.h"

namespace onepass {
void wait_at(Barrier&, int) {}
}  // namespace onepass

namespace onepass::cuda {
namespace {

constexpr int kThreads = 64;
constexpr int kBlocks = 4;
constexpr unsigned kWarp = 0xFFFFFFFFu;

struct alignas(16) Four {
  float x, y, z, w;
};

__device__ __forceinline__ int own() { return static_cast<int>(threadIdx.x); }

template <class... P, class... A>
void start(void (*kernel)(P...), int blocks, int threads, const A&... arguments) {
  const onepass::Team team{0, 1, nullptr, nullptr};
  launch(kernel, {static_cast<unsigned>(blocks)}, {static_cast<unsigned>(threads)}, team,
         arguments...);
}

bool all_are(const std::vector<float>& values, float wanted) {
  for (const float v : values) {
    if (!(v == wanted)) return false;
  }
  return true;
}

// Whether one block of so many threads writes this number to each place.
bool gives(void (*kernel)(float*), int threads, float wanted) {
  std::vector<float> y(threads);
  start(kernel, 1, threads, y.data());
  return all_are(y, wanted);
}

// Each thread reads what its neighbour wrote. Without a barrier, thread by thread in ascending
// order gives the right result all the same.
template <bool kRight>
__global__ void read_neighbour(float* y) {
  ONEPASS_SHARED(float, s, [kThreads]);
  s[own()] = 1.0f;
  if constexpr (kRight) __syncthreads();
  y[own()] = own() == 0 ? 1.0f : s[own() - 1];
}

template <bool kRight>
bool missing_barrier() {
  return gives(read_neighbour<kRight>, kThreads, 1.0f);
}

// The barrier that is missing is the second of a loop: it keeps what others still read.
template <bool kRight>
__global__ void read_neighbour_often(float* y) {
  ONEPASS_SHARED(float, s, [kThreads]);
  float sum = 0.0f;
  for (int i = 0; i < 3; ++i) {
    s[own()] = static_cast<float>(i);
    __syncthreads();
    sum += s[own() == 0 ? 0 : own() - 1];
    if constexpr (kRight) __syncthreads();
  }
  y[own()] = sum;
}

template <bool kRight>
bool missing_second_barrier() {
  return gives(read_neighbour_often<kRight>, kThreads, 3.0f);
}

// Lanes exchange through memory, and take a shuffle for a barrier.
template <bool kRight>
__global__ void exchange_in_warp(float* y) {
  ONEPASS_SHARED(float, s, [32]);
  s[own()] = 1.0f;
  const float other = __shfl_xor_sync(kWarp, 0.0f, 1);
  if constexpr (kRight) __syncwarp(kWarp);
  y[own()] = s[own() ^ 1] + other;
}

template <bool kRight>
bool shuffle_as_barrier() {
  return gives(exchange_in_warp<kRight>, 32, 1.0f);
}

// Only one half of the array is written, all of it is summed.
template <bool kRight>
__global__ void sum_all(float* y) {
  ONEPASS_SHARED(float, s, [kThreads]);
  if (kRight || own() < kThreads / 2) s[own()] = 1.0f;
  __syncthreads();
  float sum = 0.0f;
  for (int i = 0; i < kThreads; ++i) sum += s[i];
  y[own()] = sum;
}

template <bool kRight>
bool unwritten_shared() {
  return gives(sum_all<kRight>, kThreads, kThreads);
}

// Copies four floats at a time, though there is no multiple of four to read.
constexpr int kOdd = kThreads - 1;

template <bool kRight>
__device__ void copy_by_four(const float* from, float* to) {
  const int i = 4 * own();
  if (i + (kRight ? 4 : 1) <= kOdd) {
    *reinterpret_cast<Four*>(to + i) = *reinterpret_cast<const Four*>(from + i);
  } else {
    for (int j = i; j < kOdd; ++j) to[j] = from[j];
  }
}

template <bool kRight>
__global__ void copy_shared(float* y) {
  ONEPASS_SHARED(float, s, [kOdd]);
  if (own() < kOdd) s[own()] = 1.0f;
  __syncthreads();
  copy_by_four<kRight>(s, y);
}

template <bool kRight>
bool shared_overrun() {
  std::vector<float> y(kThreads);
  start(copy_shared<kRight>, 1, kThreads, y.data());
  y.resize(kOdd);
  return all_are(y, 1.0f);
}

template <bool kRight>
__global__ void copy_global(const float* x, float* y) {
  copy_by_four<kRight>(x, y);
}

template <bool kRight>
bool global_overrun() {
  const std::vector<float> x(kOdd, 1.0f);
  std::vector<float> y(kThreads);
  start(copy_global<kRight>, 1, kThreads, x.data(), y.data());
  y.resize(kOdd);
  return all_are(y, 1.0f);
}

// Threads without work end ahead of the barrier.
template <bool kRight>
__global__ void end_early(float* y) {
  y[own()] = 1.0f;
  if (!kRight && own() >= kOdd) return;
  __syncthreads();
}

template <bool kRight>
bool early_end() {
  return gives(end_early<kRight>, kThreads, 1.0f);
}

// As many barriers for all, but not the same.
template <bool kRight>
__global__ void part(float* y) {
  y[own()] = 1.0f;
  if (kRight || own() % 2 == 0) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

template <bool kRight>
bool two_barriers() {
  return gives(part<kRight>, kThreads, 1.0f);
}

// The last lane has nothing to add and leaves the shuffle to the others.
template <bool kRight>
__global__ void sum_of_lanes(float* y) {
  float sum = 1.0f;
  if (kRight || own() < 31) {
    for (int distance = 16; distance > 0; distance /= 2) {
      sum += __shfl_xor_sync(kWarp, sum, distance);
    }
  }
  y[own()] = sum;
}

template <bool kRight>
bool absent_lane() {
  return gives(sum_of_lanes<kRight>, 32, 32.0f);
}

// As many shuffles for all lanes, but not the same.
template <bool kRight>
__global__ void shuffle_by_parts(float* y) {
  if (kRight || own() % 2 == 0) {
    y[own()] = __shfl_xor_sync(kWarp, 1.0f, 2);
  } else {
    y[own()] = __shfl_xor_sync(kWarp, 1.0f, 2);
  }
}

template <bool kRight>
bool two_shuffles() {
  return gives(shuffle_by_parts<kRight>, 32, 1.0f);
}

// The mask of a whole warp, though the block has only a part of one.
template <bool kRight>
__global__ void shuffle_in_part(float* y) {
  y[own()] = __shfl_xor_sync(kRight ? kWarp >> 8 : kWarp, 1.0f, 1);
}

template <bool kRight>
bool mask_beyond_block() {
  return gives(shuffle_in_part<kRight>, 24, 1.0f);
}

// Half a warp works together, and reads the lane 16 further on, which is the other half's.
template <bool kRight>
__global__ void read_half(float* y) {
  const unsigned half = 0xFFFFu << (own() & 16);
  y[own()] = __shfl_xor_sync(half, 1.0f, kRight ? 8 : 16);
}

template <bool kRight>
bool lane_outside_mask() {
  return gives(read_half<kRight>, 32, 1.0f);
}

// Every thread adds to one number: right as long as no two of them do so at once.
template <bool kRight>
__global__ void count_threads(unsigned* count) {
  if constexpr (kRight) {
    atomicAdd(count, 1u);
  } else {
    *count += 1;
  }
}

template <bool kRight>
bool racing_add() {
  unsigned count = 0;
  start(count_threads<kRight>, 1, kThreads, &count);
  return count == kThreads;
}

// The same between blocks, of one thread each.
template <bool kRight>
bool racing_blocks() {
  unsigned count = 0;
  start(count_threads<kRight>, kBlocks, 1, &count);
  return count == kBlocks;
}

__global__ void write_ones(float* x) {
  x[blockIdx.x * blockDim.x + threadIdx.x] = 1.0f;
  __syncthreads();
}

__global__ void add_mirrored(const float* x, float* y) {
  const int n = static_cast<int>(gridDim.x * blockDim.x);
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  y[i] = x[i] + x[n - 1 - i];
}

__global__ void write_and_add(float* x, float* y) {
  write_ones(x);
  add_mirrored(x, y);
}

// Blocks read what others write, which takes a launch of its own.
template <bool kRight>
bool one_launch() {
  std::vector<float> x(kBlocks * kThreads), y(x.size());
  if constexpr (kRight) {
    start(write_ones, kBlocks, kThreads, x.data());
    start(add_mirrored, kBlocks, kThreads, x.data(), y.data());
  } else {
    start(write_and_add, kBlocks, kThreads, x.data(), y.data());
  }
  return all_are(y, 2.0f);
}

// The block that ends last sums what all have written. It is the last by a count that says nothing
// of other memory without a fence.
template <bool kRight>
__global__ void sum_in_last(float* parts, unsigned* count, float* sum) {
  parts[blockIdx.x] = 1.0f;
  if constexpr (kRight) __threadfence();
  if (atomicAdd(count, 1u) != gridDim.x - 1) return;
  if constexpr (kRight) __threadfence();
  for (unsigned b = 0; b < gridDim.x; ++b) *sum += parts[b];
}

template <bool kRight>
bool missing_fence() {
  std::vector<float> parts(kBlocks);
  unsigned count = 0;
  float sum = 0.0f;
  start(sum_in_last<kRight>, kBlocks, 1, parts.data(), &count, &sum);
  return sum == kBlocks;
}

// All that a thread can wait for, in turn, with what is alive on its stack.
__global__ void mix(const float* x, float* y) {
  ONEPASS_SHARED(float, s, [2][kThreads]);
  float kept[8];
  for (int i = 0; i < 8; ++i) kept[i] = x[(own() + i) % kThreads];
  for (int i = 0; i < 8; ++i) {
    s[i % 2][kThreads - 1 - own()] = kept[i];
    __syncthreads();
    kept[i] = __shfl_down_sync(kWarp, s[i % 2][own()], 1) + __shfl_up_sync(kWarp, kept[i], 1);
    __syncwarp(0xFFFFu << (own() & 16));
  }
  float sum = 0.0f;
  for (int i = 0; i < 8; ++i) sum += kept[i];
  y[blockIdx.x * kThreads + own()] = sum;
}

bool all_waits() {
  std::vector<float> x(kThreads);
  std::iota(x.begin(), x.end(), 0.0f);
  std::vector<float> y(kBlocks * kThreads);
  start(mix, kBlocks, kThreads, x.data(), y.data());
  for (int t = 0; t < kBlocks * kThreads; ++t) {
    const int own = t % kThreads, lane = own % 32;
    const int above = lane == 31 ? own : own + 1, below = lane == 0 ? own : own - 1;
    float sum = 0.0f;
    for (int i = 0; i < 8; ++i) {
      sum += x[(kThreads - 1 - above + i) % kThreads] + x[(below + i) % kThreads];
    }
    if (y[t] != sum) return false;
  }
  return true;
}

__global__ void list_threads(unsigned* order, unsigned* count) {
  order[atomicAdd(count, 1u)] = blockIdx.x * blockDim.x + threadIdx.x;
}

// Which thread came first, second and so on, of blocks and threads.
bool print_order() {
  constexpr int n = 3 * 5;
  std::vector<unsigned> order(n);
  unsigned count = 0;
  start(list_threads, 3, 5, order.data(), &count);
  for (const unsigned t : order) std::printf("%u ", t);
  return count == n;
}

struct Planted {
  const char* name;
  bool (*mistaken)();
  bool (*right)();
};

#define ONEPASS_PLANTED(name) {#name, name<false>, name<true>}
constexpr Planted kPlanted[] = {
    ONEPASS_PLANTED(missing_barrier),    ONEPASS_PLANTED(missing_second_barrier),
    ONEPASS_PLANTED(shuffle_as_barrier), ONEPASS_PLANTED(unwritten_shared),
    ONEPASS_PLANTED(shared_overrun),     ONEPASS_PLANTED(global_overrun),
    ONEPASS_PLANTED(early_end),          ONEPASS_PLANTED(two_barriers),
    ONEPASS_PLANTED(absent_lane),        ONEPASS_PLANTED(lane_outside_mask),
    ONEPASS_PLANTED(two_shuffles),       ONEPASS_PLANTED(mask_beyond_block),
    ONEPASS_PLANTED(racing_add),         ONEPASS_PLANTED(racing_blocks),
    ONEPASS_PLANTED(one_launch),         ONEPASS_PLANTED(missing_fence),
    {"all_waits", nullptr, all_waits},   {"order", print_order, print_order},
};

int say(const char* name, bool right) {
  std::printf("%s %s\n", name, right ? "right" : "wrong");
  return 0;
}

int run(const char* name) {
  int found = 1;
  const bool all = std::strcmp(name, "right") == 0;
  for (const Planted& p : kPlanted) {
    if (all) found = say(p.name, p.right());
    if (p.mistaken != nullptr && std::strcmp(name, p.name) == 0) found = say(name, p.mistaken());
  }
  return found;
}

}  // namespace
}  // namespace onepass::cuda

int main(int count, char** arguments) { return count == 2 ? onepass::cuda::run(arguments[1]) : 2; }
