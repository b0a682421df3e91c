// Every formula of csrc/math as device code, in float and double: compiled, never run. What does
// not compile here (a host-only call, a host array used on the device) cannot serve CUDA kernels.
#include "../../csrc/math/binary.h"
#include "../../csrc/math/functions.h"
#include "../../csrc/math/losses.h"
#include "../../csrc/math/losses/circle.h"
#include "../../csrc/math/rules.h"

// A named namespace and no using directive: the host code that nvcc generates stands outside and
// would find two unnamed namespaces, and two functions `sqrt`.
namespace formulas {

namespace math = onepass::math;

__device__ int index() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

template <class T>
__global__ void elementary(const T* x, T* y) {
  const T v = x[index()];
  T* out = y + 16 * index();
  out[0] = math::exp(v);
  out[1] = math::expm1(v);
  out[2] = math::tanh(v);
  out[3] = math::sigmoid(v);
  out[4] = math::log(v);
  out[5] = math::log1p(v);
  out[6] = math::softplus(v);
  out[7] = math::erf(v);
  out[8] = math::sqrt(v);
  out[9] = math::max(v, T(1));
  out[10] = math::min(v, T(1));
  out[11] = math::clamp(v, T(-1), T(1));
  out[12] = math::select(math::is_finite(v) && !math::is_nan(v), math::quiet_nan<T>(),
                         math::infinity<T>());
  out[13] = math::with_sign_of(math::abs(v), T(-1));
}

template <class F, class T>
__global__ void activation(const double* hyper, const T* x, T* y, T* dx) {
  const auto h = math::hyper_from<F, T>(hyper);
  const int i = index();
  y[i] = F::value(x[i], h);
  dx[i] = F::derivative(x[i], y[i], h);
}

template <class F, class T>
__global__ void binary(const T* a, const T* b, T* y, T* da, T* db) {
  const int i = index();
  y[i] = F::value(a[i], b[i]);
  da[i] = F::derivative_a(a[i], b[i]);
  db[i] = F::derivative_b(a[i], b[i]);
}

template <class F, class T>
__global__ void elementwise_loss(const double* hyper, const T* y, const T* p, T* value, T* slope) {
  const auto h = math::hyper_from<F, T>(hyper);
  const int i = index();
  value[i] = F::value(y[i], p[i], h);
  slope[i] = F::gradient(y[i], p[i], h);
}

template <class F, class T>
__global__ void row_loss(const double* hyper, const T* y, const T* p, T* value, T* slope) {
  const auto h = math::hyper_from<F, T>(hyper);
  const int i = index();
  if constexpr (F::kOfTarget) {
    value[i] = F::value(p[i], h);
    slope[i] = F::slope(p[i], h);
  } else {
    const T t = F::smooth(y[i], T(10), h);
    value[i] = F::term(t, p[i], h);
    if constexpr (F::kFromLogits) {
      slope[i] = F::pull(t, p[i], h);
    } else {
      slope[i] = F::slope(t, p[i], h);
    }
  }
}

template <class F, class T>
__global__ void summary_loss(const double* hyper, const T* y, const T* p, T* value, T* slope) {
  const auto h = math::hyper_from<F, T>(hyper);
  const int i = index();
  const math::RowSummary<T> row{y[0], y[1], y[2], y[3], y[4], y[5], y[6]};
  value[i] = F::value(row, h);
  slope[i] = F::gradient(y[i], p[i], row, h);
}

template <class T>
__global__ void circle(T gamma, T margin, const T* s, T* value, T* slope) {
  const math::Circle::Hyper<T> h{gamma, margin};
  const int i = index();
  value[2 * i] = math::Circle::positive(s[i], h);
  value[2 * i + 1] = math::Circle::negative(s[i], h);
  slope[2 * i] = math::Circle::positive_slope(s[i], h);
  slope[2 * i + 1] = math::Circle::negative_slope(s[i], h);
}

template <class R, class T>
__global__ void rule(const double* hyper, const T* g, T* p, T* s0, T* s1, T* s2, T* s3) {
  const auto h = math::hyper_from<R, T>(hyper);
  const int i = index();
  if constexpr (R::kStates == 0) R::apply(h, g[i], p[i]);
  if constexpr (R::kStates == 1) R::apply(h, g[i], p[i], s0[i]);
  if constexpr (R::kStates == 2) R::apply(h, g[i], p[i], s0[i], s1[i]);
  if constexpr (R::kStates == 3) R::apply(h, g[i], p[i], s0[i], s1[i], s2[i]);
  if constexpr (R::kStates == 4) R::apply(h, g[i], p[i], s0[i], s1[i], s2[i], s3[i]);
}

// A kernel is compiled when its address is taken.
template <class Kernel>
void use(Kernel* kernel) {
  static Kernel* volatile kept;
  kept = kernel;
}

template <class T>
void use_all() {
  use(elementary<T>);
  math::Elementwise::each([](auto f) { use(activation<decltype(f), T>); });
  math::Binary::each([](auto f) { use(binary<decltype(f), T>); });
  math::ElementwiseLosses::each([](auto f) { use(elementwise_loss<decltype(f), T>); });
  math::RowLosses::each([](auto f) { use(row_loss<decltype(f), T>); });
  math::SummaryLosses::each([](auto f) { use(summary_loss<decltype(f), T>); });
  math::BatchLosses::each([](auto f) { use(summary_loss<decltype(f), T>); });
  use(circle<T>);
  math::Rules::each([](auto f) { use(rule<decltype(f), T>); });
}

template void use_all<float>();
template void use_all<double>();

}  // namespace formulas
