// The step record: what changes from step to step, made where it is read.
#pragma once

#include "../math/step_numbers.h"
#include "teams.h"

namespace onepass::cuda {
namespace {

__global__ void __launch_bounds__(kBlockThreads) write_step_records(const AdvanceStep a) {
  const int64_t before = *a.done;
  for (int64_t k = threadIdx.x; k < a.n; k += kBlockThreads) {
    const StepSettings& settings = a.settings[k];
    a.records[k] = math::record_of(settings, a.average, a.rates[settings.group], before);
  }
  __syncthreads();  // all have read the count
  if (threadIdx.x == 0) *a.done = before + 1;
}

inline void start_advance_step(const AdvanceStep& a, onepass::Team& team) {
  if (team.rank == 0) launch(write_step_records, {1}, {kBlockThreads}, team, a);
}

}  // namespace
}  // namespace onepass::cuda
