// The numbers of a step and what comes around its rule, as the settings say: decay, clipping, sums
// of gradients, averages.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "../math/step_numbers.h"
#include "optimizer.h"

namespace onepass {

// How the settings clip by norms, if they do.
struct NormClip {
  math::ClipNorm kind = math::ClipNorm::kAll;
  double clip = 0.0;  // 0: they do not
};
inline NormClip norm_clip(const OptimizerSettings& settings) {
  using math::ClipNorm;
  if (settings.global_clip_norm <= 0.0) return {ClipNorm::kEach, settings.clip_norm};
  return {settings.clips_as_torch ? ClipNorm::kAllAsTorch : ClipNorm::kAll,
          settings.global_clip_norm};
}

// Of tensors of a group that have missed as many steps.
inline StepSettings step_settings(const RuleSettings& rule, int group, int64_t missed) {
  StepSettings settings;
  settings.rule = rule.rule;
  settings.torch_convention = rule.torch_convention;
  std::copy(std::begin(rule.options), std::end(rule.options), settings.options);
  settings.rate_ratio = rule.rate_ratio;
  settings.missed = missed;
  settings.group = group;
  return settings;
}

// `scale`: of the gradients.
inline Around around_of(const OptimizerSettings& settings, const RuleSettings& rule, bool decays,
                        double rate, double scale) {
  Around around;
  around.scale = rule.maximize ? -scale : scale;
  around.clip = settings.clip_value;
  around.decay = decays && rule.decoupled_decay ? rule.weight_decay : 0.0;
  around.keep = math::kept_of_parameters(rate, around.decay);
  around.l2 = decays && !rule.decoupled_decay ? rule.weight_decay : 0.0;
  return around;
}

// Of call `phase` of those that make a step, behind so many steps. An average goes on at calls that
// only add up gradients.
inline Beyond beyond_at(const OptimizerSettings& settings, int64_t phase, int64_t before) {
  Beyond beyond;
  beyond.adds = phase > 0;
  beyond.waits = phase + 1 < settings.calls_a_step;
  beyond.average_keep = math::kept_of_average(settings.average, before);
  beyond.average_replaces = math::average_replaces(settings.average, before);
  beyond.clears = settings.clears_gradients;
  return beyond;
}

}  // namespace onepass
