// What an optimizer knows of each of its tensors, and those that a step treats alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kernels.h"
#include "../memory.h"

namespace onepass {

template <class T>
struct SteppedTensor {
  Segment<T> segment;
  Beside<T> beside;
  int group;
  bool decays;
  int64_t missed;
  int64_t first_block;  // of its partial sums
  Lines lines;          // of a factored rule
  std::size_t bucket, place;
  bool present() const { return beside.g != nullptr || segment.size == 0; }
};

// Tensors that have the same numbers of the rule and the same surroundings, so that a step prepares
// nothing for each of them, unless the norm of each is clipped.
template <class T>
struct Bucket {
  StepSettings settings;
  int group;
  bool decays;
  ReachableVector<int64_t> first_blocks_there;  // as `first_blocks`, for a GPU that sums
  std::vector<Segment<T>> segments = {};
  std::vector<Beside<T>> beside = {};
  std::vector<Around> around = {};  // of each, where each norm is clipped
  std::vector<int64_t> first_blocks = {};
  std::vector<Lines> lines = {};
  bool needs_beside = false;
  Memory table = {};  // of `kept`
  KeptTable kept = {};

  void add(const SteppedTensor<T>& tensor, bool with_beside) {
    segments.push_back(tensor.segment);
    beside.push_back(tensor.beside);
    around.emplace_back();
    first_blocks.push_back(tensor.first_block);
    lines.push_back(tensor.lines);
    needs_beside = needs_beside || with_beside;
  }
};

}  // namespace onepass
