#include <pybind11/stl.h>

#include "../plan/calls/elementwise.h"
#include "arrays.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

void activation_forward(PlanObject& plan, int x, int y, int activation, const Hyper& hyper) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<ActivationForwardCall<decltype(zero)>>();
    call->x = x, call->y = y, call->activation = activation_of(activation, hyper);
    call->work_per_sample = plan.sweep_work(y);
    return call;
  });
}

void activation_backward(PlanObject& plan, OptionalId x, int y, int dy, int dx, int activation,
                         const Hyper& hyper, bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<ActivationBackwardCall<decltype(zero)>>();
    call->x = id_of(x), call->y = y, call->dy = dy, call->dx = dx;
    call->activation = activation_of(activation, hyper);
    call->accumulate = accumulate;
    call->work_per_sample = plan.sweep_work(dx);
    return call;
  });
}

void softmax(PlanObject& plan, int x, int y) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<SoftmaxCall<decltype(zero)>>();
    call->x = x, call->y = y, call->work_per_sample = 4 * plan.sweep_work(y);
    return call;
  });
}

void softmax_backward(PlanObject& plan, int y, int dy, int dx, bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<SoftmaxBackwardCall<decltype(zero)>>();
    call->y = y, call->dy = dy, call->dx = dx, call->accumulate = accumulate;
    call->work_per_sample = 2 * plan.sweep_work(dx);
    return call;
  });
}

}  // namespace

void add_elementwise_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("activation_forward", &activation_forward, py::kw_only(), arg("x"), arg("y"),
           arg("activation"), arg("hyper"))
      .def("activation_backward", &activation_backward, py::kw_only(), none("x"), arg("y"),
           arg("dy"), arg("dx"), arg("activation"), arg("hyper"), arg("accumulate"))
      .def("softmax", &softmax, py::kw_only(), arg("x"), arg("y"))
      .def("softmax_backward", &softmax_backward, py::kw_only(), arg("y"), arg("dy"), arg("dx"),
           arg("accumulate"));
}

}  // namespace onepass::bind
