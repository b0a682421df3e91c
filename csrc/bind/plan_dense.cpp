#include <pybind11/stl.h>

#include "../plan/calls/dense.h"
#include "arrays.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

void dense_forward(PlanObject& plan, int x, int w, OptionalId b, OptionalId z, int y,
                   OptionalId partial, int activation, const Hyper& hyper, double dropout_rate,
                   std::pair<uint32_t, uint32_t> dropout_key) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<DenseForwardCall<decltype(zero)>>();
    call->x = x, call->w = w, call->b = id_of(b), call->z = id_of(z), call->y = y;
    call->partial = id_of(partial);
    call->activation = activation_of(activation, hyper);
    call->dropout_rate = dropout_rate;
    call->dropout_key[0] = dropout_key.first, call->dropout_key[1] = dropout_key.second;
    call->work_per_sample = plan.product_work(x, w);
    if (dropout_rate > 0.0) call->work_per_sample += 4 * plan.sweep_work(y);
    return call;
  });
}

void dense_backward_input(PlanObject& plan, int dz, int w, OptionalId z, OptionalId y, int dx,
                          int activation, const Hyper& hyper, bool accumulate, double gain) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<DenseBackwardInputCall<decltype(zero)>>();
    call->dz = dz, call->w = w, call->z = id_of(z), call->y = id_of(y), call->dx = dx;
    call->accumulate = accumulate, call->gain = gain;
    call->activation = activation_of(activation, hyper);
    call->work_per_sample = plan.product_work(dx, w);
    return call;
  });
}

void dense_backward_weights(PlanObject& plan, int x, int dz, OptionalId dw, OptionalId db,
                            bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<DenseBackwardWeightsCall<decltype(zero)>>();
    call->x = x, call->dz = dz, call->dw = id_of(dw), call->db = id_of(db);
    call->accumulate = accumulate;
    call->work_per_sample = dw ? plan.product_work(x, *dw) : plan.sweep_work(dz);
    return call;
  });
}

}  // namespace

void add_dense_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("dense_forward", &dense_forward, py::kw_only(), arg("x"), arg("w"), none("b"), none("z"),
           arg("y"), none("partial"), arg("activation"), arg("hyper"), arg("dropout_rate") = 0.0,
           arg("dropout_key") = std::pair<uint32_t, uint32_t>{})
      .def("dense_backward_input", &dense_backward_input, py::kw_only(), arg("dz"), arg("w"),
           none("z"), none("y"), arg("dx"), arg("activation"), arg("hyper"), arg("accumulate"),
           arg("gain") = 1.0)
      .def("dense_backward_weights", &dense_backward_weights, py::kw_only(), arg("x"), arg("dz"),
           none("dw"), none("db"), arg("accumulate"));
}

}  // namespace onepass::bind
