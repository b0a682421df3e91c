// By what gradients are multiplied where their norm exceeds a bound.
#pragma once

#include <cmath>
#include <limits>

namespace onepass {

// As Keras: an infinite norm of one tensor makes its finite elements 0 and its infinite ones NaN.
inline double clip_factor(double clip, double norm) { return norm <= clip ? 1.0 : clip / norm; }

// As Keras: a norm over all tensors that is not finite makes the step visibly NaN.
inline double global_clip_factor(double clip, double norm) {
  return std::isfinite(norm) ? clip_factor(clip, norm) : std::numeric_limits<double>::quiet_NaN();
}

// As torch: the norm is taken a little larger, and an infinite one makes finite elements 0.
inline double torch_clip_factor(double clip, double norm) { return clip_factor(clip, norm + 1e-6); }

}  // namespace onepass
