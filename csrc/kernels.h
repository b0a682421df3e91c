// The table of kernels that every backend (one per instruction set, CUDA) fills.
// Kernels write exactly the elements that their arguments name: never padding, never past `cols`.
// Each call is made by every member of a Team; a kernel splits its work by rank, and no result
// depends on the size of the team.
#pragma once

#include <cstdint>

#include "arguments/combine.h"
#include "arguments/factored.h"
#include "arguments/measure.h"
#include "arguments/noise.h"
#include "arguments/normalization.h"
#include "arguments/penalty.h"
#include "arguments/update.h"
#include "matrix.h"
#include "team.h"

namespace onepass {

// On the CPU the depth of a product x w is summed up in one chain, or in two, [0, half) and [half,
// depth), whose sums are added: always, so that results do not depend on who computes which. Two
// members can then keep to their own rows of w, forward and in the gradient. Where there are two
// chains they are short enough never to be blocked.
inline constexpr int64_t kMostHalved = 1024;
ONEPASS_INLINE int64_t half_depth(int64_t depth) {
  return depth > 256 && depth <= kMostHalved ? (depth + 7) / 8 / 2 * 8 : 0;
}

// y = dropout(act(x w + b)); z, when given, receives x w + b. `partial`, when given, is a work area
// like y, for members that share the depth.
template <class T>
struct DenseForward {
  Matrix<const T> x, w;
  const T* b;
  Matrix<T> z, y;
  ActivationSpec activation;
  Matrix<T> partial = {};
  DropoutEnd dropout = {};
};

// dx = gain (dz w^T) * act'(x_in, x): `y` (and `z`) are the value (and input) of the activation
// that produced this product's input, so the derivative costs no pass of its own.
template <class T>
struct DenseBackwardInput {
  Matrix<const T> dz, w;
  Matrix<const T> z, y;
  Matrix<T> dx;
  ActivationSpec activation;
  bool accumulate;  // dx += instead of dx =; then the activation must be linear
  double gain = 1.0;
};

// dw = x^T dz, db = column sums of dz; either may be absent.
template <class T>
struct DenseBackwardWeights {
  Matrix<const T> x, dz;
  Matrix<T> dw;
  T* db;
  bool accumulate;
};

template <class T>
struct ActivationForward {
  Matrix<const T> x;
  Matrix<T> y;
  ActivationSpec activation;
};

// dx = dy * act'(x, y); x may be absent when the derivative follows from y.
template <class T>
struct ActivationBackward {
  Matrix<const T> x, y, dy;
  Matrix<T> dx;
  ActivationSpec activation;
  bool accumulate;
};

template <class T>
struct Softmax {
  Matrix<const T> x;
  Matrix<T> y;
};

template <class T>
struct SoftmaxBackward {
  Matrix<const T> y, dy;
  Matrix<T> dx;
  bool accumulate;
};

// Targets of a row-wise loss or metric: a dense matrix or one class index a row.
template <class T>
struct Target {
  Matrix<const T> dense;
  const int32_t* index = nullptr;
};

// values[r] = loss of row r (unweighted); gradient[r] = scale * weights[r] * d values[r] / d row r.
// `probabilities`, when given, receives softmax or sigmoid of the logits.
template <class T>
struct Loss {
  int id;  // index in math/losses.h
  double hyper[kMaxScalars];
  Target<T> target;
  Matrix<const T> prediction;
  const T* weights;  // per row, or nullptr
  T* values;         // per row, or nullptr
  Matrix<T> gradient;
  Matrix<T> probabilities;
  double scale;
};

enum class Accuracy : int {
  kBinary,
  kCategorical,
  kSparseCategorical,
  kEqual,
  kTopKCategorical,
  kSparseTopKCategorical
};

// Whether its targets are class indices.
ONEPASS_INLINE bool reads_index(Accuracy kind) {
  return kind == Accuracy::kSparseCategorical || kind == Accuracy::kSparseTopKCategorical;
}

// values[r] = share of right answers in row r.
template <class T>
struct RowAccuracy {
  Accuracy kind;
  double threshold;
  Target<T> target;
  Matrix<const T> prediction;
  T* values;
  int64_t k = 0;  // of kTopK: fewer than k elements must exceed the right one
};

// sums[0] += factor * sum_r weights[r] * values[r], sums[1] += count or, where that is negative,
// sum_r weights[r]; in double, fixed order.
template <class T>
struct WeightedSum {
  const T* values;
  const T* weights;
  int64_t size;
  double* sums;
  double factor = 1.0, count = -1.0;
};

enum class SourceType : int { kFloat32, kFloat64, kUint8, kInt32 };

// A member's share of gathered rows: a band of the columns, as for the products that read them, or
// of the rows where there are few columns.
template <class Team>
ONEPASS_INLINE Block gather_share(int64_t rows, int64_t cols, const Team& team) {
  if (cols >= 64 * team.size) return {{0, rows}, team.share(cols, 8)};
  return {team.share(rows, 1), {0, cols}};
}

// out[r] = source[index[r]], whole samples of class indices.
struct GatherIndices {
  const void* source;
  int64_t stride;        // of a sample, in bytes
  const int64_t* index;  // source sample of each output sample, or nullptr: first + r
  Position first;
  int32_t* out;  // gapless
  int64_t samples, sample_size;
};

// out[r] = scale * source[index[r]], converted to T.
template <class T>
struct GatherRows {
  const void* source;
  SourceType type;
  int64_t stride;        // of a row, in bytes
  const int64_t* index;  // source row of each output row, or nullptr: first + r
  Position first;
  double scale;
  Matrix<T> out;
};

template <class T>
struct InputNorm;

// The update of a dense layer's tensors by gradients that go nowhere else: update.segments are
// those of w and, where gradient.db is given, of b. gradient.dw is a work area, laid out as w, its
// padding zero.
// Rules and surroundings must need no more of a gradient than an element. `norm`, when given, is
// the batch norm before it, whose gradients are computed on the way.
template <class T>
struct DenseUpdate {
  DenseBackwardWeights<T> gradient;
  Update<T> update;
  const InputNorm<T>* norm = nullptr;
};

// y = clamp(x * scale, low, high) in place.
template <class T>
struct ScaleClip {
  T* data;
  int64_t size;
  double scale, low, high;
};

}  // namespace onepass

