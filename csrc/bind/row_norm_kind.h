// Kinds of normalization by rows, by name.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "../kernels.h"

namespace onepass::bind {

inline RowNormKind row_norm_kind(const std::string& name) {
  if (name == "layer") return RowNormKind::kLayer;
  if (name == "rms") return RowNormKind::kRms;
  if (name == "unit") return RowNormKind::kUnit;
  throw pybind11::value_error("norm must be layer, rms or unit, got " + name);
}

}  // namespace onepass::bind
