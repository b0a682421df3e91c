// Samples on their way to a GPU that does not reach them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../event.h"
#include "../memory.h"
#include "program.h"

namespace onepass {

struct Unpin {
  const Device* device = nullptr;  // that gave it

  void operator()(void* memory) const { device->unpin(memory); }
};
using Pinned = std::unique_ptr<void, Unpin>;

// Packs the samples of some steps, a portion, into pinned memory and sends them on a stream of
// their own. There is room for two portions: while kernels read one, the next is on its way.
class Staging {
 public:
  explicit Staging(const Device& device);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // For the steps of this replay, whose kernels are started on the stream; no kernel of an earlier
  // one is at work.
  void begin(const Replay& replay, void* kernels);
  // Where kernels find the samples of a source, and which of them is that of each position of the
  // steps, from the lowest one on.
  const void* source(std::size_t k) const { return sources_[k].there.get(); }
  void put_places(int64_t* places) const;
  // At most so many steps may be started at once.
  int64_t steps_a_portion() const { return steps_a_portion_; }
  // What it keeps, here and there.
  int64_t bytes() const;

  // Before kernels of the steps up to this one are started: they will find their samples.
  void bring(int64_t end);
  // Behind the start of all steps before this one: sends what comes next, if there is room, and
  // time before the replay ends.
  void go_on(int64_t next, double seconds_left);

 private:
  struct Staged {
    int64_t bytes;  // of all halves
    Pinned packed;
    Memory there;
  };

  int64_t steps() const { return replay_->n_steps; }
  Range steps_of(int64_t portion) const;
  Range positions_of(int64_t portion) const;
  int64_t first_row(int64_t portion) const { return portion % kHalves * rows_a_half_; }
  void make_room();
  void send(int64_t portion);
  void pack(std::size_t source, Range positions, char* to) const;

  static constexpr int64_t kHalves = 2;

  const Device& device_;
  const Event sent_[kHalves], read_[kHalves];
  void* const copies_;            // the stream
  double seconds_to_send_ = 0.0;  // the last portion
  std::vector<Staged> sources_;
  const Replay* replay_ = nullptr;
  void* kernels_ = nullptr;  // their stream
  int64_t steps_a_portion_ = 0, rows_a_half_ = 0;
  // Portions before these: were sent; are waited for by kernels; all their kernels are started.
  int64_t n_sent_ = 0, n_brought_ = 0, n_started_ = 0;
};

}  // namespace onepass
