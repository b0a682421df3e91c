#include "kernels_cuda.h"
#include "table.h"

namespace onepass {

const KernelTable<double>& cuda_kernels_of_float64() { return cuda::kTable<double>; }

}  // namespace onepass
