// The table of kernels of the GPU: host functions that start them.
#pragma once

#include "circle.h"
#include "clip_factors.h"
#include "combine.h"
#include "dense_update.h"
#include "factored.h"
#include "measure.h"
#include "rows.h"
#include "step_records.h"
#include "sums_of_squares.h"

namespace onepass::cuda {
namespace {

template <class T>
constexpr KernelTable<T> kTable = {
    .dense_forward = start_dense_forward<T>,
    .dense_backward_input = start_dense_backward_input<T>,
    .dense_backward_weights = start_dense_backward_weights<T>,
    .activation_forward = start_activation_forward<T>,
    .activation_backward = start_activation_backward<T>,
    .softmax = start_softmax<T>,
    .softmax_backward = start_softmax_backward<T>,
    .log_softmax = start_log_softmax<T>,
    .log_softmax_backward = start_log_softmax_backward<T>,
    .sparsemax = start_sparsemax<T>,
    .sparsemax_backward = start_sparsemax_backward<T>,
    .glu = start_glu<T>,
    .glu_backward = start_glu_backward<T>,
    .dropout = start_dropout<T>,
    .batch_norm_forward = start_batch_norm_forward<T>,
    .batch_norm_inference = start_batch_norm_inference<T>,
    .batch_norm_backward = start_batch_norm_backward<T>,
    .moving_statistics = start_moving_statistics<T>,
    .row_norm = start_row_norm<T>,
    .row_norm_backward = start_row_norm_backward<T>,
    .combine = start_combine<T>,
    .combine_backward = start_combine_backward<T>,
    .scaled_copy = start_scaled_copy<T>,
    .scaled_sum = start_scaled_sum<T>,
    .embedding = start_embedding<T>,
    .embedding_backward = start_embedding_backward<T>,
    .gaussian = start_gaussian<T>,
    .rrelu = start_rrelu<T>,
    .loss = start_loss<T>,
    .circle = start_circle<T>,
    .row_accuracy = start_row_accuracy<T>,
    .weighted_sum = start_weighted_sum<T>,
    .confusion_counts = start_confusion_counts<T>,
    .column_sums = start_column_sums<T>,
    .gather_rows = start_gather_rows<T>,
    .gather_indices = start_gather_indices,
    .update = start_update<T>,
    .dense_update = start_dense_update<T>,
    .sum_of_squares = start_sum_of_squares<T>,
    .measure = start_measure<T>,
    .factor_moments = start_factor_moments<T>,
    .factor_measure = start_factor_measure<T>,
    .factor_update = start_factor_update<T>,
    .scale_clip = start_scale_clip<T>,
    .penalty = start_penalty<T>,
    .constrain = start_constrain<T>,
    .sums_of_squares = start_sums_of_squares<T>,
    .clip_factors = start_clip_factors,
    .kept_table_bytes = kept_table_bytes<T>,
    .write_kept_table = write_kept_table<T>,
    .step_records = start_step_records,
    .next_step = start_next_step,
};

}  // namespace
}  // namespace onepass::cuda
