// Inverted dropout: elements are zeroed at random and the others scaled up. The mask is never
// stored: the backward pass draws it again.
#pragma once

#include "../kernels.h"
#include "../math/philox.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// An element is dropped where its word is below this.
inline uint64_t drop_below(double rate) {
  const double words = rate * 4294967296.0 + 0.5;
  return words < 0.0 ? 0 : static_cast<uint64_t>(words);
}

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

ONEPASS_INLINE GroupWords words_of_group(const DropoutKey& key, uint32_t group, uint32_t place) {
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

// y (+)= x where kept. The columns of row r of a sample are its units r * cols and on.
template <class T>
ONEPASS_INLINE void drop_row(const Dropout<T>& a, const T* x, T* y, int64_t first_unit,
                             uint32_t place, T scale, uint32_t last_dropped, bool drops) {
  const int64_t cols = a.y.cols;
  int64_t c = 0;
  while (c < cols) {
    const int64_t unit = first_unit + c;
    const auto group = static_cast<uint32_t>(unit / math::kPhiloxGroup);
    const int64_t skip = unit % math::kPhiloxGroup;
    const int64_t left = math::kPhiloxGroup - skip;
    const int64_t n = cols - c < left ? cols - c : left;
    const GroupWords words = words_of_group(a.key, group, place);
    const uint32_t* word = words.at + skip;
    const T* from = x + c;
    T* to = y + c;
    if (a.accumulate) {
      ONEPASS_IVDEP
      for (int64_t i = 0; i < n; ++i) {
        to[i] += drops && word[i] <= last_dropped ? T(0) : from[i] * scale;
      }
    } else {
      ONEPASS_IVDEP
      for (int64_t i = 0; i < n; ++i) {
        to[i] = drops && word[i] <= last_dropped ? T(0) : from[i] * scale;
      }
    }
    c += n;
  }
}

template <class T>
void dropout(const Dropout<T>& a, Team& team) {
  const uint64_t below = drop_below(a.rate);
  const bool drops = below > 0;
  const auto last_dropped = static_cast<uint32_t>(drops ? below - 1 : 0);
  const T scale = static_cast<T>(a.rate < 1.0 ? 1.0 / (1.0 - a.rate) : 0.0);
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const int64_t sample = r / a.rows_per_sample;
    const auto place = static_cast<uint32_t>(a.first + sample);
    const int64_t first_unit = (r - sample * a.rows_per_sample) * a.y.cols;
    drop_row(a, a.x.row(r), a.y.row(r), first_unit, place, scale, last_dropped, drops);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
