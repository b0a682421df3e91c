// Philox4x32-10, a counter-based generator: Salmon, Moraes, Dror and Shaw, Parallel Random Numbers:
// As Easy as 1, 2, 3, 2011. Random words are a function of a counter and a key, so that any part of
// a sequence can be had at any time, on any thread or device.
#pragma once

#include "hd.h"

namespace onepass::math {
namespace {

// Four words; of wider elements the lower 32 bits count, what is above them means nothing.
template <class W>
struct PhiloxWords {
  W at[4];
};

// The 64-bit product of a factor and a word.
struct Multiply {
  ONEPASS_HD std::uint64_t operator()(std::uint32_t factor, std::uint64_t word) const {
    return factor * (word & 0xFFFFFFFFu);
  }
};

// W: std::uint64_t, or a vector of it with its own `multiply`.
template <class W, class M>
ONEPASS_HD PhiloxWords<W> philox(PhiloxWords<W> counter, std::uint32_t key_0, std::uint32_t key_1,
                                 M multiply) {
  W c0 = counter.at[0], c1 = counter.at[1], c2 = counter.at[2], c3 = counter.at[3];
#if defined(__CUDACC__)
#pragma unroll
#else
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    const W product_0 = multiply(0xD2511F53u, c0), product_2 = multiply(0xCD9E8D57u, c2);
    c0 = (product_2 >> 32) ^ c1 ^ static_cast<std::uint64_t>(key_0);
    c1 = product_2;
    c2 = (product_0 >> 32) ^ c3 ^ static_cast<std::uint64_t>(key_1);
    c3 = product_0;
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Unit u of a sample has word u % 64 / 16 of the counter (16 (u / 64) + u % 16, place, draw, 0):
// neighbours come from neighbouring counters.
constexpr int kPhiloxGroup = 64, kPhiloxRun = 16;

}  // namespace
}  // namespace onepass::math
