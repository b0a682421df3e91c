// Circle loss: similarities and gradients by products, what lies between row by row.
#pragma once

#include "dense.h"
#include "rows.h"

namespace onepass::cuda {
namespace {

template <class T>
void start_circle(const Circle<T>& a, onepass::Team& team) {
  const ActivationSpec linear{};
  const auto read_only = [](Matrix<T> m) {
    return Matrix<const T>{m.data, m.rows, m.cols, m.stride};
  };
  start_dense_backward_input<T>({a.embeddings, a.references, {}, {}, a.similarities, linear, false},
                                team);
  start_circle_rows(a, team);
  start_circle_values(a, team);
  if (!a.gradient) return;
  start_dense_forward<T>({read_only(a.similarities), a.references, nullptr, {}, a.gradient, linear},
                         team);
}

}  // namespace
}  // namespace onepass::cuda
