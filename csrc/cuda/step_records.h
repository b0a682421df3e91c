// The step record: what changes from step to step, made where it is read.
#pragma once

#include "../math/step_numbers.h"
#include "teams.h"

namespace onepass::cuda {
namespace {

__global__ void __launch_bounds__(kBlockThreads) write_step_records(const StepRecords a) {
  const int64_t before = *a.done;
  for (int64_t k = threadIdx.x; k < a.n; k += kBlockThreads) {
    const StepSettings& settings = a.settings[k];
    const double rate = a.rates[a.one_rate ? 0 : settings.group];
    a.records[k] = math::record_of(settings, a.average, rate, before);
  }
  __syncthreads();  // all have read the count
  if (threadIdx.x == 0 && a.counted != nullptr) *a.counted = before + 1;
}

__global__ void go_to_next_step(const NextStep a) {
  const Step& step = a.steps[*a.number];
  *a.at = {step.first, step.t - 1, step.learning_rate};
  ++*a.number;
}

inline void start_step_records(const StepRecords& a, onepass::Team& team) {
  if (team.rank == 0) launch(write_step_records, {1}, {kBlockThreads}, team, a);
}
inline void start_next_step(const NextStep& a, onepass::Team& team) {
  if (team.rank == 0) launch(go_to_next_step, {1}, {1}, team, a);
}

}  // namespace
}  // namespace onepass::cuda
