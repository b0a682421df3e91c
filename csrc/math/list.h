// Lists of formulas, walked at compile time: a formula's place in its list is its id everywhere.
#pragma once

#include "hd.h"

namespace onepass::math {
namespace {

template <class... Formulas>
struct List {
  static constexpr int kSize = sizeof...(Formulas);

  // Calls f(Formula{}) for the formula with this id; false when there is none.
  template <class F>
  ONEPASS_HD static bool visit(int id, F&& f) {
    int i = 0;
    return ((i++ == id ? (f(Formulas{}), true) : false) || ...);
  }

  // Calls f(Formula{}) for each formula in order.
  template <class F>
  static void each(F&& f) {
    (f(Formulas{}), ...);
  }
};

// One list after the other: the ids of the second go on from the first's.
template <class First, class Second>
struct JoinOf;
template <class... A, class... B>
struct JoinOf<List<A...>, List<B...>> {
  using Type = List<A..., B...>;
};
template <class First, class Second>
using Join = typename JoinOf<First, Second>::Type;

// The hyper-parameters of a formula as numbers of type T. Formula::Hyper<T> is a plain struct of
// T's in the order of Formula::kHyper; the doubles come from the host.
template <class Formula, class T>
ONEPASS_HD typename Formula::template Hyper<T> hyper_from(const double* values) {
  using Hyper = typename Formula::template Hyper<T>;
  constexpr int n = Formula::kHyperCount;
  static_assert(n == 0 || sizeof(Hyper) == n * sizeof(T), "Hyper<T> must hold kHyperCount T's");
  Hyper hyper{};
  if constexpr (n > 0) {
    T* slots = reinterpret_cast<T*>(&hyper);
    for (int i = 0; i < n; ++i) slots[i] = static_cast<T>(values[i]);
  }
  return hyper;
}

// The same numbers in another type: `to[i] = convert(from[i])`.
template <class Formula, class T, class U, class F>
ONEPASS_HD void each_hyper(const typename Formula::template Hyper<T>& from,
                           typename Formula::template Hyper<U>& to, F convert) {
  const T* in = reinterpret_cast<const T*>(&from);
  U* out = reinterpret_cast<U*>(&to);
  for (int i = 0; i < Formula::kHyperCount; ++i) out[i] = convert(in[i]);
}

struct NoHyper {
  static constexpr int kHyperCount = 0;
  static constexpr const char* const* kHyper = nullptr;
  template <class T>
  struct Hyper {};
};

}  // namespace
}  // namespace onepass::math
