// Random masks and noise on arrays that onepass.kernels has checked for shape.
#include <pybind11/stl.h>

#include <utility>

#include "arrays.h"
#include "register.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

using Key = std::pair<uint32_t, uint32_t>;

void require_rows(int64_t rows_per_sample) {
  if (rows_per_sample < 1) throw py::value_error("rows_per_sample must be positive");
}

void dropout(py::array x, py::array y, double rate, bool alpha, bool gradient, Key key,
             uint32_t draw, int64_t first, int64_t rows_per_sample, bool accumulate) {
  require_rows(rows_per_sample);
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Dropout<T> a{matrix_of<T>(x, "x"),
                       output_of<T>(y, "y"),
                       rate,
                       alpha,
                       gradient,
                       {{key.first, key.second}, draw},
                       first,
                       rows_per_sample,
                       accumulate};
    run_kernel(&KernelTable<T>::dropout, a, 4 * sweep_work(a.x));
  });
}

void gaussian(py::array x, py::array y, double stddev, bool multiplies, Key key, uint32_t draw,
              int64_t first, int64_t rows_per_sample, bool accumulate) {
  require_rows(rows_per_sample);
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Gaussian<T> a{matrix_of<T>(x, "x"),
                        output_of<T>(y, "y"),
                        stddev,
                        multiplies,
                        {{key.first, key.second}, draw},
                        first,
                        rows_per_sample,
                        accumulate};
    run_kernel(&KernelTable<T>::gaussian, a, 10 * sweep_work(a.x));
  });
}

void rrelu(py::array x, py::object value, py::array y, double lower, double upper, Key key,
           uint32_t draw, int64_t first, int64_t rows_per_sample, bool accumulate) {
  require_rows(rows_per_sample);
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const RandomRelu<T> a{matrix_of<T>(x, "x"),
                          optional_matrix<T>(value, "value"),
                          output_of<T>(y, "y"),
                          lower,
                          upper,
                          {{key.first, key.second}, draw},
                          first,
                          rows_per_sample,
                          accumulate};
    run_kernel(&KernelTable<T>::rrelu, a, 5 * sweep_work(a.x));
  });
}

}  // namespace

void register_noise_kernels(py::module_& m) {
  using py::arg;
  m.def("dropout", &dropout, arg("x"), arg("y"), arg("rate"), arg("alpha"), arg("gradient"),
        arg("key"), arg("draw"), arg("first"), arg("rows_per_sample"), arg("accumulate"));
  m.def("gaussian", &gaussian, arg("x"), arg("y"), arg("stddev"), arg("multiplies"), arg("key"),
        arg("draw"), arg("first"), arg("rows_per_sample"), arg("accumulate"));
  m.def("rrelu", &rrelu, arg("x"), arg("value").none(true), arg("y"), arg("lower"), arg("upper"),
        arg("key"), arg("draw"), arg("first"), arg("rows_per_sample"), arg("accumulate"));
}

}  // namespace onepass::bind
