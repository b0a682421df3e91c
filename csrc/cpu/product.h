// C = start + A B, tile by tile: one strided micro-kernel serves every dense product.
// Each element of C is one chain of multiply-adds over the depth in ascending order, whatever the
// tile, the packing, the number of rows or the threads: results never depend on how the work was
// cut.
#pragma once

#include <type_traits>

#include "../kernels.h"
#include "simd.h"

namespace onepass::ONEPASS_ISA {
namespace {

// A(r, k) = data[r * row + k * depth]: any transpose without a copy.
template <class T>
struct Left {
  const T* data;
  int64_t row, depth;
};

// Rows of B from some column on.
template <class T>
struct Right {
  const T* data;
  int64_t stride;
};

// Where a tile begins: `data` null means zeros, stride 0 one row for all.
template <class T>
struct Start {
  const T* data;
  int64_t stride;
};

template <class T>
struct Destination {
  T* data;
  int64_t stride;
};

// Tiles of the result, below each other, that an epilogue works on before they are stored:
// `vectors` whole vectors a row, few enough to stay in the first cache.
template <class T>
struct Tile {
  using S = Simd<T>;
  static constexpr int kTiles = 4;
  static constexpr int kSize = kTiles * S::kRows * S::kWidth * S::kVectors;
  alignas(64) T at[kSize];
  int rows, vectors;

  ONEPASS_INLINE int stride() const { return vectors * S::kWidth; }
  ONEPASS_INLINE T* row(int r) { return at + r * stride(); }
  ONEPASS_INLINE const T* row(int r) const { return at + r * stride(); }
  // Elements, which the compiler knows to be whole vectors.
  ONEPASS_INLINE int size() const { return rows * stride(); }
};

// Lines of up to three arrays that are needed soon, at the same places in each: one line of each is
// asked for at every step of a product's depth. They lie in rows; the last row has no end.
template <class T>
struct Fetch {
  const T* at;
  int64_t second, third;  // distances of the other arrays; 0 where there are none
  const T* row_end;
  int64_t jump, stride;  // from a row's end to the next row, and between rows

  ONEPASS_INLINE void step() {
    __builtin_prefetch(at, 1);
    __builtin_prefetch(at + second, 1);
    __builtin_prefetch(at + third, 1);
    at += 64 / sizeof(T);
    const bool next = at >= row_end;
    at += next ? jump : 0;
    row_end += next ? stride : 0;
  }
};

// Lines that later calls read, asked for one after another: `rows` rows of `length` elements. One
// every so many steps of a product's depth: many at once would keep its own loads waiting.
template <class T>
struct Ahead {
  const T* row = nullptr;
  int64_t rows = 0, length = 0, stride = 0;
  int64_t every = 1;
  int64_t at = 0;  // in the first row

