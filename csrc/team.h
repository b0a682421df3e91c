// The threads that carry out one kernel together, and how they share work.
// Included by code of every instruction set: only always-inline functions and plain data here.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define ONEPASS_INLINE __host__ __device__ __forceinline__
#else
// Always inline: an out-of-line copy built for AVX-512 could be the one the linker keeps for all.
#define ONEPASS_INLINE inline __attribute__((always_inline))
#endif

#define ONEPASS_PRAGMA(text) _Pragma(#text)
#if defined(__CUDACC__)
#define ONEPASS_IVDEP
#define ONEPASS_UNROLL(n) ONEPASS_PRAGMA(unroll n)
#elif defined(__clang__)
#define ONEPASS_IVDEP ONEPASS_PRAGMA(clang loop vectorize(assume_safety))
#define ONEPASS_UNROLL(n) ONEPASS_PRAGMA(unroll n)
#else
#define ONEPASS_IVDEP ONEPASS_PRAGMA(GCC ivdep)
#define ONEPASS_UNROLL(n) ONEPASS_PRAGMA(GCC unroll n)
#endif

namespace onepass {

struct Range {
  int64_t begin, end;
};

struct Block {
  Range rows, cols;
};

// The share of member `rank` of `size` in n items, cut at multiples of `grain`.
ONEPASS_INLINE Range share_of_team(int64_t n, int64_t grain, int rank, int size) {
  const int64_t blocks = (n + grain - 1) / grain;
  const int64_t begin = blocks * rank / size * grain;
  const int64_t end = blocks * (rank + 1) / size * grain;
  return {begin < n ? begin : n, end < n ? end : n};
}

struct Barrier;
struct Device;                             // device.h
void wait_at(Barrier& barrier, int rank);  // cpu/pool.cpp

// Bytes of work area that every member of a team brings along, aligned to a cache line.
inline constexpr int64_t kScratchBytes = 896 << 10;

struct Team {
  int rank;
  int size;
  Barrier* barrier;
  void* scratch;
  // A hint to read weights from their end to their beginning. Who reads the same weights again and
  // again, now this way and now that, finds most of them in a cache slightly too small for all.
  bool backwards = false;
  const Device* device = nullptr;  // where its kernels run, if on a GPU, and
  void* stream = nullptr;          // in which order

  // Every member waits here for all others; their writes are then visible.
  ONEPASS_INLINE void sync() {
    if (size > 1) wait_at(*barrier, rank);
  }

  // This member's share of n items, cut at multiples of `grain`.
  ONEPASS_INLINE Range share(int64_t n, int64_t grain) const {
    return share_of_team(n, grain, rank, size);
  }
};

}  // namespace onepass
