// A step of an optimizer: all segments in one launch. The plain case touches 16 bytes at a time.
#pragma once

#include "../loops/beside.h"
#include "../loops/scale_clip.h"
#include "beside_element.h"
#include "segments.h"
#include "teams.h"
#include "wide.h"

namespace onepass::cuda {
namespace {

constexpr int64_t kMostSweepBlocks = int64_t{1} << 20;

// The numbers of a step: a kernel receives them with its launch, or reads them from a record.
template <class R, class T>
struct StepNumbers {
  using Hyper = typename R::template Hyper<T>;
  Hyper own;

  __device__ __forceinline__ Hyper of(const StepRecord* record) const {
    return record == nullptr ? own : math::hyper_from<R, T>(record->scalars);
  }
};

template <class T>
__device__ __forceinline__ Segment<T> in_global(Segment<T> s, int states) {
  s.p = to_global(s.p);
  s.g = to_global(s.g);
  for (int k = 0; k < kMaxStates; ++k) {
    if (k < states) s.state[k] = to_global(s.state[k]);
  }
  return s;
}

// Elements i to i + kWidth - 1. The states are separate names, as in `sweep_one`.
template <class R, bool kPlain, int kWidth, class T>
__device__ __forceinline__ void sweep_pack(const typename R::template Hyper<T>& h,
                                           const AroundOf<T>& a, const Segment<T>& s, int64_t i) {
  using P = Wide<T, kWidth>;
  P p = P::load(s.p + i), m0{}, m1{}, m2{}, m3{};
  const P g = P::load(s.g + i);
  if constexpr (R::kStates > 0) m0 = P::load(s.state[0] + i);
  if constexpr (R::kStates > 1) m1 = P::load(s.state[1] + i);
  if constexpr (R::kStates > 2) m2 = P::load(s.state[2] + i);
  if constexpr (R::kStates > 3) m3 = P::load(s.state[3] + i);
  ONEPASS_UNROLL(4)
  for (int e = 0; e < kWidth; ++e) {
    sweep_one<R, kPlain, false>(h, a, g.at[e], p.at[e], m0.at[e], m1.at[e], m2.at[e], m3.at[e]);
  }
  p.store(s.p + i);
  if constexpr (R::kStates > 0) m0.store(s.state[0] + i);
  if constexpr (R::kStates > 1) m1.store(s.state[1] + i);
  if constexpr (R::kStates > 2) m2.store(s.state[2] + i);
  if constexpr (R::kStates > 3) m3.store(s.state[3] + i);
}

// What of a range lies in whole packs of all arrays: nothing where they are not aligned alike.
template <class T>
__device__ __forceinline__ Range whole_packs(const Segment<T>& s, int states, Range range) {
  constexpr uint64_t bytes = 16;
  const auto place = [&](const T* data) {
    return reinterpret_cast<uint64_t>(data + range.begin) % bytes;
  };
  const uint64_t own = place(s.p);
  bool alike = place(s.g) == own;
  for (int k = 0; k < kMaxStates; ++k) alike = alike && (k >= states || place(s.state[k]) == own);
  const int64_t before = static_cast<int64_t>((bytes - own) % bytes / sizeof(T));
  const int64_t n = range.end - range.begin - before;
  if (!alike || n < kWideCount<T>) return {range.begin, range.begin};
  const int64_t begin = range.begin + before;
  return {begin, begin + n / kWideCount<T> * kWideCount<T>};
}

// A chunk: whole packs, and the elements before and behind them one by one. Not unrolled: stores
// keep the next loads behind them anyway, and fewer registers let more warps wait for memory.
template <class R, bool kPlain, class T>
__device__ __forceinline__ void sweep_chunk(const typename R::template Hyper<T>& h,
                                            const AroundOf<T>& around, const Segment<T>& segment,
                                            Range range) {
  // Copies: behind references they might be what the sweep writes.
  const Segment<T> s = in_global(segment, R::kStates);
  const AroundOf<T> a = around;
  constexpr int width = kWideCount<T>;
  const Range whole = whole_packs(s, R::kStates, range);
  ONEPASS_UNROLL(1)
  for (int64_t i = whole.begin + threadIdx.x * width; i < whole.end; i += kBlockThreads * width) {
    sweep_pack<R, kPlain, width>(h, a, s, i);
  }
  const int64_t before = whole.begin - range.begin, rest = before + range.end - whole.end;
  ONEPASS_UNROLL(1)
  for (int64_t j = threadIdx.x; j < rest; j += kBlockThreads) {
    const int64_t i = j < before ? range.begin + j : whole.end + (j - before);
    sweep_pack<R, kPlain, 1>(h, a, s, i);
  }
}

// The rule for an element whose gradient and parameter are at hand.
template <class R, class T>
__device__ __forceinline__ void sweep_element(const typename R::template Hyper<T>& h,
                                              const AroundOf<T>& a, const Segment<T>& s, int64_t i,
                                              T g, T& p) {
  T m0{}, m1{}, m2{}, m3{};
  if constexpr (R::kStates > 0) m0 = s.state[0][i];
  if constexpr (R::kStates > 1) m1 = s.state[1][i];
  if constexpr (R::kStates > 2) m2 = s.state[2][i];
  if constexpr (R::kStates > 3) m3 = s.state[3][i];
  if (has_penalty<R>(a)) g = a.penalised(g, p);
  sweep_one<R, false, false>(h, a, g, p, m0, m1, m2, m3);
  if constexpr (R::kStates > 0) s.state[0][i] = m0;
  if constexpr (R::kStates > 1) s.state[1][i] = m1;
  if constexpr (R::kStates > 2) s.state[2][i] = m2;
  if constexpr (R::kStates > 3) s.state[3][i] = m3;
}

// x % stride for a place at most a chunk behind a column: without the division of 64 bits.
__device__ __forceinline__ int64_t wrapped(int64_t x, int64_t stride) {
  if (x < stride) return x;
  if (stride > kSweepChunk) return x - stride;
  return static_cast<uint32_t>(x) % static_cast<uint32_t>(stride);
}

// Puts the zeros of a range's padding back, behind the block's sweep of it.
template <class T>
__device__ __forceinline__ void clear_padding(bool clears, const Segment<T>& s, int states,
                                              Range range) {
  if (!clears || s.cols == s.stride) return;
  __syncthreads();
  const int64_t column = range.begin % s.stride;
  ONEPASS_UNROLL(1)
  for (int64_t i = range.begin + threadIdx.x; i < range.end; i += kBlockThreads) {
    if (wrapped(column + (i - range.begin), s.stride) < s.cols) continue;
    s.p[i] = T(0);
    for (int k = 0; k < states; ++k) s.state[k][i] = T(0);
  }
}

template <class R, class T>
__global__ void __launch_bounds__(kBlockThreads)
    sweep_plain(const SegmentTable<T> table, const StepNumbers<R, T> numbers) {
  each_chunk(table, [&](int64_t k, const Segment<T>& s, Range range) {
    sweep_chunk<R, true>(numbers.own, table.around_of(k, s), s, range);
    clear_padding(table.clears, s, R::kStates, range);
  });
}

// All that is not plain: `by_elements` where it is more than clipping, decay and the rule.
template <class R, class T>
__global__ void __launch_bounds__(kBlockThreads)
    sweep_any(const SegmentTable<T> table, const StepNumbers<R, T> numbers, const Recorded recorded,
              const Beyond given, bool by_elements) {
  const typename R::template Hyper<T> hyper = numbers.of(recorded.record);
  const Beyond beyond = recorded.beyond(given);
  each_chunk(table, [&](int64_t k, const Segment<T>& s, Range range) {
    const AroundOf<T> a = recorded.around(table.around_of(k, s), k);
    if (by_elements) {
      const Beside<T> beside = table.has_beside ? table.beside_of(k) : Beside<T>{};
      ONEPASS_UNROLL(1)
      for (int64_t i = range.begin + threadIdx.x; i < range.end; i += kBlockThreads) {
        step_element(s, beside, beyond, i,
                     [&](int64_t at, T g, T& p) { sweep_element<R>(hyper, a, s, at, g, p); });
      }
    } else {
      sweep_chunk<R, false>(hyper, a, s, range);
    }
    clear_padding(table.clears, s, R::kStates, range);
  });
}

// A step on a table. `penalised`: the gradient is that of a DenseUpdate, whose penalties are part
// of it.
template <class T>
void launch_update(const SegmentTable<T>& table, const Recorded& recorded, const Update<T>& u,
                   bool penalised, onepass::Team& team) {
  if (team.rank != 0 || table.n_chunks == 0) return;
  const int64_t most = table.n_chunks < kMostSweepBlocks ? table.n_chunks : kMostSweepBlocks;
  const dim3 grid{static_cast<unsigned>(most)}, block{kBlockThreads};
  const bool by_elements = table.has_beside || (penalised && !table.plain);
  math::Rules::visit(u.rule, [&](auto formula) {
    using R = decltype(formula);
    const StepNumbers<R, T> numbers{math::hyper_from<R, T>(u.scalars)};
    if (table.plain && !by_elements && recorded.record == nullptr) {
      launch(sweep_plain<R, T>, grid, block, team, table, numbers);
    } else {
      launch(sweep_any<R, T>, grid, block, team, table, numbers, recorded, u.beyond, by_elements);
    }
  });
}

template <class T>
void start_sweep(const Update<T>& u, bool penalised, onepass::Team& team) {
  if (team.rank != 0) return;
  const StepTable<T> table(u, team);
  launch_update(*table, table.recorded(), u, penalised, team);
}

template <class T>
void start_update(const Update<T>& u, onepass::Team& team) {
  start_sweep(u, false, team);
}

ONEPASS_LOOP_TYPE(scale_clip, Team);
template <class T>
void start_scale_clip(const ScaleClip<T>& a, onepass::Team& team) {
  start_rows<scale_clip_loop>(a, (a.size + kGrain - 1) / kGrain, team);
}

}  // namespace
}  // namespace onepass::cuda
