// Sums and maxima in kLanes fixed lanes joined by a fixed tree, as the CPU's lanes.h has them: here
// a lane is a thread, and kLanes threads are the member of a team that works on a row. So the loops
// of csrc/loops say the same on both, and give the same bits.
#pragma once

#include "../math/elementary.h"
#include "dialect.h"

// How csrc/loops marks its functions.
#define ONEPASS_DEVICE __device__ __forceinline__
#define ONEPASS_LOOP __device__
#define ONEPASS_FLAT

#include "../loops/extents.h"

namespace onepass::cuda {
namespace {

constexpr int64_t kGrain = 64;  // elements worth a member

__device__ __forceinline__ int own_lane() { return static_cast<int>(threadIdx.x % kLanes); }

// The lanes of this member within its warp.
__device__ __forceinline__ unsigned member_mask() {
  return 0xFFFFu << (threadIdx.x % 32 / kLanes * kLanes);
}

// Whether this thread writes what a member writes once.
__device__ __forceinline__ bool leads() { return own_lane() == 0; }

// Behind this, every lane sees what the others have written, and nothing is read any more of what
// may now be written.
__device__ __forceinline__ void together() { __syncwarp(member_mask()); }

// The members of one launch.
struct Team {
  int rank, size;

  __device__ __forceinline__ Range share(int64_t n, int64_t grain) const {
    return share_of_team(n, grain, rank, size);
  }
  // Only where the whole team is one block.
  __device__ __forceinline__ void sync() const { __syncthreads(); }
};

template <class T, class F>
__device__ __forceinline__ void for_lanes(F&& f) {
  f(own_lane());
}

// One number a lane. `at[l]` is this thread's, which is all that a lane may ask for.
template <class T>
struct Chunk {
  struct Own {
    T value;
    __device__ __forceinline__ T& operator[](int) { return value; }
    __device__ __forceinline__ const T& operator[](int) const { return value; }
  };
  Own at;
};

// f(begin) to f(end - 1), each by one lane: element i always by the same one for the same `begin`.
template <class F>
__device__ __forceinline__ void for_elements(int64_t begin, int64_t end, F&& f) {
  for (int64_t i = begin + own_lane(); i < end; i += kLanes) f(i);
}

template <class T>
__device__ __forceinline__ Chunk<T> load(const T* from, Whole, T = T(0)) {
  return {{from[own_lane()]}};
}
template <class T>
__device__ __forceinline__ Chunk<T> load(const T* from, Part part, T fill = T(0)) {
  return {{own_lane() < part.n ? from[own_lane()] : fill}};
}
template <class T, class Extent>
__device__ __forceinline__ void store(T* to, const Chunk<T>& c, Extent extent) {
  if (own_lane() < extent.n) to[own_lane()] = c.at[0];
}

template <class T, class F>
__device__ __forceinline__ Chunk<T> lanewise(F&& f) {
  return {{f(own_lane())}};
}

// Each lane joins its pair in the order of the lanes, so that all end with the same bits.
template <class T, class F>
__device__ __forceinline__ T join(const Chunk<T>& c, F&& f) {
  T own = c.at[0];
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    const T other = __shfl_xor_sync(member_mask(), own, distance);
    own = (own_lane() & distance) == 0 ? f(own, other) : f(other, own);
  }
  return own;
}

// Nobody asks ahead: other warps work while one waits.
__device__ __forceinline__ void fetch(const void*) {}

// Joins f(0) to f(size - 1) and `start` by an operation whose result no order changes.
template <class R, class F, class Op>
__device__ __forceinline__ R fold_elements(int64_t size, R start, F&& f, Op&& op) {
  for (int64_t i = own_lane(); i < size; i += kLanes) start = op(f(i), start);
  return join(Chunk<R>{{start}}, op);
}

// A number for each of kHeld elements from a multiple of it on: one a lane.
constexpr int64_t kHeld = kLanes;
template <class T>
struct Held {
  T own{};
  __device__ __forceinline__ T& operator[](int64_t) { return own; }
};

// A number at any address, which is read byte by byte.
constexpr bool kWantsAlignment = true;
template <class T>
struct Anywhere {
  struct Type {
    unsigned char bytes[sizeof(T)];

    template <class Number>
    __device__ __forceinline__ explicit operator Number() const {
      T value;
      memcpy(&value, bytes, sizeof value);
      return static_cast<Number>(value);
    }
  };
};

}  // namespace
}  // namespace onepass::cuda

#include "../loops/lane_sums.h"
