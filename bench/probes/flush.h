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

#if defined(__CUDACC__)
#define ONEPASS_BOTH __host__ __device__
#else
#define ONEPASS_BOTH
#endif
ONEPASS_BOTH inline float computed(Operation operation, float x, float y, float z) {
  switch (operation) {
    case Operation::kAdd:
      return x + y;
    case Operation::kMultiply:
      return x * y;
    case Operation::kFma:
      return fmaf(x, y, z);
    case Operation::kDivide:
      return x / y;
    case Operation::kRoot:
      return sqrtf(x);
  }
  return 0.0f;
}

// The result that a processor which flushes has, from one that does not.
inline std::uint32_t expected(Operation operation, std::uint32_t a, std::uint32_t b,
                              std::uint32_t c) {
  const auto number = [](std::uint32_t bits) { return std::bit_cast<float>(flushed(bits)); };
  const float result = computed(operation, number(a), number(b), number(c));
  return canonical(flushed(std::bit_cast<std::uint32_t>(result)));
}

}  // namespace onepass::probes
