// Penalties and constraints on arrays that onepass.kernels has checked for shape.
#include <pybind11/stl.h>

#include <map>
#include <string>
#include <vector>

#include "arrays.h"
#include "register.h"
#include "regularizing.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

double penalty(py::array x, double l1, double l2, py::object gradient) {
  double sums[2] = {0.0, 0.0};
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Matrix<const T> rows = matrix_of<T>(x, "x");
    std::vector<double> values(static_cast<std::size_t>(rows.rows));
    const Penalty<T> a{rows, l1,  l2, values.data(), optional_output<T>(gradient, "gradient"),
                       1.0,  true};
    run_kernel(&KernelTable<T>::penalty, a, sweep_work(rows));
    const WeightedSum<double> sum{values.data(), nullptr, rows.rows, sums};
    run_kernel(&KernelTable<double>::weighted_sum, sum, 0.0);
  });
  return sums[0];
}

void constrain(py::array x, int kind, double low, double high, double rate, double epsilon) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Constrain<T> a{output_of<T>(x, "x"), constraint_of(kind), low, high, rate, epsilon};
    run_kernel(&KernelTable<T>::constrain, a, 2 * sweep_work(a.x));
  });
}

}  // namespace

void register_regularizing_kernels(py::module_& m) {
  using py::arg;
  m.def("penalty", &penalty, arg("x"), arg("l1"), arg("l2"), arg("gradient"));
  m.def("constraints", [] {
    return std::map<std::string, int>{
        {"non_negative", static_cast<int>(Constraint::kNonNegative)},
        {"column_norms", static_cast<int>(Constraint::kColumnNorms)},
        {"row_norms", static_cast<int>(Constraint::kRowNorms)},
    };
  });
  m.def("constrain", &constrain, arg("x"), arg("kind"), arg("low"), arg("high"), arg("rate"),
        arg("epsilon"));
}

}  // namespace onepass::bind
