// Every loss, once. Adding an elementwise one: its header in losses/, its name here. Its kMean says
// whether a row's loss is the mean of its elements' or their sum.
// RowLosses are cross-entropies, whose targets may be class indices; SummaryLosses read their whole
// row through a RowSummary, BatchLosses the whole batch through one. A loss's id is its place in
// these lists, one after the other.
#pragma once

#include "losses/absolute_error.h"
#include "losses/binary_crossentropy.h"
#include "losses/binary_focal_crossentropy.h"
#include "losses/categorical_crossentropy.h"
#include "losses/categorical_focal_crossentropy.h"
#include "losses/categorical_generalized_crossentropy.h"
#include "losses/categorical_hinge.h"
#include "losses/cosine_similarity.h"
#include "losses/hinge.h"
#include "losses/huber.h"
#include "losses/kl_divergence.h"
#include "losses/mean_squared_error.h"
#include "losses/poisson.h"
#include "losses/tversky.h"

namespace onepass::math {
namespace {

using ElementwiseLosses =
    List<MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError,
         MeanSquaredLogarithmicError, Huber, LogCosh, Quantile, Poisson, Hinge, SquaredHinge,
         Perceptron, KLDivergence, BinaryCrossentropy, BinaryCrossentropyFromLogits,
         BinaryFocalCrossentropy, BinaryFocalCrossentropyFromLogits>;
using RowLosses =
    List<CategoricalCrossentropy, CategoricalCrossentropyFromLogits, CategoricalFocalCrossentropy,
         CategoricalFocalCrossentropyFromLogits, CategoricalGeneralizedCrossentropy>;
using SummaryLosses = List<CosineSimilarity, CategoricalHinge, Tversky>;
using BatchLosses = List<TverskyOfBatch>;

// Whether a loss has one value for all rows.
inline bool loss_of_batch(int id) {
  return id >= ElementwiseLosses::kSize + RowLosses::kSize + SummaryLosses::kSize;
}

}  // namespace
}  // namespace onepass::math
