// Floats as integers: what -ftz=true makes of numbers below the smallest normal one, and one NaN
// for all.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace onepass::probes {

static_assert(std::numeric_limits<float>::is_iec559);

constexpr std::uint32_t kSign = 0x80000000, kInfinity = 0x7f800000, kNan = 0x7fc00000;
constexpr std::uint32_t kSmallestNormal = 0x00800000;

// Zero of the same sign where the exponent is 0.
constexpr std::uint32_t flushed(std::uint32_t bits) {
  return (bits & kInfinity) == 0 ? bits & kSign : bits;
}

constexpr std::uint32_t canonical(std::uint32_t bits) {
  return (bits & ~kSign) > kInfinity ? kNan : bits;
}

enum class Operation { kAdd, kMultiply, kFma, kDivide, kRoot };

// The result that a processor which flushes has, from one that does not.
inline std::uint32_t expected(Operation operation, std::uint32_t a, std::uint32_t b,
                              std::uint32_t c) {
  const auto number = [](std::uint32_t bits) { return std::bit_cast<float>(flushed(bits)); };
  const float x = number(a), y = number(b), z = number(c);
  float result = 0.0f;
  switch (operation) {
    case Operation::kAdd:
      result = x + y;
      break;
    case Operation::kMultiply:
      result = x * y;
      break;
    case Operation::kFma:
      result = std::fma(x, y, z);
      break;
    case Operation::kDivide:
      result = x / y;
      break;
    case Operation::kRoot:
      result = std::sqrt(x);
      break;
  }
  return canonical(flushed(std::bit_cast<std::uint32_t>(result)));
}

}  // namespace onepass::probes
