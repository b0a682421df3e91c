// The segments of a step as kernels find them: a table in device memory and chunks of a segment for
// blocks to work on. A step of all segments is one launch.
#pragma once

#include <cstring>
#include <memory>
#include <new>

#include "../loops/around.h"
#include "dialect.h"

namespace onepass::cuda {
namespace {

constexpr int64_t kSweepChunk = 4096;  // elements of one segment that a block takes at once

// Memory of the kernels that are started next, with a copy of `host` in it; null where there is
// none, and CUDA keeps the error. Not while a stream is captured: a graph would copy from `host`
// again, which has gone by then.
inline void* stage(onepass::Team& team, const void* host, int64_t bytes) {
  const auto stream = static_cast<cudaStream_t>(team.stream);
  const auto size = static_cast<std::size_t>(bytes);
  void* memory = nullptr;
  if (cudaMallocAsync(&memory, size, stream) != cudaSuccess) return nullptr;
  if (cudaMemcpyAsync(memory, host, size, cudaMemcpyHostToDevice, stream) == cudaSuccess) {
    return memory;
  }
  cudaFreeAsync(memory, stream);
  return nullptr;
}
inline void give_back(onepass::Team& team, void* memory) {
  cudaFreeAsync(memory, static_cast<cudaStream_t>(team.stream));
}

// A pointer that was read from memory, of which the compiler must be told where it leads.
template <class T>
__device__ __forceinline__ T* to_global(T* pointer) {
#if defined(__CUDA_ARCH__)
  __builtin_assume(__isGlobal(pointer));
#endif
  return pointer;
}

// What of Around, given to all segments or to each, and of Beside a kernel sees.
template <class T>
struct SegmentTable {
  // cols < stride only where the padding must be cleared behind the rule.
  const Segment<T>* segments = nullptr;
  const AroundOf<T>* around = nullptr;
  const Beside<T>* beside = nullptr;     // or nullptr
  const int64_t* first_chunk = nullptr;  // of each segment, and behind the last
  int64_t n_segments = 0, n_chunks = 0;
  bool shared_around = false;
  bool plain = true;  // every around is

  __device__ __forceinline__ const AroundOf<T>& around_of(int64_t k) const {
    return around[shared_around ? 0 : k];
  }
  // The last segment that begins at or before this chunk: those without elements come before it.
  __device__ __forceinline__ int64_t segment_of(int64_t chunk) const {
    int64_t low = 0, high = n_segments;
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      const bool before = first_chunk[middle] <= chunk;
      low = before ? middle : low;
      high = before ? high : middle;
    }
    return low;
  }
};

// Calls f(segment's number, its elements) for the chunks of a block.
template <class T, class F>
__device__ __forceinline__ void each_chunk(const SegmentTable<T>& table, F&& f) {
  for (int64_t chunk = blockIdx.x; chunk < table.n_chunks; chunk += gridDim.x) {
    const int64_t k = table.segment_of(chunk);
    const int64_t begin = (chunk - table.first_chunk[k]) * kSweepChunk;
    const int64_t left = table.segments[k].size - begin;
    f(k, Range{begin, begin + (left < kSweepChunk ? left : kSweepChunk)});
  }
}

// A table's bytes, made on the host, to be copied to wherever kernels reach them.
template <class T>
class TableImage {
 public:
  explicit TableImage(const Update<T>& u) : n_(u.n_segments), beside_(u.beside != nullptr) {
    shared_around_ = u.shared_around;
    bytes_.reset(new int64_t[static_cast<std::size_t>(bytes()) / sizeof(int64_t)]());
    put_segments(u);
    put_around(u);
    if (beside_) std::memcpy(at(beside_begin()), u.beside, size_of_all<Beside<T>>(n_));
  }

  const void* data() const { return bytes_.get(); }
  int64_t bytes() const {
    return chunks_begin() + (n_ + 1) * static_cast<int64_t>(sizeof(int64_t));
  }
  int64_t chunks() const { return n_chunks_; }

