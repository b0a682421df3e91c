#include <pybind11/stl.h>

#include "../plan/calls/noise.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

using Key = std::pair<uint32_t, uint32_t>;

void dropout(PlanObject& plan, int x, int y, double rate, bool alpha, bool gradient, Key key,
             bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<DropoutCall<decltype(zero)>>();
    call->x = x, call->y = y, call->rate = rate, call->alpha = alpha, call->gradient = gradient;
    call->key[0] = key.first, call->key[1] = key.second, call->accumulate = accumulate;
    call->work_per_sample = 4 * plan.sweep_work(y);
    return call;
  });
}

void gaussian(PlanObject& plan, int x, int y, double stddev, bool multiplies, Key key,
              bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<GaussianCall<decltype(zero)>>();
    call->x = x, call->y = y, call->stddev = stddev, call->multiplies = multiplies;
    call->key[0] = key.first, call->key[1] = key.second, call->accumulate = accumulate;
    call->work_per_sample = 10 * plan.sweep_work(y);
    return call;
  });
}

void rrelu(PlanObject& plan, int x, OptionalId value, int y, double lower, double upper, Key key,
           bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<RandomReluCall<decltype(zero)>>();
    call->x = x, call->value = id_of(value), call->y = y;
    call->lower = lower, call->upper = upper;
    call->key[0] = key.first, call->key[1] = key.second, call->accumulate = accumulate;
    call->work_per_sample = 5 * plan.sweep_work(y);
    return call;
  });
}

}  // namespace

void add_noise_calls(PlanClass& plan) {
  using py::arg;
  plan.def("dropout", &dropout, py::kw_only(), arg("x"), arg("y"), arg("rate"), arg("alpha"),
           arg("gradient"), arg("key"), arg("accumulate"))
      .def("gaussian", &gaussian, py::kw_only(), arg("x"), arg("y"), arg("stddev"),
           arg("multiplies"), arg("key"), arg("accumulate"))
      .def("rrelu", &rrelu, py::kw_only(), arg("x"), py::arg_v("value", py::none()), arg("y"),
           arg("lower"), arg("upper"), arg("key"), arg("accumulate"));
}

}  // namespace onepass::bind
