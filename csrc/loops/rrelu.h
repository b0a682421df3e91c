// Leaky ReLU with random slopes. Never stored: the backward pass draws them again. Xu, Wang, Chen
// and Li, Empirical Evaluation of Rectified Activations in Convolutional Network, 2015.
#pragma once

#include "../math/activations/leaky_relu.h"
#include "../math/uniform.h"
#include "noise.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <bool kGradient, class T>
ONEPASS_DEVICE T with_slope(T x, T value, T slope) {
  using math::LeakyRelu;
  return kGradient ? x * LeakyRelu::derivative(value, value, LeakyRelu::Hyper<T>{slope})
                   : LeakyRelu::value(x, LeakyRelu::Hyper<T>{slope});
}

template <bool kGradient, class T>
ONEPASS_DEVICE void random_relu(const RandomRelu<T>& a, Team& team) {
  const double lower = a.lower, upper = a.upper;
  const bool accumulate = a.accumulate;
  for_runs_of_units(a.y, a.first, a.rows_per_sample, rows_of_member(a.y, team),
                    [&](int64_t r, int64_t c, int64_t n, int64_t skip, uint32_t group,
                        uint32_t place) ONEPASS_FLAT {
                      const GroupWords words = words_of_group(a.key, group, place);
                      const T* x = a.x.row(r) + c;
                      const T* value = kGradient ? a.value.row(r) + c : x;
                      T* y = a.y.row(r) + c;
                      for_units_of(words, skip, n, [&](int64_t i, uint32_t word) ONEPASS_FLAT {
                        const T slope = static_cast<T>(math::uniform(word, lower, upper));
                        const T result = with_slope<kGradient>(x[i], value[i], slope);
                        y[i] = accumulate ? y[i] + result : result;
                      });
                    });
}

template <class T>
ONEPASS_LOOP void rrelu(const RandomRelu<T>& a, Team& team) {
  a.value ? random_relu<true>(a, team) : random_relu<false>(a, team);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
