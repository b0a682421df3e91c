#include "device.h"

#include <cuda_runtime_api.h>

#include "kernels_cuda.h"

namespace onepass {
namespace {

cudaStream_t of(void* stream) { return static_cast<cudaStream_t>(stream); }

// Managed memory: pages move to where they are used, so that weights are NumPy arrays to the host.
void* allocate_managed(std::size_t bytes) {
  void* memory = nullptr;
  if (cudaMallocManaged(&memory, bytes, cudaMemAttachGlobal) == cudaSuccess) return memory;
  cudaGetLastError();  // it would be taken for that of a kernel
  return nullptr;
}

void release(void* memory) { cudaFree(memory); }

bool reaches(const void* memory) {
  cudaPointerAttributes found{};
  if (cudaPointerGetAttributes(&found, memory) != cudaSuccess) {
    cudaGetLastError();
    return false;
  }
  return found.type == cudaMemoryTypeManaged || found.type == cudaMemoryTypeDevice;
}

void* open_stream() {
  cudaStream_t stream = nullptr;
  if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess) return stream;
  cudaGetLastError();
  return nullptr;
}

void close_stream(void* stream) { cudaStreamDestroy(of(stream)); }

const char* wait(void* stream) {
  const cudaError_t ran = cudaStreamSynchronize(of(stream));
  const cudaError_t started = cudaGetLastError();  // of a launch that could not begin
  const cudaError_t wrong = ran != cudaSuccess ? ran : started;
  return wrong == cudaSuccess ? nullptr : cudaGetErrorString(wrong);
}

void copy_rows(void* to, int64_t to_stride, const void* from, int64_t from_stride,
               int64_t bytes_a_row, int64_t rows, void* stream) {
  if (rows == 0 || bytes_a_row == 0) return;
  const auto size = [](int64_t n) { return static_cast<std::size_t>(n); };
  cudaMemcpy2DAsync(to, size(to_stride), from, size(from_stride), size(bytes_a_row), size(rows),
                    cudaMemcpyDefault, of(stream));
}

void clear(void* memory, std::size_t bytes, void* stream) {
  if (bytes != 0) cudaMemsetAsync(memory, 0, bytes, of(stream));
}

}  // namespace

const Device& cuda_device() {
  static const Device device = {
      sizeof(Device),   {"cuda", cuda_kernels_of_float32(), cuda_kernels_of_float64()},
      allocate_managed, release,
      reaches,          open_stream,
      close_stream,     wait,
      copy_rows,        clear};
  return device;
}

}  // namespace onepass
