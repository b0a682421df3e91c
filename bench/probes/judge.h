// What numbers that a library computed say of it: which form of gelu, which order of bits.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace onepass::probes {

inline double gelu_by_erf(double x) { return 0.5 * x * (1.0 + std::erf(x * std::sqrt(0.5))); }

inline double gelu_by_tanh(double x) {
  const double inner = std::sqrt(2.0 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + std::tanh(inner));
}

// The largest distances of gelus of x to its two forms.
struct GeluDistances {
  double erf = 0.0, tanh = 0.0;

  void add(double x, double y) {
    erf = std::fmax(erf, std::fabs(y - gelu_by_erf(x)));
    tanh = std::fmax(tanh, std::fabs(y - gelu_by_tanh(x)));
  }
  // A form is believed where the other is ten times as far; rounding is far below either.
  const char* verdict() const {
    if (10.0 * tanh < erf) return "tanh";
    return 10.0 * erf < tanh ? "erf" : "neither";
  }
};

constexpr std::array<const char*, 3> kBitOrders = {"low bit first", "high bit first in bytes",
                                                   "high bit first in words of 32 bits"};

// The bit of an element at `at`, with bytes in the order of memory.
inline bool bit_at(const std::vector<std::uint8_t>& mask, std::size_t at, std::size_t order) {
  const std::size_t within = order == 0 ? at : at ^ 7;
  const std::size_t byte = order == 2 ? (at / 8) ^ 3 : at / 8;
  return (mask[byte] >> (within % 8)) & 1;
}

// Elements of a matrix of columns whose bit is not what it should be; columns are `stride` bits
// apart.
inline std::size_t wrong_bits(const std::vector<std::uint8_t>& mask,
                              const std::vector<std::uint8_t>& set, std::size_t rows,
                              std::size_t stride, std::size_t order) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < set.size(); ++i) {
    wrong += bit_at(mask, i / rows * stride + i % rows, order) != (set[i] != 0);
  }
  return wrong;
}

}  // namespace onepass::probes
