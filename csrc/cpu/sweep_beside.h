// Steps that are more than a rule on arrays of T: numbers of other types, sums of gradients over
// several calls, moving averages, gradients that are cleared. Block by block in the first cache, so
// that memory is still touched once, and the rules know nothing of it.
#pragma once

#include "../loops/beside.h"
#include "../loops/numbers.h"
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
  visit_number(number, [&](auto kind) {
    using Kind = decltype(kind);
    convert_run(to, static_cast<const typename Kind::Stored*>(array) + at, n,
                [](auto x) __attribute__((always_inline)) { return Kind::value(x); });
  });
}

template <class T>
void write_numbers(void* array, Number number, int64_t at, int64_t n, const T* from) {
  visit_stored(number, [&](auto kind) {
    using Kind = decltype(kind);
    convert_run(static_cast<typename Kind::Stored*>(array) + at, from, n,
                [](T x)
                    __attribute__((always_inline)) { return Kind::stored(static_cast<float>(x)); });
  });
}

template <class T>
void clear_numbers(void* array, Number number, int64_t at, int64_t n) {
  visit_number(number, [&](auto kind) {
    using Stored = typename decltype(kind)::Stored;
    Stored* const numbers = static_cast<Stored*>(array) + at;
    for (int64_t i = 0; i < n; ++i) numbers[i] = Stored(0);
  });
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
  const auto mean = AverageOf<T>::of(average_keep);
  if (mean.forgets()) {
    for (int64_t i = 0; i < n; ++i) average[i] = p[i];
  } else {
    ONEPASS_IVDEP
    for (int64_t i = 0; i < n; ++i) average[i] = mean.mixed(average[i], p[i]);
  }
  if (!replaces) return;
  for (int64_t i = 0; i < n; ++i) p[i] = average[i];
}

// A block of a segment with what lies beside it, n elements from `at`. `gradient` and `parameter`
// are work areas.
template <class T, class F>
struct BesideBlock {
  const Segment<T>& s;
  const Beside<T>& beside;
  const Beyond& beyond;
  int64_t at, n;
  F& rule;
  T *gradient, *parameter;
  const T* g = nullptr;
  T* p = nullptr;

  void read_gradient() { g = gradient_block(s.g, beside, beyond.adds, at, n, gradient); }
  void keep_sum() {
    convert_run(beside.sum + at, g, n, [](T x) { return x; });
  }
  void read_parameters() {
    p = stored_otherwise() ? parameter : s.p + at;
    if (stored_otherwise()) read_numbers(beside.p, beside.p_number, at, n, p);
  }
  void step() {
    Segment<T> block{p, g, {}, n, n, n};
    for (int k = 0; k < kMaxStates; ++k) {
      block.state[k] = s.state[k] == nullptr ? nullptr : s.state[k] + at;
    }
    rule(block, at);
  }
  void average() {
    average_block(p, beside.average + at, beyond.average_keep, beyond.average_replaces, n);
  }
  void write_parameters() {
    if (stored_otherwise()) write_numbers(beside.p, beside.p_number, at, n, p);
  }
  void clear_gradient() { clear_numbers<T>(beside.g, beside.g_number, at, n); }

 private:
  bool stored_otherwise() const { return s.p == nullptr; }
};

// Elements of a segment. `step(block, at)` applies the rule to a block that is a segment of its own
// and begins at element `at` of this one.
template <class T, class F>
void sweep_beside(const Segment<T>& s, const Beside<T>& beside, const Beyond& beyond, Range range,
                  F&& step) {
  alignas(64) T gradient[kBesideBlock], parameter[kBesideBlock];
  for (int64_t at = range.begin; at < range.end; at += kBesideBlock) {
    const int64_t n = range.end - at < kBesideBlock ? range.end - at : kBesideBlock;
    BesideBlock<T, F> block{s, beside, beyond, at, n, step, gradient, parameter};
    step_in_order(beyond, beside.average != nullptr, block);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
