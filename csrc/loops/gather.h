// Rows of the user's array, in shuffled order, converted to the model's type.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Rows in shuffled order are new to the processor's own prefetching, each of them.
constexpr int64_t kRowsAhead = 2;

// A number where numbers of its type lie.
template <class S>
struct InPlace {
  using Type = S;
};

// Place<S>::Type is how a source's element S may be read. It is named within, as an argument of a
// template would lose its alignment.
template <class S, template <class> class Place, class T>
ONEPASS_LOOP void gather_as(const GatherRows<T>& a, const Block& share) {
  using From = typename Place<S>::Type;
  using Factor = decltype(S{} * T{});  // float64 is scaled before it is rounded
  const Factor factor = static_cast<Factor>(a.scale);
  const int64_t first = a.first;
  const auto source = [&](int64_t r) {
    const int64_t at = a.index != nullptr ? a.index[first + r] : first + r;
    return reinterpret_cast<const From*>(static_cast<const char*>(a.source) + at * a.stride);
  };
  const Range cols = share.cols;
  for (int64_t r = share.rows.begin; r < share.rows.end; ++r) {
    if (r + kRowsAhead < share.rows.end) {
      const From* soon = source(r + kRowsAhead);
      constexpr int64_t line = 64 / sizeof(S);
      for (int64_t c = cols.begin; c < cols.end; c += line) fetch(soon + c);
    }
    const From* from = source(r);
    T* to = a.out.row(r);
    for_elements(cols.begin, cols.end, [&](int64_t c) ONEPASS_FLAT {
      to[c] = static_cast<T>(static_cast<Factor>(from[c]) * factor);
    });
  }
}

// A field of a record may lie at any byte.
template <class S, class T>
ONEPASS_LOOP void gather_from(const GatherRows<T>& a, const Block& share) {
  if constexpr (kWantsAlignment) {
    const auto place = reinterpret_cast<uintptr_t>(a.source) | static_cast<uintptr_t>(a.stride);
    if (place % sizeof(S) == 0) return gather_as<S, InPlace>(a, share);
  }
  gather_as<S, Anywhere>(a, share);
}

template <class T>
ONEPASS_LOOP void gather_rows(const GatherRows<T>& a, Team& team) {
  const Block share = gather_share(a.out.rows, a.out.cols, team);
  switch (a.type) {
    case SourceType::kFloat32:
      return gather_from<float>(a, share);
    case SourceType::kFloat64:
      return gather_from<double>(a, share);
    case SourceType::kUint8:
      return gather_from<uint8_t>(a, share);
    case SourceType::kInt32:
      return gather_from<int32_t>(a, share);
  }
}

ONEPASS_LOOP void gather_indices(const GatherIndices& a, Team& team) {
  const Range share = team.share(a.samples, 1);
  const int64_t first = a.first;
  for (int64_t r = share.begin; r < share.end; ++r) {
    const int64_t at = a.index != nullptr ? a.index[first + r] : first + r;
    const auto* from =
        reinterpret_cast<const int32_t*>(static_cast<const char*>(a.source) + at * a.stride);
    int32_t* const to = a.out + r * a.sample_size;
    for_elements(0, a.sample_size, [&](int64_t c) ONEPASS_FLAT { to[c] = from[c]; });
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
