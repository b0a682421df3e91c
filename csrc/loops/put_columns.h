// Results of columns into the arrays that want them.
#pragma once

#include "column_groups.h"

namespace onepass::ONEPASS_ISA {
namespace {

// to = from, or to += from; nothing where there is no `to`
template <class T>
ONEPASS_DEVICE void put_columns(T* to, const T* from, int64_t size, bool accumulate) {
  if (to == nullptr) return;
  each_column(0, size,
              [&](int64_t c) ONEPASS_FLAT { to[c] = accumulate ? to[c] + from[c] : from[c]; });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