#include "arguments/circle.h"
#include "arguments/metrics.h"
#include "arguments/rowwise.h"

namespace onepass {

template <class T>
struct KernelTable {
  void (*dense_forward)(const DenseForward<T>&, Team&);
  void (*dense_backward_input)(const DenseBackwardInput<T>&, Team&);
  void (*dense_backward_weights)(const DenseBackwardWeights<T>&, Team&);
  void (*activation_forward)(const ActivationForward<T>&, Team&);
  void (*activation_backward)(const ActivationBackward<T>&, Team&);
  void (*softmax)(const Softmax<T>&, Team&);
  void (*softmax_backward)(const SoftmaxBackward<T>&, Team&);
  void (*log_softmax)(const Softmax<T>&, Team&);
  void (*log_softmax_backward)(const SoftmaxBackward<T>&, Team&);
  void (*sparsemax)(const Softmax<T>&, Team&);
  void (*sparsemax_backward)(const SoftmaxBackward<T>&, Team&);
  void (*glu)(const Glu<T>&, Team&);
  void (*glu_backward)(const GluBackward<T>&, Team&);
  void (*dropout)(const Dropout<T>&, Team&);
  void (*batch_norm_forward)(const BatchNormForward<T>&, Team&);
  void (*batch_norm_inference)(const BatchNormInference<T>&, Team&);
  void (*batch_norm_backward)(const BatchNormBackward<T>&, Team&);
  void (*moving_statistics)(const MovingStatistics<T>&, Team&);
  void (*row_norm)(const RowNorm<T>&, Team&);
  void (*row_norm_backward)(const RowNormBackward<T>&, Team&);
  void (*combine)(const Combine<T>&, Team&);
  void (*combine_backward)(const CombineBackward<T>&, Team&);
  void (*scaled_copy)(const ScaledCopy<T>&, Team&);
  void (*scaled_sum)(const ScaledSum<T>&, Team&);
  void (*embedding)(const Embedding<T>&, Team&);
  void (*embedding_backward)(const EmbeddingBackward<T>&, Team&);
  void (*gaussian)(const Gaussian<T>&, Team&);
  void (*rrelu)(const RandomRelu<T>&, Team&);
  void (*loss)(const Loss<T>&, Team&);
  void (*circle)(const Circle<T>&, Team&);
  void (*row_accuracy)(const RowAccuracy<T>&, Team&);
  void (*weighted_sum)(const WeightedSum<T>&, Team&);
  void (*confusion_counts)(const ConfusionCounts<T>&, Team&);
  void (*column_sums)(const ColumnSums<T>&, Team&);
  void (*gather_rows)(const GatherRows<T>&, Team&);
  void (*gather_indices)(const GatherIndices&, Team&);
  void (*update)(const Update<T>&, Team&);
  void (*dense_update)(const DenseUpdate<T>&, Team&);
  void (*sum_of_squares)(const SumOfSquares<T>&, Team&);
  void (*measure)(const Measure<T>&, Team&);
  void (*factor_moments)(const Factored<T>&, Team&);
  void (*factor_measure)(const Factored<T>&, Team&);
  void (*factor_update)(const Factored<T>&, Team&);
  void (*scale_clip)(const ScaleClip<T>&, Team&);
  void (*penalty)(const Penalty<T>&, Team&);
  void (*constrain)(const Constrain<T>&, Team&);
  // Of a GPU only.
  void (*sums_of_squares)(const SumsOfSquares<T>&, Team&) = nullptr;
  void (*clip_factors)(const ClipFactors&, Team&) = nullptr;
  // The bytes that its table of a step's segments takes, none where a launch carries
  // them all, and the table in memory that kernels reach, for Update::kept.
  int64_t (*kept_table_bytes)(const Update<T>&) = nullptr;
  KeptTable (*write_kept_table)(const Update<T>&, void* memory) = nullptr;
  void (*step_records)(const StepRecords&, Team&) = nullptr;
  void (*next_step)(const NextStep&, Team&) = nullptr;
};

struct Kernels {
  const char* isa;
  KernelTable<float> f32;
  KernelTable<double> f64;

  template <class T>
  ONEPASS_INLINE const KernelTable<T>& of() const {
    if constexpr (sizeof(T) == sizeof(float)) {
      return f32;
    } else {
      return f64;
    }
  }
};

}  // namespace onepass
