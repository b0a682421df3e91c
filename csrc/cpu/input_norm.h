// The gradients of a batch norm before a dense layer, by vectors: loops/input_norm.h says how.
#pragma once

#include "../loops/input_norm.h"
#include "../loops/put_columns.h"

namespace onepass::ONEPASS_ISA {
namespace {

// w . dw and w . db of rows, each sum still in the lanes of a vector: chains over the columns in
// ascending order, whoever adds to them.
template <class T, int kMost>
struct RowDots {
  using S = Simd<T>;
  static constexpr int kRow = 2 * S::kWidth;  // elements
  alignas(64) T at[kMost * kRow];

  ONEPASS_INLINE T* row(int64_t r) { return at + r * kRow; }
};

// Those of kRows rows.
template <class T, int kRows>
ONEPASS_INLINE void dot_rows(Matrix<const T> w, Matrix<const T> dw, const T* db, T* dots) {
  using S = Simd<T>;
  constexpr int64_t width = S::kWidth;
  typename S::V sums[kRows] = {}, others[kRows] = {};
  const auto add = [&](int64_t c, auto... n) __attribute__((always_inline)) {
    const auto b = S::load(db + c, n...);
    ONEPASS_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const auto row = S::load(w.row(i) + c, n...);
      sums[i] = S::fma(row, S::load(dw.row(i) + c, n...), sums[i]);
      others[i] = S::fma(row, b, others[i]);
    }
  };
  int64_t c = 0;
  for (; c + width <= w.cols; c += width) add(c);
  if (c < w.cols) add(c, static_cast<int>(w.cols - c));
  ONEPASS_UNROLL(4)
  for (int i = 0; i < kRows; ++i) {
    S::store(dots + 2 * i * width, sums[i]);
    S::store(dots + (2 * i + 1) * width, others[i]);
  }
}

// square[0] = the sums of the lanes of each vector, in the order of the vectors: as if to turn the
// square, but two vectors that are half turned are added up at once.
template <class T, int kDistance = Simd<T>::kWidth / 2>
ONEPASS_INLINE void sum_lanes(typename Simd<T>::V (&square)[Simd<T>::kWidth]) {
  using V = typename Simd<T>::V;
  using Lanes = std::make_integer_sequence<int, Simd<T>::kWidth>;
  ONEPASS_UNROLL(16)
  for (int i = 0; i < kDistance; ++i) {
    const V a = square[i], b = square[i + kDistance];
    square[i] = interleave<V, kDistance, false>(a, b, Lanes{}) +
                interleave<V, kDistance, true>(a, b, Lanes{});
  }
  if constexpr (kDistance > 1) sum_lanes<T, kDistance / 2>(square);
}

// The sums of a vector's count of rows, one of their two dots.
template <class T>
ONEPASS_INLINE void sum_dots(const T* dots, T* sums) {
  using S = Simd<T>;
  typename S::V square[S::kWidth];
  ONEPASS_UNROLL(16)
  for (int i = 0; i < S::kWidth; ++i) square[i] = S::load(dots + i * RowDots<T, 1>::kRow);
  sum_lanes<T>(square);
  S::store(sums, square[0]);
}

// A vector's count of columns of y, or fewer.
template <class T>
struct NormColumns {
  static constexpr int kMost = Simd<T>::kWidth;
  static constexpr T kZeros[kMost] = {};
  const T *gamma, *beta;
  T *dgamma, *dbeta;
  int count;

  NormColumns(const InputNorm<T>& norm, int64_t first, int64_t left)
      : gamma(norm.dgamma != nullptr ? norm.gamma + first : nullptr),
        beta(norm.beta != nullptr ? norm.beta + first : kZeros),
        dgamma(norm.dgamma != nullptr ? norm.dgamma + first : nullptr),
        dbeta(norm.dbeta != nullptr ? norm.dbeta + first : nullptr),
        count(static_cast<int>(left < kMost ? left : kMost)) {}

  ONEPASS_INLINE bool loses_digits(int i) const { return quotient_loses_digits(gamma[i], beta[i]); }
};

// dgamma of such columns of y, one a row of w from `first` on: before the update of w.
template <class T>
void norm_gradients_by_samples(const InputNorm<T>& norm, Matrix<const T> dz, Matrix<const T> w,
                               int64_t first) {
  if (norm.dgamma == nullptr) return;
  for (int64_t r = 0; r < w.rows; r += NormColumns<T>::kMost) {
    const NormColumns<T> at(norm, first + r, w.rows - r);
    int lost = 0;
    for (int i = 0; i < at.count; ++i) lost += at.loses_digits(i) ? 1 : 0;
    for (int i = 0; lost > 0 && i < at.count; ++i) {
      if (!at.loses_digits(i)) continue;
      at.dgamma[i] = dgamma_by_samples(norm, dz, w.row(r + i), first + r + i);
    }
  }
}

// dgamma of all others, and dbeta, of columns from `first` on. There are whole vectors' counts of
// dots.
template <class T>
void norm_gradients_by_dots(const InputNorm<T>& norm, const T* dots, int64_t first, int64_t rows) {
  constexpr int width = Simd<T>::kWidth;
  for (int64_t r = 0; r < rows; r += width, dots += width * RowDots<T, 1>::kRow) {
    const NormColumns<T> at(norm, first + r, rows - r);
    alignas(64) T w_dw[width], w_db[width];
    sum_dots(dots, w_dw);
    sum_dots(dots + width, w_db);
    put_columns(at.dbeta, w_db, at.count, false);
    if (at.dgamma == nullptr) continue;
    ONEPASS_IVDEP
    for (int i = 0; i < at.count; ++i) {
      const T quotient = dgamma_of_dots(w_dw[i], w_db[i], at.gamma[i], at.beta[i]);
      at.dgamma[i] = at.loses_digits(i) ? at.dgamma[i] : quotient;
    }
  }
}

// All of them, from a stripe of the gradient, before the update of w.
template <class T>
void norm_gradients(const InputNorm<T>& norm, Matrix<const T> dz, Matrix<const T> w,
                    Matrix<const T> dw, int64_t first) {
  constexpr int64_t few = 4, group = Simd<T>::kWidth > few ? Simd<T>::kWidth : few;
  norm_gradients_by_samples(norm, dz, w, first);
  RowDots<T, group> dots{};
  const auto from = [](Matrix<const T> m, int64_t r) {
    return Matrix<const T>{m.row(r), m.rows - r, m.cols, m.stride};
  };
  for (int64_t r = 0; r < w.rows; r += group) {
    const int64_t end = r + group < w.rows ? r + group : w.rows;
    int64_t i = r;
    for (; i + few <= end; i += few) {
      dot_rows<T, few>(from(w, i), from(dw, i), norm.db, dots.row(i - r));
    }
    for (; i < end; ++i) dot_rows<T, 1>(from(w, i), from(dw, i), norm.db, dots.row(i - r));
    norm_gradients_by_dots(norm, dots.at, first + r, end - r);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
