// One pass over runs of parameters, gradients and optimizer states: everything around a rule and
// the rule.
#pragma once

#include "../kernels.h"
#include "../loops/around.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Elements `begin` to `end`. Numbers by value: behind a reference they might alias p. Restricted
// parameters and local copies of an element: the loop then needs no check for overlap at run time,
// and reads no state again that it has just written.
template <class R, bool kPlain, bool kPenalised = false, class T>
ONEPASS_INLINE void sweep_range(typename R::template Hyper<T> h, AroundOf<T> a, T* __restrict p,
                                const T* __restrict g, T* __restrict s0, T* __restrict s1,
                                T* __restrict s2, T* __restrict s3, int64_t begin, int64_t end) {
  ONEPASS_IVDEP
  for (int64_t i = begin; i < end; ++i) {
    T value = p[i], m0{}, m1{}, m2{}, m3{};
    if constexpr (R::kStates > 0) m0 = s0[i];
    if constexpr (R::kStates > 1) m1 = s1[i];
    if constexpr (R::kStates > 2) m2 = s2[i];
    if constexpr (R::kStates > 3) m3 = s3[i];
    sweep_one<R, kPlain, kPenalised>(h, a, g[i], value, m0, m1, m2, m3);
    p[i] = value;
    if constexpr (R::kStates > 0) s0[i] = m0;
    if constexpr (R::kStates > 1) s1[i] = m1;
    if constexpr (R::kStates > 2) s2[i] = m2;
    if constexpr (R::kStates > 3) s3[i] = m3;
  }
}

// The update of n elements, wherever their gradient lies: for a kernel that has just computed it.
// Equal to the sweep to the bit. States that the rule does not have may be null. Out of line: one
// copy for all who call it.
template <class R, class T>
__attribute__((noinline)) void sweep_run(const typename R::template Hyper<T>& h,
                                         const AroundOf<T>& a, T* p, const T* g, T* s0, T* s1,
                                         T* s2, T* s3, int64_t n) {
  if (a.plain) {
    sweep_range<R, true, false, T>(h, a, p, g, s0, s1, s2, s3, 0, n);
  } else if (has_penalty<R>(a)) {
    sweep_range<R, false, true, T>(h, a, p, g, s0, s1, s2, s3, 0, n);
  } else {
    sweep_range<R, false, false, T>(h, a, p, g, s0, s1, s2, s3, 0, n);
  }
}

// A step that holds more than a core's L2 and little of L3 gains from asking for lines early, most
// where the hardware's own requests fall behind; in L2 ours are in the way, and in memory too.
constexpr int64_t kFetchFrom = int64_t{1} << 20, kFetchTo = int64_t{6} << 20;
constexpr int64_t kLine = 64, kFetchedLines = 4;  // a block of the loop below
constexpr int64_t kFetchAhead = 6;                // lines between a block and what it asks for

template <class T>
ONEPASS_INLINE void fetch_block(const T* data) {
  const char* lines = reinterpret_cast<const char*>(data) + kFetchAhead * kLine;
  for (int64_t k = 0; k < kFetchedLines; ++k) __builtin_prefetch(lines + k * kLine);
}

// Elements before the next line begins. A vector across two lines costs two accesses, so long
// sweeps begin with these; states are allocated to lie as their parameter does.
template <class T>
ONEPASS_INLINE int64_t before_line(const T* data) {
  return static_cast<int64_t>(-reinterpret_cast<uintptr_t>(data) % kLine / sizeof(T));
}

// In blocks of a constant size, which the compiler unrolls: their instructions mix, and lines are
// asked for once each.
template <class R, class T, bool kPlain>
void sweep(typename R::template Hyper<T> h, AroundOf<T> a, const Segment<T>& s, Range range,
           bool fetch) {
  T *p = s.p, *s0 = s.state[0], *s1 = s.state[1], *s2 = s.state[2], *s3 = s.state[3];
  const T* g = s.g;
  constexpr int64_t line = kLine / sizeof(T), block = kFetchedLines * line;
  int64_t i = range.begin;
  if (range.end - i >= 4 * block) {
    const int64_t aligned = i + before_line(p + i);
    sweep_range<R, kPlain, false, T>(h, a, p, g, s0, s1, s2, s3, i, aligned);
    i = aligned;
  }
  const int64_t last_fetch = fetch ? range.end - 2 * block - kFetchAhead * line : -1;
  for (; i + block <= range.end; i += block) {
    if (i <= last_fetch) {
      fetch_block(p + i + block);
      fetch_block(g + i + block);
      if constexpr (R::kStates > 0) fetch_block(s0 + i + block);
      if constexpr (R::kStates > 1) fetch_block(s1 + i + block);
      if constexpr (R::kStates > 2) fetch_block(s2 + i + block);
      if constexpr (R::kStates > 3) fetch_block(s3 + i + block);
    }
    sweep_range<R, kPlain, false, T>(h, a, p, g, s0, s1, s2, s3, i, i + block);
  }
  sweep_range<R, kPlain, false, T>(h, a, p, g, s0, s1, s2, s3, i, range.end);
}

// Puts the zeros of a segment's padding back.
template <class T>
void clear_padding(const Segment<T>& s, int states, Range range) {
  for (int64_t i = range.begin; i < range.end; ++i) {
    if (i % s.stride < s.cols) continue;
    s.p[i] = T(0);
    for (int k = 0; k < states; ++k) s.state[k][i] = T(0);
  }
}

// A member's part of segment k: whole segments in turn where they are too small to be cut.
template <class T>
Range share_of(const Segment<T>& s, int64_t k, const Team& team) {
  constexpr int64_t grain = 1024;
  if (team.size == 1) return {0, s.size};
  if (s.size > grain) return team.share(s.size, grain);
  return {0, k % team.size == team.rank ? s.size : 0};
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
