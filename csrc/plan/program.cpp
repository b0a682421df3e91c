#include "program.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"
#include "staging.h"

namespace onepass {
namespace {

constexpr int64_t kAlign = 64;
// A step below this much work is done by one thread: the barriers would cost more.
constexpr double kStepWorthATeam = 1'000'000;
// Steps with more work than this take milliseconds: Ctrl-C must not wait for their end.
constexpr double kLongStep = 500'000'000;
constexpr std::size_t kIdleWorkspaces = 4;
constexpr int64_t kIdleBytes = int64_t{1} << 24;

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// Lets rank 0 stop all members at the same barrier. Barriers are counted, because a slow member may
// look for the answer of one when rank 0 has already decided about the next.
class StopSign {
 public:
  explicit StopSign(const Replay& replay) : replay_(replay), start_(Clock::now()), asked_(start_) {}

  // Called by rank 0 before barrier number `barrier`. Asking takes Python's lock: only now and
  // then.
  void look_for_interrupt(int64_t barrier) {
    const auto now = Clock::now();
    if (now - asked_ < kAskEvery) return;
    asked_ = now;
    if (replay_.interrupted()) stop_at_.store(barrier, std::memory_order_relaxed);
  }
  void look_at_time(int64_t barrier) {
    const std::chrono::duration<double> elapsed = Clock::now() - start_;
    if (replay_.seconds > 0.0 && elapsed.count() > replay_.seconds) {
      stop_at_.store(barrier, std::memory_order_relaxed);
    }
  }
  void stop(int64_t barrier) { stop_at_.store(barrier, std::memory_order_relaxed); }
  // Called by every member behind that barrier.
  bool stops(int64_t barrier) const { return stop_at_.load(std::memory_order_relaxed) == barrier; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kAskEvery = std::chrono::milliseconds(60);

  const Replay& replay_;
  const Clock::time_point start_;
  Clock::time_point asked_;
  std::atomic<int64_t> stop_at_{-1};
};

int64_t bytes_of(const BufferSpec& spec, int64_t capacity) {
  const int64_t rows = spec.rows_per_sample > 0 ? spec.rows_per_sample * capacity : spec.rows;
  return aligned(rows * (spec.square ? rows : spec.stride) * spec.item_size);
}

}  // namespace

Workspace::Workspace(const std::vector<BufferSpec>& buffers, int64_t capacity, const Device* device)
    : device_(device), capacity_(capacity), bytes_(kAlign) {
  int64_t& total = bytes_;
  for (const auto& spec : buffers) {
    if (spec.owns_memory()) total += bytes_of(spec, capacity);
  }
  block_ = allocate(total, device);
  std::memset(block_.get(), 0, total);  // padding starts, and stays, zero
  char* next = static_cast<char*>(block_.get());
  for (const auto& spec : buffers) {
    if (spec.view_of != kNone) {
      at_.push_back(at_[spec.view_of]);
    } else {
      at_.push_back(spec.fixed != nullptr ? spec.fixed : next);
    }
    if (spec.owns_memory()) next += bytes_of(spec, capacity);
  }
  if (device == nullptr) return;
  stream_ = device->open_stream();
  if (stream_ == nullptr) throw std::runtime_error("the GPU opens no stream");
}

Workspace::~Workspace() {
  const OnDevice on_device(device_);
  staging_.reset();
  if (graph_ != nullptr) device_->forget(graph_);
  if (stream_ != nullptr) device_->close_stream(stream_);
}

Staging& Workspace::staging() {
  if (staging_ == nullptr) staging_ = std::make_unique<Staging>(*device_);
  return *staging_;
}

int64_t Workspace::bytes() const {
  return staging_ == nullptr ? bytes_ : bytes_ + staging_->bytes();
}

void* Workspace::area(std::size_t number, int64_t bytes) {
  if (areas_.size() <= number) areas_.resize(number + 1);
  Area& area = areas_[number];
  if (area.memory == nullptr || area.bytes < bytes) {
    bytes_ -= area.bytes;
    area = {};  // first, so that there are never both
    area = {allocate(bytes, device_), bytes};
    bytes_ += bytes;
  }
  return area.memory.get();
}

BufferId Program::add_buffer(const BufferSpec& spec) {
  buffers_.push_back(spec);
  return static_cast<BufferId>(buffers_.size()) - 1;
}

void Program::add_call(std::unique_ptr<Call> call) {
  calls_.push_back({std::move(call), phase_begins_ && !calls_.empty()});
  phase_begins_ = false;
}

const BufferSpec& Program::buffer(BufferId id) const {
  if (id < 0 || id >= n_buffers()) throw std::out_of_range("no buffer " + std::to_string(id));
  return buffers_[id];
}

std::unique_ptr<Workspace> Program::acquire(int64_t rows) const {
  {
    std::lock_guard lock(mutex_);
    while (!idle_.empty()) {
      auto found = std::move(idle_.back());
      idle_.pop_back();
      if (found->capacity() >= rows) return found;  // smaller ones are not kept
    }
  }
  return std::make_unique<Workspace>(buffers_, rows, device_);
}

void Program::release(std::unique_ptr<Workspace> workspace) const {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(workspace));
  // The last one used is kept whatever its size, others only while they are small.
  int64_t others = 0;
  for (std::size_t i = 0; i + 1 < idle_.size(); ++i) others += idle_[i]->bytes();
  while (idle_.size() > kIdleWorkspaces || (idle_.size() > 1 && others > kIdleBytes)) {
    others -= idle_.front()->bytes();
    idle_.erase(idle_.begin());
  }
}

void Program::run(const Replay& replay, int64_t& done) const {
  if (replay.n_steps == 0) return;
  int64_t rows = 0;
  for (int64_t s = 0; s < replay.n_steps; ++s) rows = std::max(rows, replay.steps[s].rows);
  const OnDevice on_device(device_);
  auto workspace = acquire(rows);
  if (device_ != nullptr) {
    run_on_device(replay, *workspace, done);
  } else {
    done += run_here(replay, rows, *workspace);
  }
  release(std::move(workspace));
}

int64_t Program::run_here(const Replay& replay, int64_t rows, const Workspace& workspace) const {
  double step_work = 0.0;
  for (const auto& entry : calls_) step_work += entry.call->work(rows);
  const bool team_pays = step_work >= kStepWorthATeam;
  const Kernels& table = kernels();  // here, where a bad ONEPASS_ISA may still throw
  StopSign sign(replay);
  const bool long_steps = replay.interrupted != nullptr && step_work >= kLongStep;
  int64_t done = 0;
  const auto all_steps = [&](Team& team) {
    RuleNumbers numbers;
    bool failed = false;
    Frame frame{buffers_, workspace, table, replay, numbers, failed, {}};
    int64_t barrier = 0;
    for (int64_t s = 0; s < replay.n_steps; ++s) {
      frame.step = replay.steps[s];
      bool updated = false;
      for (const Entry& entry : calls_) {
        if (entry.begins_phase) {
          ++barrier;
          if (long_steps && team.rank == 0 && !updated) sign.look_for_interrupt(barrier);
          if (failed) sign.stop(barrier);  // only of rank 0, which makes the calls that fail
          team.sync();
          if (sign.stops(barrier)) return;
        }
        entry.call->run(frame, team);
        updated = updated || entry.call->updates();
      }
      ++barrier;
      if (failed) sign.stop(barrier);
      if (team.rank == 0 && !failed) {
        done = s + 1;
        sign.look_at_time(barrier);
      }
      team.sync();
      if (sign.stops(barrier)) return;
    }
  };
  const double work = team_pays ? step_work * static_cast<double>(replay.n_steps) : 0.0;
  run_team(work, [&all_steps](Team& team) { all_steps(team); });
  return done;
}

}  // namespace onepass
