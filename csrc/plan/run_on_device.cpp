// A replay on a GPU: one thread of the host starts all kernels and seldom waits for them.
#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>
#include <stdexcept>

#include "program.h"
#include "reached.h"

namespace onepass {
namespace {

using Clock = std::chrono::steady_clock;

// At most so many calls become one graph.
constexpr int64_t kCallsAGraph = 512;

// Waits for a GPU now and then, so that a replay ends soon after its time is up: the host may start
// a thousand kernels before it has to wait by itself. All its numbers are powers of two.
class Pace {
 public:
  // `every`: steps, from earlier replays of the same program.
  Pace(const Team& team, int64_t& every) : team_(team), every_(every) {}

  // Steps until it waits.
  int64_t left() const { return every_ - since_; }
  // Behind so many steps.
  void keep(int64_t steps) {
    since_ += steps;
    if (since_ < every_) return;
    const auto begun = Clock::now();
    await(team_);
    const std::chrono::duration<double> waited = Clock::now() - begun;
    every_ = waited.count() > team_.device->patience ? std::max<int64_t>(1, every_ / 2)
                                                     : std::min<int64_t>(2 * every_, kMost);
    since_ = 0;
  }

 private:
  static constexpr int64_t kMost = 256;

  const Team& team_;
  int64_t& every_;
  int64_t since_ = 0;
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

// One step; false: it was interrupted, or a call failed, before anything was updated.
bool run_step(const std::vector<Program::Entry>& calls, const Frame& frame, Interrupts& interrupts,
              Team& team) {
  bool updated = false;
  for (const Program::Entry& entry : calls) {
    const bool asks = entry.begins_phase && !updated;
    if ((entry.begins_phase && frame.failed) || (asks && interrupts.any())) return false;
    entry.call->run(frame, team);
    updated = updated || entry.call->updates();
  }
  return !frame.failed;
}

// Some steps as one graph, which is launched again and again: its kernels look up what changes from
// step to step. It is made once a replay.
class GraphOfSteps {
 public:
  using Calls = std::vector<Program::Entry>;

  GraphOfSteps(const Calls& calls, const Frame& frame, const ReachedReplay& reached,
               Workspace& workspace, Team& team)
      : calls_(calls),
        frame_(frame),
        next_(reached.steps()),
        graph_(workspace.graph()),
        team_(team),
        steps_(steps_a_graph(calls, frame.replay.n_steps, reached.most_steps())) {}

  // Whether it can do those behind so many: there are enough, and of one size.
  bool can_do(int64_t done, int64_t most) const {
    const Replay& replay = frame_.replay;
    if (steps_ == 0 || steps_ > std::min(most, replay.n_steps - done)) return false;
    const int64_t rows = made_ ? rows_ : replay.steps[done].rows;
    return std::all_of(replay.steps + done, replay.steps + done + steps_,
                       [&](const Step& step) { return step.rows == rows; });
  }
  // How many `start` starts. Before a workspace has a graph, one step goes without: most kernels
  // are then loaded, which a capture might not allow.
  int64_t coming() const { return made_ || graph_ != nullptr || warm_ ? steps_ : 1; }
  void start(int64_t done) {
    const int64_t steps = coming();
    if (steps == steps_ && !made_) make(done);
    find_step(done);
    if (made_) {
      check(team_.device->launch(graph_, team_.stream));
    } else {
      run(done, 1);
      warm_ = true;
    }
    at_ = done + steps;
  }

 private:
  static int64_t steps_a_graph(const Calls& calls, int64_t n_steps, int64_t most_at_once) {
    const auto repeats = [](const Program::Entry& entry) { return entry.call->repeats(); };
    if (!std::all_of(calls.begin(), calls.end(), repeats)) return 0;
    const auto n = std::max<int64_t>(1, static_cast<int64_t>(calls.size()));
    // To make a graph costs as much as its steps without one: it should be launched several times.
    const int64_t most = std::min({kCallsAGraph / n, n_steps / 4, most_at_once});
    return most < 2 ? 0 : static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(most)));
  }

  // Tells kernels which step is next, where they have not counted so far themselves.
  void find_step(int64_t done) {
    if (at_ != done) team_.device->write(next_.number, &done, sizeof done, team_.stream);
  }

  // Starts steps as kernels that look up what changes.
  void run(int64_t done, int64_t steps) {
    Frame frame = frame_;
    frame.at = next_.at;
    for (int64_t s = 0; s < steps; ++s) {
      frame.step = frame.replay.steps[done + s];
      frame.numbers.optimizer = nullptr;  // each step makes its own
      frame.kernels.f32.next_step(next_, team_);
      for (const Program::Entry& entry : calls_) entry.call->run(frame, team_);
    }
    frame.numbers = {};
  }

  void make(int64_t done) {
    if (!team_.device->record(team_.stream)) {
      throw std::runtime_error("the GPU failed: it captures no stream");
    }
    try {
      run(done, steps_);
    } catch (...) {
      team_.device->abandon(team_.stream);
      throw;
    }
    check(team_.device->keep(team_.stream, &graph_));
    rows_ = frame_.replay.steps[done].rows;
    made_ = true;
  }

  const Calls& calls_;
  const Frame& frame_;
  const NextStep next_;
  void*& graph_;
  Team& team_;
  int64_t steps_;  // 0: there is none
  int64_t rows_ = 0;
  int64_t at_ = 0;  // the step that kernels know as the next
  bool made_ = false, warm_ = false;
};

}  // namespace

void Program::run_on_device(const Replay& replay, Workspace& workspace, int64_t& done) const {
  const ReachedReplay reached(replay, workspace, *device_);
  Team host{0, 1, nullptr, nullptr};
  host.device = device_, host.stream = workspace.stream();
  RuleNumbers numbers;
  bool failed = false;
  Frame frame{buffers_, workspace, device_->kernels, *reached, numbers, failed, {}};
  const auto begun = Clock::now();
  const auto seconds_left = [&] {
    const std::chrono::duration<double> elapsed = Clock::now() - begun;
    return replay.seconds > 0.0 ? replay.seconds - elapsed.count()
                                : std::numeric_limits<double>::infinity();
  };
  GraphOfSteps graph(calls_, frame, reached, workspace, host);
  Pace pace(host, workspace.pace());
  Interrupts interrupts(replay);
  int64_t next = 0;
  bool goes_on = true;
  try {
    while (goes_on && next < replay.n_steps) {
      if (interrupts.any()) break;
      const bool in_graph = graph.can_do(next, pace.left());
      int64_t steps = in_graph ? graph.coming() : 1;
      reached.bring(next + steps);
      if (in_graph) {
        graph.start(next);
      } else {
        frame.step = replay.steps[next];
        goes_on = run_step(calls_, frame, interrupts, host);
        steps = goes_on ? 1 : 0;
      }
      next += steps, done += steps;
      if (goes_on) reached.go_on(next, seconds_left());
      pace.keep(steps);
      goes_on = goes_on && seconds_left() >= 0.0;
    }
    await(host);
  } catch (...) {
    device_->wait(host.stream);  // what was started is done all the same, as far as it goes
    reached.read_back();
    throw;
  }
  reached.read_back();
}

}  // namespace onepass
