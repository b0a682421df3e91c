// Activations over rows beside softmax, on arrays that onepass.kernels has checked for shape.
#include "arrays.h"
#include "register.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

template <bool kSparse>
void forward(py::array x, py::array y) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Softmax<T> a{matrix_of<T>(x, "x"), output_of<T>(y, "y")};
    run_kernel(kSparse ? &KernelTable<T>::sparsemax : &KernelTable<T>::log_softmax, a,
               4 * sweep_work(a.x));
  });
}

template <bool kSparse>
void backward(py::array y, py::array dy, py::array dx, bool accumulate) {
  by_dtype(dy, "dy", [&](auto zero) {
    using T = decltype(zero);
    const SoftmaxBackward<T> a{matrix_of<T>(y, "y"), matrix_of<T>(dy, "dy"), output_of<T>(dx, "dx"),
                               accumulate};
    run_kernel(
        kSparse ? &KernelTable<T>::sparsemax_backward : &KernelTable<T>::log_softmax_backward, a,
        3 * sweep_work(a.dy));
  });
}

void glu(py::array x, py::array y) {
  by_dtype(x, "x", [&](auto zero) {
    using T = decltype(zero);
    const Glu<T> a{matrix_of<T>(x, "x"), output_of<T>(y, "y")};
    run_kernel(&KernelTable<T>::glu, a, 2 * sweep_work(a.x));
  });
}

void glu_backward(py::array x, py::array dy, py::array dx, bool accumulate) {
  by_dtype(dy, "dy", [&](auto zero) {
    using T = decltype(zero);
    const GluBackward<T> a{matrix_of<T>(x, "x"), matrix_of<T>(dy, "dy"), output_of<T>(dx, "dx"),
                           accumulate};
    run_kernel(&KernelTable<T>::glu_backward, a, 4 * sweep_work(a.x));
  });
}

}  // namespace

void register_rowwise_kernels(py::module_& m) {
  using py::arg;
  m.def("log_softmax", &forward<false>, arg("x"), arg("y"));
  m.def("log_softmax_backward", &backward<false>, arg("y"), arg("dy"), arg("dx"),
        arg("accumulate"));
  m.def("sparsemax", &forward<true>, arg("x"), arg("y"));
  m.def("sparsemax_backward", &backward<true>, arg("y"), arg("dy"), arg("dx"), arg("accumulate"));
  m.def("glu", &glu, arg("x"), arg("y"));
  m.def("glu_backward", &glu_backward, arg("x"), arg("dy"), arg("dx"), arg("accumulate"));
}

}  // namespace onepass::bind
