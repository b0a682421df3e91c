// Random words by vectors of counters.
#pragma once

#include "../math/philox.h"
#include "lanes.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace onepass::ONEPASS_ISA {
namespace {

// A number for each unit of a group.
template <class T>
struct OfGroup {
  alignas(64) T at[math::kPhiloxGroup];
};
using GroupWords = OfGroup<uint32_t>;

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

// f(i, the number of unit skip + i) for n units.
template <class T, class F>
ONEPASS_INLINE void for_units_of(const OfGroup<T>& group, int64_t skip, int64_t n, F&& f) {
  const T* at = group.at + skip;
  ONEPASS_IVDEP
  for (int64_t i = 0; i < n; ++i) f(i, at[i]);
}

// Two numbers from each pair of words i and i + half a group, for the first `units` units at least:
// pair(first, second, of_first, of_second).
template <class T, class F>
ONEPASS_INLINE OfGroup<T> from_pairs(const GroupWords& words, int64_t units, F&& pair) {
  constexpr int half = math::kPhiloxGroup / 2;
  OfGroup<T> made;
  const int64_t pairs = units < half ? (units + 7) / 8 * 8 : half;
  ONEPASS_IVDEP
  for (int64_t i = 0; i < pairs; ++i) {
    pair(words.at[i], words.at[i + half], made.at[i], made.at[i + half]);
  }
  return made;
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
