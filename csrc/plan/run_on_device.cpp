// A replay on a GPU: one thread of the host starts all kernels and seldom waits for them.
#include <algorithm>
#include <bit>
#include <chrono>

#include "program.h"
#include "reached.h"

namespace onepass {
namespace {

using Clock = std::chrono::steady_clock;

// Calls of so many steps become one recording, which a GPU runs with less time between kernels.
constexpr int64_t kCallsARecording = 512;

// Waits for a GPU now and then, so that a replay ends soon after its time is up: the host may start
// a thousand kernels before it has to wait by itself. All its numbers are powers of two.
class Pace {
 public:
  explicit Pace(const Team& team) : team_(team) {}

  // Steps until it waits.
  int64_t left() const { return every_ - since_; }
  // Behind so many steps.
  void keep(int64_t steps) {
    since_ += steps;
    if (since_ < every_) return;
    const auto begun = Clock::now();
    await(team_);
    every_ = Clock::now() - begun > kBehind ? std::max<int64_t>(1, every_ / 2)
                                            : std::min<int64_t>(2 * every_, kMost);
    since_ = 0;
  }

 private:
  static constexpr auto kBehind = std::chrono::milliseconds(10);
  static constexpr int64_t kMost = 256;

  const Team& team_;
  int64_t every_ = 1, since_ = 0;
};

// Whether the user has interrupted; to ask takes Python's lock, so only now and then.
class Interrupts {
 public:
  explicit Interrupts(const Replay& replay) : replay_(replay) {}

  bool any() {
    if (!replay_.interrupted) return false;
    const auto now = Clock::now();
    if (now - asked_ < kAskEvery) return false;
    asked_ = now;
    return replay_.interrupted();
  }

 private:
  static constexpr auto kAskEvery = std::chrono::milliseconds(60);

  const Replay& replay_;
  Clock::time_point asked_ = Clock::now();
};

// What is started while it lives is recorded, and started by `play`. Of a single step nothing is
// recorded: it starts at once.
class Recording {
 public:
  Recording(const Team& team, Workspace& workspace, int64_t steps)
      : team_(team),
        kept_(workspace.recording(steps)),
        records_(steps > 1 && team.device->record(team.stream)) {}
  ~Recording() {
    if (records_) team_.device->abandon(team_.stream);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  bool records() const { return records_; }

  void play() {
    if (!records_) return;
    records_ = false;
    check(team_.device->play(team_.stream, &kept_));
  }

 private:
  const Team& team_;
  void*& kept_;
  bool records_;
};

// As many steps as become one recording, a power of two.
int64_t steps_a_recording(const std::vector<Program::Entry>& calls) {
  const auto only_starts = [](const Program::Entry& entry) { return entry.call->only_starts(); };
  if (!std::all_of(calls.begin(), calls.end(), only_starts)) return 1;
  const auto n = std::max<int64_t>(1, static_cast<int64_t>(calls.size()));
  int64_t steps = 1;
  while (2 * steps * n <= kCallsARecording) steps *= 2;
  return steps;
}

// One step; false: it was interrupted, or a call failed, before anything was updated. Within a
// recording nobody is asked for interrupts, as Python might then use the GPU otherwise.
bool run_step(const std::vector<Program::Entry>& calls, const Frame& frame, Interrupts* interrupts,
              Team& team) {
  bool updated = false;
  for (const Program::Entry& entry : calls) {
    const bool asks = entry.begins_phase && interrupts != nullptr && !updated;
    if ((entry.begins_phase && frame.failed) || (asks && interrupts->any())) return false;
    entry.call->run(frame, team);
    updated = updated || entry.call->updates();
  }
  return !frame.failed;
}

}  // namespace

int64_t Program::run_on_device(const Replay& replay, Workspace& workspace) const {
  const ReachedReplay reached(replay, workspace, *device_);
  Team host{0, 1, nullptr, nullptr};
  host.device = device_, host.stream = workspace.stream();
  RuleNumbers numbers;
  bool failed = false;
  Frame frame{buffers_, workspace, device_->kernels, *reached, numbers, failed, {}};
  const auto begun = Clock::now();
  const int64_t most = steps_a_recording(calls_);
  Pace pace(host);
  Interrupts interrupts(replay);
  int64_t done = 0;
  bool goes_on = true;
  while (goes_on && done < replay.n_steps) {
    if (interrupts.any()) break;
    const auto left = static_cast<uint64_t>(std::min(pace.left(), replay.n_steps - done));
    // Powers of two: few lengths of recordings, each of which is kept.
    const int64_t steps = std::min(most, static_cast<int64_t>(std::bit_floor(left)));
    Recording recording(host, workspace, steps);
    Interrupts* const asked = recording.records() ? nullptr : &interrupts;
    for (int64_t s = 0; s < steps && goes_on; ++s) {
      frame.step = replay.steps[done];
      goes_on = run_step(calls_, frame, asked, host);
      if (goes_on) ++done;
    }
    recording.play();
    pace.keep(steps);
    const std::chrono::duration<double> elapsed = Clock::now() - begun;
    goes_on = goes_on && !(replay.seconds > 0.0 && elapsed.count() > replay.seconds);
  }
  await(host);
  reached.read_back();
  return done;
}

}  // namespace onepass
