// The segments of a step as kernels find them: a table, and chunks of a segment for blocks to work
// on. A step of all segments is one launch.
#pragma once

#include <cstring>
#include <memory>
#include <new>

#include "../loops/around.h"
#include "../math/step_numbers.h"
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

// A segment and what a kernel needs to know of it.
template <class T>
struct SegmentEntry {
  Segment<T> segment{};
  Beside<T> beside{};
  AroundOf<T> around{};
};

// The segments of a step. Two at most come with the launch; more lie in memory, and of them only
// what surrounds the rule comes along where it is the same for all.
template <class T>
struct SegmentTable {
  const Segment<T>* segments = nullptr;  // null: the first and the second are all
  const Beside<T>* beside = nullptr;
  const AroundOf<T>* around = nullptr;  // of each; null: that of the first and the second, or later
  const int64_t* first_chunk = nullptr;  // of each segment, and behind the last
  SegmentEntry<T> first, second;
  int64_t n_segments = 0, n_chunks = 0, second_chunk = 0;
  double scale = 1.0;  // of gradients, where segments have factors
  bool has_beside = false;
  bool plain = true;    // every around is, and there are no factors
  bool clears = false;  // the padding must be cleared behind the rule

  __device__ __forceinline__ Segment<T> segment_at(int64_t k) const {
    if (segments != nullptr) return segments[k];
    return k == 0 ? first.segment : second.segment;
  }
  __device__ __forceinline__ AroundOf<T> around_of(int64_t k, const Segment<T>& segment) const {
    if (around != nullptr) return around[k];
    AroundOf<T> a = k == 0 ? first.around : second.around;
    if (segment.factor != nullptr) a.set_scale(scale * *segment.factor);
    return a;
  }
  __device__ __forceinline__ Beside<T> beside_of(int64_t k) const {
    if (beside != nullptr) return beside[k];
    return k == 0 ? first.beside : second.beside;
  }
  // Where a segment's chunks begin.
  __device__ __forceinline__ int64_t begin_of(int64_t k) const {
    if (first_chunk != nullptr) return first_chunk[k];
    return k == 0 ? 0 : second_chunk;
  }
  // The last segment that begins at or before this chunk: those without elements come before it.
  __device__ __forceinline__ int64_t segment_of(int64_t chunk) const {
    if (first_chunk == nullptr) return n_segments > 1 && chunk >= second_chunk ? 1 : 0;
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

// Where the numbers of a step come from a record, see Update: it, and the decays of the first two
// segments, of which the second is that of all later ones. Not for sweeps that know no record: one
// branch more, and some spill registers.
struct Recorded {
  const StepRecord* record = nullptr;
  double first_decay = 0.0, second_decay = 0.0;

  template <class T>
  __device__ __forceinline__ AroundOf<T> around(AroundOf<T> own, int64_t k) const {
    if (record == nullptr) return own;
    const double decay = k == 0 ? first_decay : second_decay;
    own.keep = static_cast<T>(math::kept_of_parameters(record->rate, decay));
    return own;
  }
  __device__ __forceinline__ Beyond beyond(Beyond own) const {
    if (record == nullptr) return own;
    own.average_keep = record->average_keep;
    own.average_replaces = record->average_replaces;
    return own;
  }
};

// Calls f(segment's number, the segment, its elements) for the chunks of a block.
template <class T, class F>
__device__ __forceinline__ void each_chunk(const SegmentTable<T>& table, F&& f) {
  for (int64_t chunk = blockIdx.x; chunk < table.n_chunks; chunk += gridDim.x) {
    const int64_t k = table.segment_of(chunk);
    const Segment<T> segment = table.segment_at(k);
    const int64_t begin = (chunk - table.begin_of(k)) * kSweepChunk;
    const int64_t left = segment.size - begin;
    f(k, segment, Range{begin, begin + (left < kSweepChunk ? left : kSweepChunk)});
  }
}

inline int64_t chunks_of(int64_t size) { return (size + kSweepChunk - 1) / kSweepChunk; }

// Whether a launch carries the segments, or what surrounds them, by itself.
constexpr int64_t kFewSegments = 2;
template <class T>
bool carries_segments(const Update<T>& u) {
  return u.n_segments <= kFewSegments;
}
template <class T>
bool carries_around(const Update<T>& u) {
  return u.shared_around || carries_segments(u);
}

// Where in the memory of a table its parts begin.
template <class T>
struct TablePlaces {
  int64_t beside, first_chunk, around, end;

  explicit TablePlaces(const Update<T>& u) {
    const int64_t n = u.n_segments;
    beside = bytes_of<Segment<T>>(n);
    first_chunk = beside + (u.beside != nullptr ? bytes_of<Beside<T>>(n) : 0);
    around = first_chunk + bytes_of<int64_t>(n + 1);
    end = around + (carries_around(u) ? 0 : bytes_of<AroundOf<T>>(n));
  }

 private:
  template <class Entry>
  static int64_t bytes_of(int64_t n) {
    static_assert(alignof(Entry) <= alignof(int64_t));
    const auto size = static_cast<int64_t>(sizeof(Entry)), unit = int64_t{alignof(int64_t)};
    return (n * size + unit - 1) / unit * unit;
  }
};

// Writes the table's memory; returns the number of chunks.
template <class T>
int64_t write_table(const Update<T>& u, char* memory) {
  const TablePlaces<T> places(u);
  const auto put = [&](int64_t at, const auto& value) {
    std::memcpy(memory + at, &value, sizeof value);
  };
  int64_t chunks = 0;
  for (int64_t k = 0; k < u.n_segments; ++k) {
    put(k * static_cast<int64_t>(sizeof(Segment<T>)), u.segments[k]);
    if (u.beside != nullptr) {
      put(places.beside + k * static_cast<int64_t>(sizeof(Beside<T>)), u.beside[k]);
    }
    put(places.first_chunk + k * static_cast<int64_t>(sizeof chunks), chunks);
    if (!carries_around(u)) {
      put(places.around + k * static_cast<int64_t>(sizeof(AroundOf<T>)),
          AroundOf<T>::of(u.around[k]));
    }
    chunks += chunks_of(u.segments[k].size);
  }
  put(places.first_chunk + u.n_segments * static_cast<int64_t>(sizeof chunks), chunks);
  return chunks;
}

// Tables that a plan keeps: of segments that stay as they are, not of what surrounds them.
template <class T>
int64_t kept_table_bytes(const Update<T>& u) {
  return carries_segments(u) || !carries_around(u) ? 0 : TablePlaces<T>(u).end;
}
template <class T>
KeptTable write_kept_table(const Update<T>& u, void* memory) {
  return {memory, write_table(u, static_cast<char*>(memory)), u.segments, u.n_segments};
}

// The table of a step: in the launch, in the plan's memory, or in memory of its own for as long as
// what is started meanwhile needs it.
template <class T>
class StepTable {
 public:
  StepTable(const Update<T>& u, onepass::Team& team) : team_(team) {
    look_around(u);
    table_.n_segments = u.n_segments;
    table_.has_beside = u.beside != nullptr;
    const bool kept = u.kept.segments == u.segments && u.kept.n_segments == u.n_segments;
    if (carries_segments(u)) {
      carry(u);
    } else if (kept && carries_around(u)) {
      point_to(u, u.kept.table, u.kept.chunks);
    } else {
      put_in_memory(u);
    }
  }
  ~StepTable() {
    if (memory_ != nullptr) give_back(team_, memory_);
  }
  StepTable(const StepTable&) = delete;
  StepTable& operator=(const StepTable&) = delete;

  const SegmentTable<T>& operator*() const { return table_; }
  const Recorded& recorded() const { return recorded_; }

 private:
  void look_around(const Update<T>& u) {
    if (u.around == nullptr) return;  // nobody asks
    const int64_t n = u.n_segments == 0 ? 0 : u.shared_around ? 1 : u.n_segments;
    math::Rules::visit(u.rule, [&](auto rule) {
      for (int64_t k = 0; k < n; ++k) {
        table_.plain = table_.plain && AroundOf<T>::of(u.around[k]).plain;
        table_.clears =
            table_.clears || !padding_stays_zero<decltype(rule)>(u.scalars, u.around[k]);
      }
    });
    recorded_.record = u.record;
    table_.clears = table_.clears || u.record != nullptr;  // whose numbers are not known here
    if (n == 0 || !carries_around(u)) return;
    table_.scale = u.around[0].scale;
    if (u.segments[0].factor != nullptr) {  // all have one, which may be NaN
      table_.plain = false;
      table_.clears = true;
    }
    table_.first.around = AroundOf<T>::of(u.around[0]);
    const Around& second = u.around[u.shared_around || n == 1 ? 0 : 1];
    table_.second.around = AroundOf<T>::of(second);
    recorded_.first_decay = u.around[0].decay;
    recorded_.second_decay = second.decay;
  }
  void carry(const Update<T>& u) {
    SegmentEntry<T>* const entries[kFewSegments] = {&table_.first, &table_.second};
    for (int64_t k = 0; k < u.n_segments; ++k) {
      if (k == 1) table_.second_chunk = table_.n_chunks;
      entries[k]->segment = u.segments[k];
      if (u.beside != nullptr) entries[k]->beside = u.beside[k];
      table_.n_chunks += chunks_of(u.segments[k].size);
    }
  }
  void put_in_memory(const Update<T>& u) {
    const TablePlaces<T> places(u);
    const std::unique_ptr<int64_t[]> image(
        new int64_t[static_cast<std::size_t>(places.end) / sizeof(int64_t)]());
    const int64_t chunks = write_table(u, reinterpret_cast<char*>(image.get()));
    if (chunks == 0) return;
    memory_ = stage(team_, image.get(), places.end);
    if (memory_ != nullptr) point_to(u, memory_, chunks);
  }
  void point_to(const Update<T>& u, const void* memory, int64_t chunks) {
    const TablePlaces<T> places(u);
    const auto* base = static_cast<const char*>(memory);
    table_.segments = reinterpret_cast<const Segment<T>*>(base);
    if (u.beside != nullptr) {
      table_.beside = reinterpret_cast<const Beside<T>*>(base + places.beside);
    }
    table_.first_chunk = reinterpret_cast<const int64_t*>(base + places.first_chunk);
    if (!carries_around(u)) {
      table_.around = reinterpret_cast<const AroundOf<T>*>(base + places.around);
    }
    table_.n_chunks = chunks;
  }

  onepass::Team& team_;
  void* memory_ = nullptr;
  SegmentTable<T> table_;
  Recorded recorded_;
};

}  // namespace
}  // namespace onepass::cuda
