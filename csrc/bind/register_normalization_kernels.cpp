// Normalization kernels on arrays that onepass.kernels has checked for shape.
#include <string>

#include "register.h"
#include "row_norm_kind.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

void batch_norm_forward(py::array x, py::object gamma, py::object beta, py::array y,
                        py::array statistics, double epsilon) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const BatchNormForward<T> a{matrix_of<T>(x, "x"),
                                optional_matrix<T>(gamma, "gamma").data,
                                optional_matrix<T>(beta, "beta").data,
                                {},
                                output_of<T>(y, "y"),
                                output_of<T>(statistics, "statistics"),
                                epsilon,
                                {}};
    run_kernel(&KernelTable<T>::batch_norm_forward, a, 3 * sweep_work(a.x));
  });
}

void batch_norm_inference(py::array x, py::array moving_mean, py::array moving_variance,
                          py::object gamma, py::object beta, py::array y, py::array statistics,
                          double epsilon) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const BatchNormInference<T> a{matrix_of<T>(x, "x"),
                                  matrix_of<T>(moving_mean, "moving_mean").data,
                                  matrix_of<T>(moving_variance, "moving_variance").data,
                                  optional_matrix<T>(gamma, "gamma").data,
                                  optional_matrix<T>(beta, "beta").data,
                                  {},
                                  output_of<T>(y, "y"),
                                  output_of<T>(statistics, "statistics"),
                                  epsilon,
                                  {}};
    run_kernel(&KernelTable<T>::batch_norm_inference, a, sweep_work(a.x));
  });
}

void batch_norm_backward(py::array x, py::array dy, py::array statistics, py::object gamma,
                         py::object dx, py::object dgamma, py::object dbeta, bool fixed,
                         bool accumulate) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const BatchNormBackward<T> a{matrix_of<T>(x, "x"),
                                 matrix_of<T>(dy, "dy"),
                                 matrix_of<T>(statistics, "statistics"),
                                 optional_matrix<T>(gamma, "gamma").data,
                                 optional_output<T>(dx, "dx"),
                                 optional_output<T>(dgamma, "dgamma").data,
                                 optional_output<T>(dbeta, "dbeta").data,
                                 fixed,
                                 accumulate,
                                 accumulate,
                                 accumulate};
    run_kernel(&KernelTable<T>::batch_norm_backward, a, 3 * sweep_work(a.x));
  });
}

void moving_statistics(py::array statistics, py::array mean, py::array variance, double momentum) {
  by_dtype(statistics, "statistics", [&](auto zero) {
    using T = decltype(zero);
    const MovingStatistics<T> a{matrix_of<T>(statistics, "statistics"),
                                output_of<T>(mean, "mean").data,
                                output_of<T>(variance, "variance").data, momentum};
    run_kernel(&KernelTable<T>::moving_statistics, a, sweep_work(a.statistics));
  });
}

void row_norm(const std::string& norm, py::array x, py::object gamma, py::object beta, py::array y,
              py::array statistics, double epsilon) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const RowNorm<T> a{row_norm_kind(norm),
                       matrix_of<T>(x, "x"),
                       optional_matrix<T>(gamma, "gamma").data,
                       optional_matrix<T>(beta, "beta").data,
                       output_of<T>(y, "y"),
                       output_of<T>(statistics, "statistics"),
                       epsilon};
    run_kernel(&KernelTable<T>::row_norm, a, 4 * sweep_work(a.x));
  });
}

void row_norm_backward(const std::string& norm, py::array x, py::array dy, py::array statistics,
                       py::object gamma, py::object dx, py::object dgamma, py::object dbeta,
                       bool accumulate) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const RowNormBackward<T> a{row_norm_kind(norm),
                               matrix_of<T>(x, "x"),
                               matrix_of<T>(dy, "dy"),
                               matrix_of<T>(statistics, "statistics"),
                               optional_matrix<T>(gamma, "gamma").data,
                               optional_output<T>(dx, "dx"),
                               optional_output<T>(dgamma, "dgamma").data,
                               optional_output<T>(dbeta, "dbeta").data,
                               accumulate,
                               accumulate,
                               accumulate};
    run_kernel(&KernelTable<T>::row_norm_backward, a, 6 * sweep_work(a.x));
  });
}

}  // namespace

void register_normalization_kernels(py::module_& m) {
  using py::arg;
  m.attr("batch_statistics") = kBatchStatistics;
  m.attr("most_norm_units") = kMostNormUnits;
  m.attr("row_statistics") = kRowStatistics;
  m.def("batch_norm_forward", &batch_norm_forward, arg("x"), arg("gamma"), arg("beta"), arg("y"),
        arg("statistics"), arg("epsilon"));
  m.def("batch_norm_inference", &batch_norm_inference, arg("x"), arg("moving_mean"),
        arg("moving_variance"), arg("gamma"), arg("beta"), arg("y"), arg("statistics"),
        arg("epsilon"));
  m.def("batch_norm_backward", &batch_norm_backward, arg("x"), arg("dy"), arg("statistics"),
        arg("gamma"), arg("dx"), arg("dgamma"), arg("dbeta"), arg("fixed"), arg("accumulate"));
  m.def("moving_statistics", &moving_statistics, arg("statistics"), arg("mean"), arg("variance"),
        arg("momentum"));
  m.def("row_norm", &row_norm, arg("norm"), arg("x"), arg("gamma"), arg("beta"), arg("y"),
        arg("statistics"), arg("epsilon"));
  m.def("row_norm_backward", &row_norm_backward, arg("norm"), arg("x"), arg("dy"),
        arg("statistics"), arg("gamma"), arg("dx"), arg("dgamma"), arg("dbeta"), arg("accumulate"));
}

}  // namespace onepass::bind
