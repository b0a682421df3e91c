// Clipping by norms: what gradients of this norm are multiplied by.
#pragma once

#include "hd.h"

namespace onepass::math {

// Of the norm of one tensor or of all together, in the latter case as Keras or as torch does.
enum class ClipNorm : int { kEach, kAll, kAllAsTorch };

namespace {

// As Keras: an infinite norm of one tensor makes its finite elements 0 and its infinite ones NaN,
// and a norm over all tensors that is not finite makes the step visibly NaN. As torch: the norm is
// taken a little larger, and an infinite one makes finite elements 0.
ONEPASS_HD double clip_factor(ClipNorm kind, double clip, double norm) {
  if (kind == ClipNorm::kAll && !(norm - norm == 0.0)) return __builtin_nan("");
  if (kind == ClipNorm::kAllAsTorch) norm += 1e-6;
  return norm <= clip ? 1.0 : clip / norm;
}

}  // namespace
}  // namespace onepass::math
