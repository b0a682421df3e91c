// What fixes the order of sums, and so their bits, on CPU and GPU.
#pragma once

#include <cstdint>

namespace onepass {

inline constexpr int kLanes = 16;         // of a row, joined by a tree
inline constexpr int kNormLanes = 64;     // of a whole array; four 512-bit sums hide the addition
inline constexpr int64_t kGroupRows = 8;  // of a column, added up before they join the others
// So many rows are added up apart from the others: the last rows of a long matrix still count.
inline constexpr int64_t kSumRows = 64 * kGroupRows;

}  // namespace onepass
