// What comes around a rule, as the settings say: clipping by norms, sums of gradients, averages.
#pragma once

#include <cstdint>

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

// Of call `phase` of those that make a step, behind so many steps. As Keras, an average begins at
// the parameters' first values after an update, and goes on at calls that only add up gradients.
inline Beyond beyond_at(const OptimizerSettings& settings, int64_t phase, int64_t before) {
  Beyond beyond;
  beyond.adds = phase > 0;
  beyond.waits = phase + 1 < settings.calls_a_step;
  beyond.average_keep = before == 0 ? 0.0 : settings.average_keep;
  beyond.average_replaces =
      settings.average_replaces > 0 && (before + 1) % settings.average_replaces == 0;
  beyond.clears = settings.clears_gradients;
  return beyond;
}

}  // namespace onepass
