// Steps that are more than a rule on arrays of T: numbers of other types, sums of gradients over
// several calls, moving averages, gradients that are cleared. Block by block in the first cache, so
// that memory is still touched once, and the rules know nothing of it.
#pragma once

#include "../math/half.h"
#include "sweep.h"

namespace onepass::ONEPASS_ISA {
namespace {

constexpr int64_t kBesideBlock = 1024;

// to[i] = convert(from[i])
template <class To, class From, class F>
ONEPASS_INLINE void convert_run(To* __restrict to, const From* __restrict from, int64_t n,
                                F convert) {
  ONEPASS_IVDEP
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(convert(from[i]));
}

// The numbers `at` to `at + n` of an array, as T.
template <class T>
void read_numbers(const void* array, Number number, int64_t at, int64_t n, T* to) {
  const auto same = [](auto x) __attribute__((always_inline)) { return x; };
  const auto* half = static_cast<const uint16_t*>(array) + at;
  switch (number) {
    case Number::kFloat32:
      return convert_run(to, static_cast<const float*>(array) + at, n, same);
    case Number::kFloat64:
      return convert_run(to, static_cast<const double*>(array) + at, n, same);
    case Number::kFloat16:
      return convert_run(to, half, n, [](uint16_t h) { return math::from_float16(h); });
    case Number::kBfloat16:
      return convert_run(to, half, n, [](uint16_t h) { return math::from_bfloat16(h); });
  }
}

// Stores numbers of 16 bits: parameters of other types are updated where they lie.
template <class T>
void write_numbers(void* array, Number number, int64_t at, int64_t n, const T* from) {
  auto* half = static_cast<uint16_t*>(array) + at;
  if (number == Number::kFloat16) {
    convert_run(half, from, n, [](T x) { return math::to_float16(static_cast<float>(x)); });
  } else {
    convert_run(half, from, n, [](T x) { return math::to_bfloat16(static_cast<float>(x)); });
  }
}

template <class T>
void clear_numbers(void* array, Number number, int64_t at, int64_t n) {
  if (number == Number::kFloat64) {
    for (int64_t i = 0; i < n; ++i) static_cast<double*>(array)[at + i] = 0.0;
  } else if (number == Number::kFloat32) {
    for (int64_t i = 0; i < n; ++i) static_cast<float*>(array)[at + i] = 0.0f;
  } else {
    for (int64_t i = 0; i < n; ++i) static_cast<uint16_t*>(array)[at + i] = 0;
  }
}

// The gradient of a block, sums of earlier calls included: where it lies, or in `area`.
template <class T>
const T* gradient_block(const T* g, const Beside<T>& beside, bool adds, int64_t at, int64_t n,
                        T* area) {
  const bool summed = adds && beside.sum != nullptr;
  if (g != nullptr && !summed) return g + at;
  if (g != nullptr) {
    convert_run(area, g + at, n, [](T x) { return x; });
  } else {
    read_numbers(beside.g, beside.g_number, at, n, area);
  }
  if (summed) {
    const T* sum = beside.sum + at;
    for (int64_t i = 0; i < n; ++i) area[i] = sum[i] + area[i];
  }
  return area;
}

template <class T>
void average_block(T* __restrict p, T* __restrict average, double average_keep, bool replaces,
                   int64_t n) {
  const T keep = static_cast<T>(average_keep), gain = static_cast<T>(1.0 - average_keep);
  // What is kept not at all may be anything, NaN too.
  if (keep == T(0)) {
    for (int64_t i = 0; i < n; ++i) average[i] = p[i];
  } else {
    ONEPASS_IVDEP
    for (int64_t i = 0; i < n; ++i) average[i] = keep * average[i] + gain * p[i];
  }
  if (!replaces) return;
  for (int64_t i = 0; i < n; ++i) p[i] = average[i];
}

// Elements of a segment with what lies beside it. `step(block, at)` applies the rule to a block
// that is a segment of its own and begins at element `at` of this one.
template <class T, class F>
void sweep_beside(const Segment<T>& s, const Beside<T>& beside, const Beyond& beyond, Range range,
                  F&& step) {
  alignas(64) T gradient[kBesideBlock], parameter[kBesideBlock];
  for (int64_t at = range.begin; at < range.end; at += kBesideBlock) {
    const int64_t n = range.end - at < kBesideBlock ? range.end - at : kBesideBlock;
    const T* g = gradient_block(s.g, beside, beyond.adds, at, n, gradient);
    if (beyond.waits) convert_run(beside.sum + at, g, n, [](T x) { return x; });
    const bool touches = !beyond.waits || beside.average != nullptr;
    const bool stored_otherwise = s.p == nullptr;
    T* p = stored_otherwise ? parameter : s.p + at;
    if (touches && stored_otherwise) read_numbers(beside.p, beside.p_number, at, n, p);
    if (!beyond.waits) {
      Segment<T> block{p, g, {}, n, n, n};
      for (int k = 0; k < kMaxStates; ++k) {
        block.state[k] = s.state[k] == nullptr ? nullptr : s.state[k] + at;
      }
      step(block, at);
    }
    if (beside.average != nullptr) {
      average_block(p, beside.average + at, beyond.average_keep, beyond.average_replaces, n);
    }
    if (touches && stored_otherwise) write_numbers(beside.p, beside.p_number, at, n, p);
    if (beyond.clears) clear_numbers<T>(beside.g, beside.g_number, at, n);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
