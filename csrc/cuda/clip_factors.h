// What clipping by norms multiplies gradients by, decided where the sums of squares are: the host
// does not wait.
#pragma once

#include "teams.h"

namespace onepass::cuda {
namespace {

// One block: a thread adds up the blocks of a tensor, the first one the tensors, in the CPU's
// order.
__global__ void __launch_bounds__(kBlockThreads) decide_clip_factors(const ClipFactors a) {
  for (int64_t k = threadIdx.x; k < a.n_tensors; k += kBlockThreads) {
    double squares = 0.0;
    ONEPASS_UNROLL(8)
    for (int64_t b = a.blocks[k].begin; b < a.blocks[k].end; ++b) squares += a.partial[b];
    a.factors[k] = squares;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double squares = 0.0;
    ONEPASS_UNROLL(8)
    for (int64_t k = 0; k < a.n_tensors; ++k) squares += a.factors[k];
    *a.norm = math::sqrt(squares) * a.scale;
  }
  __syncthreads();
  const double all = *a.norm;
  for (int64_t k = threadIdx.x; k < a.n_tensors; k += kBlockThreads) {
    const bool each = a.kind == math::ClipNorm::kEach;
    const double norm = each ? math::sqrt(a.factors[k]) * a.scale : all;
    a.factors[k] = math::clip_factor(a.kind, a.clip, norm);
  }
}

inline void start_clip_factors(const ClipFactors& a, onepass::Team& team) {
  if (team.rank != 0 || a.n_tensors == 0) return;
  launch(decide_clip_factors, {1}, {kBlockThreads}, team, a);
}

}  // namespace
}  // namespace onepass::cuda
