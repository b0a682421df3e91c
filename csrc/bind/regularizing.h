// What the bindings of kernels and of plans share about constraints.
#pragma once

#include "../kernels.h"
#include "arrays.h"

namespace onepass::bind {

inline Constraint constraint_of(int kind) {
  if (kind < 0 || kind > static_cast<int>(Constraint::kRowNorms)) {
    throw py::value_error("constrain: unknown kind");
  }
  return static_cast<Constraint>(kind);
}

}  // namespace onepass::bind
