// One function a kernel, on arrays that onepass.kernels has checked for shape.
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "register.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

using Hyper = std::vector<double>;

void dense_forward(py::array x, py::array w, py::object b, py::object z, py::array y,
                   int activation, const Hyper& hyper) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const DenseForward<T> a{
        matrix_of<T>(x, "x"),       matrix_of<T>(w, "w"), optional_matrix<T>(b, "b").data,
        optional_output<T>(z, "z"), output_of<T>(y, "y"), activation_of(activation, hyper)};
    run_kernel(&KernelTable<T>::dense_forward, a, product_work(a.x, a.w.cols));
  });
}

void dense_backward_input(py::array dz, py::array w, py::object z, py::object y, py::array dx,
                          int activation, const Hyper& hyper, bool accumulate) {
  by_dtype(dz, "dz", [&](auto zero) {
    using T = decltype(zero);
    const DenseBackwardInput<T> a{matrix_of<T>(dz, "dz"),
                                  matrix_of<T>(w, "w"),
                                  optional_matrix<T>(z, "z"),
                                  optional_matrix<T>(y, "y"),
                                  output_of<T>(dx, "dx"),
                                  activation_of(activation, hyper),
                                  accumulate};
    run_kernel(&KernelTable<T>::dense_backward_input, a, product_work(a.dz, a.w.rows));
  });
}

void dense_backward_weights(py::array x, py::array dz, py::array dw, py::object db,
                            bool accumulate) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const DenseBackwardWeights<T> a{matrix_of<T>(x, "x"), matrix_of<T>(dz, "dz"),
                                    output_of<T>(dw, "dw"), optional_output<T>(db, "db").data,
                                    accumulate};
    run_kernel(&KernelTable<T>::dense_backward_weights, a, product_work(a.x, a.dz.cols));
  });
}

void activation_forward(py::array x, py::array y, int activation, const Hyper& hyper) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const ActivationForward<T> a{matrix_of<T>(x, "x"), output_of<T>(y, "y"),
                                 activation_of(activation, hyper)};
    run_kernel(&KernelTable<T>::activation_forward, a, sweep_work(a.x));
  });
}

void activation_backward(py::object x, py::array y, py::array dy, py::array dx, int activation,
                         const Hyper& hyper, bool accumulate) {
  by_dtype(dy, "dy", [&](auto zero) {
    using T = decltype(zero);
    const ActivationBackward<T> a{optional_matrix<T>(x, "x"),       matrix_of<T>(y, "y"),
                                  matrix_of<T>(dy, "dy"),           output_of<T>(dx, "dx"),
                                  activation_of(activation, hyper), accumulate};
    run_kernel(&KernelTable<T>::activation_backward, a, sweep_work(a.dy));
  });
}

void softmax(py::array x, py::array y) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Softmax<T> a{matrix_of<T>(x, "x"), output_of<T>(y, "y")};
    run_kernel(&KernelTable<T>::softmax, a, 4 * sweep_work(a.x));
  });
}

void softmax_backward(py::array y, py::array dy, py::array dx, bool accumulate) {
  by_dtype(dy, "dy", [&](auto zero) {
    using T = decltype(zero);
    const SoftmaxBackward<T> a{matrix_of<T>(y, "y"), matrix_of<T>(dy, "dy"), output_of<T>(dx, "dx"),
                               accumulate};
    run_kernel(&KernelTable<T>::softmax_backward, a, 2 * sweep_work(a.dy));
  });
}

void loss(int id, const Hyper& hyper, py::array target, bool target_is_index, py::array prediction,
          py::object weights, py::object values, py::object gradient, py::object probabilities,
          double scale) {
  by_dtype(prediction, "prediction", [&](auto zero) {
    using T = decltype(zero);
    Loss<T> a{};
    a.id = id;
    const ActivationSpec numbers = activation_of(id, hyper);
    for (int i = 0; i < kMaxScalars; ++i) a.hyper[i] = numbers.hyper[i];
    if (target_is_index) {
      a.target.index = index_of(target, "target");
    } else {
      a.target.dense = matrix_of<T>(target, "target");
    }
    a.prediction = matrix_of<T>(prediction, "prediction");
    a.weights = optional_matrix<T>(weights, "weights").data;
    a.values = optional_output<T>(values, "values").data;
    a.gradient = optional_output<T>(gradient, "gradient");
    a.probabilities = optional_output<T>(probabilities, "probabilities");
    a.scale = scale;
    run_kernel(&KernelTable<T>::loss, a, 5 * sweep_work(a.prediction));
  });
}

