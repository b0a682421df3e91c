#include <pybind11/stl.h>

#include <initializer_list>
#include <string>

#include "../plan/calls/normalization.h"
#include "arrays.h"
#include "plan_object.h"
#include "row_norm_kind.h"

namespace onepass::bind {
namespace {

// Of an element: what it costs beside a plain pass.
constexpr double kForward = 3, kBackward = 3, kInference = 1, kRows = 4, kRowsBackward = 6;

// Kernels read one number a column of x from each of these.
void require_columns(PlanObject& plan, int x, std::initializer_list<OptionalId> vectors) {
  const int64_t columns = plan.program().buffer(x).cols;
  for (const OptionalId& vector : vectors) {
    if (!vector || plan.program().buffer(*vector).cols == columns) continue;
    throw py::value_error("normalization: expected one number for each of " +
                          std::to_string(columns) + " columns, got " +
                          std::to_string(plan.program().buffer(*vector).cols));
  }
}

void add_batch_norm(PlanObject& plan, int x, OptionalId moving_mean, OptionalId moving_variance,
                    OptionalId gamma, OptionalId beta, OptionalId z, int y, OptionalId statistics,
                    double epsilon, int activation, const Hyper& hyper) {
  require_columns(plan, x, {moving_mean, moving_variance, gamma, beta});
  plan.add([&](auto zero) {
    auto call = std::make_unique<BatchNormCall<decltype(zero)>>();
    call->x = x, call->moving_mean = id_of(moving_mean);
    call->moving_variance = id_of(moving_variance);
    call->gamma = id_of(gamma), call->beta = id_of(beta);
    call->z = id_of(z), call->y = y, call->statistics = id_of(statistics);
    call->epsilon = epsilon, call->activation = activation_of(activation, hyper);
    call->work_per_sample = (moving_mean ? kInference : kForward) * plan.sweep_work(y);
    return call;
  });
}

void batch_norm_forward(PlanObject& plan, int x, OptionalId gamma, OptionalId beta, OptionalId z,
                        int y, int statistics, double epsilon, int activation, const Hyper& hyper) {
  add_batch_norm(plan, x, {}, {}, gamma, beta, z, y, statistics, epsilon, activation, hyper);
}

void batch_norm_inference(PlanObject& plan, int x, int moving_mean, int moving_variance,
                          OptionalId gamma, OptionalId beta, OptionalId z, int y,
                          OptionalId statistics, double epsilon, int activation,
                          const Hyper& hyper) {
  add_batch_norm(plan, x, moving_mean, moving_variance, gamma, beta, z, y, statistics, epsilon,
                 activation, hyper);
}

void batch_norm_backward(PlanObject& plan, int x, int dy, int statistics, OptionalId gamma,
                         OptionalId dx, OptionalId dgamma, OptionalId dbeta, bool fixed,
                         bool accumulate, bool accumulate_gamma, bool accumulate_beta) {
  require_columns(plan, x, {gamma, dgamma, dbeta});
  plan.add([&](auto zero) {
    auto call = std::make_unique<BatchNormBackwardCall<decltype(zero)>>();
    call->x = x, call->dy = dy, call->statistics = statistics, call->gamma = id_of(gamma);
    call->dx = id_of(dx), call->dgamma = id_of(dgamma), call->dbeta = id_of(dbeta);
    call->fixed = fixed, call->accumulate = accumulate;
    call->accumulate_gamma = accumulate_gamma, call->accumulate_beta = accumulate_beta;
    call->work_per_sample = kBackward * plan.sweep_work(dy);
    return call;
  });
}

void moving_statistics(PlanObject& plan, int statistics, int mean, int variance, double momentum) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<MovingStatisticsCall<decltype(zero)>>();
    call->statistics = statistics, call->mean = mean, call->variance = variance;
    call->momentum = momentum;
    call->columns_work = kElementWork * static_cast<double>(plan.program().buffer(mean).cols);
    return call;
  });
}

void row_norm(PlanObject& plan, const std::string& norm, int x, OptionalId gamma, OptionalId beta,
              int y, int statistics, double epsilon) {
  require_columns(plan, x, {gamma, beta});
  plan.add([&](auto zero) {
    auto call = std::make_unique<RowNormCall<decltype(zero)>>();
    call->kind = row_norm_kind(norm);
    call->x = x, call->gamma = id_of(gamma), call->beta = id_of(beta);
    call->y = y, call->statistics = statistics, call->epsilon = epsilon;
    call->work_per_sample = kRows * plan.sweep_work(y);
    return call;
  });
}

void row_norm_backward(PlanObject& plan, const std::string& norm, int x, int dy, int statistics,
                       OptionalId gamma, OptionalId dx, OptionalId dgamma, OptionalId dbeta,
                       bool accumulate, bool accumulate_gamma, bool accumulate_beta) {
  require_columns(plan, x, {gamma, dgamma, dbeta});
  plan.add([&](auto zero) {
    auto call = std::make_unique<RowNormBackwardCall<decltype(zero)>>();
    call->kind = row_norm_kind(norm);
    call->x = x, call->dy = dy, call->statistics = statistics, call->gamma = id_of(gamma);
    call->dx = id_of(dx), call->dgamma = id_of(dgamma), call->dbeta = id_of(dbeta);
    call->accumulate = accumulate;
    call->accumulate_gamma = accumulate_gamma, call->accumulate_beta = accumulate_beta;
    call->work_per_sample = kRowsBackward * plan.sweep_work(dy);
    return call;
  });
}

}  // namespace

void add_normalization_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("batch_norm_forward", &batch_norm_forward, py::kw_only(), arg("x"), none("gamma"),
           none("beta"), none("z"), arg("y"), arg("statistics"), arg("epsilon"), arg("activation"),
           arg("hyper"))
      .def("batch_norm_inference", &batch_norm_inference, py::kw_only(), arg("x"),
           arg("moving_mean"), arg("moving_variance"), none("gamma"), none("beta"), none("z"),
           arg("y"), none("statistics"), arg("epsilon"), arg("activation"), arg("hyper"))
      .def("batch_norm_backward", &batch_norm_backward, py::kw_only(), arg("x"), arg("dy"),
           arg("statistics"), none("gamma"), none("dx"), none("dgamma"), none("dbeta"),
           arg("fixed"), arg("accumulate"), arg("accumulate_gamma"), arg("accumulate_beta"))
      .def("moving_statistics", &moving_statistics, py::kw_only(), arg("statistics"), arg("mean"),
           arg("variance"), arg("momentum"))
      .def("row_norm", &row_norm, py::kw_only(), arg("norm"), arg("x"), none("gamma"), none("beta"),
           arg("y"), arg("statistics"), arg("epsilon"))
      .def("row_norm_backward", &row_norm_backward, py::kw_only(), arg("norm"), arg("x"), arg("dy"),
           arg("statistics"), none("gamma"), none("dx"), none("dgamma"), none("dbeta"),
           arg("accumulate"), arg("accumulate_gamma"), arg("accumulate_beta"));
}

}  // namespace onepass::bind
