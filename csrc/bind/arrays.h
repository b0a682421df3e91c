// NumPy arrays in, checked views out: the one place that looks at dtype, strides and writeability.
// Shapes are the business of onepass.kernels, which knows the arguments' names.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "../device.h"

namespace onepass::bind {

namespace py = pybind11;

inline std::string dtype_name(const py::array& a) { return py::str(a.dtype()); }

template <class T>
void require_dtype(const py::array& a, const char* name) {
  if (!py::isinstance<py::array_t<T>>(a)) {
    throw py::type_error(std::string(name) + " must be " +
                         std::string(py::str(py::dtype::of<T>())) + ", got " + dtype_name(a));
  }
}

inline void require_writeable(const py::array& a, const char* name) {
  if (!a.writeable()) throw py::value_error(std::string(name) + " is read-only");
}

// A matrix with unit column stride and whole-element, aligned rows. 1-D counts as one row.
template <class T>
Matrix<const T> matrix_of(const py::array& a, const char* name) {
  require_dtype<T>(a, name);
  if (a.ndim() != 1 && a.ndim() != 2) {
    throw py::value_error(std::string(name) + " must have 1 or 2 dimensions, got " +
                          std::to_string(a.ndim()));
  }
  const bool flat = a.ndim() == 1;
  const int64_t rows = flat ? 1 : a.shape(0);
  const int64_t cols = flat ? a.shape(0) : a.shape(1);
  const int64_t item = sizeof(T);
  const int64_t col_stride = flat ? a.strides(0) : a.strides(1);
  const bool empty = a.size() == 0;  // NumPy gives these any strides, often 0
  const int64_t row_stride = flat || rows <= 1 || empty ? cols * item : a.strides(0);
  const auto address = reinterpret_cast<std::uintptr_t>(a.data());
  const bool gaps = cols > 1 && col_stride != item && !empty;
  if (gaps || row_stride % item != 0 || address % item != 0) {
    throw py::value_error(std::string(name) + " must have contiguous, aligned rows");
  }
  return {static_cast<const T*>(a.data()), rows, cols, row_stride / item};
}

template <class T>
Matrix<T> output_of(const py::array& a, const char* name) {
  require_writeable(a, name);
  const Matrix<const T> m = matrix_of<T>(a, name);
  return {const_cast<T*>(m.data), m.rows, m.cols, m.stride};
}

template <class T>
Matrix<const T> optional_matrix(const py::object& a, const char* name) {
  return a.is_none() ? Matrix<const T>{} : matrix_of<T>(a.cast<py::array>(), name);
}

template <class T>
Matrix<T> optional_output(const py::object& a, const char* name) {
  return a.is_none() ? Matrix<T>{} : output_of<T>(a.cast<py::array>(), name);
}

// Calls f(float{}) or f(double{}) by the array's dtype.
template <class F>
auto by_dtype(const py::array& a, const char* name, F&& f) {
  if (py::isinstance<py::array_t<float>>(a)) return f(float{});
  if (py::isinstance<py::array_t<double>>(a)) return f(double{});
  throw py::type_error(std::string(name) + " must be float32 or float64, got " + dtype_name(a));
}

inline ActivationSpec activation_of(int id, const std::vector<double>& hyper) {
  ActivationSpec spec;
  spec.id = id;
  if (hyper.size() > kMaxScalars) throw py::value_error("too many hyper-parameters");
  for (std::size_t i = 0; i < hyper.size(); ++i) spec.hyper[i] = hyper[i];
  return spec;
}

inline SourceType source_type_of(const py::array& a, const char* name) {
  if (py::isinstance<py::array_t<float>>(a)) return SourceType::kFloat32;
  if (py::isinstance<py::array_t<double>>(a)) return SourceType::kFloat64;
  if (py::isinstance<py::array_t<uint8_t>>(a)) return SourceType::kUint8;
  if (py::isinstance<py::array_t<int32_t>>(a)) return SourceType::kInt32;
  throw py::type_error(std::string(name) + " must be float32, float64, uint8 or int32, got " +
                       dtype_name(a));
}

// Elements of one sample (all dimensions but the first), which must lie without gaps.
inline int64_t gapless_sample(const py::array& a, const char* name) {
  if (a.ndim() < 1) throw py::value_error(std::string(name) + " must have at least 1 dimension");
  int64_t size = 1;
  for (py::ssize_t d = a.ndim() - 1; d >= 1; --d) {
    if (a.size() > 0 && a.shape(d) > 1 && a.strides(d) != size * a.itemsize()) {
      throw py::value_error(std::string(name) + " must have gapless samples");
    }
    size *= a.shape(d);
  }
  return size;
}

}  // namespace onepass::bind
