// A recorded model: a flat list of kernel calls over named buffers, replayed without Python.
// Immutable once built; every concurrent replay takes a Workspace of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../kernels.h"
#include "../memory.h"

namespace onepass {

using BufferId = int;
inline constexpr BufferId kNone = -1;

// What a call reads or writes. Rows buffers hold rows_per_sample rows for each sample of the batch;
// fixed ones (parameters, gradients) are memory that the Python side keeps alive.
struct BufferSpec {
  int64_t rows_per_sample = 0;  // 0: `rows` is fixed
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;
  int64_t item_size = 0;
  void* fixed = nullptr;
  BufferId view_of = kNone;  // shares that buffer's memory under another shape
  bool square = false;       // as many columns as rows, without gaps

  bool owns_memory() const { return fixed == nullptr && view_of == kNone; }
};

struct Source {
  const void* data;
  SourceType type;
  int64_t stride;  // bytes
  double scale;
  int64_t sample_bytes;
};

struct Output {
  char* data;
  int64_t stride;  // bytes
};

struct Replay {
  std::vector<Source> sources;
  std::vector<Output> outputs;
  const int64_t* index = nullptr;  // row of each position, or nullptr: the position itself
  const Step* steps = nullptr;
  int64_t n_steps = 0;
  double* sums = nullptr;
  int64_t n_sums = 0;
  uint32_t draw = 0;     // of dropout's masks
  double seconds = 0.0;  // stop at the first step's end after this long; 0: never
  // Asked now and then within long steps; true ends the replay before the next call.
  std::function<bool()> interrupted;
};

class Workspace;
class Staging;

// The numbers of an optimizer's rule at one step, prepared by each member once.
struct RuleNumbers {
  const void* optimizer = nullptr;
  int64_t t = -1;
  double learning_rate = 0.0;
  double scalars[kMaxScalars] = {};
  const StepRecord* record = nullptr;  // where they are instead, see Frame::at
};

// One step of one replay as a call sees it.
struct Frame {
  const std::vector<BufferSpec>& buffers;
  const Workspace& workspace;
  const Kernels& kernels;
  const Replay& replay;
  RuleNumbers& numbers;
  bool& failed;  // of this member; ends the replay before the next phase
  Step step;
  // On a GPU: where a step that is launched again and again finds what changes; null: `step` has it
  // all.
  const StepAt* at = nullptr;

  Position first() const { return at == nullptr ? Position(step.first) : Position(0, &at->first); }
  template <class T>
  Matrix<T> matrix(BufferId id) const;
  template <class T>
  T* data(BufferId id) const;
};

class Call {
 public:
  virtual ~Call() = default;
  virtual void run(const Frame& frame, Team& team) const = 0;
  // Multiply-adds or elements a step of `rows` samples costs, for deciding on helpers.
  virtual double work(int64_t rows) const = 0;
  // Whether it changes parameters: from the first such call on a step runs to its end.
  virtual bool updates() const { return false; }
  // Whether a GPU's graph can do it again and again: it only starts kernels, which find what
  // changes from step to step by Frame::at.
  virtual bool repeats() const { return true; }
};

// Memory of one replay: an aligned, zeroed block cut into the program's rows buffers. On a GPU also
// a stream.
class Workspace {
 public:
  Workspace(const std::vector<BufferSpec>& buffers, int64_t capacity,
            const Device* device = nullptr);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  int64_t capacity() const { return capacity_; }
  int64_t bytes() const;
  void* at(BufferId id) const { return at_[id]; }
  // From now on the buffer is this memory, its own or a caller's.
  void bind(BufferId id, void* memory) { at_[id] = memory; }
  void* stream() const { return stream_; }
  // At least so many bytes that kernels reach, the same ones at each call with this number.
  void* area(std::size_t number, int64_t bytes);
  // For samples that the GPU does not reach.
  Staging& staging();
  // The graph of some steps that a GPU launches: null at first.
  void*& graph() { return graph_; }
  // Steps after which the host waits for the GPU.
  int64_t& pace() { return pace_; }

 private:
  struct Area {
    Memory memory;
    int64_t bytes = 0;
  };

  const Device* device_;
  void* stream_ = nullptr;
  void* graph_ = nullptr;
  int64_t pace_ = 1;
  std::vector<Area> areas_;
  std::unique_ptr<Staging> staging_;
  int64_t capacity_, bytes_;
  Memory block_;
  std::vector<void*> at_;
};

class Program {
 public:
  explicit Program(const Device* device = nullptr) : device_(device) {}

  const Device* device() const { return device_; }  // nullptr: the processor
  BufferId add_buffer(const BufferSpec& spec);
  void add_call(std::unique_ptr<Call> call);
  // Calls of one phase do not depend on each other: members wait for each other only between
  // phases.
  void begin_phase() { phase_begins_ = true; }
  const BufferSpec& buffer(BufferId id) const;
  int64_t n_buffers() const { return static_cast<int64_t>(buffers_.size()); }
  const std::vector<BufferSpec>& buffers() const { return buffers_; }
  struct Entry {
    std::unique_ptr<Call> call;
    bool begins_phase;
  };
  const std::vector<Entry>& calls() const { return calls_; }

  // Runs the steps; adds to `done` how many were (fewer when the time ran out or on an interrupt,
  // and where a GPU fails, which throws). A step that is interrupted has not updated anything.
  void run(const Replay& replay, int64_t& done) const;

 private:
  std::unique_ptr<Workspace> acquire(int64_t rows) const;
  void release(std::unique_ptr<Workspace> workspace) const;
  int64_t run_here(const Replay& replay, int64_t rows, const Workspace& workspace) const;
  void run_on_device(const Replay& replay, Workspace& workspace,
                     int64_t& done) const;  // run_on_device.cpp

  std::vector<BufferSpec> buffers_;
  std::vector<Entry> calls_;
  const Device* device_;
  bool phase_begins_ = false;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

template <class T>
T* Frame::data(BufferId id) const {
  return id == kNone ? nullptr : static_cast<T*>(workspace.at(id));
}

template <class T>
Matrix<T> Frame::matrix(BufferId id) const {
  if (id == kNone) return {};
  const BufferSpec& spec = buffers[id];
  const int64_t rows = spec.rows_per_sample > 0 ? spec.rows_per_sample * step.rows : spec.rows;
  T* const data = static_cast<T*>(workspace.at(id));
  if (spec.square) return {data, rows, rows, rows};
  return {data, rows, spec.cols, spec.stride};
}

}  // namespace onepass
