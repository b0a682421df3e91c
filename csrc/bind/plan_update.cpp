#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "../plan/calls/update.h"
#include "arrays.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

// `tensors`: those of the optimizer that are stepped here; all without it.
void update(PlanObject& plan, const std::shared_ptr<OptimizerObject>& optimizer,
            const std::optional<std::vector<int64_t>>& tensors) {
  std::shared_ptr<Optimizer> native = optimizer->native();
  if (native->groups() > UpdateCall::kMostGroups) {
    throw py::value_error("update: the optimizer has too many groups for a plan");
  }
  plan.keep(optimizer);
  if (tensors) native = native->subset(*tensors);
  native->prepare_step();
  plan.program().add_call(std::make_unique<UpdateCall>(native));
}

void dense_update(PlanObject& plan, int x, int dz, int dw, OptionalId db, OptionalId norm_x,
                  OptionalId statistics, OptionalId gamma, OptionalId beta, OptionalId sums,
                  OptionalId dgamma, OptionalId dbeta,
                  const std::shared_ptr<OptimizerObject>& optimizer,
                  const std::vector<int64_t>& tensors,
                  const std::vector<std::pair<double, double>>& penalties) {
  const auto native = optimizer->native();
  const bool known = std::all_of(tensors.begin(), tensors.end(), [&](int64_t tensor) {
    return 0 <= tensor && tensor < native->tensors();
  });
  const bool complete = tensors.size() == (db ? 2 : 1);
  if (!known || !complete || penalties.size() > tensors.size() || !native->elementwise()) {
    throw py::value_error("dense_update: the optimizer cannot step these tensors this way");
  }
  if (norm_x) {
    const int64_t units = plan.program().buffer(dw).cols;
    const bool given = statistics && sums && (!dgamma || gamma);
    if (!given || units < 2 || units > kMostNormUnits) {
      throw py::value_error(
          "dense_update: gradients of this batch norm cannot be taken on the way");
    }
  }
  plan.keep(optimizer);
  plan.add([&](auto zero) {
    auto call = std::make_unique<DenseUpdateCall<decltype(zero)>>();
    call->x = x, call->dz = dz, call->dw = dw, call->db = id_of(db);
    call->w_tensor = tensors[0], call->b_tensor = db ? tensors[1] : -1;
    call->norm_x = id_of(norm_x), call->statistics = id_of(statistics);
    call->gamma = id_of(gamma), call->beta = id_of(beta), call->sums = id_of(sums);
    call->dgamma = id_of(dgamma), call->dbeta = id_of(dbeta);
    call->optimizer = native;
    for (std::size_t i = 0; i < penalties.size(); ++i) {
      call->penalties[i] = {penalties[i].first, penalties[i].second};
    }
    call->work_per_sample = plan.product_work(x, dw);
    const BufferSpec& w = plan.program().buffer(dw);
    call->parameters = kElementWork * static_cast<double>(w.rows * w.cols);
    return call;
  });
}

}  // namespace

void add_update_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("update", &update, arg("optimizer"), none("tensors"))
      .def("dense_update", &dense_update, py::kw_only(), arg("x"), arg("dz"), arg("dw"), none("db"),
           none("norm_x"), none("statistics"), none("gamma"), none("beta"), none("sums"),
           none("dgamma"), none("dbeta"), arg("optimizer"), arg("tensors"),
           py::arg_v("penalties", std::vector<std::pair<double, double>>{}, "()"));
}

}  // namespace onepass::bind
