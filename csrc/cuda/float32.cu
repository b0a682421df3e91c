#include "kernels_cuda.h"
#include "table.h"

namespace onepass {

const KernelTable<float>& cuda_kernels_of_float32() { return cuda::kTable<float>; }

}  // namespace onepass
