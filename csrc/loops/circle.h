// Circle loss: each row is held against all references, through a matrix of similarities that then
// becomes that of their slopes. The formula is math/losses/circle.h.
#pragma once

#include "../math/losses/circle.h"
#include "loss.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
using CircleHyper = math::Circle::Hyper<T>;

template <class T>
ONEPASS_DEVICE CircleHyper<T> hyper_of(const Circle<T>& a) {
  return {static_cast<T>(a.gamma), static_cast<T>(a.margin)};
}

// What each row leaves for the others, one array a number.
template <class T>
struct CircleRows {
  T *values, *positive, *negative;  // the loss and the logarithms of both sums
  T* pull;                          // slope in these logarithms, weight and scale included

  ONEPASS_DEVICE explicit CircleRows(const Circle<T>& a)
      : values(a.per_row),
        positive(values + a.embeddings.rows),
        negative(positive + a.embeddings.rows),
        pull(negative + a.embeddings.rows) {}
};

// 1 for the references of a chunk that have the row's label, -1 for others, 0 for none.
template <class T, class Extent>
ONEPASS_DEVICE Chunk<T> partners(const Circle<T>& a, int64_t r, int64_t at, Extent extent) {
  const int32_t own = a.labels[r];
  const int32_t* labels = a.reference_labels + at;
  const int64_t same = a.remove_diagonal ? r - at : -1;
  return lanewise<T>([&](int l) {
    if (l >= extent.n || (l == same && labels[l] == own)) return T(0);
    return labels[l] == own ? T(1) : T(-1);
  });
}

template <class T>
ONEPASS_DEVICE T circle_logit(T kind, T s, const CircleHyper<T>& h) {
  return kind > T(0) ? math::Circle::positive(s, h) : math::Circle::negative(s, h);
}

// log sum exp less its centre, which is 0 where the largest is not finite: sums of nothing are
// -inf.
template <class T>
ONEPASS_DEVICE T centre_of(T largest) {
  return math::is_finite(largest) ? largest : T(0);
}

template <class T>
ONEPASS_DEVICE void circle_row(const Circle<T>& a, const CircleRows<T>& rows, int64_t r) {
  const CircleHyper<T> h = hyper_of(a);
  const T* s = a.similarities.row(r);
  const int64_t cols = a.references.rows;
  constexpr T kLeast = -static_cast<T>(__builtin_inf());
  Chunk<T> most_alike = lanewise<T>([](int) { return kLeast; }), most_other = most_alike;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> x = load(s + at, extent), kind = partners(a, r, at, extent);
    for_lanes<T>([&](int l) ONEPASS_FLAT {
      const T logit = circle_logit(kind.at[l], x.at[l], h);
      most_alike.at[l] = larger(kind.at[l] > T(0) ? logit : kLeast, most_alike.at[l]);
      most_other.at[l] = larger(kind.at[l] < T(0) ? logit : kLeast, most_other.at[l]);
    });
  });
  const T alike = centre_of(join(most_alike, larger<T>));
  const T other = centre_of(join(most_other, larger<T>));
  Lanes<T> sum_alike, sum_other;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> x = load(s + at, extent), kind = partners(a, r, at, extent);
    const Chunk<T> e = lanewise<T>([&](int l) {
      return math::exp(circle_logit(kind.at[l], x.at[l], h) - (kind.at[l] > T(0) ? alike : other));
    });
    sum_alike.add(lanewise<T>([&](int l) { return kind.at[l] > T(0) ? e.at[l] : T(0); }), extent);
    sum_other.add(lanewise<T>([&](int l) { return kind.at[l] < T(0) ? e.at[l] : T(0); }), extent);
  });
  const T positive = alike + math::log(sum_alike.total());
  const T negative = other + math::log(sum_other.total());
  if (!leads()) return;
  rows.positive[r] = positive;
  rows.negative[r] = negative;
  rows.values[r] = math::softplus(positive + negative);
  rows.pull[r] = row_scale(a, r) * math::sigmoid(positive + negative);
}

// The row of similarities becomes the slopes of the loss in them: those of its own loss and, where
// the references are the embeddings, of their losses, which have the same similarity.
template <bool kOwnReferences, class T>
ONEPASS_DEVICE void circle_slopes(const Circle<T>& a, const CircleRows<T>& rows, int64_t r,
                                  T factor) {
  const CircleHyper<T> h = hyper_of(a);
  T* s = a.similarities.row(r);
  const T positive = rows.positive[r], negative = rows.negative[r], pull = rows.pull[r];
  for_chunks(a.references.rows, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> x = load(s + at, extent), kind = partners(a, r, at, extent);
    const Chunk<T> logit = lanewise<T>([&](int l) { return circle_logit(kind.at[l], x.at[l], h); });
    Chunk<T> share = lanewise<T>([&](int l) {
      return pull * math::exp(logit.at[l] - (kind.at[l] > T(0) ? positive : negative));
    });
    if constexpr (kOwnReferences) {
      const Chunk<T> p = load(rows.positive + at, extent), n = load(rows.negative + at, extent);
      const Chunk<T> pulls = load(rows.pull + at, extent);
      share = lanewise<T>([&](int l) {
        const T sum = kind.at[l] > T(0) ? p.at[l] : n.at[l];
        return share.at[l] + pulls.at[l] * math::exp(logit.at[l] - sum);
      });
    }
    const Chunk<T> slope = lanewise<T>([&](int l) {
      const T own = kind.at[l] > T(0) ? math::Circle::positive_slope(x.at[l], h)
                                      : math::Circle::negative_slope(x.at[l], h);
      return kind.at[l] != T(0) ? factor * (own * share.at[l]) : T(0);
    });
    store(s + at, slope, extent);
  });
}

// Rows over those whose loss is above 0, which each member counts for itself.
template <class T>
ONEPASS_DEVICE T over_positive(const Circle<T>& a, const CircleRows<T>& rows) {
  const int64_t n = a.embeddings.rows;
  if (!a.over_positive) return T(1);
  const auto one = [&](int64_t r) ONEPASS_FLAT { return int64_t{rows.values[r] > T(0)}; };
  const int64_t above =
      fold_elements(n, int64_t{0}, one, [](int64_t p, int64_t q) { return p + q; });
  return above > 0 ? static_cast<T>(static_cast<double>(n) / static_cast<double>(above)) : T(0);
}

// From the similarities: what each row leaves for the others.
template <class T>
ONEPASS_LOOP void circle_rows(const Circle<T>& a, Team& team) {
  const Range share = team.share(a.embeddings.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) circle_row(a, CircleRows<T>(a), r);
}

// Once all rows have: their values, and the slopes in the place of the similarities.
template <class T>
ONEPASS_LOOP void circle_values(const Circle<T>& a, Team& team) {
  const CircleRows<T> rows(a);
  const T factor = over_positive(a, rows);
  const Range share = team.share(a.embeddings.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    if (a.values != nullptr && leads()) a.values[r] = factor * rows.values[r];
    if (!a.gradient) continue;
    a.own_references ? circle_slopes<true>(a, rows, r, factor)
                     : circle_slopes<false>(a, rows, r, factor);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
