#include "reached.h"

#include <algorithm>

#include "staging.h"

namespace onepass {
namespace {

// Areas of a workspace.
constexpr std::size_t kSums = 0, kIndex = 1, kSteps = 2, kProgress = 3;

// How far a replay is, for kernels.
struct Progress {
  int64_t number;  // of the next step
  StepAt at;
};

// Positions of the epoch that the steps read.
Range positions_of(const Replay& replay) {
  Range all{replay.steps[0].first, replay.steps[0].first};
  for (int64_t s = 0; s < replay.n_steps; ++s) {
    const Step& step = replay.steps[s];
    all.begin = std::min(all.begin, step.first);
    all.end = std::max(all.end, step.first + step.rows);
  }
  return all;
}

}  // namespace

ReachedReplay::ReachedReplay(const Replay& given, Workspace& workspace, const Device& device)
    : given_(given), reached_(given) {
  const int64_t bytes = given.n_sums * int64_t{sizeof(double)};
  reached_.sums = static_cast<double*>(workspace.area(kSums, bytes));
  std::copy(given.sums, given.sums + given.n_sums, reached_.sums);
  put_steps(workspace);
  put_sources(workspace, device);
}

void ReachedReplay::put_steps(Workspace& workspace) {
  const int64_t bytes = given_.n_steps * int64_t{sizeof(Step)};
  auto* const steps = static_cast<Step*>(workspace.area(kSteps, bytes));
  std::copy(given_.steps, given_.steps + given_.n_steps, steps);
  auto* const progress = static_cast<Progress*>(workspace.area(kProgress, sizeof(Progress)));
  *progress = {};
  steps_ = {steps, &progress->number, &progress->at};
}

void ReachedReplay::read_back() const {
  std::copy(reached_.sums, reached_.sums + given_.n_sums, given_.sums);
}

void ReachedReplay::put_sources(Workspace& workspace, const Device& device) {
  const Range positions = positions_of(given_);
  const bool reaches_all =
      std::all_of(given_.sources.begin(), given_.sources.end(),
                  [&](const Source& source) { return device.reaches(source.data); });
  if (reaches_all && given_.index == nullptr) return;
  const int64_t n = positions.end - positions.begin;
  auto* const index =
      static_cast<int64_t*>(workspace.area(kIndex, n * static_cast<int64_t>(sizeof(int64_t))));
  reached_.index = index - positions.begin;
  if (reaches_all) {
    std::copy(given_.index + positions.begin, given_.index + positions.end, index);
    return;
  }
  staging_ = &workspace.staging();
  staging_->begin(given_, workspace.stream());
  staging_->put_places(index);
  for (std::size_t k = 0; k < reached_.sources.size(); ++k) {
    Source& source = reached_.sources[k];
    source.data = staging_->source(k), source.stride = source.sample_bytes;
  }
}

int64_t ReachedReplay::most_steps() const {
  return staging_ == nullptr ? given_.n_steps : staging_->steps_a_portion();
}

void ReachedReplay::bring(int64_t end) const {
  if (staging_ != nullptr) staging_->bring(end);
}

void ReachedReplay::go_on(int64_t next, double seconds_left) const {
  if (staging_ != nullptr) staging_->go_on(next, seconds_left);
}

}  // namespace onepass
