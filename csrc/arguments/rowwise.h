// Arguments of activations over rows beside softmax. Included by kernels.h, which has what they
// need. Log-softmax and sparsemax take those of softmax.
#pragma once

namespace onepass {

// Gated linear unit: y = a * sigmoid(b), where x is a and b side by side, each as wide as y.
template <class T>
struct Glu {
  Matrix<const T> x;
  Matrix<T> y;
};

template <class T>
struct GluBackward {
  Matrix<const T> x, dy;
  Matrix<T> dx;
  bool accumulate;
};

}  // namespace onepass
