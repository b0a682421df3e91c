#include <pybind11/stl.h>

#include "../plan/calls/circle.h"
#include "circle_work.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

void circle(PlanObject& plan, int target, int prediction, OptionalId weights, OptionalId values,
            OptionalId gradient, int similarities, int per_row, double gamma, double margin,
            bool remove_diagonal, bool mean, double factor) {
  const Program& program = plan.program();
  if (!plan.holds_indices(target) || program.buffer(prediction).rows_per_sample != 1) {
    throw py::value_error("circle: one label and one embedding a sample are expected");
  }
  if (!program.buffer(similarities).square || program.buffer(per_row).cols != kCircleNumbers) {
    throw py::value_error("circle: the work areas have other shapes");
  }
  plan.add([&](auto zero) {
    auto call = std::make_unique<CircleCall<decltype(zero)>>();
    call->target = target, call->prediction = prediction, call->weights = id_of(weights);
    call->values = id_of(values), call->gradient = id_of(gradient);
    call->similarities = similarities, call->per_row = per_row;
    call->gamma = gamma, call->margin = margin, call->remove_diagonal = remove_diagonal;
    call->mean = mean, call->factor = factor;
    call->work_per_pair = circle_work_per_pair(program.buffer(prediction).cols);
    return call;
  });
}

}  // namespace

void add_circle_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("circle", &circle, py::kw_only(), arg("target"), arg("prediction"), none("weights"),
           none("values"), none("gradient"), arg("similarities"), arg("per_row"), arg("gamma"),
           arg("margin"), arg("remove_diagonal"), arg("mean"), arg("factor"));
}

}  // namespace onepass::bind
