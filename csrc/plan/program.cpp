#include "program.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"

namespace onepass {
namespace {

constexpr int64_t kAlign = 64;
// A step below this much work is done by one thread: the barriers would cost more.
constexpr double kStepWorthATeam = 1'000'000;
constexpr std::size_t kIdleWorkspaces = 4;

int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

int64_t bytes_of(const BufferSpec& spec, int64_t capacity) {
  const int64_t rows = spec.rows_per_sample > 0 ? spec.rows_per_sample * capacity : spec.rows;
  return aligned(rows * spec.stride * spec.item_size);
}

}  // namespace

void Workspace::Free::operator()(void* p) const { std::free(p); }

Workspace::Workspace(const std::vector<BufferSpec>& buffers, int64_t capacity)
    : capacity_(capacity) {
  int64_t total = kAlign;
  for (const auto& spec : buffers) {
    if (spec.owns_memory()) total += bytes_of(spec, capacity);
  }
  block_.reset(std::aligned_alloc(kAlign, total));
  if (block_ == nullptr) throw std::bad_alloc();
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
}

BufferId Program::add_buffer(const BufferSpec& spec) {
  buffers_.push_back(spec);
  return static_cast<BufferId>(buffers_.size()) - 1;
}

void Program::add_call(std::unique_ptr<Call> call) { calls_.push_back(std::move(call)); }

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
  return std::make_unique<Workspace>(buffers_, rows);
}

void Program::release(std::unique_ptr<Workspace> workspace) const {
  std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleWorkspaces) idle_.push_back(std::move(workspace));
}

int64_t Program::run(const Replay& replay) const {
  if (replay.n_steps == 0) return 0;
  int64_t rows = 0;
  for (int64_t s = 0; s < replay.n_steps; ++s) rows = std::max(rows, replay.steps[s].rows);
  auto workspace = acquire(rows);
  double step_work = 0.0;
  for (const auto& call : calls_) step_work += call->work(rows);
  const bool team_pays = step_work >= kStepWorthATeam;
  const auto start = std::chrono::steady_clock::now();
  int64_t done = 0;
  const Kernels& table = kernels();  // here, where a bad ONEPASS_ISA may still throw
  bool stop = false;                 // written by rank 0 before a barrier, read by all after it
  run_team(team_pays ? step_work * static_cast<double>(replay.n_steps) : 0.0, [&](Team& team) {
    Frame frame{buffers_, *workspace, table, replay, {}};
    for (int64_t s = 0; s < replay.n_steps; ++s) {
      frame.step = replay.steps[s];
      for (std::size_t c = 0; c < calls_.size(); ++c) {
        if (c > 0) team.sync();
        calls_[c]->run(frame, team);
      }
      if (team.rank == 0) {
        done = s + 1;
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        stop = replay.seconds > 0.0 && elapsed.count() > replay.seconds;
      }
      team.sync();
      if (stop) break;
    }
  });
  release(std::move(workspace));
  return done;
}

}  // namespace onepass
