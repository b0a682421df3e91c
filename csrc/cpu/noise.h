// Random words of the units of a batch, drawn again wherever they are needed: nothing is stored.
#pragma once

#include "../kernels.h"
#include "../math/philox.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Words in the lower halves of 64-bit lanes, which is where vectors multiply them.
typedef uint64_t Wide __attribute__((vector_size(kVectorBytes)));
constexpr int kWide = kVectorBytes / static_cast<int>(sizeof(uint64_t));
typedef uint32_t Narrow __attribute__((vector_size(kVectorBytes / 2)));

struct MultiplyWide {
  ONEPASS_INLINE Wide operator()(uint32_t factor, Wide words) const {
#if defined(__AVX512F__)
    // Of all lanes: GCC 12 warns of the plain intrinsic.
    return (Wide)_mm512_maskz_mul_epu32(0xFF, (__m512i)words, _mm512_set1_epi64(factor));
#elif defined(__AVX2__)
    return (Wide)_mm256_mul_epu32((__m256i)words, _mm256_set1_epi64x(factor));
#elif defined(__SSE2__)
    return (Wide)_mm_mul_epu32((__m128i)words, _mm_set1_epi64x(factor));
#else
    return (words & 0xFFFFFFFFu) * factor;
#endif
  }
};

// The words of a group of units, in their order.
struct GroupWords {
  alignas(64) uint32_t at[math::kPhiloxGroup];
};

ONEPASS_INLINE GroupWords words_of_group(const NoiseKey& key, uint32_t group, uint32_t place) {
  GroupWords words;
  Wide steps{};
  for (int l = 0; l < kWide; ++l) steps[l] = l;
  ONEPASS_UNROLL(8)
  for (int l = 0; l < math::kPhiloxRun; l += kWide) {
    const uint32_t run = group * math::kPhiloxRun + l;
    const Wide zero{};
    const math::PhiloxWords<Wide> counter{{steps + run, zero + place, zero + key.draw, zero}};
    const auto four = math::philox(counter, key.words[0], key.words[1], MultiplyWide{});
    ONEPASS_UNROLL(4)
    for (int j = 0; j < 4; ++j) {
      const Narrow narrow = __builtin_convertvector(four.at[j], Narrow);
      __builtin_memcpy(words.at + j * math::kPhiloxRun + l, &narrow, sizeof narrow);
    }
  }
  return words;
}

// A member's rows.
template <class T>
Block rows_of_member(Matrix<T> y, const Team& team) {
  return {team.share(y.rows, 1), {0, y.cols}};
}

// Calls f(r, c, n, skip, group, place) for each run of n units of a block of y that lie in one
// group, `skip` units behind its beginning; it begins at (r, c). The columns of row r of a sample
// are its units r * cols and on.
template <class T, class F>
ONEPASS_INLINE void for_runs_of_units(Matrix<T> y, int64_t first, int64_t rows_per_sample,
                                      Block block, F&& f) {
  const int64_t end = block.cols.end;
  for (int64_t r = block.rows.begin; r < block.rows.end; ++r) {
    const int64_t sample = r / rows_per_sample;
    const auto place = static_cast<uint32_t>(first + sample);
    const int64_t first_unit = (r - sample * rows_per_sample) * y.cols;
    for (int64_t c = block.cols.begin; c < end;) {
      const int64_t unit = first_unit + c;
      const int64_t skip = unit % math::kPhiloxGroup;
      const int64_t left = math::kPhiloxGroup - skip;
      const int64_t n = end - c < left ? end - c : left;
      f(r, c, n, skip, static_cast<uint32_t>(unit / math::kPhiloxGroup), place);
      c += n;
    }
  }
}

// The same for arguments with x, y, first and rows_per_sample: f(x, y, n, skip, group, place).
template <class A, class F>
ONEPASS_INLINE void for_units(const A& a, Block block, F&& f) {
  for_runs_of_units(a.y, a.first, a.rows_per_sample, block,
                    [&](int64_t r, int64_t c, int64_t n, int64_t skip, uint32_t group,
                        uint32_t place) __attribute__((always_inline)) {
                      f(a.x.row(r) + c, a.y.row(r) + c, n, skip, group, place);
                    });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
