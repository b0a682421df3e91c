#include <pybind11/stl.h>

#include "../plan/calls/metrics.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

void row_accuracy(PlanObject& plan, int kind, double threshold, int64_t k, int target,
                  int prediction, int values) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<RowAccuracyCall<decltype(zero)>>();
    call->kind = static_cast<Accuracy>(kind), call->threshold = threshold, call->k = k;
    call->target = target, call->prediction = prediction, call->values = values;
    return call;
  });
}

void confusion_counts(PlanObject& plan, int target, int prediction, OptionalId weights,
                      const std::vector<double>& thresholds, int64_t n_thresholds, int64_t least,
                      int64_t top_k, int64_t first, int64_t last, bool by_column, int at) {
  const int64_t cols = plan.program().buffer(prediction).cols;
  if (first < 0 || last < first || last > cols || n_thresholds < 1) {
    throw py::value_error("confusion_counts: columns or thresholds are out of range");
  }
  const int64_t blocks = by_column ? last - first : 1;
  plan.use_sums(at, static_cast<int>(2 * blocks * (n_thresholds + 1)));
  plan.add([&](auto zero) {
    using T = decltype(zero);
    auto call = std::make_unique<ConfusionCountsCall<T>>(plan.program().device());
    call->target = target, call->prediction = prediction, call->weights = id_of(weights);
    for (const double threshold : thresholds) call->thresholds.push_back(static_cast<T>(threshold));
    call->n_thresholds = n_thresholds, call->least = least, call->top_k = top_k;
    call->columns = {first, last}, call->by_column = by_column, call->at = at;
    call->work_per_sample = plan.sweep_work(prediction);
    return call;
  });
}

void column_sums(PlanObject& plan, int kind, bool largest, double threshold, int target,
                 int prediction, OptionalId weights, int at) {
  const int64_t cols = plan.program().buffer(prediction).cols;
  const auto what = static_cast<ColumnSumKind>(kind);
  plan.use_sums(at, static_cast<int>(quantities_of(what) * cols));
  plan.add([&](auto zero) {
    auto call = std::make_unique<ColumnSumsCall<decltype(zero)>>();
    call->kind = what, call->largest = largest, call->threshold = threshold;
    call->target = target, call->prediction = prediction, call->weights = id_of(weights);
    call->at = at;
    call->work_per_sample = plan.sweep_work(prediction);
    return call;
  });
}

}  // namespace

void add_metrics_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("row_accuracy", &row_accuracy, py::kw_only(), arg("kind"), arg("threshold"), arg("k"),
           arg("target"), arg("prediction"), arg("values"))
      .def("confusion_counts", &confusion_counts, py::kw_only(), arg("target"), arg("prediction"),
           none("weights"), arg("thresholds"), arg("n_thresholds"), arg("least"), arg("top_k"),
           arg("first"), arg("last"), arg("by_column"), arg("at"))
      .def("column_sums", &column_sums, py::kw_only(), arg("kind"), arg("largest"),
           arg("threshold"), arg("target"), arg("prediction"), none("weights"), arg("at"));
}

}  // namespace onepass::bind
