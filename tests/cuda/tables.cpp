// The tables of the GPU's kernels, compiled for the CPU.
#include "../../csrc/cuda/float32.cu"
#include "../../csrc/cuda/float64.cu"
