// The GPU's kernels on a real GPU, as an instruction set: every launch is waited for, and arrays
// stay in the host's memory. That wants a GPU which reaches all of it, or pinned.cpp before the
// process.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "../../csrc/cuda/kernels_cuda.h"
#include "../../csrc/cuda/synchronous.h"

namespace onepass {
namespace {

int allocate_pinned(void** memory, std::size_t bytes) {
  return cudaHostAlloc(memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable);
}

}  // namespace

const Kernels& kernels_cuda() {
  static const Kernels kernels = {"cuda", cuda_kernels_of_float32(), cuda_kernels_of_float64()};
  return kernels;
}

bool cuda_runs_here() {
  static const bool runs = [] {
    int devices = 0, reaches = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) return false;
    cudaDeviceGetAttribute(&reaches, cudaDevAttrPageableMemoryAccess, 0);
    if (reaches != 0) return true;
    using Start = bool (*)(int (*)(void**, std::size_t));
    auto* start = reinterpret_cast<Start>(dlsym(RTLD_DEFAULT, "onepass_pinned_start"));
    return start != nullptr && start(allocate_pinned);
  }();
  return runs;
}

namespace cuda {

void wait_for_launch(const char* what) {
  const cudaError_t launched = cudaGetLastError();
  const cudaError_t ran = launched == cudaSuccess ? cudaDeviceSynchronize() : launched;
  if (ran == cudaSuccess) return;
  std::fprintf(stderr, "cuda: %s: %s\n", what, cudaGetErrorString(ran));
  std::abort();
}

}  // namespace cuda
}  // namespace onepass
