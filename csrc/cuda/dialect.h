// The dialect of CUDA that the kernels are written in: what nvcc compiles for the GPU, and what the
// tests' fibers.h lets a plain C++ compiler build for the CPU. Kernels are started by launch(),
// name the memory that their block shares with ONEPASS_SHARED, and give each warp operation its
// mask. A launch that fails leaves its error with CUDA: whoever started kernels asks
// cudaGetLastError() behind them, which keeps the first one until then.
#pragma once

#include "../kernels.h"

#if defined(__CUDACC__)

#include <cuda_runtime.h>
#if defined(ONEPASS_DEVICE_TESTS)
#include "synchronous.h"
#endif

#define ONEPASS_SHARED(type, name, extents) __shared__ type name extents

namespace onepass::cuda {

// Behind each start.
inline void launched(const onepass::Team& team, const char* what) {
#if defined(ONEPASS_DEVICE_TESTS)
  if (team.device == nullptr) wait_for_launch(what);  // plans wait for themselves
#else
  static_cast<void>(team), static_cast<void>(what);
#endif
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, const onepass::Team& team,
            const A&... arguments) {
  kernel<<<grid, block, 0, static_cast<cudaStream_t>(team.stream)>>>(static_cast<P>(arguments)...);
  launched(team, __PRETTY_FUNCTION__);
}

}  // namespace onepass::cuda

#else

#include "fibers.h"

namespace onepass::cuda {

inline void launched(const onepass::Team&, const char*) {}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, const onepass::Team& team,
            const A&... arguments) {
  const fibers::Call<P...> given{kernel, {static_cast<P>(arguments)...}};
  fibers::start(static_cast<cudaStream_t>(team.stream), [given, grid, block] {
    auto call = given;
    fibers::Scheduler::here().run_grid(grid, block, &fibers::Call<P...>::run, &call);
  });
}

}  // namespace onepass::cuda

#endif
