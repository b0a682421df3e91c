#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "cuda_runtime_api.h"

namespace onepass::fibers {

// A GPU's queue: the host may be so many starts ahead.
class Stream {
 public:
  void start(std::function<void()> work) {
    waiting_.push_back(std::move(work));
    if (waiting_.size() > kMostAhead) run_next();
  }
  void finish() {
    while (!waiting_.empty()) run_next();
  }

 private:
  static constexpr std::size_t kMostAhead = 1024;

  void run_next() {
    const auto work = std::move(waiting_.front());
    waiting_.pop_front();
    work();
  }

  std::deque<std::function<void()>> waiting_;
};

void start(Stream* stream, std::function<void()> work) {
  if (stream == nullptr) return work();
  stream->start(std::move(work));
}

namespace {

// Managed memory by its address.
std::mutex mutex;
std::map<const char*, std::size_t>& blocks() {
  static auto& all = *new std::map<const char*, std::size_t>;  // outlives arrays of the interpreter
  return all;
}
std::size_t limit() {
  const char* given = std::getenv("ONEPASS_FIBERS_MEMORY");
  return given == nullptr ? std::size_t{1} << 40 : std::strtoull(given, nullptr, 10);
}
std::size_t in_use = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t failed(cudaError_t error) { return last_error = error; }

}  // namespace
}  // namespace onepass::fibers

using namespace onepass::fibers;

cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {"fibers on the CPU", 9, 0, 1, 1 << 20, 1, limit()};
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : failed(cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(std::size_t* left, std::size_t* all) {
  const std::lock_guard lock(mutex);
  *all = limit();
  *left = *all > in_use ? *all - in_use : 0;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "invalid argument";
}

cudaError_t cudaMallocManaged(void** memory, std::size_t bytes, unsigned) {
  const std::lock_guard lock(mutex);
  if (in_use + bytes > limit()) return failed(cudaErrorMemoryAllocation);
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*memory, 0xFF, bytes);  // NaN
  blocks()[static_cast<const char*>(*memory)] = bytes;
  in_use += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const std::lock_guard lock(mutex);
  const auto found = blocks().find(static_cast<const char*>(memory));
  if (found == blocks().end()) return failed(cudaErrorInvalidValue);
  in_use -= found->second;
  blocks().erase(found);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* memory) {
  const std::lock_guard lock(mutex);
  const auto* address = static_cast<const char*>(memory);
  auto block = blocks().upper_bound(address);
  const bool inside = block != blocks().begin() &&
                      (--block, static_cast<std::size_t>(address - block->first) < block->second);
  found->type = inside ? cudaMemoryTypeManaged : cudaMemoryTypeUnregistered;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = new Stream, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  stream->finish();
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream != nullptr) stream->finish();
  return std::getenv("ONEPASS_FIBERS_FAIL") == nullptr ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t) {
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  start(stream, [memory] { std::free(memory); });
  return cudaSuccess;
}
// Of memory that CUDA does not know a copy is made at once; all else is read when its turn comes.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  const auto* first = static_cast<const char*>(from);
  start(stream, [to, copy = std::vector<char>(first, first + bytes)] {
    std::memcpy(to, copy.data(), copy.size());
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_stride, const void* from,
                              std::size_t from_stride, std::size_t bytes_a_row, std::size_t rows,
                              cudaMemcpyKind, cudaStream_t stream) {
  if (to_stride < bytes_a_row || from_stride < bytes_a_row) return failed(cudaErrorInvalidValue);
  start(stream, [=] {
    for (std::size_t r = 0; r < rows; ++r) {
      std::memcpy(static_cast<char*>(to) + r * to_stride,
                  static_cast<const char*>(from) + r * from_stride, bytes_a_row);
    }
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  start(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}
