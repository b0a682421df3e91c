#include "../plan/calls/regularizing.h"
#include "plan_object.h"
#include "regularizing.h"

namespace onepass::bind {
namespace {

double fixed_work(PlanObject& plan, int id) {
  const BufferSpec& spec = plan.program().buffer(id);
  return kElementWork * static_cast<double>(spec.rows * spec.cols);
}

bool per_sample(PlanObject& plan, int id) { return plan.program().buffer(id).rows_per_sample > 0; }

void penalty(PlanObject& plan, int x, int values, OptionalId gradient, double l1, double l2,
             bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<PenaltyCall<decltype(zero)>>();
    call->x = x, call->values = values, call->gradient = id_of(gradient);
    call->l1 = l1, call->l2 = l2, call->accumulate = accumulate;
    call->per_sample = per_sample(plan, x);
    call->fixed_work = call->per_sample ? 0.0 : fixed_work(plan, x);
    call->work_per_sample = plan.sweep_work(x);
    return call;
  });
}

void penalty_sum(PlanObject& plan, int values, int at) {
  plan.use_sums(at, 2);
  auto call = std::make_unique<PenaltySumCall>();
  call->values = values, call->at = at, call->per_sample = per_sample(plan, values);
  plan.program().add_call(std::move(call));
}

void constrain(PlanObject& plan, int p, int kind, double low, double high, double rate,
               double epsilon) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<ConstrainCall<decltype(zero)>>();
    call->p = p, call->kind = constraint_of(kind);
    call->low = low, call->high = high, call->rate = rate, call->epsilon = epsilon;
    call->parameters_work = 2 * fixed_work(plan, p);
    return call;
  });
}

}  // namespace

void add_regularizing_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("penalty", &penalty, py::kw_only(), arg("x"), arg("values"), none("gradient"), arg("l1"),
           arg("l2"), arg("accumulate"))
      .def("penalty_sum", &penalty_sum, py::kw_only(), arg("values"), arg("at"))
      .def("constrain", &constrain, py::kw_only(), arg("p"), arg("kind"), arg("low"), arg("high"),
           arg("rate"), arg("epsilon"));
}

}  // namespace onepass::bind
