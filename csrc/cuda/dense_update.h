// The weight gradient of a dense layer and the update it is for: one after the other.
#pragma once

#include "../loops/input_norm.h"
#include "dense.h"
#include "update.h"

namespace onepass::cuda {
namespace {

template <class T>
struct NormGradients {
  InputNorm<T> norm;
  Matrix<const T> dz, w, dw;
};

// A member has rows of w, which are columns of the norm.
struct NormGradientRows {
  template <class T>
  static __device__ __forceinline__ void run(const NormGradients<T>& a, Team& team) {
    const Range share = team.share(a.w.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) {
      const T *w = a.w.row(r), *dw = a.dw.row(r);
      Chunk<T> w_dw{{T(0)}}, w_db{{T(0)}};
      for_elements(0, a.w.cols, [&](int64_t c) {
        w_dw.at[0] += w[c] * dw[c];
        w_db.at[0] += w[c] * a.norm.db[c];
      });
      const auto sum = [](T p, T q) { return p + q; };
      const T with_dw = join(w_dw, sum), with_db = join(w_db, sum);
      if (!leads()) continue;
      if (a.norm.dbeta != nullptr) a.norm.dbeta[r] = with_db;
      if (a.norm.dgamma == nullptr) continue;
      const T gamma = a.norm.gamma[r], beta = a.norm.beta != nullptr ? a.norm.beta[r] : T(0);
      a.norm.dgamma[r] = quotient_loses_digits(gamma, beta)
                             ? dgamma_by_samples(a.norm, a.dz, w, r)
                             : dgamma_of_dots(with_dw, with_db, gamma, beta);
    }
  }
};

template <class T>
void start_dense_update(const DenseUpdate<T>& a, onepass::Team& team) {
  if (team.rank != 0) return;
  const DenseBackwardWeights<T>& g = a.gradient;
  start_dense_backward_weights(g, team);
  Segment<T> segments[2] = {a.update.segments[0]};
  segments[0].g = g.dw.data;
  if (g.db != nullptr) {
    segments[1] = a.update.segments[1];
    segments[1].g = g.db;
  }
  if (a.norm != nullptr) {
    const Matrix<const T> w{segments[0].p, g.dw.rows, g.dw.cols, g.dw.stride};
    const Matrix<const T> dw{g.dw.data, g.dw.rows, g.dw.cols, g.dw.stride};
    start_rows<NormGradientRows>(NormGradients<T>{*a.norm, g.dz, w, dw}, w.rows, team);
  }
  Update<T> update = a.update;
  update.segments = segments;
  update.n_segments = g.db != nullptr ? 2 : 1;
  start_sweep(update, true, team);  // with the penalties
}

}  // namespace
}  // namespace onepass::cuda
