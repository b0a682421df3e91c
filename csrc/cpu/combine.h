// Arithmetic of two tensors with broadcasting, scaled copies and sums. A sum over rows is one chain
// in their order, a sum over columns is in lanes, so neither depends on the team.
#pragma once

#include "../kernels.h"
#include "../math/binary.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
ONEPASS_INLINE bool is_gapless(const Matrix<T>& m) {
  return m.stride == m.cols || m.rows <= 1;
}

template <class T>
ONEPASS_INLINE bool is_whole(const Spread<T>& s, int64_t rows, int64_t cols) {
  return s.matrix.rows == rows && s.matrix.cols == cols && s.repeat == 1;
}

template <class T>
ONEPASS_INLINE bool is_single(const Spread<T>& s) {
  return s.matrix.rows == 1 && s.matrix.cols == 1;
}

// Whether the matrix can be read along with gapless ones as one long row.
template <class T>
ONEPASS_INLINE bool is_flat(const Spread<T>& s, int64_t rows, int64_t cols) {
  return is_single(s) || !s.matrix || (is_whole(s, rows, cols) && is_gapless(s.matrix));
}

template <class T>
ONEPASS_INLINE void flatten(Matrix<T>& m) {
  m = {m.data, 1, m.rows * m.cols, m.rows * m.cols};
}

// A share of a matrix: rows, or columns where there are too few rows.
ONEPASS_INLINE Block share_of(int64_t rows, int64_t cols, const Team& team) {
  if (rows < 2 * team.size) return {{0, rows}, team.share(cols, 16)};
  return {team.share(rows, 1), {0, cols}};
}

// Elements are looked at so many at a time where they are spread or summed up: a multiple of the
// lanes.
constexpr int64_t kTerms = 512;

// A row of an operand, of at most kTerms elements at a time where it is a single column: spread out
// here, so that formulas see two rows of numbers whatever their operands are.
template <class T>
struct OperandRow {
  const T* row;
  bool spread;
  alignas(64) T same[kTerms];

  ONEPASS_INLINE OperandRow(const Spread<const T>& operand, int64_t r, int64_t cols, int64_t n)
      : row(operand.row(r)), spread(operand.matrix.cols < cols) {
    if (!spread) return;
    const T value = *row;
    for (int64_t i = 0; i < n; ++i) same[i] = value;
  }
  ONEPASS_INLINE const T* from(int64_t c) const { return spread ? same : row + c; }
};

ONEPASS_INLINE int64_t at_most_terms(int64_t n) { return n < kTerms ? n : kTerms; }

template <class F, class T>
ONEPASS_INLINE void combine_row(const Combine<T>& a, int64_t r, Range cols) {
  const int64_t n = at_most_terms(cols.end - cols.begin);
  const OperandRow<T> left(a.a, r, a.y.cols, n), right(a.b, r, a.y.cols, n);
  const int64_t step = left.spread || right.spread ? kTerms : cols.end - cols.begin;
  for (int64_t c = cols.begin; c < cols.end; c += step) {
    const T *p = left.from(c), *q = right.from(c);
    T* y = a.y.row(r) + c;
    const int64_t left_over = cols.end - c < step ? cols.end - c : step;
    ONEPASS_IVDEP
    for (int64_t i = 0; i < left_over; ++i) y[i] = F::value(p[i], q[i]);
  }
}

template <class T>
void combine(const Combine<T>& given, Team& team) {
  Combine<T> a = given;
  const int64_t rows = a.y.rows, cols = a.y.cols;
  if (is_gapless(a.y) && is_flat(a.a, rows, cols) && is_flat(a.b, rows, cols)) {
    flatten(a.a.matrix), flatten(a.b.matrix);
    flatten(a.y);
  }
  const Block share = share_of(a.y.rows, a.y.cols, team);
  if (share.cols.begin == share.cols.end) return;
  math::Binary::visit(a.op, [&](auto formula) {
    using F = decltype(formula);
    for (int64_t r = share.rows.begin; r < share.rows.end; ++r) combine_row<F>(a, r, share.cols);
  });
}

// Writes the terms of a row's columns to terms[0] and on.
template <class T>
using FillTerms = void (*)(const void* arguments, int64_t row, Range cols, T* terms);

template <class T>
ONEPASS_INLINE T row_sum(FillTerms<T> fill, const void* arguments, int64_t r, int64_t cols,
                         T* terms) {
  Lanes<T> sum;
  for (int64_t c = 0; c < cols; c += kTerms) {
    const int64_t end = c + kTerms < cols ? c + kTerms : cols;
    fill(arguments, r, {c, end}, terms);
    for_chunks(end - c, [&](int64_t at, auto extent) __attribute__((always_inline)) {
      sum.add(load(terms + at, extent), extent);
    });
  }
  return sum.total();
}

// to (+)= the terms of a row.
template <class T>
ONEPASS_INLINE void add_row(FillTerms<T> fill, const void* arguments, int64_t r, Range cols, T* to,
                            bool accumulate, T* terms) {
  for (int64_t c = cols.begin; c < cols.end; c += kTerms) {
    const int64_t n = c + kTerms < cols.end ? kTerms : cols.end - c;
    fill(arguments, r, {c, c + n}, terms);
    T* at = to + c;
    if (accumulate) {
      for (int64_t i = 0; i < n; ++i) at[i] += terms[i];
    } else {
      for (int64_t i = 0; i < n; ++i) at[i] = terms[i];
    }
  }
}

