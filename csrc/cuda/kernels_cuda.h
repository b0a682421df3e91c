// The GPU's table of kernels, a part of it a file, as they compile for minutes.
#pragma once

#include "../kernels.h"

namespace onepass {

const KernelTable<float>& cuda_kernels_of_float32();
const KernelTable<double>& cuda_kernels_of_float64();

}  // namespace onepass
