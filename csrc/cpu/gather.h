// Rows of the user's array, in shuffled order, converted to the model's type.
#pragma once

#include "../kernels.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class S, class T>
void convert_row(const void* from, double scale, Range cols, T* to) {
  const S* source = static_cast<const S*>(from);
  if constexpr (sizeof(S) == sizeof(double)) {
    for (int64_t c = cols.begin; c < cols.end; ++c) to[c] = static_cast<T>(source[c] * scale);
  } else {
    const T factor = static_cast<T>(scale);
    for (int64_t c = cols.begin; c < cols.end; ++c) to[c] = static_cast<T>(source[c]) * factor;
  }
}

template <class T>
void gather_rows(const GatherRows<T>& a, Team& team) {
  const Block share = gather_share(a.out.rows, a.out.cols, team);
  const char* base = static_cast<const char*>(a.source);
  for (int64_t r = share.rows.begin; r < share.rows.end; ++r) {
    const int64_t at = a.index != nullptr ? a.index[a.first + r] : a.first + r;
    const void* from = base + at * a.stride;
    T* to = a.out.row(r);
    switch (a.type) {
      case SourceType::kFloat32:
        convert_row<float>(from, a.scale, share.cols, to);
        break;
      case SourceType::kFloat64:
        convert_row<double>(from, a.scale, share.cols, to);
        break;
      case SourceType::kUint8:
        convert_row<uint8_t>(from, a.scale, share.cols, to);
        break;
      case SourceType::kInt32:
        convert_row<int32_t>(from, a.scale, share.cols, to);
        break;
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
