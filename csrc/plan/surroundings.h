// What comes around a rule, as the settings say: clipping by norms, sums of gradients, averages.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "optimizer.h"

namespace onepass {

// As Keras: an infinite norm of one tensor makes its finite elements 0 and its infinite ones NaN.
inline double clip_factor(double clip, double norm) { return norm <= clip ? 1.0 : clip / norm; }

// As Keras: a norm over all tensors that is not finite makes the step visibly NaN.
inline double global_clip_factor(double clip, double norm) {
  return std::isfinite(norm) ? clip_factor(clip, norm) : std::numeric_limits<double>::quiet_NaN();
}

// As torch: the norm is taken a little larger, and an infinite one makes finite elements 0.
inline double torch_clip_factor(double clip, double norm) { return clip_factor(clip, norm + 1e-6); }

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
