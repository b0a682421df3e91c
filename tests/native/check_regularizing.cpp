// Penalties, constraints and normal noise; called by check_kernels.cpp.
#include <algorithm>
#include <cmath>
#include <string>

#include "../../csrc/math/philox.h"
#include "check.h"

namespace check {

using namespace onepass;

namespace {

constexpr int64_t kShapes[][2] = {{0, 5}, {1, 1}, {3, 16}, {5, 130}, {7, 300}};

std::string named(const char* what, const int64_t (&shape)[2]) {
  return std::string(what) + " (" + std::to_string(shape[0]) + ", " + std::to_string(shape[1]) +
         ")";
}

template <class T>
void penalties(const KernelTable<T>& table) {
  for (const auto& shape : kShapes) {
    for (const Layout layout : kLayouts) {
      for (const bool accumulate : {false, true}) {
        Grid<T> x(shape[0], shape[1], layout), gradient(shape[0], shape[1], layout);
        Grid<double> values(1, shape[0]);
        const Penalty<T> a{x.read(), 0.25, 0.5, values.data(), gradient.view(), 0.5, accumulate};
        expect(
            named("penalty", shape), [&](Team& team) { table.penalty(a, team); },
            Output<double>(values, 16 * static_cast<double>(shape[1]),
                           [&](int64_t, int64_t r) {
                             return dot(shape[1], [&](int64_t c) {
                               return 0.25 * std::abs(x(r, c)) + 0.5 * x(r, c) * x(r, c);
                             });
                           }),
            Output(gradient, 4, [&](int64_t r, int64_t c) {
              const double sign = x(r, c) > 0 ? 1.0 : x(r, c) < 0 ? -1.0 : 0.0;
              return (accumulate ? gradient(r, c) : 0.0) + 0.125 * sign + 0.5 * x(r, c);
            }));
      }
    }
  }
}

template <class T>
void constraints(const KernelTable<T>& table) {
  for (const auto& shape : kShapes) {
    for (const Layout layout : kLayouts) {
      for (const Constraint kind :
           {Constraint::kNonNegative, Constraint::kColumnNorms, Constraint::kRowNorms}) {
        Grid<T> x(shape[0], shape[1], layout);
        const Constrain<T> a{x.view(), kind, 0.5, 0.75, 0.5, 1e-7};
        const bool columns = kind == Constraint::kColumnNorms;
        expect(
            named("constrain", shape), [&](Team& team) { table.constrain(a, team); },
            Output(x, 4, [&](int64_t r, int64_t c) {
              if (kind == Constraint::kNonNegative) return std::max(x(r, c), 0.0);
              const double norm = std::sqrt(dot(columns ? shape[0] : shape[1], [&](int64_t k) {
                const double element = columns ? x(k, c) : x(r, k);
                return element * element;
              }));
              return x(r, c) * (0.5 * std::clamp(norm, 0.5, 0.75) + 0.5 * norm) / (norm + 1e-7);
            }));
      }
    }
  }
}

// The word of a unit, by the generator as scalars.
uint32_t word(const NoiseKey& key, int64_t place, int64_t unit) {
  const auto run = static_cast<uint64_t>(16 * (unit / 64) + unit % 16);
  const math::PhiloxWords<uint64_t> counter{{run, static_cast<uint64_t>(place), key.draw, 0}};
  const auto four = math::philox(counter, key.words[0], key.words[1], math::Multiply{});
  return static_cast<uint32_t>(four.at[unit % 64 / 16]);
}

// The deviate of a unit, by the C library.
double deviate(const NoiseKey& key, int64_t place, int64_t unit) {
  const int64_t first = unit / 64 * 64 + unit % 32;
  const double radius = std::sqrt(-2.0 * std::log((word(key, place, first) + 0.5) / 4294967296.0));
  const uint32_t turn = word(key, place, first + 32);
  const double place_in_it = static_cast<int32_t>(turn << 2) / 17179869184.0;
  const double angle = 2.0 * std::acos(-1.0) * ((turn >> 30) / 4.0 + place_in_it);
  return radius * (unit % 64 < 32 ? std::cos(angle) : std::sin(angle));
}

template <class T>
void noises(const KernelTable<T>& table) {
  for (const auto& shape : kShapes) {
    for (const Layout layout : kLayouts) {
      for (const bool multiplies : {false, true}) {
        Grid<T> x(shape[0], shape[1], layout), y(shape[0], shape[1], layout);
        const Gaussian<T> a{
            x.read(), y.view(), 0.5, multiplies, {{0x12345678u, 0x9abcdef0u}, 3}, 7, 1, multiplies};
        expect(
            named("gaussian", shape), [&](Team& team) { table.gaussian(a, team); },
            Output(y, 16, [&](int64_t r, int64_t c) {
              const double n = 0.5 * deviate(a.key, a.first + r, c);
              return multiplies ? y(r, c) + x(r, c) * (1.0 + n) : x(r, c) + n;
            }));
      }
    }
  }
}

template <class T>
void random_slopes(const KernelTable<T>& table) {
  for (const auto& shape : kShapes) {
    for (const Layout layout : kLayouts) {
      for (const bool gradient : {false, true}) {
        Grid<T> x(shape[0], shape[1], layout), value(shape[0], shape[1], layout),
            y(shape[0], shape[1], layout);
        const RandomRelu<T> a{x.read(), gradient ? value.read() : Matrix<const T>{},
                              y.view(), 0.125,
                              0.5,      {{0x12345678u, 0x9abcdef0u}, 3},
                              7,        1,
                              gradient};
        expect(
            named("rrelu", shape), [&](Team& team) { table.rrelu(a, team); },
            Output(y, 4, [&](int64_t r, int64_t c) {
              const double at = (word(a.key, a.first + r, c) + 0.5) / 4294967296.0;
              const double slope = (gradient ? value : x)(r, c) > 0.0 ? 1.0 : 0.125 + 0.375 * at;
              return (gradient ? y(r, c) : 0.0) + slope * x(r, c);
            }));
      }
    }
  }
}

}  // namespace

template <class T>
void regularizing(const KernelTable<T>& table) {
  penalties(table);
  constraints(table);
  noises(table);
  random_slopes(table);
}
template void regularizing(const KernelTable<float>&);
template void regularizing(const KernelTable<double>&);

}  // namespace check
