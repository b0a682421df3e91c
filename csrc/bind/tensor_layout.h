// Where the elements of an array lie, as a sweep may run over them.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>

#include "../plan/optimizer.h"

namespace onepass::bind {

namespace py = pybind11;

inline const void* address_of(const py::array& a) { return a.data(); }

// A C-contiguous array, or a matrix whose rows are padded: what a sweep may run over.
inline TensorLayout layout_of(const py::array& a, const char* name) {
  if (reinterpret_cast<std::uintptr_t>(a.data()) % a.itemsize() != 0) {
    throw py::value_error(std::string(name) + " must be aligned");
  }
  if ((a.flags() & py::array::c_style) != 0) return {1, a.size(), a.size()};
  const bool padded_rows = a.ndim() == 2 && a.strides(1) == a.itemsize() &&
                           a.strides(0) >= a.shape(1) * a.itemsize() &&
                           a.strides(0) % a.itemsize() == 0;
  if (!padded_rows) throw py::value_error(std::string(name) + " must be C-contiguous");
  return {a.shape(0), a.shape(1), a.strides(0) / a.itemsize()};
}

inline bool same_layout(TensorLayout a, TensorLayout b) {
  return a.rows == b.rows && a.cols == b.cols && a.stride == b.stride;
}

}  // namespace onepass::bind