  static constexpr int64_t kLine = 64 / sizeof(T);
  int64_t lines() const { return rows * ((length + kLine - 1) / kLine); }
  ONEPASS_INLINE void step() {
    __builtin_prefetch(row + at, 0, 2);
    at += kLine;
    if (at < length) return;
    at = 0;
    row += stride;
    --rows;
  }
};

// What becomes of a tile's sums as they leave the registers: they are stored.
template <class T>
struct Stored {
  using S = Simd<T>;
  static constexpr bool kWholeTiles = false;  // whether there must be as many rows as a tile has
  static constexpr bool kJoins = false;       // whether they are added to `joined` first
  static constexpr bool kAsks = false;  // whether `ask` is called for each row of the next tile
  static constexpr bool kTakesRows = false;  // whether rows of a tile are put at once
  ONEPASS_INLINE void put(T* to, typename S::V sum) const { S::store(to, sum); }
  ONEPASS_INLINE void put(T* to, typename S::V sum, int n) const { S::store(to, sum, n); }
};

// They join the sums of another part of the depth.
template <class T>
struct Joined : Stored<T> {
  static constexpr bool kJoins = true;
};

// One call of the micro-kernel: `tiles` tiles below each other.
template <class T>
struct TileCall {
  Left<T> a;
  int64_t a_step;  // from one tile's rows of A to the next one's
  Right<T> b;
  int64_t depth;
  int cols, tiles;
  Start<T> start, joined;
  Destination<T> to;
  const T* next;    // where the next call's sums go
  T* packed;        // where B goes on the way, or nullptr
  Fetch<T>* fetch;  // what is asked for on the way, or nullptr
  Ahead<T>* ahead;  // the same for whole tiles, from farther away
  bool far;         // whether the sums' places are asked for, too
};

// A tile of R rows and NV vectors: to = start + A B; of the last vector only the columns that there
// are if Part. With Pack the rows of B are written to `packed` on the way, NV vectors each.
// Several tiles a call: setting up costs as much as five steps of the depth. `end` takes the sums,
// and may ask for what lies where the next tile's go.
template <class T, int R, int NV, bool Part, bool Pack, bool Ask, class End>
void multiply_tiles(const TileCall<T>& call, const End& end) {
  using S = Simd<T>;
  using V = typename S::V;
  const int tail = call.cols - (NV - 1) * S::kWidth;
  const int64_t a_row = call.a.row, a_depth = call.a.depth, b_stride = call.b.stride;
  const int64_t depth = call.depth, to_stride = call.to.stride, start_stride = call.start.stride;
  const T* start = call.start.data;
  const T* joined = call.joined.data;
  const T* a = call.a.data;
  T* to = call.to.data;
  T* packed = call.packed;
  Fetch<T> fetch{};
  if constexpr (Ask) fetch = *call.fetch;
  const auto load = [&](const T* row, int v) {
    const T* p = row + v * S::kWidth;
    return Part && v == NV - 1 ? S::load(p, tail) : S::load(p);
  };
  for (int tile = 0; tile < call.tiles; ++tile, a += call.a_step) {
    // Known at run time only: the compiler would keep a register or a place on the stack for each
    // row's offset.
    int64_t start_step = start_stride, to_step = to_stride, joined_step = call.joined.stride;
    asm("" : "+r"(start_step), "+r"(to_step), "+r"(joined_step));
    V sum[R][NV];
    if (start != nullptr) {
      ONEPASS_UNROLL(24)
      for (int r = 0; r < R; ++r, start += start_step) {
        ONEPASS_UNROLL(24)
        for (int v = 0; v < NV; ++v) sum[r][v] = load(start, v);
      }
    } else {
      ONEPASS_UNROLL(24)
      for (int r = 0; r < R; ++r) {
        ONEPASS_UNROLL(24)
        for (int v = 0; v < NV; ++v) sum[r][v] = V{};
      }
    }
    const T* a_k = a;
    const T* b_k = call.b.data;
    const auto step = [&]() __attribute__((always_inline)) {
      V row[NV];
      ONEPASS_UNROLL(24)
      for (int v = 0; v < NV; ++v) {
        row[v] = load(b_k, v);
        if constexpr (Pack) S::store(packed + v * S::kWidth, row[v]);
      }
      ONEPASS_UNROLL(24)
      for (int r = 0; r < R; ++r) {
        const V x = S::broadcast(a_k[r * a_row]);
        ONEPASS_UNROLL(24)
        for (int v = 0; v < NV; ++v) sum[r][v] = S::fma(x, row[v], sum[r][v]);
      }
      a_k += a_depth;
      b_k += b_stride;
      if constexpr (Pack) packed += NV * S::kWidth;
      if constexpr (Ask) fetch.step();
    };
    int64_t k = 0;
    if constexpr (End::kAsks) {
      const T* next = tile + 1 < call.tiles ? to + R * to_stride : call.next;
      for (const int64_t rows = depth < R ? depth : R; k < rows; ++k, next += to_stride) {
        end.template ask<NV>(next);
        step();
      }
    } else if constexpr (!Ask && R == S::kRows) {
      if (call.far) {
        const T* next = tile + 1 < call.tiles ? to + R * to_stride : call.next;
        for (int r = 0; r < R; ++r, next += to_stride) {
          for (int v = 0; v < NV && k < depth; ++v, ++k) {
            __builtin_prefetch(next + v * S::kWidth, 1);
            step();
          }
        }
      }
      while (call.ahead->rows > 0 && k + call.ahead->every <= depth) {
        call.ahead->step();
        for (const int64_t stop = k + call.ahead->every; k < stop; ++k) step();
      }
    }
    for (; k < depth; ++k) step();
    ONEPASS_UNROLL(24)
    for (int r = 0; r < R; ++r, to += to_step) {
      if constexpr (End::kTakesRows) {
        end.template put_row<Part>(int64_t{tile} * R + r, to, sum[r], tail);
      } else {
        ONEPASS_UNROLL(24)
        for (int v = 0; v < NV; ++v) {
          if constexpr (End::kJoins) sum[r][v] = load(joined, v) + sum[r][v];
          T* p = to + v * S::kWidth;
          Part&& v == NV - 1 ? end.put(p, sum[r][v], tail) : end.put(p, sum[r][v]);
        }
      }
      if constexpr (End::kJoins) joined += joined_step;
    }
  }
  if constexpr (Ask) *call.fetch = fetch;
}

template <class T, int R, int NV, bool Pack, bool Ask, class End>
ONEPASS_INLINE void multiply_vectors(const TileCall<T>& t, const End& end) {
  const bool part = t.cols != NV * Simd<T>::kWidth;
  part ? multiply_tiles<T, R, NV, true, Pack, Ask>(t, end)
       : multiply_tiles<T, R, NV, false, Pack, Ask>(t, end);
}

constexpr int kWideVectors = 8;  // of a tile of one row, which would have too few accumulators

// The number of vectors is found from the widest down.
template <class T, int R, bool Pack, bool Ask, class End,
          int NV = R == 1 ? kWideVectors : Simd<T>::kVectors>
void multiply_rows(const TileCall<T>& t, const End& end) {
  if constexpr (NV > 1) {
    if (t.cols <= (NV - 1) * Simd<T>::kWidth) {
      return multiply_rows<T, R, Pack, Ask, End, NV - 1>(t, end);
    }
  }
  multiply_vectors<T, R, NV, Pack, Ask>(t, end);
}

template <class T, class End, int R = Simd<T>::kRows>
void multiply(int rows, const TileCall<T>& t, const End& end) {
  if constexpr (End::kWholeTiles) {
    multiply_rows<T, R, false, false>(t, end);
  } else if (rows == R) {
    if constexpr (R == Simd<T>::kRows) {
      if (t.packed != nullptr) return multiply_rows<T, R, true, false>(t, end);
      if (t.fetch != nullptr) return multiply_rows<T, R, false, true>(t, end);
    }
    multiply_rows<T, R, false, false>(t, end);
  } else if constexpr (R > 1) {
    multiply<T, End, R - 1>(rows, t, end);
  }
}

// One member's part of a rows x cols result: a band of columns cut at whole cache lines, or a band
// of rows where there are too few columns to go round.
template <class T>
Block bands_of_columns(int64_t rows, int64_t cols, const Team& team) {
  constexpr int64_t line = 64 / sizeof(T);
  if (cols >= team.size * line || cols >= rows) return {{0, rows}, team.share(cols, line)};
  return {team.share(rows, Simd<T>::kRows), {0, cols}};
}

// The same for a gradient, by rows where there are enough of them: its members then write, and
// update, memory that hangs together. Bands of columns took half as long again: the processor
// fetches ahead beyond the end of each short run, into lines that belong to the other core.
template <class T>
Block bands_of_rows(int64_t rows, int64_t cols, const Team& team) {
  constexpr int64_t height = Simd<T>::kRows;
  if (rows >= team.size * height || rows >= cols) return {team.share(rows, height), {0, cols}};
  return {{0, rows}, team.share(cols, 64 / sizeof(T))};
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
