// The loops over rows and columns that CPU and GPU share, as kernels of the table.
#pragma once

#include "../loops/accuracy.h"
#include "../loops/batch_norm.h"
#include "../loops/circle.h"
#include "../loops/column_sums.h"
#include "../loops/confusion.h"
#include "../loops/constraint.h"
#include "../loops/dropout.h"
#include "../loops/elementwise.h"
#include "../loops/embedding.h"
#include "../loops/gather.h"
#include "../loops/gaussian.h"
#include "../loops/loss.h"
#include "../loops/penalty.h"
#include "../loops/row_norm.h"
#include "../loops/rowwise.h"
#include "../loops/rrelu.h"
#include "../loops/weighted_sum.h"
#include "teams.h"

namespace onepass::cuda {
namespace {

// Defines start_<name>(arguments, team), which starts a loop over rows with a member for each of
// `items`.
#define ONEPASS_ROWS(name, Arguments, items)                      \
  ONEPASS_LOOP_TYPE(name, Team);                                  \
  template <class T>                                              \
  void start_##name(const Arguments<T>& a, onepass::Team& team) { \
    start_rows<name##_loop>(a, items, team);                      \
  }

// Members for elements that are shared out by grains, or by rows where there are gaps.
template <class T>
int64_t grains(const Matrix<T>& m) {
  const int64_t by_size = (m.rows * m.cols + kGrain - 1) / kGrain;
  return by_size > m.rows ? by_size : m.rows;
}

ONEPASS_ROWS(activation_forward, ActivationForward, grains(a.y))
ONEPASS_ROWS(activation_backward, ActivationBackward, grains(a.dx))
ONEPASS_ROWS(softmax, Softmax, a.y.rows)
ONEPASS_ROWS(softmax_backward, SoftmaxBackward, a.dx.rows)
ONEPASS_ROWS(log_softmax, Softmax, a.y.rows)
ONEPASS_ROWS(log_softmax_backward, SoftmaxBackward, a.dx.rows)
ONEPASS_ROWS(sparsemax, Softmax, a.y.rows)
ONEPASS_ROWS(sparsemax_backward, SoftmaxBackward, a.dx.rows)
ONEPASS_ROWS(glu, Glu, a.y.rows)
ONEPASS_ROWS(glu_backward, GluBackward, a.dx.rows)
ONEPASS_ROWS(dropout, Dropout, a.y.rows)
ONEPASS_ROWS(gaussian, Gaussian, a.y.rows)
ONEPASS_ROWS(rrelu, RandomRelu, a.y.rows)
ONEPASS_ROWS(row_norm, RowNorm, a.y.rows)
ONEPASS_ROWS(row_norm_input_gradient, RowNormBackward, a.dy.rows)
ONEPASS_ROWS(embedding, Embedding, a.y.rows)
ONEPASS_ROWS(embedding_backward, EmbeddingBackward, a.dtable.rows)
ONEPASS_ROWS(gather_rows, GatherRows, a.out.rows)
ONEPASS_ROWS(row_accuracy, RowAccuracy, a.prediction.rows)
ONEPASS_ROWS(confusion_counts, ConfusionCounts, a.columns.end - a.columns.begin)
ONEPASS_ROWS(column_sums, ColumnSums, (a.prediction.cols + kLanes - 1) / kLanes)
ONEPASS_ROWS(weighted_sum, WeightedSum, 1)
ONEPASS_ROWS(penalty, Penalty, a.x.rows)
ONEPASS_ROWS(constrain, Constrain, a.x.rows > a.x.cols ? a.x.rows : a.x.cols)
ONEPASS_ROWS(circle_rows, Circle, a.embeddings.rows)
ONEPASS_ROWS(circle_values, Circle, a.embeddings.rows)

// Losses of whole batches wait for their totals.
ONEPASS_LOOP_TYPE(loss, Team);
template <class T>
void start_loss(const Loss<T>& a, onepass::Team& team) {
  if (math::loss_of_batch(a.id)) return start_block<loss_loop>(a, team);
  start_rows<loss_loop>(a, a.prediction.rows, team);
}

// Whole samples of class indices, one a member.
ONEPASS_LOOP_TYPE(gather_indices, Team);
inline void start_gather_indices(const GatherIndices& a, onepass::Team& team) {
  start_rows<gather_indices_loop>(a, a.samples, team);
}

#undef ONEPASS_ROWS

// Defines start_<name>(arguments, team), which starts a loop over columns.
#define ONEPASS_COLUMNS(name, Arguments, columns)                                         \
  template <class T>                                                                      \
  struct name##_columns {                                                                 \
    using Real = T;                                                                       \
    static __device__ __forceinline__ void run(const Arguments<T>& a, ColumnTeam& team) { \
      name(a, team);                                                                      \
    }                                                                                     \
  };                                                                                      \
  template <class T>                                                                      \
  void start_##name(const Arguments<T>& a, onepass::Team& team) {                         \
    start_columns<name##_columns<T>>(a, columns, team);                                   \
  }

ONEPASS_COLUMNS(batch_norm_forward, BatchNormForward, a.y.cols)
ONEPASS_COLUMNS(batch_norm_inference, BatchNormInference, a.y.cols)
ONEPASS_COLUMNS(batch_norm_backward, BatchNormBackward, a.dy.cols)
ONEPASS_COLUMNS(moving_statistics, MovingStatistics, a.statistics.cols)
ONEPASS_COLUMNS(row_norm_own_gradients, RowNormBackward, a.dy.cols)

#undef ONEPASS_COLUMNS

template <class T>
void start_row_norm_backward(const RowNormBackward<T>& a, onepass::Team& team) {
  if (a.dx) start_row_norm_input_gradient(a, team);
  if (a.dgamma != nullptr || a.dbeta != nullptr) start_row_norm_own_gradients(a, team);
}

}  // namespace
}  // namespace onepass::cuda
