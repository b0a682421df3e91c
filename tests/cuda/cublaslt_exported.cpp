// For tests of cuBLASLt under the GPU's kernels that onepass._core offers as an instruction set.
#include <cuda_runtime_api.h>

#include <string>

#include "../../csrc/cuda/cublaslt.h"

#define ONEPASS_EXPORT extern "C" __attribute__((visibility("default")))

// Null, or what is wrong.
ONEPASS_EXPORT const char* onepass_cublaslt_open(const char* path) {
  static std::string wrong;
  wrong = onepass::cuda::open_cublaslt(path);
  return wrong.empty() ? nullptr : wrong.c_str();
}
ONEPASS_EXPORT void onepass_cublaslt_set_size(int64_t multiply_adds) {
  onepass::cuda::cublaslt_size() = multiply_adds;
}
ONEPASS_EXPORT const char* onepass_cublaslt_error() { return onepass::cuda::cublaslt_error(); }
ONEPASS_EXPORT int64_t onepass_cublaslt_products() { return onepass::cuda::cublaslt_products(); }
// y = x w of n x n numbers on a stream; whether it was started.
ONEPASS_EXPORT bool onepass_cublaslt_multiply(const float* x, const float* w, float* y, int64_t n,
                                              void* stream) {
  onepass::Team team{0, 1, nullptr, nullptr};
  team.stream = stream;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;  // as Device::enter says
  cudaThreadExchangeStreamCaptureMode(&mode);
  const bool started = onepass::cuda::start_cublaslt({.float64 = false,
                                                      .depth = n,
                                                      .left = {x, n, n, true},
                                                      .right = {w, n, n, false},
                                                      .to = y,
                                                      .stride = n},
                                                     team);
  cudaThreadExchangeStreamCaptureMode(&mode);
  return started;
}
ONEPASS_EXPORT void onepass_cublaslt_own(void* stream) {
  onepass::cuda::own_cublaslt_workspace(stream);
}
ONEPASS_EXPORT void onepass_cublaslt_forget(void* stream) {
  onepass::cuda::forget_cublaslt_workspace(stream);
}
