#include "staging.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <stdexcept>

#include "../cpu/pool.h"

namespace onepass {
namespace {

// Enough that copies run at the bus's speed, little enough that the first one is there soon.
constexpr int64_t kBytesAPortion = int64_t{16} << 20;

// Whether each step goes on where the one before has ended.
bool goes_on(const Replay& replay) {
  for (int64_t s = 1; s < replay.n_steps; ++s) {
    const Step& before = replay.steps[s - 1];
    if (replay.steps[s].first != before.first + before.rows) return false;
  }
  return true;
}

// A power of two, as the steps of a graph; at least four portions, so that there is a next one.
int64_t choose_steps_a_portion(const Replay& replay) {
  if (!goes_on(replay)) return replay.n_steps;
  int64_t bytes = 0;
  for (const Source& source : replay.sources) bytes += source.sample_bytes * replay.steps[0].rows;
  int64_t steps = 1;
  while (8 * steps <= replay.n_steps && 2 * steps * bytes <= kBytesAPortion) steps *= 2;
  return steps;
}

}  // namespace

Staging::Staging(const Device& device)
    : device_(device),
      sent_{Event(device), Event(device)},
      read_{Event(device), Event(device)},
      copies_(device.open_stream()) {
  if (copies_ == nullptr) throw std::runtime_error("the GPU opens no stream");
}

Staging::~Staging() {
  device_.wait(copies_);  // it reads and writes what goes now
  device_.close_stream(copies_);
}

void Staging::begin(const Replay& replay, void* kernels) {
  check(device_.wait(copies_));  // of a replay that ended early
  replay_ = &replay, kernels_ = kernels;
  n_sent_ = n_brought_ = n_started_ = 0;
  steps_a_portion_ = choose_steps_a_portion(replay);
  rows_a_half_ = 0;
  for (int64_t p = 0; steps_of(p).begin < replay.n_steps; ++p) {
    const Range positions = positions_of(p);
    rows_a_half_ = std::max(rows_a_half_, positions.end - positions.begin);
  }
  make_room();
}

void Staging::make_room() {
  const int64_t halves = steps_a_portion_ < replay_->n_steps ? kHalves : 1;
  sources_.resize(replay_->sources.size());
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    Staged& staged = sources_[k];
    const int64_t bytes = halves * rows_a_half_ * replay_->sources[k].sample_bytes;
    if (staged.there != nullptr && staged.bytes >= bytes) continue;
    staged = {};  // first, so that there are never both
    const auto size = static_cast<std::size_t>(bytes);
    Memory there(device_.allocate_there(size + 1), {&device_});
    if (there == nullptr) throw OutOfDeviceMemory(size);
    Pinned packed(device_.pin(size + 1), {&device_});
    if (packed == nullptr) throw std::bad_alloc();
    staged = {bytes, std::move(packed), std::move(there)};
  }
}

int64_t Staging::bytes() const {
  int64_t all = 0;
  for (const Staged& staged : sources_) all += 2 * staged.bytes;
  return all;
}

Range Staging::steps_of(int64_t portion) const {
  const int64_t begin = portion * steps_a_portion_;
  return {begin, std::min(begin + steps_a_portion_, replay_->n_steps)};
}

Range Staging::positions_of(int64_t portion) const {
  const Range steps = steps_of(portion);
  Range all{replay_->steps[steps.begin].first, 0};
  for (int64_t s = steps.begin; s < steps.end; ++s) {
    const Step& step = replay_->steps[s];
    all = {std::min(all.begin, step.first), std::max(all.end, step.first + step.rows)};
  }
  return all;
}

void Staging::put_places(int64_t* places) const {
  const int64_t first = positions_of(0).begin;
  for (int64_t p = 0; steps_of(p).begin < replay_->n_steps; ++p) {
    const Range positions = positions_of(p);
    for (int64_t at = positions.begin; at < positions.end; ++at) {
      places[at - first] = first_row(p) + at - positions.begin;
    }
  }
}

void Staging::bring(int64_t end) {
  for (; n_brought_ * steps_a_portion_ < end; ++n_brought_) {
    while (n_sent_ <= n_brought_) send(n_sent_);
    sent_[n_brought_ % kHalves].hold(kernels_);
  }
}

void Staging::go_on(int64_t next, double seconds_left) {
  for (; n_started_ < n_sent_ && steps_of(n_started_).end <= next; ++n_started_) {
    read_[n_started_ % kHalves].mark(kernels_);
  }
  const bool more = n_sent_ * steps_a_portion_ < replay_->n_steps;
  const bool in_time = seconds_to_send_ < seconds_left;  // or it would have been in vain
  if (more && in_time && n_sent_ < n_started_ + kHalves) send(n_sent_);
}

// What was sent from this half before has gone, and what reads it there is done first.
void Staging::send(int64_t portion) {
  const int64_t half = portion % kHalves;
  const auto begun = std::chrono::steady_clock::now();
  check(sent_[half].reach());
  if (portion >= kHalves) read_[half].hold(copies_);
  const Range positions = positions_of(portion);
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    const int64_t bytes = replay_->sources[k].sample_bytes, at = first_row(portion) * bytes;
    char* const packed = static_cast<char*>(sources_[k].packed.get()) + at;
    pack(k, positions, packed);
    device_.write(static_cast<char*>(sources_[k].there.get()) + at, packed,
                  static_cast<std::size_t>((positions.end - positions.begin) * bytes), copies_);
  }
  sent_[half].mark(copies_);
  ++n_sent_;
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  seconds_to_send_ = taken.count();
}

void Staging::pack(std::size_t source, Range positions, char* to) const {
  const Source& from = replay_->sources[source];
  const int64_t n = positions.end - positions.begin, bytes = from.sample_bytes;
  const double work = kElementWork * static_cast<double>(n * bytes) / sizeof(float);
  const auto copy = [&](Team& team) {
    const Range share = team.share(n, 1);
    for (int64_t r = share.begin; r < share.end; ++r) {
      const int64_t at = positions.begin + r;
      const int64_t row = replay_->index != nullptr ? replay_->index[at] : at;
      std::memcpy(to + r * bytes, static_cast<const char*>(from.data) + row * from.stride,
                  static_cast<std::size_t>(bytes));
    }
  };
  run_team(work, [&copy](Team& team) { copy(team); });
}

}  // namespace onepass
