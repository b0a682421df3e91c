// The GPU's kernels on the CPU, as an instruction set.
#include "../../csrc/cuda/table.h"

namespace onepass {

const Kernels& kernels_fibers() {
  static constexpr Kernels kernels = {"fibers", cuda::kTable<float>, cuda::kTable<double>};
  return kernels;
}

}  // namespace onepass
