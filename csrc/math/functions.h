// Elementwise functions that are no activations: what arithmetic on tensors needs beside them. They
// follow the activations' ids; dense layers' epilogues leave them out.
#pragma once

#include "activations.h"
#include "elementary.h"

namespace onepass::math {
namespace {

struct Absolute : NoHyper {
  static constexpr const char* kName = "absolute";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return abs(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0);
  }
};

struct Square : NoHyper {
  static constexpr const char* kName = "square";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return x * x;
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    return x + x;
  }
};

struct SquareRoot : NoHyper {
  static constexpr const char* kName = "sqrt";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return sqrt(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return T(0.5) / y;
  }
};

struct Log : NoHyper {
  static constexpr const char* kName = "log";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return log(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    return T(1) / x;
  }
};

struct Log1p : NoHyper {
  static constexpr const char* kName = "log1p";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return log1p(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    return T(1) / (T(1) + x);
  }
};

struct Expm1 : NoHyper {
  static constexpr const char* kName = "expm1";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return expm1(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return y + T(1);
  }
};

using Functions = List<Absolute, Square, SquareRoot, Log, Log1p, Expm1>;
using Elementwise = Join<Activations, Functions>;

}  // namespace
}  // namespace onepass::math
