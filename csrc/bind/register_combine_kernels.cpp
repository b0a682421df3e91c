// The kernels that put tensors together, on arrays that onepass.kernels has checked for shape.
#include <pybind11/stl.h>

#include "arrays.h"
#include "register.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

template <class T>
Spread<const T> spread_of(const py::object& a, int64_t repeat, const char* name) {
  if (repeat < 1) throw py::value_error(std::string(name) + ": repeat must be positive");
  return {optional_matrix<T>(a, name), repeat};
}

void combine(py::array a, int64_t a_repeat, py::array b, int64_t b_repeat, py::array y, int op) {
  by_dtype(y, "y", [&](auto zero) {
    using T = decltype(zero);
    const Combine<T> call{op, spread_of<T>(a, a_repeat, "a"), spread_of<T>(b, b_repeat, "b"),
                          output_of<T>(y, "y")};
    run_kernel(&KernelTable<T>::combine, call, sweep_work(call.y));
  });
}

void combine_backward(py::object a, int64_t a_repeat, py::object b, int64_t b_repeat, py::array dy,
                      py::array dx, int64_t dx_repeat, int op, bool of_second, bool accumulate) {
  by_dtype(dy, "dy", [&](auto zero) {
    using T = decltype(zero);
    const CombineBackward<T> call{op,
                                  of_second,
                                  spread_of<T>(a, a_repeat, "a"),
                                  spread_of<T>(b, b_repeat, "b"),
                                  matrix_of<T>(dy, "dy"),
                                  {output_of<T>(dx, "dx"), dx_repeat},
                                  accumulate};
    run_kernel(&KernelTable<T>::combine_backward, call, sweep_work(call.dy));
  });
}

void scaled_copy(py::object x, int64_t repeat, py::array y, double scale, bool accumulate) {
  by_dtype(y, "y", [&](auto zero) {
    using T = decltype(zero);
    const ScaledCopy<T> call{spread_of<T>(x, repeat, "x"), output_of<T>(y, "y"), scale, accumulate};
    run_kernel(&KernelTable<T>::scaled_copy, call, sweep_work(call.y));
  });
}

void scaled_sum(py::array x, py::array y, int64_t repeat, double scale, bool accumulate) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const ScaledSum<T> call{
        matrix_of<T>(x, "x"), {output_of<T>(y, "y"), repeat}, scale, accumulate};
    run_kernel(&KernelTable<T>::scaled_sum, call, sweep_work(call.x));
  });
}

void embedding(py::array index, py::array table, py::array y) {
  by_dtype(table, "table", [&](auto zero) {
    using T = decltype(zero);
    const Embedding<T> call{matrix_of<T>(index, "index"), matrix_of<T>(table, "table"),
                            output_of<T>(y, "y")};
    run_kernel(&KernelTable<T>::embedding, call, sweep_work(call.y));
  });
}

void embedding_backward(py::array index, py::array dy, py::array dtable, bool accumulate) {
  by_dtype(dy, "dy", [&](auto zero) {
    using T = decltype(zero);
    const EmbeddingBackward<T> call{matrix_of<T>(index, "index"), matrix_of<T>(dy, "dy"),
                                    output_of<T>(dtable, "dtable"), accumulate};
    run_kernel(&KernelTable<T>::embedding_backward, call,
               sweep_work(call.dy) + sweep_work(call.dtable));
  });
}

}  // namespace

void register_combine_kernels(py::module_& m) {
  using py::arg;
  m.def("combine", &combine, arg("a"), arg("a_repeat"), arg("b"), arg("b_repeat"), arg("y"),
        arg("op"));
  m.def("combine_backward", &combine_backward, arg("a"), arg("a_repeat"), arg("b"), arg("b_repeat"),
        arg("dy"), arg("dx"), arg("dx_repeat"), arg("op"), arg("of_second"), arg("accumulate"));
  m.def("scaled_copy", &scaled_copy, arg("x"), arg("repeat"), arg("y"), arg("scale"),
        arg("accumulate"));
  m.def("scaled_sum", &scaled_sum, arg("x"), arg("y"), arg("repeat"), arg("scale"),
        arg("accumulate"));
  m.def("embedding", &embedding, arg("index"), arg("table"), arg("y"));
  m.def("embedding_backward", &embedding_backward, arg("index"), arg("dy"), arg("dtable"),
        arg("accumulate"));
}

}  // namespace onepass::bind
