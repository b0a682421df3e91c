// Updates of parameters.
#pragma once

#include <memory>

#include "../../cpu/pool.h"
#include "../optimizer.h"
#include "../program.h"

namespace onepass {

inline Repeats repeats_at(const StepAt& at) { return {&at.done, nullptr, &at.rate, true, nullptr}; }

// Makes the numbers of the rule at this step, if they are not there.
inline void prepare_numbers(Optimizer& optimizer, const Frame& f, Team& team) {
  RuleNumbers& numbers = f.numbers;
  const Step& step = f.step;
  if (numbers.optimizer == &optimizer && numbers.t == step.t &&
      numbers.learning_rate == step.learning_rate &&
      (numbers.record != nullptr) == (f.at != nullptr)) {
    return;
  }
  numbers.record = nullptr;
  if (f.at != nullptr) {
    numbers.record = optimizer.start_record(repeats_at(*f.at), f.kernels, team);
  } else {
    optimizer.prepare(step.learning_rate, step.t, numbers.scalars);
  }
  numbers.optimizer = &optimizer;
  numbers.t = step.t;
  numbers.learning_rate = step.learning_rate;
}

// Weight gradient and update of a dense layer in one.
template <class T>
struct DenseUpdateCall final : Call {
  BufferId x, dz, dw, db;
  // The batch norm that made x, if its gradients are wanted: its input, and so on.
  BufferId norm_x = kNone, statistics = kNone, gamma = kNone, beta = kNone, sums = kNone;
  BufferId dgamma = kNone, dbeta = kNone;
  int64_t w_tensor, b_tensor;  // of the optimizer; b may be -1
  std::shared_ptr<Optimizer> optimizer;
  PenaltyFactors penalties[2];
  double work_per_sample, parameters;

  void run(const Frame& f, Team& team) const override {
    prepare_numbers(*optimizer, f, team);
    const DenseBackwardWeights<T> gradient{f.matrix<const T>(x), f.matrix<const T>(dz),
                                           f.matrix<T>(dw), f.data<T>(db), false};
    const InputNorm<T> norm{f.matrix<const T>(norm_x), f.matrix<const T>(statistics),
                            f.data<const T>(gamma),    f.data<const T>(beta),
                            f.data<const T>(sums),     f.data<T>(dgamma),
                            f.data<T>(dbeta)};
    const DenseStep step{f.step.learning_rate, f.numbers.scalars, f.numbers.record};
    optimizer->dense_step(gradient, w_tensor, b_tensor, step, norm_x == kNone ? nullptr : &norm,
                          penalties, f.kernels, team);
  }
  double work(int64_t rows) const override {
    return static_cast<double>(rows) * work_per_sample + parameters;
  }
  bool updates() const override { return true; }
};

// Of an optimizer of at most two groups: one of matrices and one of all else.
struct UpdateCall final : Call {
  static constexpr int kMostGroups = 2;
  std::shared_ptr<Optimizer> optimizer;

  explicit UpdateCall(std::shared_ptr<Optimizer> o) : optimizer(std::move(o)) {}
  void run(const Frame& f, Team& team) const override {
    if (f.at != nullptr) return optimizer->start_repeated(repeats_at(*f.at), f.kernels, team);
    const double rates[kMostGroups] = {f.step.learning_rate, f.step.learning_rate};
    optimizer->step(rates, f.step.t, f.kernels, team);
  }
  double work(int64_t) const override { return optimizer->work(); }
  bool updates() const override { return true; }
  bool repeats() const override { return optimizer->cannot_repeat() == nullptr; }
};

}  // namespace onepass
