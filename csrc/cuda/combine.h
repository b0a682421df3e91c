// Arithmetic of two tensors with broadcasting, scaled copies and sums: a thread for each element of
// the result, or a member's lanes for the sum of a row. Sums have the CPU's order, so its bits.
#pragma once

#include "../math/binary.h"
#include "teams.h"

namespace onepass::cuda {
namespace {

// Element (r, c) of a matrix that is read as a larger one of `cols` columns.
template <class T>
__device__ __forceinline__ T spread_element(const Spread<const T>& s, int64_t r, int64_t c,
                                            int64_t cols) {
  return s.row(r)[s.matrix.cols < cols ? 0 : c];
}

// Calls f(row, column) for each element, a thread for each of many.
template <class F>
__device__ __forceinline__ void for_each_element(int64_t rows, int64_t cols, F&& f) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * cols; i += step) {
    f(i / cols, i % cols);
  }
}

template <class Kernel, class A>
void start_elements(Kernel kernel, const A& a, int64_t elements, const onepass::Team& team) {
  constexpr int64_t most = kMostMembers * kLanes;
  if (team.rank != 0 || elements == 0) return;
  launch(kernel, {blocks_for(elements < most ? elements : most, kBlockThreads)}, {kBlockThreads},
         team, a);
}

template <class F, class T>
__global__ void __launch_bounds__(kBlockThreads) combine_elements(const Combine<T> a) {
  for_each_element(a.y.rows, a.y.cols, [&](int64_t r, int64_t c) {
    a.y.row(r)[c] =
        F::value(spread_element(a.a, r, c, a.y.cols), spread_element(a.b, r, c, a.y.cols));
  });
}

template <class T>
void start_combine(const Combine<T>& a, onepass::Team& team) {
  math::Binary::visit(a.op, [&](auto formula) {
    start_elements(combine_elements<decltype(formula), T>, a, a.y.rows * a.y.cols, team);
  });
}

template <class T>
__global__ void __launch_bounds__(kBlockThreads) copy_scaled(const ScaledCopy<T> a) {
  const T scale = static_cast<T>(a.scale);
  for_each_element(a.y.rows, a.y.cols, [&](int64_t r, int64_t c) {
    T& y = a.y.row(r)[c];
    if (!a.x.matrix) {
      y = T(0);
      return;
    }
    const T term = scale * spread_element(a.x, r, c, a.y.cols);
    y = a.accumulate ? y + term : term;
  });
}

template <class T>
void start_scaled_copy(const ScaledCopy<T>& a, onepass::Team& team) {
  start_elements(copy_scaled<T>, a, a.y.rows * a.y.cols, team);
}

// What is summed up: term(r, c) of a matrix of `rows` and `cols`.
template <class F, bool kOfSecond, class T>
struct GradientTerm {
  CombineBackward<T> a;

  __device__ __forceinline__ T operator()(int64_t r, int64_t c) const {
    const T dy = a.dy.row(r)[c];
    T p = dy, q = dy;
    if constexpr (F::kNeedsOperands) {
      p = spread_element(a.a, r, c, a.dy.cols);
      q = spread_element(a.b, r, c, a.dy.cols);
    }
    return dy * (kOfSecond ? F::derivative_b(p, q) : F::derivative_a(p, q));
  }
};

template <class T>
struct ScaledTerm {
  Matrix<const T> x;
  double scale;

  __device__ __forceinline__ T operator()(int64_t r, int64_t c) const {
    return static_cast<T>(scale) * x.row(r)[c];
  }
};

// sums (+)= terms over what `sums` is spread over.
template <class Term, class T>
struct SumOfTerms {
  Spread<T> sums;
  int64_t rows, cols;
  bool accumulate;
  Term term;

  // to (+)= each_row(r) over the rows that row `own` of the sums stands for.
  template <class F>
  __device__ __forceinline__ T over_rows(int64_t own, T to, F&& each_row) const {
    bool add = accumulate;
    const int64_t period = sums.matrix.rows * sums.repeat;
    for (int64_t first = own * sums.repeat; first < rows; first += period) {
      const int64_t last = first + sums.repeat < rows ? first + sums.repeat : rows;
      for (int64_t r = first; r < last; ++r) {
        const T more = each_row(r);
        to = add ? to + more : more;
        add = true;
      }
    }
    return add ? to : T(0);
  }
};

template <class Term, class T>
__global__ void __launch_bounds__(kBlockThreads) sum_by_element(const SumOfTerms<Term, T> a) {
  for_each_element(a.sums.matrix.rows, a.sums.matrix.cols, [&](int64_t own, int64_t c) {
    T& to = a.sums.matrix.row(own)[c];
    to = a.over_rows(own, to, [&](int64_t r) { return a.term(r, c); });
  });
}

struct SumByRow {
  template <class Term, class T>
  static __device__ __forceinline__ void run(const SumOfTerms<Term, T>& a, Team& team) {
    const Range share = team.share(a.sums.matrix.rows, 1);
    for (int64_t own = share.begin; own < share.end; ++own) {
      T* to = a.sums.matrix.row(own);
      const T sum = a.over_rows(own, *to, [&](int64_t r) {
        Chunk<T> lanes{{T(0)}};
        for_elements(0, a.cols, [&](int64_t c) { lanes.at[0] += a.term(r, c); });
        return join(lanes, [](T p, T q) { return p + q; });
      });
      if (leads()) *to = sum;
    }
  }
};

template <class Term, class T>
void start_sum(const SumOfTerms<Term, T>& a, const onepass::Team& team) {
  const Matrix<T>& to = a.sums.matrix;
  if (to.cols == 1 && a.cols != 1) {
    start_rows<SumByRow>(a, to.rows, team);
  } else {
    start_elements(sum_by_element<Term, T>, a, to.rows * to.cols, team);
  }
}

template <class T>
void start_combine_backward(const CombineBackward<T>& a, onepass::Team& team) {
  math::Binary::visit(a.op, [&](auto formula) {
    using F = decltype(formula);
    const auto start = [&](auto term) {
      start_sum(SumOfTerms<decltype(term), T>{a.dx, a.dy.rows, a.dy.cols, a.accumulate, term},
                team);
    };
    if (a.of_second) {
      start(GradientTerm<F, true, T>{a});
    } else {
      start(GradientTerm<F, false, T>{a});
    }
  });
}

template <class T>
void start_scaled_sum(const ScaledSum<T>& a, onepass::Team& team) {
  const ScaledTerm<T> term{a.x, a.scale};
  start_sum(SumOfTerms<ScaledTerm<T>, T>{a.y, a.x.rows, a.x.cols, a.accumulate, term}, team);
}

}  // namespace
}  // namespace onepass::cuda
