#include "device.h"

#include <cuda_runtime_api.h>

#include <utility>

#include "cublaslt.h"
#include "kernels_cuda.h"

namespace onepass {
namespace {

cudaStream_t of(void* stream) { return static_cast<cudaStream_t>(stream); }

constexpr int kGpu = 0;
#if !defined(ONEPASS_PATIENCE)
#define ONEPASS_PATIENCE 0.01
#endif

// CUDA forbids all threads to allocate while one captures a stream, unless they say that they know.
// Both, as one number: the GPU and the mode.
constexpr int kModes = 4;
int enter() {
  int before = kGpu;
  cudaGetDevice(&before);
  cudaSetDevice(kGpu);
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  return kModes * before + static_cast<int>(mode);
}
void leave(int before) {
  auto mode = static_cast<cudaStreamCaptureMode>(before % kModes);
  cudaThreadExchangeStreamCaptureMode(&mode);
  cudaSetDevice(before / kModes);
}

// Managed memory: pages move to where they are used, so that weights are NumPy arrays to the host.
// CUDA would put there what the GPU has no room for, too, at the speed of the bus.
void* allocate_managed(std::size_t bytes) {
  const int before = enter();
  std::size_t left = 0, all = 0;
  void* memory = nullptr;
  const bool fits = cudaMemGetInfo(&left, &all) == cudaSuccess && bytes <= left;
  const bool given = fits && cudaMallocManaged(&memory, bytes, cudaMemAttachGlobal) == cudaSuccess;
  if (!given) cudaGetLastError();  // it would be taken for that of a kernel
  leave(before);
  return given ? memory : nullptr;
}

void release(void* memory) {
  const int before = enter();
  cudaFree(memory);
  leave(before);
}

void* allocate_there(std::size_t bytes) {
  const int before = enter();
  void* memory = nullptr;
  if (cudaMalloc(&memory, bytes) != cudaSuccess) cudaGetLastError();
  leave(before);
  return memory;
}

void* pin(std::size_t bytes) {
  const int before = enter();
  void* memory = nullptr;
  if (cudaMallocHost(&memory, bytes) != cudaSuccess) cudaGetLastError();
  leave(before);
  return memory;
}

void unpin(void* memory) {
  const int before = enter();
  cudaFreeHost(memory);
  leave(before);
}

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
  if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  cuda::own_cublaslt_workspace(stream);
  return stream;
}

void close_stream(void* stream) {
  const int before = enter();
  cuda::forget_cublaslt_workspace(stream);
  cudaStreamDestroy(of(stream));
  leave(before);
}

// Of what could not be started by this thread. A failure of cuBLASLt says more than the one that
// it leaves with CUDA.
const char* started() {
  const cudaError_t wrong = cudaGetLastError();
  const char* const in_cublaslt = cuda::cublaslt_error();
  if (in_cublaslt != nullptr) return in_cublaslt;
  return wrong == cudaSuccess ? nullptr : cudaGetErrorString(wrong);
}

const char* wait(void* stream) {
  const cudaError_t ran = cudaStreamSynchronize(of(stream));
  const char* const not_started = started();
  return ran == cudaSuccess ? not_started : cudaGetErrorString(ran);
}

const char* said(cudaError_t status) {
  if (status == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(status);
}

cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

void* open_event() {
  cudaEvent_t event = nullptr;
  if (cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess) return event;
  cudaGetLastError();
  return nullptr;
}

void close_event(void* event) {
  const int before = enter();
  cudaEventDestroy(event_of(event));
  leave(before);
}

bool mark(void* event, void* stream) {
  return cudaEventRecord(event_of(event), of(stream)) == cudaSuccess;
}

void mark_launches(void* event, void* stream) {
  cudaEventRecordWithFlags(event_of(event), of(stream), cudaEventRecordExternal);
}

void follow(void* stream, void* event) { cudaStreamWaitEvent(of(stream), event_of(event), 0); }

const char* reach(void* event) { return said(cudaEventSynchronize(event_of(event))); }

const char* captures(void* stream, bool* does) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const cudaError_t asked = cudaStreamIsCapturing(of(stream), &status);
  *does = status != cudaStreamCaptureStatusNone;
  if (asked == cudaSuccess) return nullptr;
  cudaGetLastError();
  return cudaGetErrorString(asked);
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

// CUDA has copied the bytes of ordinary memory when it returns.
void write(void* to, const void* from, std::size_t bytes, void* stream) {
  if (bytes != 0) cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, of(stream));
}

// Calls of other threads that wait for the GPU must not end this one's recording.
bool record(void* stream) {
  if (cudaStreamBeginCapture(of(stream), cudaStreamCaptureModeThreadLocal) == cudaSuccess) {
    return true;
  }
  cudaGetLastError();
  return false;
}

void abandon(void* stream) {
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(of(stream), &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  started();  // nobody wants to know any more
}

cudaGraphExec_t executable(void* graph) { return static_cast<cudaGraphExec_t>(graph); }

void forget(void* graph) {
  if (graph != nullptr) cudaGraphExecDestroy(executable(graph));
}

// The graph as the one that was made earlier with other numbers, or as a new one.
cudaError_t prepare(cudaGraph_t captured, void** graph) {
  if (*graph != nullptr) {
    cudaGraphExecUpdateResultInfo found{};
    if (cudaGraphExecUpdate(executable(*graph), captured, &found) == cudaSuccess) {
      return cudaSuccess;
    }
    cudaGetLastError();
    forget(std::exchange(*graph, nullptr));
  }
  cudaGraphExec_t made = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&made, captured, 0);
  if (status == cudaSuccess) *graph = made;
  return status;
}

const char* keep(void* stream, void** graph) {
  cudaGraph_t captured = nullptr;
  cudaError_t status = cudaStreamEndCapture(of(stream), &captured);
  const char* const missing = started();  // in the graph
  if (status == cudaSuccess && missing == nullptr) status = prepare(captured, graph);
  if (captured != nullptr) cudaGraphDestroy(captured);
  return missing != nullptr ? missing : said(status);
}

const char* launch(void* graph, void* stream) {
  return said(cudaGraphLaunch(executable(graph), of(stream)));
}

}  // namespace

const Device& cuda_device() {
  static const Device device = {
      .size = sizeof(Device),
      .patience = ONEPASS_PATIENCE,
      .kernels = {"cuda", cuda_kernels_of_float32(), cuda_kernels_of_float64()},
      .allocate = allocate_managed,
      .release = release,
      .reaches = reaches,
      .allocate_there = allocate_there,
      .pin = pin,
      .unpin = unpin,
      .enter = enter,
      .leave = leave,
      .open_stream = open_stream,
      .close_stream = close_stream,
      .wait = wait,
      .open_event = open_event,
      .close_event = close_event,
      .mark = mark,
      .mark_launches = mark_launches,
      .follow = follow,
      .reach = reach,
      .captures = captures,
      .started = started,
      .copy_rows = copy_rows,
      .clear = clear,
      .write = write,
      .record = record,
      .keep = keep,
      .abandon = abandon,
      .launch = launch,
      .forget = forget,
  };
  return device;
}

}  // namespace onepass
