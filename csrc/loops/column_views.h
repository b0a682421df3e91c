// Some columns of what has all of them.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Sums of a column and the work area beside them.
template <class T>
struct ColumnSum {
  T *total, *part;
};

template <class T>
ONEPASS_DEVICE Matrix<T> columns_of(Matrix<T> m, Range cols) {
  return m ? Matrix<T>{m.data + cols.begin, m.rows, cols.end - cols.begin, m.stride} : m;
}
template <class T>
ONEPASS_DEVICE T* columns_of(T* row, Range cols) {
  return row == nullptr ? row : row + cols.begin;
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