py::tuple weighted_sum(py::array values, py::object weights) {
  double sums[2] = {0.0, 0.0};
  by_dtype(values, "values", [&](auto zero) {
    using T = decltype(zero);
    const Matrix<const T> v = matrix_of<T>(values, "values");
    const WeightedSum<T> a{v.data, optional_matrix<T>(weights, "weights").data, v.cols, sums};
    run_kernel(&KernelTable<T>::weighted_sum, a, 0.0);
  });
  return py::make_tuple(sums[0], sums[1]);
}

void gather_rows(py::array source, py::array_t<int64_t, py::array::c_style> index, double scale,
                 py::array out) {
  by_dtype(out, "out", [&](auto zero) {
    using T = decltype(zero);
    gapless_sample(source, "source");
    const GatherRows<T> a{
        source.data(), source_type_of(source, "source"), source.strides(0), index.data(), 0,
        scale,         output_of<T>(out, "out")};
    run_kernel(&KernelTable<T>::gather_rows, a, sweep_work(a.out));
  });
}

double sum_of_squares(py::array x) {
  double total = 0.0;
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Matrix<const T> flat = matrix_of<T>(x, "x");
    std::vector<double> partial((flat.cols + kNormBlock - 1) / kNormBlock);
    const SumOfSquares<T> a{flat.data, flat.cols, partial.data()};
    run_kernel(&KernelTable<T>::sum_of_squares, a, sweep_work(flat));
    for (const double p : partial) total += p;
  });
  return total;
}

void scale_clip(py::array x, double scale, double low, double high) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Matrix<T> flat = output_of<T>(x, "x");
    const ScaleClip<T> a{flat.data, flat.cols, scale, low, high};
    run_kernel(&KernelTable<T>::scale_clip, a, sweep_work(flat));
  });
}

}  // namespace

void register_kernels(py::module_& m) {
  using py::arg;
  m.def("half_depth", &half_depth, arg("depth"));
  m.def("dense_forward", &dense_forward, arg("x"), arg("w"), arg("b"), arg("z"), arg("y"),
        arg("activation"), arg("hyper"));
  m.def("dense_backward_input", &dense_backward_input, arg("dz"), arg("w"), arg("z"), arg("y"),
        arg("dx"), arg("activation"), arg("hyper"), arg("accumulate"));
  m.def("dense_backward_weights", &dense_backward_weights, arg("x"), arg("dz"), arg("dw"),
        arg("db"), arg("accumulate"));
  m.def("activation_forward", &activation_forward, arg("x"), arg("y"), arg("activation"),
        arg("hyper"));
  m.def("activation_backward", &activation_backward, arg("x"), arg("y"), arg("dy"), arg("dx"),
        arg("activation"), arg("hyper"), arg("accumulate"));
  m.def("softmax", &softmax, arg("x"), arg("y"));
  m.def("softmax_backward", &softmax_backward, arg("y"), arg("dy"), arg("dx"), arg("accumulate"));
  m.def("loss", &loss, arg("id"), arg("hyper"), arg("target"), arg("target_is_index"),
        arg("prediction"), arg("weights"), arg("values"), arg("gradient"), arg("probabilities"),
        arg("scale"));
  m.def("weighted_sum", &weighted_sum, arg("values"), arg("weights"));
  m.def("gather_rows", &gather_rows, arg("source"), arg("index"), arg("scale"), arg("out"));
  m.def("sum_of_squares", &sum_of_squares, arg("x"));
  m.def("scale_clip", &scale_clip, arg("x"), arg("scale"), arg("low"), arg("high"));
}

}  // namespace onepass::bind
