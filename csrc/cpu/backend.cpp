// All kernels of one instruction set. Compiled once for each, with its flags and ONEPASS_ISA set to
// its name; the one symbol that leaves the object is kernels_<isa>().
#include "../loops/accuracy.h"
#include "../loops/batch_norm.h"
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
#include "../loops/rowwise.h"
#include "../loops/rrelu.h"
#include "../loops/scale_clip.h"
#include "../loops/weighted_sum.h"
#include "circle.h"
#include "combine.h"
#include "dense_update.h"
#include "factored.h"
#include "measure.h"
#include "reduce.h"
#include "row_norm_backward.h"
#include "update.h"

#define ONEPASS_TEXT_OF(x) #x
#define ONEPASS_TEXT(x) ONEPASS_TEXT_OF(x)
#define ONEPASS_JOIN_OF(a, b) a##b
#define ONEPASS_JOIN(a, b) ONEPASS_JOIN_OF(a, b)

namespace onepass {
namespace ONEPASS_ISA {
namespace {

template <class T>
constexpr KernelTable<T> kTable = {
    .dense_forward = dense_forward<T>,
    .dense_backward_input = dense_backward_input<T>,
    .dense_backward_weights = dense_backward_weights<T>,
    .activation_forward = activation_forward<T>,
    .activation_backward = activation_backward<T>,
    .softmax = softmax<T>,
    .softmax_backward = softmax_backward<T>,
    .log_softmax = log_softmax<T>,
    .log_softmax_backward = log_softmax_backward<T>,
    .sparsemax = sparsemax<T>,
    .sparsemax_backward = sparsemax_backward<T>,
    .glu = glu<T>,
    .glu_backward = glu_backward<T>,
    .dropout = dropout<T>,
    .batch_norm_forward = batch_norm_forward<T>,
    .batch_norm_inference = batch_norm_inference<T>,
    .batch_norm_backward = batch_norm_backward<T>,
    .moving_statistics = moving_statistics<T>,
    .row_norm = row_norm<T>,
    .row_norm_backward = row_norm_backward<T>,
    .combine = combine<T>,
    .combine_backward = combine_backward<T>,
    .scaled_copy = scaled_copy<T>,
    .scaled_sum = scaled_sum<T>,
    .embedding = embedding<T>,
    .embedding_backward = embedding_backward<T>,
    .gaussian = gaussian<T>,
    .rrelu = rrelu<T>,
    .loss = loss<T>,
    .circle = circle<T>,
    .row_accuracy = row_accuracy<T>,
    .weighted_sum = weighted_sum<T>,
    .confusion_counts = confusion_counts<T>,
    .column_sums = column_sums<T>,
    .gather_rows = gather_rows<T>,
    .gather_indices = gather_indices,
    .update = update<T>,
    .dense_update = dense_update<T>,
    .sum_of_squares = sum_of_squares<T>,
    .measure = measure<T>,
    .factor_moments = factor_moments<T>,
    .factor_measure = factor_measure<T>,
    .factor_update = factor_update<T>,
    .scale_clip = scale_clip<T>,
    .penalty = penalty<T>,
    .constrain = constrain<T>,
};

constexpr Kernels kKernels = {ONEPASS_TEXT(ONEPASS_ISA), kTable<float>, kTable<double>};

}  // namespace
}  // namespace ONEPASS_ISA

const Kernels& ONEPASS_JOIN(kernels_, ONEPASS_ISA)() { return ONEPASS_ISA::kKernels; }

}  // namespace onepass
