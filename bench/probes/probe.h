// What all probes use: errors with their reason, JSON, memory and times of a GPU.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace onepass::probes {

// Ends a probe that cannot be done here; other errors end it as failed.
struct Missing : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
  }
}

inline std::string quoted(const std::string& text) {
  std::string made = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') made += '\\';
    made += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return made + '"';
}

// An object of JSON, put together in order.
class Json {
 public:
  template <class Number>
    requires std::is_arithmetic_v<Number>
  Json& put(const std::string& key, Number number) {
    const auto value = static_cast<double>(number);
    char digits[32] = "null";  // JSON has no infinity
    if (std::isfinite(value)) std::snprintf(digits, sizeof digits, "%.10g", value);
    return raw(key, digits);
  }
  Json& put(const std::string& key, const std::string& value) { return raw(key, quoted(value)); }
  Json& put(const std::string& key, const char* value) { return raw(key, quoted(value)); }
  Json& put(const std::string& key, bool value) { return raw(key, value ? "true" : "false"); }
  Json& put(const std::string& key, const Json& value) { return raw(key, value.text()); }
  Json& put(const std::string& key, const std::vector<std::string>& values) {
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + quoted(value);
    return raw(key, '[' + list + ']');
  }

  std::string text() const { return '{' + inside_ + '}'; }

 private:
  Json& raw(const std::string& key, const std::string& value) {
    inside_ += (inside_.empty() ? "" : ", ") + quoted(key) + ": " + value;
    return *this;
  }

  std::string inside_;
};

// Puts the answer to one question of a probe; where it fails, how, and others are still asked.
template <class Question>
void answer(Json& found, const std::string& key, Question question) {
  try {
    found.put(key, question());
  } catch (const std::exception& error) {
    found.put(key, Json().put("failed", error.what()));
  }
}

// Elements in the GPU's memory, zero at first. Its copies are in the default stream, for which the
// streams below do not wait, nor it for them: so all is waited for.
template <class T>
class Memory {
 public:
  explicit Memory(std::size_t size) : bytes_(size * sizeof(T)) {
    require(cudaMalloc(&data_, bytes_), "cudaMalloc");
    require(cudaMemset(data_, 0, bytes_), "cudaMemset");
    wait_for_all();
  }
  explicit Memory(const std::vector<T>& values) : Memory(values.size()) {
    require(cudaMemcpy(data_, values.data(), bytes_, cudaMemcpyHostToDevice), "a copy to the GPU");
    wait_for_all();
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { cudaFree(data_); }

  T* get() const { return static_cast<T*>(data_); }
  std::vector<T> host() const {
    wait_for_all();
    std::vector<T> values(bytes_ / sizeof(T));
    require(cudaMemcpy(values.data(), data_, bytes_, cudaMemcpyDeviceToHost),
            "a copy from the GPU");
    return values;
  }

 private:
  static void wait_for_all() { require(cudaDeviceSynchronize(), "waiting for the GPU"); }

  void* data_ = nullptr;
  std::size_t bytes_;
};

class Stream {
 public:
  Stream() { require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }

  operator cudaStream_t() const { return stream_; }
  void wait() const { require(cudaStreamSynchronize(stream_), "waiting for a stream"); }

 private:
  cudaStream_t stream_ = nullptr;
};

// A stream's work as a graph.
class Graph {
 public:
  template <class Work>
  Graph(cudaStream_t stream, Work work) {
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "a capture");
    try {
      work();
    } catch (...) {  // or the stream, which others use, would go on recording
      cudaStreamEndCapture(stream, &graph_);
      if (graph_ != nullptr) cudaGraphDestroy(graph_);
      cudaGetLastError();
      throw;
    }
    require(cudaStreamEndCapture(stream, &graph_), "the end of a capture");
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    if (made_ != nullptr) cudaGraphExecDestroy(made_);
    cudaGraphDestroy(graph_);
  }

  cudaGraph_t get() const { return graph_; }
  cudaGraphExec_t made() {
    if (made_ == nullptr) require(cudaGraphInstantiate(&made_, graph_, 0), "a graph");
    return made_;
  }
  void launch(cudaStream_t stream) { require(cudaGraphLaunch(made(), stream), "a graph's launch"); }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t made_ = nullptr;
};

// Microseconds of the host and of the GPU.
struct Microseconds {
  double host = std::numeric_limits<double>::infinity();
  double gpu = std::numeric_limits<double>::infinity();
};

template <class Work>
double host_microseconds(Work work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - begun;
  return taken.count();
}

// The least of some runs of what work() queues, after one that is not timed.
template <class Work>
Microseconds least(const Stream& stream, int runs, Work work) {
  cudaEvent_t begin = nullptr, end = nullptr;
  require(cudaEventCreate(&begin), "an event");
  require(cudaEventCreate(&end), "an event");
  work();
  stream.wait();
  Microseconds found;
  for (int run = 0; run < runs; ++run) {
    require(cudaEventRecord(begin, stream), "an event");
    found.host = std::min(found.host, host_microseconds(work));
    require(cudaEventRecord(end, stream), "an event");
    stream.wait();
    float milliseconds = 0.0f;
    require(cudaEventElapsedTime(&milliseconds, begin, end), "an event's time");
    found.gpu = std::min(found.gpu, 1e3 * static_cast<double>(milliseconds));
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return found;
}

inline int attribute(cudaDeviceAttr which) {
  int value = 0;
  require(cudaDeviceGetAttribute(&value, which, 0), "a property of the GPU");
  return value;
}

}  // namespace onepass::probes
