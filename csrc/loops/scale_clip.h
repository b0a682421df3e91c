// Scaling and clipping in place.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
ONEPASS_LOOP void scale_clip(const ScaleClip<T>& a, Team& team) {
  const T scale = static_cast<T>(a.scale), low = static_cast<T>(a.low),
          high = static_cast<T>(a.high);
  T* const data = a.data;
  const Range range = team.share(a.size, kGrain);
  for_elements(range.begin, range.end, [=](int64_t i) ONEPASS_FLAT {
    const T x = data[i] * scale;
    data[i] = x < low ? low : x > high ? high : x;
  });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
