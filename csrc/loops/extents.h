// Chunks of a row. Included by each backend's lanes.h, behind its marks for functions.
#pragma once

#include "order.h"

namespace onepass::ONEPASS_ISA {
namespace {

// How much of a chunk a row fills: all of it, known when compiling, or the first n.
struct Whole {
  static constexpr bool kPart = false;
  static constexpr int n = kLanes;
};
struct Part {
  static constexpr bool kPart = true;
  int n;
};

// Calls f(offset, Whole or Part) for each chunk of a row; f is inlined twice.
template <class F>
ONEPASS_DEVICE void for_chunks(int64_t size, F&& f) {
  int64_t at = 0;
  for (; at + kLanes <= size; at += kLanes) f(at, Whole{});
  if (at < size) f(at, Part{static_cast<int>(size - at)});
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
