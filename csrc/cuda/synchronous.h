// For tests on a GPU: launches that are waited for.
#pragma once

#include <cuda_runtime.h>

namespace onepass::cuda {

// Ends the process with a message where the last launch, or what it ran, failed.
void wait_for_launch(const char* what);

}  // namespace onepass::cuda
