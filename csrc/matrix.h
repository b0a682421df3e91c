// What kernels read and write.
#pragma once

#include <cstdint>

#include "team.h"

namespace onepass {

// Row-major view: unit column stride, any row stride (in elements, negative allowed).
template <class T>
struct Matrix {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  ONEPASS_INLINE T* row(int64_t r) const { return data + r * stride; }
  ONEPASS_INLINE explicit operator bool() const { return data != nullptr; }
};

inline constexpr int kMaxScalars = 8;  // per-step numbers of a rule, activation or loss

// An activation: index in math/activations.h and its hyper-parameters in the header's order.
struct ActivationSpec {
  int id = 0;
  double hyper[kMaxScalars] = {};
};

}  // namespace onepass
