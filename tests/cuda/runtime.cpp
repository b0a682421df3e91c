#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "streams.h"

namespace onepass::fibers {

void start(Stream* stream, std::function<void()> work) {
  if (stream == nullptr) return DeviceMemory::all().run(work);
  stream->start(std::move(work));
}

void record(Event* event, Stream* stream) {
  event->last = std::make_shared<Mark>(Mark{stream});
  start(stream, [mark = event->last] { mark->reached = true; });
}

namespace {

// Managed and pinned memory by its address.
std::mutex mutex;
using Blocks = std::map<const char*, std::size_t>;
Blocks& blocks() {
  static auto& all = *new Blocks;  // outlives arrays of the interpreter
  return all;
}
Blocks& pinned_blocks() {
  static auto& all = *new Blocks;
  return all;
}
bool holds(const Blocks& all, const void* memory) {
  const std::lock_guard lock(mutex);
  const auto* address = static_cast<const char*>(memory);
  auto block = all.upper_bound(address);
  return block != all.begin() &&
         (--block, static_cast<std::size_t>(address - block->first) < block->second);
}
std::size_t limit() {
  const char* given = std::getenv("ONEPASS_FIBERS_MEMORY");
  return given == nullptr ? std::size_t{1} << 40 : std::strtoull(given, nullptr, 10);
}
std::size_t in_use = 0;
thread_local cudaError_t last_error = cudaSuccess;
thread_local int captures = 0;  // of this thread
thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
bool is_captured(const Stream* stream) { return stream != nullptr && stream->captured != nullptr; }
bool forbidden() { return captures > 0 && capture_mode != cudaStreamCaptureModeRelaxed; }

cudaError_t failed(cudaError_t error) { return last_error = error; }
// Streams of this thread that are captured.
thread_local std::set<Stream*> capturing;
// What a capture does not allow, and does not survive.
cudaError_t refused() {
  for (Stream* stream : capturing) stream->spoilt = true;
  return failed(cudaErrorStreamCaptureUnsupported);
}

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
  if (error == cudaErrorStreamCaptureUnsupported) return "not while a stream is captured";
  return error == cudaErrorMemoryAllocation ? "out of memory" : "invalid argument";
}

cudaError_t cudaMallocManaged(void** memory, std::size_t bytes, unsigned) {
  if (forbidden()) return refused();
  const std::lock_guard lock(mutex);
  if (in_use + bytes > limit()) return failed(cudaErrorMemoryAllocation);
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*memory, 0xFF, bytes);  // NaN
  blocks()[static_cast<const char*>(*memory)] = bytes;
  in_use += bytes;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (forbidden()) return refused();
  const char* const room = std::getenv("ONEPASS_FIBERS_ROOM");
  if (room != nullptr && bytes > std::strtoull(room, nullptr, 10)) {
    return failed(cudaErrorMemoryAllocation);
  }
  if (bytes > limit()) return failed(cudaErrorMemoryAllocation);
  *memory = DeviceMemory::all().allocate(bytes);
  return *memory != nullptr ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  if (forbidden()) return refused();
  if (DeviceMemory::all().release(memory)) return cudaSuccess;
  const std::lock_guard lock(mutex);
  const auto found = blocks().find(static_cast<const char*>(memory));
  if (found == blocks().end()) return failed(cudaErrorInvalidValue);
  in_use -= found->second;
  blocks().erase(found);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  if (forbidden()) return refused();
  const std::lock_guard lock(mutex);
  if (bytes > limit()) return failed(cudaErrorMemoryAllocation);
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  pinned_blocks()[static_cast<const char*>(*memory)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  if (forbidden()) return refused();
  const std::lock_guard lock(mutex);
  if (pinned_blocks().erase(static_cast<const char*>(memory)) == 0) {
    return failed(cudaErrorInvalidValue);
  }
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* memory) {
  found->type = holds(blocks(), memory) ? cudaMemoryTypeManaged : cudaMemoryTypeUnregistered;
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
  if (forbidden() || is_captured(stream)) return refused();
  if (stream != nullptr) stream->finish();
  return std::getenv("ONEPASS_FIBERS_FAIL") == nullptr ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return *event = new Event, cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (is_captured(stream))
    return refused();  // a moment of the capture, which onepass has no use for
  return record(event, stream), cudaSuccess;
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  if (!is_captured(stream) || flags != cudaEventRecordExternal) {
    return failed(cudaErrorInvalidValue);
  }
  stream->captured->nodes.push_back({{}, event});
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (is_captured(stream)) return refused();
  if (event->last == nullptr) return cudaSuccess;
  return start(stream, [mark = event->last] { Stream::finish(*mark); }), cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (forbidden()) return refused();
  if (event->last != nullptr) Stream::finish(*event->last);
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  if (is_captured(stream)) return refused();  // a graph's own memory, which onepass does not use
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  start(stream, [memory] { std::free(memory); });
  return cudaSuccess;
}
// Of memory that CUDA does not know a copy is made at once; all else is read when its turn comes,
// as late as possible or, as copies go on beside kernels, as soon.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  if (is_captured(stream)) return refused();  // a graph would copy from there once more
  const auto* first = static_cast<const char*>(from);
  if (holds(pinned_blocks(), from)) {
    start(stream, [=] { std::memcpy(to, first, bytes); });
    if (std::getenv("ONEPASS_FIBERS_COPY_EARLY") != nullptr) stream->finish();
    return cudaSuccess;
  }
  start(stream, [to, copy = std::vector<char>(first, first + bytes)] {
    std::memcpy(to, copy.data(), copy.size());
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_stride, const void* from,
                              std::size_t from_stride, std::size_t bytes_a_row, std::size_t rows,
                              cudaMemcpyKind, cudaStream_t stream) {
  if (is_captured(stream)) return refused();
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

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, capture_mode);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || stream->captured != nullptr) return refused();
  stream->captured = std::make_unique<Graph>();
  stream->spoilt = false;
  capturing.insert(stream);
  ++captures;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const bool active = stream != nullptr && stream->captured != nullptr;
  *status = active ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream->captured == nullptr) return failed(cudaErrorInvalidValue);
  *graph = stream->captured.release();
  capturing.erase(stream);
  --captures;
  if (!stream->spoilt) return cudaSuccess;
  delete std::exchange(*graph, nullptr);
  return failed(cudaErrorStreamCaptureUnsupported);
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
std::atomic<long> graphs_made = 0, graphs_launched = 0;
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  ++graphs_made;
  *made = new GraphExec{std::make_shared<const Graph>(*graph)};
  return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t made, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo*) {
  if (made->graph->nodes.size() != graph->nodes.size()) return failed(cudaErrorInvalidValue);
  made->graph = std::make_shared<const Graph>(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t made) { return delete made, cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t made, cudaStream_t stream) {
  ++graphs_launched;
  for (const Graph::Node& node : made->graph->nodes) {
    if (node.event != nullptr) {
      record(node.event, stream);
    } else {
      start(stream, [graph = made->graph, &node] { node.work(); });
    }
  }
  return cudaSuccess;
}

// For a library of arrays in tests (tests/fake_cupy.py).
#define ONEPASS_EXPORT extern "C" __attribute__((visibility("default")))
ONEPASS_EXPORT void* onepass_fibers_allocate(std::size_t bytes) {
  return DeviceMemory::all().allocate(bytes);
}
ONEPASS_EXPORT std::size_t onepass_fibers_blocks() { return DeviceMemory::all().blocks(); }
// Behind what was started before, as a library's pool gives memory to nobody else meanwhile.
ONEPASS_EXPORT void onepass_fibers_release(void* memory, cudaStream_t stream) {
  start(stream, [memory] { DeviceMemory::all().release(memory); });
}
// For another library's kernels: work(own), later and maybe often; drop(own) once it never will.
ONEPASS_EXPORT void onepass_fibers_start(cudaStream_t stream, void (*work)(void*), void* own,
                                         void (*drop)(void*)) {
  start(stream, [work, kept = std::shared_ptr<void>(own, drop)] { work(kept.get()); });
}
ONEPASS_EXPORT bool onepass_fibers_captures(cudaStream_t stream) {
  return stream != nullptr && stream->captured != nullptr;
}
// Waits for the stream.
ONEPASS_EXPORT void onepass_fibers_copy(void* to, const void* from, std::size_t bytes,
                                        cudaStream_t stream) {
  if (stream != nullptr) stream->finish();
  DeviceMemory::all().run([=] { std::memcpy(to, from, bytes); });
}
ONEPASS_EXPORT std::size_t onepass_fibers_waiting(cudaStream_t stream) { return stream->waiting(); }
ONEPASS_EXPORT long onepass_fibers_graphs_made() { return graphs_made; }
ONEPASS_EXPORT long onepass_fibers_graphs_launched() { return graphs_launched; }
ONEPASS_EXPORT cudaStream_t onepass_fibers_stream() { return new Stream; }
ONEPASS_EXPORT void onepass_fibers_capture(cudaStream_t stream) {
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
}
// What was captured, to be launched.
ONEPASS_EXPORT cudaGraphExec_t onepass_fibers_end_capture(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(stream, &graph) != cudaSuccess) return cudaGetLastError(), nullptr;
  cudaGraphExec_t made = nullptr;
  cudaGraphInstantiate(&made, graph, 0);
  cudaGraphDestroy(graph);
  return made;
}
ONEPASS_EXPORT void onepass_fibers_launch(cudaGraphExec_t made, cudaStream_t stream) {
  cudaGraphLaunch(made, stream);
}
