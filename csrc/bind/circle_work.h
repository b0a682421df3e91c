// What the circle loss costs, for deciding on helpers.
#pragma once

#include <cstdint>

#include "../cpu/pool.h"

namespace onepass::bind {

// Two products and some exponentials.
inline double circle_work_per_pair(int64_t width) {
  return 2.0 * static_cast<double>(width) + 10.0 * kElementWork;
}

}  // namespace onepass::bind