  // The table of a copy at this address.
  SegmentTable<T> at_address(const void* address) const {
    const auto* base = static_cast<const char*>(address);
    SegmentTable<T> table;
    table.segments = reinterpret_cast<const Segment<T>*>(base);
    table.around = reinterpret_cast<const AroundOf<T>*>(base + around_begin());
    if (beside_) table.beside = reinterpret_cast<const Beside<T>*>(base + beside_begin());
    table.first_chunk = reinterpret_cast<const int64_t*>(base + chunks_begin());
    table.n_segments = n_, table.n_chunks = n_chunks_;
    table.shared_around = shared_around_, table.plain = plain_;
    return table;
  }

 private:
  template <class Entry>
  static int64_t size_of_all(int64_t n) {
    static_assert(alignof(Entry) <= alignof(int64_t));
    const auto size = static_cast<int64_t>(sizeof(Entry)), unit = int64_t{alignof(int64_t)};
    return (n * size + unit - 1) / unit * unit;
  }
  int64_t around_begin() const { return size_of_all<Segment<T>>(n_); }
  int64_t beside_begin() const {
    return around_begin() + size_of_all<AroundOf<T>>(shared_around_ ? 1 : n_);
  }
  int64_t chunks_begin() const {
    return beside_begin() + (beside_ ? size_of_all<Beside<T>>(n_) : 0);
  }
  char* at(int64_t begin) { return reinterpret_cast<char*>(bytes_.get()) + begin; }

  void put_segments(const Update<T>& u) {
    math::Rules::visit(u.rule, [&](auto rule) {
      using R = decltype(rule);
      for (int64_t k = 0; k < n_; ++k) {
        Segment<T> segment = u.segments[k];
        const Around& around = u.around[u.shared_around ? 0 : k];
        if (padding_stays_zero<R>(u.scalars, around)) segment.cols = segment.stride;
        std::memcpy(at(k * static_cast<int64_t>(sizeof segment)), &segment, sizeof segment);
        put_first_chunk(k);
        n_chunks_ += (segment.size + kSweepChunk - 1) / kSweepChunk;
      }
    });
    put_first_chunk(n_);
  }
  void put_first_chunk(int64_t k) {
    std::memcpy(at(chunks_begin()) + k * static_cast<int64_t>(sizeof(int64_t)), &n_chunks_,
                sizeof n_chunks_);
  }
  void put_around(const Update<T>& u) {
    const int64_t n = n_ == 0 ? 0 : shared_around_ ? 1 : n_;
    for (int64_t k = 0; k < n; ++k) {
      const auto around = AroundOf<T>::of(u.around[k]);
      plain_ = plain_ && around.plain;
      std::memcpy(at(around_begin() + k * static_cast<int64_t>(sizeof around)), &around,
                  sizeof around);
    }
  }

  int64_t n_, n_chunks_ = 0;
  bool beside_, shared_around_, plain_ = true;
  std::unique_ptr<int64_t[]> bytes_;
};

// A table in memory of its own, for as long as what is started meanwhile needs it.
template <class T>
class StagedTable {
 public:
  StagedTable(const Update<T>& u, onepass::Team& team) : team_(team) {
    const TableImage<T> image(u);
    if (image.chunks() == 0) return;
    memory_ = stage(team, image.data(), image.bytes());
    if (memory_ != nullptr) table_ = image.at_address(memory_);
  }
  ~StagedTable() {
    if (memory_ != nullptr) give_back(team_, memory_);
  }
  StagedTable(const StagedTable&) = delete;
  StagedTable& operator=(const StagedTable&) = delete;

  const SegmentTable<T>& operator*() const { return table_; }

 private:
  onepass::Team& team_;
  void* memory_ = nullptr;
  SegmentTable<T> table_;
};

}  // namespace
}  // namespace onepass::cuda
