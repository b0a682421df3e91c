// One element of a step that is more than a rule on arrays of T: the bits of the CPU's
// sweep_beside.h.
#pragma once

#include "../loops/beside.h"
#include "../loops/numbers.h"
#include "dialect.h"

namespace onepass::cuda {
namespace {

template <class T>
__device__ __forceinline__ T read_number(const void* array, Number number, int64_t i) {
  T x{};
  visit_number(number, [&](auto kind) {
    using Kind = decltype(kind);
    x = static_cast<T>(Kind::value(static_cast<const typename Kind::Stored*>(array)[i]));
  });
  return x;
}

template <class T>
__device__ __forceinline__ void write_number(void* array, Number number, int64_t i, T x) {
  visit_stored(number, [&](auto kind) {
    using Kind = decltype(kind);
    static_cast<typename Kind::Stored*>(array)[i] = Kind::stored(static_cast<float>(x));
  });
}

__device__ __forceinline__ void clear_number(void* array, Number number, int64_t i) {
  visit_number(number, [&](auto kind) {
    using Stored = typename decltype(kind)::Stored;
    static_cast<Stored*>(array)[i] = Stored(0);
  });
}

// The gradient of an element, sums of earlier calls included.
template <class T>
__device__ __forceinline__ T gradient_at(const T* g, const Beside<T>& beside, bool adds,
                                         int64_t i) {
  const T own = g != nullptr ? g[i] : read_number<T>(beside.g, beside.g_number, i);
  return adds && beside.sum != nullptr ? beside.sum[i] + own : own;
}

template <class T>
__device__ __forceinline__ T parameter_at(const T* p, const Beside<T>& beside, int64_t i) {
  return p != nullptr ? p[i] : read_number<T>(beside.p, beside.p_number, i);
}

template <class T, class F>
struct BesideElement {
  const Segment<T>& s;
  const Beside<T>& beside;
  const Beyond& beyond;
  int64_t at;
  F& rule;
  T g{}, p{};

  __device__ __forceinline__ void read_gradient() { g = gradient_at(s.g, beside, beyond.adds, at); }
  __device__ __forceinline__ void keep_sum() { beside.sum[at] = g; }
  __device__ __forceinline__ void read_parameters() { p = parameter_at(s.p, beside, at); }
  __device__ __forceinline__ void step() { rule(at, g, p); }
  __device__ __forceinline__ void average() {
    const auto mean = AverageOf<T>::of(beyond.average_keep);
    T& average = beside.average[at];
    average = mean.forgets() ? p : mean.mixed(average, p);
    if (beyond.average_replaces) p = average;
  }
  __device__ __forceinline__ void write_parameters() {
    if (s.p != nullptr) {
      s.p[at] = p;
    } else {
      write_number(beside.p, beside.p_number, at, p);
    }
  }
  __device__ __forceinline__ void clear_gradient() { clear_number(beside.g, beside.g_number, at); }
};

// Element i: `rule(i, its gradient, its parameter)` changes the parameter.
template <class T, class F>
__device__ __forceinline__ void step_element(const Segment<T>& s, const Beside<T>& beside,
                                             const Beyond& beyond, int64_t i, F&& rule) {
  BesideElement<T, F> element{s, beside, beyond, i, rule};
  step_in_order(beyond, beside.average != nullptr, element);
}

}  // namespace
}  // namespace onepass::cuda
