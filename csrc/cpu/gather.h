// Rows of the user's array, in shuffled order, converted to the model's type.
#pragma once

#include "../kernels.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class S, class T>
void convert_row(const void* from, double scale, int64_t cols, T* to) {
  const S* source = static_cast<const S*>(from);
  if constexpr (sizeof(S) == sizeof(double)) {
    for (int64_t c = 0; c < cols; ++c) to[c] = static_cast<T>(source[c] * scale);
  } else {
    const T factor = static_cast<T>(scale);
    for (int64_t c = 0; c < cols; ++c) to[c] = static_cast<T>(source[c]) * factor;
  }
}

template <class T>
void gather_rows(const GatherRows<T>& a, Team& team) {
  const Range share = team.share(a.out.rows, 1);
  const char* base = static_cast<const char*>(a.source);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const int64_t at = a.index != nullptr ? a.index[a.first + r] : a.first + r;
    const void* from = base + at * a.stride;
    T* to = a.out.row(r);
    switch (a.type) {
      case SourceType::kFloat32:
        convert_row<float>(from, a.scale, a.out.cols, to);
        break;
      case SourceType::kFloat64:
        convert_row<double>(from, a.scale, a.out.cols, to);
        break;
      case SourceType::kUint8:
        convert_row<uint8_t>(from, a.scale, a.out.cols, to);
        break;
      case SourceType::kInt32:
        convert_row<int32_t>(from, a.scale, a.out.cols, to);
        break;
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
