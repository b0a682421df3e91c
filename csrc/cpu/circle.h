// Circle loss: similarities and gradients by products, what lies between row by row.
#pragma once

#include "../loops/circle.h"
#include "dense.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
void circle(const Circle<T>& a, Team& team) {
  const ActivationSpec linear{};
  dense_backward_input<T>({a.embeddings, a.references, {}, {}, a.similarities, linear, false},
                          team);
  team.sync();
  circle_rows(a, team);
  team.sync();
  circle_values(a, team);
  if (!a.gradient) return;
  team.sync();
  dense_forward<T>({read_only(a.similarities), a.references, nullptr, {}, a.gradient, linear},
                   team);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
