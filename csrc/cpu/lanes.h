// Sums and maxima in kLanes fixed lanes joined by a fixed tree: the order of additions is the same
// for every instruction set, so these results are bitwise equal across them.
#pragma once

#include "../kernels.h"
#include "../math/elementary.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

// How csrc/loops marks its functions, which CUDA's lanes.h compiles for the GPU.
#define ONEPASS_DEVICE ONEPASS_INLINE
#define ONEPASS_LOOP
#define ONEPASS_FLAT __attribute__((always_inline))

#include "../loops/extents.h"

namespace onepass::ONEPASS_ISA {
namespace {

constexpr int64_t kGrain = 1024;  // elements worth a member

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// f(0) to f(15), a vector of T at a time: each inner loop becomes one vector, which
// ONEPASS_UNROLL(1) keeps from being written out lane by lane before that, and the outer one is
// written out, so that chunks stay in registers.
template <class T, class F>
ONEPASS_INLINE void for_lanes(F&& f) {
  constexpr int width = kVectorBytes / static_cast<int>(sizeof(T));
  ONEPASS_UNROLL(16)
  for (int v = 0; v < kLanes; v += width) {
    ONEPASS_UNROLL(1)
    for (int l = 0; l < width; ++l) f(v + l);
  }
}

// kLanes elements on their way through a formula.
template <class T>
struct Chunk {
  alignas(64) T at[kLanes];
};

// By whole vectors: a loop would become a memcpy of halves, which the next load cannot be served
// from before both are in the cache.
template <class T>
ONEPASS_INLINE void copy_chunk(const T* from, T* to) {
  typedef T V __attribute__((vector_size(kVectorBytes)));
  constexpr int width = kVectorBytes / static_cast<int>(sizeof(T));
  ONEPASS_UNROLL(16)
  for (int v = 0; v < kLanes; v += width) {
    V whole;
    __builtin_memcpy(&whole, from + v, sizeof whole);
    __builtin_memcpy(to + v, &whole, sizeof whole);
  }
}

template <class T>
ONEPASS_INLINE Chunk<T> load(const T* from, Whole, T = T(0)) {
  Chunk<T> c;
  copy_chunk(from, c.at);
  return c;
}

template <class T>
ONEPASS_INLINE void store(T* to, const Chunk<T>& c, Whole) {
  copy_chunk(c.at, to);
}

// The first n of `from`, the other lanes `fill`. Through masks where there are any: a tail in
// memory is copied element by element, and read back before it has arrived.
#if defined(__AVX512F__)
ONEPASS_INLINE Chunk<float> load(const float* from, Part part, float fill = 0.0f) {
  Chunk<float> c;
  const auto mask = static_cast<__mmask16>((1u << part.n) - 1);
  _mm512_store_ps(c.at, _mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, from));
  return c;
}
ONEPASS_INLINE Chunk<double> load(const double* from, Part part, double fill = 0.0) {
  Chunk<double> c;
  const unsigned mask = (1u << part.n) - 1;
  const __m512d rest = _mm512_set1_pd(fill);
  _mm512_store_pd(c.at, _mm512_mask_loadu_pd(rest, static_cast<__mmask8>(mask), from));
  _mm512_store_pd(c.at + 8, _mm512_mask_loadu_pd(rest, static_cast<__mmask8>(mask >> 8), from + 8));
  return c;
}
ONEPASS_INLINE void store(float* to, const Chunk<float>& c, Part part) {
  const auto mask = static_cast<__mmask16>((1u << part.n) - 1);
  _mm512_mask_storeu_ps(to, mask, _mm512_load_ps(c.at));
}
ONEPASS_INLINE void store(double* to, const Chunk<double>& c, Part part) {
  const unsigned mask = (1u << part.n) - 1;
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>(mask), _mm512_load_pd(c.at));
  _mm512_mask_storeu_pd(to + 8, static_cast<__mmask8>(mask >> 8), _mm512_load_pd(c.at + 8));
}
#else
template <class T>
ONEPASS_INLINE Chunk<T> load(const T* from, Part part, T fill = T(0)) {
  Chunk<T> c;
  for_lanes<T>([&](int l) __attribute__((always_inline)) { c.at[l] = fill; });
  for (int l = 0; l < part.n; ++l) c.at[l] = from[l];
  return c;
}
template <class T>
ONEPASS_INLINE void store(T* to, const Chunk<T>& c, Part part) {
  for (int l = 0; l < part.n; ++l) to[l] = c.at[l];
}
#endif

// f(lane 0) to f(lane 15).
template <class T, class F>
ONEPASS_INLINE Chunk<T> lanewise(F&& f) {
  Chunk<T> c;
  for_lanes<T>([&](int l) __attribute__((always_inline)) { c.at[l] = f(l); });
  return c;
}

// Joins all lanes: 8 pairs, 4 pairs, 2 pairs, 1 pair.
template <class T, class F>
ONEPASS_INLINE T join(const Chunk<T>& c, F&& f) {
  T eight[8], four[4];
  ONEPASS_UNROLL(1)
  for (int l = 0; l < 8; ++l) eight[l] = f(c.at[l], c.at[l + 8]);
  ONEPASS_UNROLL(1)
  for (int l = 0; l < 4; ++l) four[l] = f(eight[l], eight[l + 4]);
  return f(f(four[0], four[2]), f(four[1], four[3]));
}

// On a GPU the lanes of a member are threads. Here nobody waits, and whoever comes by writes.
ONEPASS_INLINE constexpr bool leads() { return true; }
ONEPASS_INLINE void together() {}
ONEPASS_INLINE void fetch(const void* line) { __builtin_prefetch(line); }

// f(begin) to f(end - 1), which depend on nothing that another of them writes.
template <class F>
ONEPASS_INLINE void for_elements(int64_t begin, int64_t end, F&& f) {
  ONEPASS_IVDEP
  for (int64_t i = begin; i < end; ++i) f(i);
}

// Joins f(0) to f(size - 1) and `start` by an operation whose result no order changes.
template <class R, class F, class Op>
ONEPASS_INLINE R fold_elements(int64_t size, R start, F&& f, Op&& op) {
  for (int64_t i = 0; i < size; ++i) start = op(f(i), start);
  return start;
}

// A number for each of a few elements, kept near.
constexpr int64_t kHeld = 256;
template <class T>
struct Held {
  T at[kHeld];
  ONEPASS_INLINE T& operator[](int64_t i) { return at[i]; }
};

// A number at any address, which costs nothing.
constexpr bool kWantsAlignment = false;
template <class T>
struct Anywhere {
  typedef T Type __attribute__((aligned(1)));
};

}  // namespace
}  // namespace onepass::ONEPASS_ISA

#include "../loops/lane_sums.h"
