// Standard normal deviates of pairs of random words: Box and Muller, A Note on the Generation of
// Random Normal Deviates, 1958. In double for both types, so that both hold the same numbers.
#pragma once

#include "elementary.h"

namespace onepass::math {
namespace {

struct NormalPair {
  double first, second;
};

// For |f| <= 1/8, in z = f^2; minimax fits as in elementary.h, errors 2^-58.1 and 2^-64.6.
ONEPASS_HD double sin_of_turn(double f, double z) {
  return f * polynomial(z, 6.283185307179586, -41.341702240399634, 81.60524927594452,
                        -76.70585970331517, 42.05868490205804, -15.093797505412832,
                        3.780726175091823);
}
ONEPASS_HD double cos_of_turn(double z) {
  return polynomial(z, 1.0, -19.739208802178716, 64.93939402266793, -85.45681720650958,
                    60.24464132648272, -26.426250686055003, 7.903081377131749, -1.6966616870092885);
}

// A word as a signed number: one instruction of every set converts those.
ONEPASS_HD double signed_word(std::uint32_t word) {
  return static_cast<double>(static_cast<std::int32_t>(word));
}

// sqrt(-2 log u) times cosine and sine of an angle. u is the middle of the first word's interval in
// (0, 1); the second word's upper two bits are the quadrant, the others a turn from -1/8 to 1/8.
ONEPASS_HD NormalPair normal_pair(std::uint32_t radius_word, std::uint32_t angle_word) {
  const double u = (signed_word(radius_word ^ 0x80000000u) + 2147483648.5) * 0x1p-32;
  const LogReduced<double> a = reduce_log(u);
  const double radius = sqrt(-2.0 * log_reduced(a.m - 1.0, a.k));
  const double f = signed_word(angle_word << 2) * 0x1p-34;
  const double z = f * f;
  const std::uint64_t s = to_bits(radius * sin_of_turn(f, z)), c = to_bits(radius * cos_of_turn(z));
  // Quadrants: (c, s), (-s, c), (-c, -s), (s, -c).
  const std::uint64_t quadrant = angle_word >> 30, odd = quadrant & 1, upper = quadrant >> 1;
  const std::uint64_t crossed = -odd;
  const std::uint64_t first = (s & crossed) | (c & ~crossed);
  const std::uint64_t second = (c & crossed) | (s & ~crossed);
  return {from_bits<double>(first ^ ((odd ^ upper) << 63)),
          from_bits<double>(second ^ (upper << 63))};
}

}  // namespace
}  // namespace onepass::math
