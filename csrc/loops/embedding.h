// Rows of a table by index.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// The row that the r-th index names, or -1.
template <class T>
ONEPASS_DEVICE int64_t row_named(const Matrix<const T>& index, int64_t r, int64_t rows) {
  const T value = index.row(r / index.cols)[r % index.cols];
  if (!(value >= T(0) && value < static_cast<T>(rows))) return -1;
  const auto row = static_cast<int64_t>(value);
  return row < rows && static_cast<T>(row) == value ? row : -1;
}

template <class T>
ONEPASS_LOOP void embedding(const Embedding<T>& a, Team& team) {
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const int64_t row = row_named(a.index, r, a.table.rows);
    T* y = a.y.row(r);
    if (row < 0) {
      for_elements(0, a.y.cols, [&](int64_t c) ONEPASS_FLAT { y[c] = math::quiet_nan<T>(); });
    } else {
      const T* from = a.table.row(row);
      for_elements(0, a.y.cols, [&](int64_t c) ONEPASS_FLAT { y[c] = from[c]; });
    }
  }
}

// Members keep to their own part of the table, so that a row's additions are in order.
template <class T>
ONEPASS_LOOP void embedding_backward(const EmbeddingBackward<T>& a, Team& team) {
  const Block share = gather_share(a.dtable.rows, a.dtable.cols, team);
  const auto [begin, end] = share.cols;
  if (!a.accumulate) {
    for (int64_t row = share.rows.begin; row < share.rows.end; ++row) {
      T* to = a.dtable.row(row);
      for_elements(begin, end, [&](int64_t c) ONEPASS_FLAT { to[c] = T(0); });
    }
  }
  for (int64_t r = 0; r < a.dy.rows; ++r) {
    const int64_t row = row_named(a.index, r, a.dtable.rows);
    if (row < share.rows.begin || row >= share.rows.end) continue;
    const T* dy = a.dy.row(r);
    T* to = a.dtable.row(row);
    for_elements(begin, end, [&](int64_t c) ONEPASS_FLAT { to[c] += dy[c]; });
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
