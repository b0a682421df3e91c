// The learning rates of groups whose rules learn them (math/rules/measured.h): what has been
// learned so far is added to the rate that a step is given.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../math/rules.h"

namespace onepass {

class LearnedRates {
 public:
  static bool learns(int rule) {
    bool does = false;
    math::Rules::visit(rule, [&](auto r) { does = math::kLearnsRate<decltype(r)>; });
    return does;
  }

  // When a rule's `measured` looks back at, if this is the step to come. Before the first step
  // there was none, and its states say so: the numbers only must be finite.
  static math::StepTime before(math::StepTime at) { return {1.0, std::max<int64_t>(at.t - 1, 1)}; }

  void add_group() { groups_.emplace_back(), rates_.push_back(0.0); }
  // Where what a group has learned is kept, for all native optimizers of its parameters.
  void keep_at(int group, double* learned) { groups_.at(group).learned = learned; }
  bool kept(int group) const { return groups_[group].learned != nullptr; }

  // One member alone, between two barriers: `begin`, the sums of all tensors, `learn` for each
  // group that does. From then on `rates` are those of this step.
  void begin(const double* given) {
    for (std::size_t k = 0; k < groups_.size(); ++k) groups_[k].sum = 0.0, rates_[k] = given[k];
  }
  void add(int group, double products) { groups_[group].sum += products; }
  void learn(int group, int rule, const double* options) {
    math::Rules::visit(rule, [&](auto r) {
      using R = decltype(r);
      if constexpr (math::kLearnsRate<R>) {
        Group& own = groups_[group];
        *own.learned += R::hypergradient_rate(options) * own.sum;
        rates_[group] += *own.learned;
      }
    });
  }
  const double* rates() const { return rates_.data(); }

 private:
  struct Group {
    double* learned = nullptr;
    double sum = 0.0;
  };
  std::vector<Group> groups_;
  std::vector<double> rates_;
};

}  // namespace onepass
