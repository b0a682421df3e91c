#include <pybind11/stl.h>

#include <algorithm>

#include "../plan/calls/objective.h"
#include "arrays.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

void loss(PlanObject& plan, int id, const Hyper& hyper, int target, int prediction,
          OptionalId weights, OptionalId values, OptionalId gradient, OptionalId probabilities,
          bool mean, double factor) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<LossCall<decltype(zero)>>();
    call->id = id;
    const ActivationSpec numbers = activation_of(id, hyper);
    std::copy(numbers.hyper, numbers.hyper + kMaxScalars, call->hyper);
    call->target = target, call->target_is_index = plan.holds_indices(target);
    call->prediction = prediction, call->weights = id_of(weights);
    call->values = id_of(values), call->gradient = id_of(gradient);
    call->probabilities = id_of(probabilities);
    call->mean = mean, call->factor = factor;
    call->work_per_sample = 5 * plan.sweep_work(prediction);
    return call;
  });
}

void weighted_sum(PlanObject& plan, int values, OptionalId weights, int at, int count,
                  double factor) {
  plan.use_sums(at, 2);
  plan.add([&](auto zero) {
    auto call = std::make_unique<WeightedSumCall<decltype(zero)>>();
    call->values = values, call->weights = id_of(weights), call->at = at;
    call->over = static_cast<MeanOver>(count), call->factor = factor;
    return call;
  });
}

}  // namespace

void add_objective_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("loss", &loss, py::kw_only(), arg("id"), arg("hyper"), arg("target"), arg("prediction"),
           none("weights"), none("values"), none("gradient"), none("probabilities"), arg("mean"),
           arg("factor"))
      .def("weighted_sum", &weighted_sum, py::kw_only(), arg("values"), none("weights"), arg("at"),
           arg("count"), arg("factor"));
}

}  // namespace onepass::bind
