// Numbers of 16 bits, as bits, to and from float: IEEE binary16 and bfloat16, rounded to nearest
// even. NaN stays NaN.
#pragma once

#include "hd.h"

namespace onepass::math {
namespace {

ONEPASS_HD float from_bfloat16(std::uint16_t h) {
  return bit_cast<float>(static_cast<std::uint32_t>(h) << 16);
}

ONEPASS_HD std::uint16_t to_bfloat16(float x) {
  const std::uint32_t u = bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (u >> 16) | 0x40u;
  return static_cast<std::uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

ONEPASS_HD float from_float16(std::uint16_t h) {
  const std::uint32_t magnitude = (h & 0x7fffu) << 13, sign = (h & 0x8000u) << 16;
  const std::uint32_t exponent = magnitude & 0x0f800000u;
  constexpr std::uint32_t shift = (127 - 15) << 23;
  // A small one becomes normal by a leading 1, which is then taken away: no denormal is touched.
  const float small = bit_cast<float>(magnitude + 0x38800000u) - 0x1p-14f;
  const std::uint32_t above = magnitude + shift + (exponent == 0x0f800000u ? shift : 0u);
  const std::uint32_t bits = exponent == 0 ? bit_cast<std::uint32_t>(small) : above;
  return bit_cast<float>(bits | sign);
}

ONEPASS_HD std::uint16_t to_float16(float x) {
  const std::uint32_t u = bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = u & 0x80000000u, a = u ^ sign;
  constexpr std::uint32_t shift = (127 - 15) << 23;
  const std::uint32_t normal = (a - shift + 0xfffu + ((a >> 13) & 1u)) >> 13;
  // The addition rounds to a multiple of 2^-24, the smallest binary16.
  const std::uint32_t small = bit_cast<std::uint32_t>(bit_cast<float>(a) + 0.5f) - 0x3f000000u;
  const std::uint32_t large = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
  const std::uint32_t bits = a >= 0x47800000u ? large : a < 0x38800000u ? small : normal;
  return static_cast<std::uint16_t>(bits | (sign >> 16));
}

}  // namespace
}  // namespace onepass::math
