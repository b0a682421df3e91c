// Vectors of one instruction set, as far as the matrix products need them; all other loops are
// plain and vectorised by the compiler. Compiled once per instruction set, in that set's namespace.
#pragma once

#include <cstdint>
#include <utility>

#include "../team.h"

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace onepass::ONEPASS_ISA {
namespace {

// kWidth elements a vector; the product's register tile is kRows rows of kVectors vectors.
template <class T>
struct Simd;

#if defined(__AVX512F__)

template <>
struct Simd<float> {
  using V = __m512;
  static constexpr int kWidth = 16, kRows = 8, kVectors = 3;
  static ONEPASS_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
  static ONEPASS_INLINE V load(const float* p, int n) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
  }
  static ONEPASS_INLINE void store(float* p, V v) { _mm512_storeu_ps(p, v); }
  static ONEPASS_INLINE void store(float* p, V v, int n) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
  }
  static ONEPASS_INLINE V broadcast(float x) { return _mm512_set1_ps(x); }
  static ONEPASS_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
};

template <>
struct Simd<double> {
  using V = __m512d;
  static constexpr int kWidth = 8, kRows = 8, kVectors = 3;
  static ONEPASS_INLINE V load(const double* p) { return _mm512_loadu_pd(p); }
  static ONEPASS_INLINE V load(const double* p, int n) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
  }
  static ONEPASS_INLINE void store(double* p, V v) { _mm512_storeu_pd(p, v); }
  static ONEPASS_INLINE void store(double* p, V v, int n) {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), v);
  }
  static ONEPASS_INLINE V broadcast(double x) { return _mm512_set1_pd(x); }
  static ONEPASS_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }
};

#elif defined(__AVX2__)

// Lane i of the mask is set for i < n: a window into ones followed by zeros.
alignas(32) constexpr int32_t kMask32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
alignas(32) constexpr int64_t kMask64[8] = {-1, -1, -1, -1};

template <class T>
ONEPASS_INLINE __m256i first_lanes(int n) {
  const void* window = kMask32 + 8 - n;
  if constexpr (sizeof(T) == sizeof(double)) window = kMask64 + 4 - n;
  return _mm256_loadu_si256(static_cast<const __m256i*>(window));
}

template <>
struct Simd<float> {
  using V = __m256;
  static constexpr int kWidth = 8, kRows = 4, kVectors = 3;
  static ONEPASS_INLINE V load(const float* p) { return _mm256_loadu_ps(p); }
  static ONEPASS_INLINE V load(const float* p, int n) {
    return _mm256_maskload_ps(p, first_lanes<float>(n));
  }
  static ONEPASS_INLINE void store(float* p, V v) { _mm256_storeu_ps(p, v); }
  static ONEPASS_INLINE void store(float* p, V v, int n) {
    _mm256_maskstore_ps(p, first_lanes<float>(n), v);
  }
  static ONEPASS_INLINE V broadcast(float x) { return _mm256_set1_ps(x); }
  static ONEPASS_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
};

template <>
struct Simd<double> {
  using V = __m256d;
  static constexpr int kWidth = 4, kRows = 4, kVectors = 3;
  static ONEPASS_INLINE V load(const double* p) { return _mm256_loadu_pd(p); }
  static ONEPASS_INLINE V load(const double* p, int n) {
    return _mm256_maskload_pd(p, first_lanes<double>(n));
  }
  static ONEPASS_INLINE void store(double* p, V v) { _mm256_storeu_pd(p, v); }
  static ONEPASS_INLINE void store(double* p, V v, int n) {
    _mm256_maskstore_pd(p, first_lanes<double>(n), v);
  }
  static ONEPASS_INLINE V broadcast(double x) { return _mm256_set1_pd(x); }
  static ONEPASS_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
};

#else  // 128-bit vectors through the compiler's own vector types: SSE2, NEON

#if defined(__ARM_NEON)
constexpr int kTileRows = 8, kTileVectors = 3;  // 32 registers
#else
constexpr int kTileRows = 4, kTileVectors = 2;  // 16 registers, and the product needs one
#endif

template <class T, class V>
ONEPASS_INLINE V multiply_add(V a, V b, V c) {
#if defined(__ARM_NEON)
  if constexpr (sizeof(T) == sizeof(float)) {
    return vfmaq_f32(c, a, b);
  } else {
    return vfmaq_f64(c, a, b);
  }
#else
  return a * b + c;
#endif
}

template <class T>
struct Simd {
  typedef T V __attribute__((vector_size(16)));
  static constexpr int kWidth = 16 / sizeof(T), kRows = kTileRows, kVectors = kTileVectors;
  static ONEPASS_INLINE V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static ONEPASS_INLINE V load(const T* p, int n) {
    V v{};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
  }
  static ONEPASS_INLINE void store(T* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
  static ONEPASS_INLINE void store(T* p, V v, int n) {
    for (int i = 0; i < n; ++i) p[i] = v[i];
  }
  static ONEPASS_INLINE V broadcast(T x) { return V{} + x; }
  static ONEPASS_INLINE V fma(V a, V b, V c) { return multiply_add<T>(a, b, c); }
};

#endif

// One step of a transposition: `low` (or high) of each pair of vectors `distance` apart, in which
// blocks of `distance` elements are interleaved.
template <class V, int kDistance, bool kHigh, int... I>
ONEPASS_INLINE V interleave(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int width = sizeof...(I);
  return __builtin_shufflevector(
      a, b, (((I & kDistance) != 0 ? width + (I ^ kDistance) : I) ^ (kHigh ? kDistance : 0))...);
}

// Turns a square of kWidth vectors about its diagonal, in registers.
template <class T, int kDistance = Simd<T>::kWidth / 2>
ONEPASS_INLINE void transpose(typename Simd<T>::V (&square)[Simd<T>::kWidth]) {
  using V = typename Simd<T>::V;
  using Lanes = std::make_integer_sequence<int, Simd<T>::kWidth>;
  ONEPASS_UNROLL(16)
  for (int i = 0; i < Simd<T>::kWidth; ++i) {
    if ((i & kDistance) != 0) continue;
    const V a = square[i], b = square[i + kDistance];
    square[i] = interleave<V, kDistance, false>(a, b, Lanes{});
    square[i + kDistance] = interleave<V, kDistance, true>(a, b, Lanes{});
  }
  if constexpr (kDistance > 1) transpose<T, kDistance / 2>(square);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
