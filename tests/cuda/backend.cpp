// The GPU's kernels on the CPU, as an instruction set.
#include "../../csrc/cuda/kernels_cuda.h"

namespace onepass {

const Kernels& kernels_fibers() {
  static const Kernels kernels = {"fibers", cuda_kernels_of_float32(), cuda_kernels_of_float64()};
  return kernels;
}

}  // namespace onepass
