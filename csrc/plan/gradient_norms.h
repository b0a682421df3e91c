// Norms of gradients: sums of squares by blocks, joined on the host, or on a GPU by itself.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "buckets.h"
#include "surroundings.h"

namespace onepass {

constexpr int64_t norm_blocks(int64_t size) { return (size + kNormBlock - 1) / kNormBlock; }

template <class T>
class GradientNorms {
 public:
  using Tensors = std::vector<SteppedTensor<T>>;
  using Buckets = std::vector<Bucket<T>>;

  explicit GradientNorms(const Device* device)
      : partials_(Reachable<double>(device)),
        decided_(Reachable<double>(device)),
        blocks_(Reachable<Range>(device)) {}

  // Room for one more tensor; returns its first block.
  int64_t add(int64_t size) {
    const auto first = static_cast<int64_t>(partials_.size());
    partials_.resize(partials_.size() + static_cast<std::size_t>(norm_blocks(size)));
    return first;
  }
  std::size_t blocks() const { return partials_.size(); }

  // Takes the sums of a bucket, whose blocks begin there.
  void sum(const Update<T>& of, const int64_t* first_blocks, const KernelTable<T>& table,
           Team& team) {
    if (table.sums_of_squares != nullptr) {
      return table.sums_of_squares({of, first_blocks, partials_.data()}, team);
    }
    for (int64_t k = 0; k < of.n_segments; ++k) {
      table.sum_of_squares(
          {of.segments[k].g, of.segments[k].size, partials_.data() + first_blocks[k],
           of.beside != nullptr ? of.beside + k : nullptr, of.beyond.adds},
          team);
    }
  }

  // Before any scale. Every member adds up for itself, alike: one that did for all would cost
  // another barrier.
  double of_all(const Tensors& tensors) const {
    double sum = 0.0;
    for (const auto& tensor : tensors) {
      if (tensor.present()) sum += squares_of(tensor);
    }
    return std::sqrt(sum);
  }
  double of(const SteppedTensor<T>& tensor) const { return std::sqrt(squares_of(tensor)); }

  // From now on the GPU decides what clipping multiplies gradients by.
  void decide_there(const Tensors& tensors, Buckets& buckets) {
    decided_.assign(tensors.size() + 1, std::numeric_limits<double>::quiet_NaN());
    blocks_.clear();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const SteppedTensor<T>& tensor = tensors[i];
      const int64_t size = tensor.present() ? tensor.segment.size : 0;
      blocks_.push_back({tensor.first_block, tensor.first_block + norm_blocks(size)});
      if (tensor.present()) {
        buckets[tensor.bucket].segments[tensor.place].factor = decided_.data() + 1 + i;
      }
    }
  }
  // `norm`: where that of all goes, if it is not asked for by `decided`.
  void start_decision(const NormClip& by, double scale, const KernelTable<T>& table, Team& team,
                      double* norm = nullptr) {
    table.clip_factors({by.kind, by.clip, std::fabs(scale), partials_.data(), blocks_.data(),
                        static_cast<int64_t>(blocks_.size()),
                        norm == nullptr ? decided_.data() : norm, decided_.data() + 1},
                       team);
  }
  // The norm of all, once the GPU was waited for.
  double decided() const { return decided_[0]; }

 private:
  double squares_of(const SteppedTensor<T>& tensor) const {
    double sum = 0.0;
    const int64_t end = tensor.first_block + norm_blocks(tensor.segment.size);
    for (int64_t b = tensor.first_block; b < end; ++b) sum += partials_[b];
    return sum;
  }

  ReachableVector<double> partials_;
  ReachableVector<double> decided_;  // the norm of all gradients, and a factor a tensor
  ReachableVector<Range> blocks_;    // of each tensor
};

}  // namespace onepass
