// Circle loss.
#pragma once

#include "../matrix.h"

namespace onepass {

// values[r] = circle loss of embedding r among all references; `gradient` is that of the sum of
// scale * weights[r] * values[r] in the embeddings, in both of their roles where the references are
// the embeddings themselves. It must not overlap what is read.
template <class T>
struct Circle {
  Matrix<const T> embeddings;
  const int32_t* labels;
  Matrix<const T> references;
  const int32_t* reference_labels;
  bool own_references;  // they are the embeddings themselves
  double gamma, margin;
  bool remove_diagonal;  // row r is no partner of reference r of its label
  bool over_positive;    // values and gradient times rows / (rows whose loss is above 0)
  const T* weights;      // per row, or nullptr
  T* values;             // per row, or nullptr
  Matrix<T> gradient;    // may be absent
  double scale;
  Matrix<T> similarities;  // work area: a row an embedding, a column a reference
  T* per_row;              // work area: kCircleNumbers a row
};

inline constexpr int kCircleNumbers = 4;

}  // namespace onepass
