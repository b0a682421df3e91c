// Sums of squares of all gradients of a step in one launch, with the bits of reduce.h.
#pragma once

#include "reduce.h"
#include "segments.h"

namespace onepass::cuda {
namespace {

// The sum of squares of a block of a segment's elements, for all threads of a member.
template <class T>
__device__ __forceinline__ double segment_squares(const Segment<T>& s, const Beside<T>& beside,
                                                  bool has_beside, bool adds, int64_t first,
                                                  int64_t n) {
  if (!has_beside && reinterpret_cast<uintptr_t>(s.g + first) % sizeof(OwnLanes<T>) == 0) {
    return member_squares_of(to_global(s.g) + first, n);
  }
  const auto x = [&](int64_t i) {
    return has_beside ? gradient_at(s.g, beside, adds, first + i) : s.g[first + i];
  };
  return squares_by<T>([&](auto zero) {
    return member_squares<decltype(zero), T>(
        n,
        [&](int64_t i) {
          OwnLanes<T> values;
          ONEPASS_UNROLL(4)
          for (int l = 0; l < kOwnLanes; ++l) values.at[l] = x(i + l);
          return values;
        },
        x);
  });
}

// A member takes the chunk with which a block of elements begins; others have nothing to do.
template <class T>
__global__ void __launch_bounds__(kSummingMembers* kLanes)
    sum_squares_of_segments(const SegmentTable<T> table, bool adds, const int64_t* first_blocks,
                            double* partials) {
  static_assert(kNormBlock % kSweepChunk == 0);
  constexpr int64_t chunks = kNormBlock / kSweepChunk;
  const int64_t chunk = int64_t{blockIdx.x} * kSummingMembers + threadIdx.x / kLanes;
  if (chunk >= table.n_chunks) return;
  const int64_t k = table.segment_of(chunk), own = chunk - table.begin_of(k);
  if (own % chunks != 0) return;
  const Segment<T> s = table.segment_at(k);
  const Beside<T> beside = table.has_beside ? table.beside_of(k) : Beside<T>{};
  const int64_t block = own / chunks, first = block * kNormBlock, left = s.size - first;
  const double sum = segment_squares(s, beside, table.has_beside, adds, first,
                                     left < kNormBlock ? left : kNormBlock);
  if (leads()) partials[first_blocks[k] + block] = sum;
}

template <class T>
void start_sums_of_squares(const SumsOfSquares<T>& a, onepass::Team& team) {
  if (team.rank != 0) return;
  const StepTable<T> table(a.of, team);
  if ((*table).n_chunks == 0) return;
  const int64_t needed = ((*table).n_chunks + kSummingMembers - 1) / kSummingMembers;
  launch(sum_squares_of_segments<T>, {static_cast<unsigned>(needed)}, {kSummingMembers * kLanes},
         team, *table, a.of.beyond.adds, a.first_blocks, a.partials);
}

}  // namespace
}  // namespace onepass::cuda
