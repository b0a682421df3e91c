// Predictions straight from the caller's array into the result: no table of steps, no copies of
// rows that have the plan's type already, no barriers between threads.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "program.h"

namespace onepass {

// What is predicted: `rows` gapless samples, `x.stride` bytes apart, into a gapless result. The
// stride of a single sample is its size.
struct Prediction {
  Source x;
  int64_t rows;
  char* result;
  // Asked now and then without the GIL; true ends a long prediction early.
  std::function<bool()> interrupted;
};

// A program that begins with the gathering of its one input and ends with its one output.
class Predictor {
 public:
  // What one thread computes blocks of rows with. Its input and result buffers are bound to the
  // caller's memory, block by block.
  struct Lane {
    Lane(const std::vector<BufferSpec>& buffers, BufferId input, int64_t capacity)
        : specs(buffers), workspace(buffers, capacity), own_input(workspace.at(input)) {
      replay.sources.resize(1);
    }
    std::vector<BufferSpec> specs;
    Workspace workspace;
    void* const own_input;  // where rows of another type are converted to
    Replay replay;
    bool backwards = false;  // how the last block was computed
  };
  using Lanes = std::span<const std::unique_ptr<Lane>>;

  // How a prediction is cut: independent blocks of so many rows for at most so many threads;
  // no blocks (rows 0) where all threads had better share every product, because there are few rows
  // or the weights fill the caches.
  struct Cut {
    int64_t rows = 0;
    int threads = 1;
    bool brief = false;  // some 20 us: too short for helpers or for giving up the GIL
  };

  // `source` and `target` are the buffers that are gathered and put out; other calls only read the
  // one, and the two share no memory.
  Predictor(const Program& program, BufferId source, BufferId target, bool float64);

  Cut cut(int64_t rows) const;
  std::unique_ptr<Lane> new_lane(const Cut& cut) const;
  // One lane a thread; the cut must have blocks. False: interrupted.
  bool run(const Prediction& p, const Cut& cut, Lanes lanes) const;
  // For cuts without blocks: continues at sample `done` and returns where it ended, after at most
  // about `seconds`.
  int64_t run_steps(const Prediction& p, int64_t done, double seconds) const;

 private:
  bool reads_in_place(const Source& x) const;
  void bind_input(Lane& lane, char* rows, int64_t stride) const;
  void bind(Lane& lane, const Prediction& p, Range rows) const;
  void run_block(const Lane& lane, const Prediction& p, const Kernels& table, Range rows,
                 Team& team) const;

  const Program& program_;
  const SourceType type_;                   // that needs no conversion
  std::vector<BufferId> inputs_, results_;  // each buffer and its views
  const Call* gather_;
  std::vector<const Call*> calls_;  // between gathering and output
  int64_t sample_bytes_, item_size_, result_bytes_, result_stride_;
  bool one_row_;            // samples are rows of one matrix, which may lie anywhere
  int64_t block_rows_ = 0;  // 0: never
  double work_;             // of one sample
  double reading_ = 0.0;    // all weights once
};

}  // namespace onepass
