// Batch normalization: statistics, values and gradients column by column. A member of a team takes
// whole columns, so there is nothing to wait for and no sum is divided.
#pragma once

#include "../math/two_sum.h"
#include "put_columns.h"

namespace onepass::ONEPASS_ISA {
namespace {

// The mean first, then the variance of what is left. Values are taken relative to the first row: of
// a large mean with a small variance little is lost that way, and with n rows whose first is far
// from all others at most sqrt(n) units in the last place of the deviation.
template <class T>
ONEPASS_LOOP void find_statistics(Matrix<const T> x, Matrix<T> statistics) {
  const int64_t cols = x.cols;
  const T count = static_cast<T>(x.rows > 0 ? x.rows : 1);
  T *mean = statistics.row(kMeanRow), *low = statistics.row(kMeanLowRow);
  T *variance = statistics.row(kVarianceRow), *area = statistics.row(kInverseRow);
  const T* first = x.rows > 0 ? x.data : nullptr;
  sum_rows(x.rows, cols, {ColumnSum<T>{mean, low}}, [&](auto at) ONEPASS_FLAT {
    const auto base = at.load(first);
    return [=](int64_t r, auto& into)
               ONEPASS_FLAT { into[0] = into[0] + (at.load(x.row(r)) - base); };
  });
  each_column(0, cols, [&](int64_t c) ONEPASS_FLAT {
    mean[c] = math::two_sum(first != nullptr ? first[c] : T(0), mean[c] / count, low[c]);
  });
  const auto square = [&](auto at) ONEPASS_FLAT {
    const auto high = at.load(mean), rest = at.load(low);
    return [=](int64_t r, auto& into) ONEPASS_FLAT {
      const auto d = (at.load(x.row(r)) - high) - rest;
      into[0] = into[0] + d * d;
    };
  };
  sum_rows(x.rows, cols, {ColumnSum<T>{variance, area}}, square);
  each_column(0, cols, [&](int64_t c) ONEPASS_FLAT { variance[c] = variance[c] / count; });
}

// What is given in the place of a batch's own.
template <class T>
ONEPASS_LOOP void copy_statistics(const T* mean, const T* variance, Matrix<T> statistics) {
  each_column(0, statistics.cols, [&](int64_t c) ONEPASS_FLAT {
    statistics.row(kMeanRow)[c] = mean[c];
    statistics.row(kMeanLowRow)[c] = T(0);
    statistics.row(kVarianceRow)[c] = variance[c];
  });
}

// y = (x - mean) scale + shift; the low part of the mean goes into the shift. The last row of the
// statistics, 1 / sqrt(variance + epsilon), is written on the way. `scale` and `shift` are work
// areas.
template <class T>
ONEPASS_LOOP void apply_statistics(Matrix<const T> x, Matrix<T> statistics, const T* gamma,
                                   const T* beta, double epsilon, Matrix<T> y, T* scale, T* shift) {
  const auto least = static_cast<T>(epsilon);
  const T *mean = statistics.row(kMeanRow), *low = statistics.row(kMeanLowRow);
  const T* variance = statistics.row(kVarianceRow);
  T* inverse = statistics.row(kInverseRow);
  each_column(0, x.cols,
              [&](int64_t c) ONEPASS_FLAT { inverse[c] = T(1) / math::sqrt(variance[c] + least); });
  each_column(0, x.cols, [&](int64_t c) ONEPASS_FLAT {
    scale[c] = gamma != nullptr ? gamma[c] * inverse[c] : inverse[c];
    shift[c] = (beta != nullptr ? beta[c] : T(0)) - low[c] * scale[c];
  });
  for_groups<T>({0, x.rows}, x.cols, [&](auto at, auto group) ONEPASS_FLAT {
    const auto m = at.load(mean), k = at.load(scale), b = at.load(shift);
    for (int64_t i = 0; i < group.count(); ++i) {
      const int64_t r = group.first + i;
      at.store(y.row(r), (at.load(x.row(r)) - m) * k + b);
    }
  });
}

template <class T>
ONEPASS_LOOP void batch_norm_forward(const BatchNormForward<T>& a, ColumnTeam& team) {
  auto* area = static_cast<T*>(team.scratch);
  for_columns<T>(a.y.cols, 2, team, [&](Range cols) {
    const Matrix<const T> x = columns_of(a.x, cols);
    const Matrix<T> z = columns_of(a.z, cols), y = columns_of(a.y, cols);
    const Matrix<T> statistics = columns_of(a.statistics, cols);
    find_statistics(x, statistics);
    apply_statistics(x, statistics, columns_of(a.gamma, cols), columns_of(a.beta, cols), a.epsilon,
                     z ? z : y, area, area + x.cols);
    activate_columns(z, y, a.activation);
  });
}

template <class T>
ONEPASS_LOOP void batch_norm_inference(const BatchNormInference<T>& a, ColumnTeam& team) {
  auto* area = static_cast<T*>(team.scratch);
  for_columns<T>(a.y.cols, 2 + kBatchStatistics, team, [&](Range cols) {
    const Matrix<const T> x = columns_of(a.x, cols);
    const Matrix<T> z = columns_of(a.z, cols), y = columns_of(a.y, cols);
    const Matrix<T> own{area + 2 * x.cols, kBatchStatistics, x.cols, x.cols};
    const Matrix<T> statistics = a.statistics ? columns_of(a.statistics, cols) : own;
    copy_statistics(columns_of(a.moving_mean, cols), columns_of(a.moving_variance, cols),
                    statistics);
    apply_statistics(x, statistics, columns_of(a.gamma, cols), columns_of(a.beta, cols), a.epsilon,
                     z ? z : y, area, area + x.cols);
    activate_columns(z, y, a.activation);
  });
}

// With d = x - mean: dbeta = sum dy, dgamma = sum dy d / deviation,
// dx = gamma / deviation (dy - mean of dy - d / deviation (mean of dy d / deviation)).
template <class T>
ONEPASS_LOOP void differentiate(const BatchNormBackward<T>& a, T* area) {
  const int64_t n = a.dy.rows, cols = a.dy.cols;
  const T count = static_cast<T>(n > 0 ? n : 1);
  const T *mean = a.statistics.row(kMeanRow), *low = a.statistics.row(kMeanLowRow);
  const T* inverse = a.statistics.row(kInverseRow);
  T *dbeta = area, *dgamma = area + cols, *shift = area + 2 * cols, *slope = area + 3 * cols;
  if (!a.fixed || a.dgamma != nullptr || a.dbeta != nullptr) {
    const auto term = [&](auto at) ONEPASS_FLAT {
      const auto high = at.load(mean), rest = at.load(low);
      return [=, &a](int64_t r, auto& into) ONEPASS_FLAT {
        const auto dy = at.load(a.dy.row(r));
        into[0] = into[0] + dy;
        into[1] = into[1] + dy * ((at.load(a.x.row(r)) - high) - rest);
      };
    };
    sum_rows(n, cols, {ColumnSum<T>{dbeta, shift}, ColumnSum<T>{dgamma, slope}}, term);
    each_column(0, cols, [&](int64_t c) ONEPASS_FLAT { dgamma[c] *= inverse[c]; });
    put_columns(a.dbeta, dbeta, cols, a.accumulate_beta);
    put_columns(a.dgamma, dgamma, cols, a.accumulate_gamma);
  }
  if (!a.dx) return;
  each_column(0, cols, [&](int64_t c) ONEPASS_FLAT {
    shift[c] = dbeta[c] / count;
    slope[c] = dgamma[c] / count * inverse[c];
  });
  T* scale = area;  // where dbeta was
  each_column(0, cols, [&](int64_t c) ONEPASS_FLAT {
    scale[c] = a.gamma != nullptr ? a.gamma[c] * inverse[c] : inverse[c];
  });
  const auto write = [&](auto at, int64_t r, auto dx) ONEPASS_FLAT {
    at.store(a.dx.row(r), a.accumulate ? at.load(a.dx.row(r)) + dx : dx);
  };
  for_groups<T>({0, n}, cols, [&](auto at, auto group) ONEPASS_FLAT {
    const auto high = at.load(mean), rest = at.load(low), k = at.load(scale);
    const auto s = at.load(shift), t = at.load(slope);
    for (int64_t i = 0; i < group.count(); ++i) {
      const int64_t r = group.first + i;
      const auto dy = at.load(a.dy.row(r));
      if (a.fixed) {
        write(at, r, dy * k);
      } else {
        write(at, r, (dy - s - ((at.load(a.x.row(r)) - high) - rest) * t) * k);
      }
    }
  });
}

template <class T>
ONEPASS_LOOP void batch_norm_backward(const BatchNormBackward<T>& a, ColumnTeam& team) {
  for_columns<T>(a.dy.cols, 4, team, [&](Range cols) {
    BatchNormBackward<T> part = a;
    part.x = columns_of(a.x, cols), part.dy = columns_of(a.dy, cols);
    part.statistics = columns_of(a.statistics, cols), part.gamma = columns_of(a.gamma, cols);
    part.dx = columns_of(a.dx, cols);
    part.dgamma = columns_of(a.dgamma, cols), part.dbeta = columns_of(a.dbeta, cols);
    differentiate(part, static_cast<T*>(team.scratch));
  });
}

template <class T>
ONEPASS_LOOP void moving_statistics(const MovingStatistics<T>& a, ColumnTeam& team) {
  const auto kept = static_cast<T>(a.momentum), taken = static_cast<T>(1.0 - a.momentum);
  const Range share = team.share(a.statistics.cols, kColumnGrain<T>);
  const T *mean = a.statistics.row(kMeanRow), *variance = a.statistics.row(kVarianceRow);
  each_column(share.begin, share.end, [&](int64_t c) ONEPASS_FLAT {
    a.mean[c] = a.mean[c] * kept + mean[c] * taken;
    a.variance[c] = a.variance[c] * kept + variance[c] * taken;
  });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
