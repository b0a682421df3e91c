// Random words: each lane of a member draws those of its counter.
#pragma once

#include "../math/philox.h"
#include "lanes.h"

namespace onepass::cuda {
namespace {

// A number for each unit of a group: this lane's are those of units lane, lane + 16 and so on.
constexpr int kLaneUnits = math::kPhiloxGroup / kLanes;
template <class T>
struct OfGroup {
  T own[kLaneUnits];
};
using GroupWords = OfGroup<uint32_t>;

// The words of units lane, lane + 16 and so on of a group.
__device__ __forceinline__ math::PhiloxWords<uint64_t> words_of_lane(const NoiseKey& key,
                                                                     uint32_t group, uint32_t place,
                                                                     int lane) {
  const uint64_t run = group * static_cast<uint32_t>(math::kPhiloxRun) + lane;
  const math::PhiloxWords<uint64_t> counter{{run, place, key.draw, 0}};
  return math::philox(counter, key.words[0], key.words[1], math::Multiply{});
}

__device__ __forceinline__ GroupWords words_of_group(const NoiseKey& key, uint32_t group,
                                                     uint32_t place) {
  static_assert(math::kPhiloxRun == kLanes && kLaneUnits == 4);
  const auto four = words_of_lane(key, group, place, own_lane());
  GroupWords words;
  for (int j = 0; j < kLaneUnits; ++j) words.own[j] = static_cast<uint32_t>(four.at[j]);
  return words;
}

// For threads that do not work together on a group: the other three words are drawn in vain.
__device__ __forceinline__ uint32_t word_of_unit(const NoiseKey& key, int64_t unit,
                                                 uint32_t place) {
  const auto group = static_cast<uint32_t>(unit / math::kPhiloxGroup);
  const int skip = static_cast<int>(unit % math::kPhiloxGroup);
  const auto four = words_of_lane(key, group, place, skip % kLanes);
  uint64_t word = four.at[0];
  for (int j = 1; j < kLaneUnits; ++j) word = skip / kLanes == j ? four.at[j] : word;
  return static_cast<uint32_t>(word);
}

// f(i, the number of unit skip + i) for n units.
template <class T, class F>
__device__ __forceinline__ void for_units_of(const OfGroup<T>& group, int64_t skip, int64_t n,
                                             F&& f) {
  for (int j = 0; j < kLaneUnits; ++j) {
    const int64_t i = j * kLanes + own_lane() - skip;
    if (i >= 0 && i < n) f(i, group.own[j]);
  }
}

// Two numbers from each pair of words i and i + half a group.
template <class T, class F>
__device__ __forceinline__ OfGroup<T> from_pairs(const GroupWords& words, int64_t, F&& pair) {
  constexpr int half = kLaneUnits / 2;
  OfGroup<T> made;
  for (int j = 0; j < half; ++j) {
    pair(words.own[j], words.own[j + half], made.own[j], made.own[j + half]);
  }
  return made;
}

}  // namespace
}  // namespace onepass::cuda
