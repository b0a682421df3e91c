// Both gradients of the row norms.
#pragma once

#include "../loops/row_norm.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
void row_norm_backward(const RowNormBackward<T>& a, Team& team) {
  if (a.dx) row_norm_input_gradient(a, team);
  if (a.dgamma != nullptr || a.dbeta != nullptr) row_norm_own_gradients(a, team);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
