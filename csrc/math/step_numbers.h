// From what stays the same to the numbers of one step: of a rule, and of what surrounds it.
#pragma once

#include "../arguments/step.h"
#include "rules.h"

namespace onepass::math {
namespace {

// The factor of decayed parameters.
ONEPASS_HD double kept_of_parameters(double rate, double decay) { return 1.0 - rate * decay; }

// As Keras, an average begins at the parameters' first values after an update.
ONEPASS_HD double kept_of_average(const AverageSettings& average, int64_t before) {
  return before == 0 ? 0.0 : average.keep;
}
ONEPASS_HD bool average_replaces(const AverageSettings& average, int64_t before) {
  return average.replaces > 0 && (before + 1) % average.replaces == 0;
}

// Of the rules in `Rules` or `AllRules`.
template <class List>
ONEPASS_HD void rule_numbers(const StepSettings& settings, StepTime at, double* scalars) {
  const auto convention = settings.torch_convention ? Convention::kTorch : Convention::kKeras;
  List::visit(settings.rule, [&](auto rule) {
    decltype(rule)::prepare(settings.options, convention, at, scalars);
  });
}

// The rule's own time of the step behind so many.
ONEPASS_HD StepTime time_of(const StepSettings& settings, double rate, int64_t before) {
  return {rate * settings.rate_ratio, before + 1 - settings.missed};
}

ONEPASS_HD StepRecord record_of(const StepSettings& settings, const AverageSettings& average,
                                double rate, int64_t before) {
  StepRecord record{};
  rule_numbers<Rules>(settings, time_of(settings, rate, before), record.scalars);
  record.rate = rate;
  record.average_keep = kept_of_average(average, before);
  record.average_replaces = average_replaces(average, before);
  return record;
}

}  // namespace
}  // namespace onepass::math
