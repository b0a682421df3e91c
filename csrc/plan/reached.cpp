#include "reached.h"

#include <algorithm>
#include <cstring>

namespace onepass {
namespace {

// Areas of a workspace, and from kSources on one a source.
constexpr std::size_t kSums = 0, kIndex = 1, kSteps = 2, kProgress = 3, kSources = 4;

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
  if (!reaches_all) {
    for (std::size_t k = 0; k < given_.sources.size(); ++k) copy_rows(workspace, k, positions);
    reached_.index = nullptr;
  } else if (given_.index != nullptr) {
    const int64_t n = positions.end - positions.begin;
    auto* index =
        static_cast<int64_t*>(workspace.area(kIndex, n * static_cast<int64_t>(sizeof(int64_t))));
    std::copy(given_.index + positions.begin, given_.index + positions.end, index);
    reached_.index = index - positions.begin;
  }
}

void ReachedReplay::copy_rows(Workspace& workspace, std::size_t source, Range positions) {
  const Source& from = given_.sources[source];
  const int64_t bytes = from.sample_bytes;
  auto* to = static_cast<char*>(
      workspace.area(kSources + source, (positions.end - positions.begin) * bytes));
  for (int64_t p = positions.begin; p < positions.end; ++p) {
    const int64_t row = given_.index != nullptr ? given_.index[p] : p;
    std::memcpy(to + (p - positions.begin) * bytes,
                static_cast<const char*>(from.data) + row * from.stride, bytes);
  }
  reached_.sources[source].data = to - positions.begin * bytes;
  reached_.sources[source].stride = bytes;
}

}  // namespace onepass