// sums (+)= terms of a matrix of `rows` and `cols`, over what `sums` is spread over.
template <class T>
void sum_terms(const Spread<T>& sums, int64_t rows, int64_t cols, bool accumulate, Team& team,
               FillTerms<T> fill, const void* arguments) {
  alignas(64) T terms[kTerms];
  const Matrix<T>& to = sums.matrix;
  const bool whole_rows = to.cols == 1 && cols != 1;
  const Block share =
      whole_rows ? Block{team.share(to.rows, 1), {0, 1}} : share_of(to.rows, to.cols, team);
  const int64_t period = to.rows * sums.repeat;
  for (int64_t own = share.rows.begin; own < share.rows.end; ++own) {
    T* out = to.row(own);
    bool add = accumulate;
    for (int64_t first = own * sums.repeat; first < rows; first += period) {
      const int64_t last = first + sums.repeat < rows ? first + sums.repeat : rows;
      for (int64_t r = first; r < last; ++r) {
        if (whole_rows) {
          const T sum = row_sum(fill, arguments, r, cols, terms);
          *out = add ? *out + sum : sum;
        } else {
          add_row(fill, arguments, r, share.cols, out, add, terms);
        }
        add = true;
      }
    }
    if (!add) {
      for (int64_t c = share.cols.begin; c < share.cols.end; ++c) out[c] = T(0);
    }
  }
}

template <class F, bool kOfSecond, class T>
void fill_gradient(const void* arguments, int64_t r, Range cols, T* terms) {
  const auto& a = *static_cast<const CombineBackward<T>*>(arguments);
  const T* dy = a.dy.row(r) + cols.begin;
  const int64_t n = cols.end - cols.begin;
  const auto fill = [&](const T* p, const T* q) {
    ONEPASS_IVDEP
    for (int64_t i = 0; i < n; ++i) {
      terms[i] = dy[i] * (kOfSecond ? F::derivative_b(p[i], q[i]) : F::derivative_a(p[i], q[i]));
    }
  };
  if constexpr (F::kNeedsOperands) {
    const OperandRow<T> left(a.a, r, a.dy.cols, n), right(a.b, r, a.dy.cols, n);
    fill(left.from(cols.begin), right.from(cols.begin));
  } else {
    fill(dy, dy);
  }
}

template <class T>
void combine_backward(const CombineBackward<T>& given, Team& team) {
  CombineBackward<T> a = given;
  const int64_t rows = a.dy.rows, cols = a.dy.cols;
  const bool whole = is_whole(a.dx, rows, cols) && is_gapless(a.dx.matrix);
  if (whole && is_gapless(a.dy) && is_flat(a.a, rows, cols) && is_flat(a.b, rows, cols)) {
    flatten(a.a.matrix), flatten(a.b.matrix);
    flatten(a.dx.matrix);
    flatten(a.dy);
  }
  math::Binary::visit(a.op, [&](auto formula) {
    using F = decltype(formula);
    const FillTerms<T> fill = a.of_second ? fill_gradient<F, true, T> : fill_gradient<F, false, T>;
    sum_terms(a.dx, a.dy.rows, a.dy.cols, a.accumulate, team, fill, &a);
  });
}

template <class T>
void fill_scaled(const void* arguments, int64_t r, Range cols, T* terms) {
  const auto& a = *static_cast<const ScaledSum<T>*>(arguments);
  const T* x = a.x.row(r) + cols.begin;
  const T scale = static_cast<T>(a.scale);
  for (int64_t i = 0; i < cols.end - cols.begin; ++i) terms[i] = scale * x[i];
}

template <class T>
void scaled_sum(const ScaledSum<T>& a, Team& team) {
  sum_terms(a.y, a.x.rows, a.x.cols, a.accumulate, team, fill_scaled<T>, &a);
}

template <class T>
void scaled_copy(const ScaledCopy<T>& a, Team& team) {
  const T scale = static_cast<T>(a.scale);
  const bool one = a.x.matrix.cols < a.y.cols;
  const Block share = share_of(a.y.rows, a.y.cols, team);
  const auto [begin, end] = share.cols;
  for (int64_t r = share.rows.begin; r < share.rows.end; ++r) {
    T* y = a.y.row(r);
    if (!a.x.matrix) {
      for (int64_t i = begin; i < end; ++i) y[i] = T(0);
      continue;
    }
    const T* x = a.x.row(r);
    const auto put = [&](auto value) {
      if (a.accumulate) {
        ONEPASS_IVDEP
        for (int64_t i = begin; i < end; ++i) y[i] += scale * value(i);
      } else {
        ONEPASS_IVDEP
        for (int64_t i = begin; i < end; ++i) y[i] = scale * value(i);
      }
    };
    if (one && begin < end) {
      put([first = *x](int64_t) { return first; });
    } else {
      put([x](int64_t i) { return x[i]; });
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
