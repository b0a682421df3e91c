#include "../plan/calls/rowwise.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

template <bool kSparse>
void forward(PlanObject& plan, int x, int y) {
  plan.add([&](auto zero) {
    using T = decltype(zero);
    auto call = std::make_unique<RowForwardCall<T>>();
    call->kernel = kSparse ? &KernelTable<T>::sparsemax : &KernelTable<T>::log_softmax;
    call->x = x, call->y = y, call->work_per_sample = 4 * plan.sweep_work(y);
    return call;
  });
}

template <bool kSparse>
void backward(PlanObject& plan, int y, int dy, int dx, bool accumulate) {
  plan.add([&](auto zero) {
    using T = decltype(zero);
    auto call = std::make_unique<RowBackwardCall<T>>();
    call->kernel =
        kSparse ? &KernelTable<T>::sparsemax_backward : &KernelTable<T>::log_softmax_backward;
    call->y = y, call->dy = dy, call->dx = dx, call->accumulate = accumulate;
    call->work_per_sample = 3 * plan.sweep_work(dx);
    return call;
  });
}

void glu(PlanObject& plan, int x, int y) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<GluCall<decltype(zero)>>();
    call->x = x, call->y = y, call->work_per_sample = 2 * plan.sweep_work(x);
    return call;
  });
}

void glu_backward(PlanObject& plan, int x, int dy, int dx, bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<GluBackwardCall<decltype(zero)>>();
    call->x = x, call->dy = dy, call->dx = dx, call->accumulate = accumulate;
    call->work_per_sample = 4 * plan.sweep_work(dx);
    return call;
  });
}

}  // namespace

void add_rowwise_calls(PlanClass& plan) {
  using py::arg;
  plan.def("log_softmax", &forward<false>, py::kw_only(), arg("x"), arg("y"))
      .def("log_softmax_backward", &backward<false>, py::kw_only(), arg("y"), arg("dy"), arg("dx"),
           arg("accumulate"))
      .def("sparsemax", &forward<true>, py::kw_only(), arg("x"), arg("y"))
      .def("sparsemax_backward", &backward<true>, py::kw_only(), arg("y"), arg("dy"), arg("dx"),
           arg("accumulate"))
      .def("glu", &glu, py::kw_only(), arg("x"), arg("y"))
      .def("glu_backward", &glu_backward, py::kw_only(), arg("x"), arg("dy"), arg("dx"),
           arg("accumulate"));
}

}  // namespace onepass::bind
