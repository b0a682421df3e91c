// start + A B in square tiles of the result, one block of threads each. Each element is one chain
// of fused multiply-adds over the depth in ascending order, whatever the tile: results are equal
// from run to run and do not depend on how the work was cut.
//
// Few tiles under a great depth leave most of a GPU idle. That is where the depth would be split:
// parts to a work area, and their sum in a fixed order by a second kernel.
#pragma once

#include "dialect.h"

namespace onepass::cuda {
namespace {

constexpr int kProductThreads = 256;
constexpr int kThreadEdge = 16;  // so many threads across a tile, and as many down it
constexpr int kQuad = 4;         // neighbours that a thread loads at once

// Neighbours that are moved by one instruction, or by two of 16 bytes.
template <class T, int kCount>
struct alignas(kCount * sizeof(T) < 16 ? kCount * sizeof(T) : 16) Pack {
  T at[kCount];
};
template <class T>
using Quad = Pack<T, kQuad>;

// Each thread has kMicro x kMicro elements of a tile. Of each operand a slice of the depth at a
// time lies in shared memory, two slices in turn, as slice[k][i]: every thread loads one quad of
// it. Rows are longer by kMicro, which keeps most of a warp's stores to different banks.
template <class Real, int kTileEdge>
struct Tile {
  using T = Real;
  static constexpr int kEdge = kTileEdge;
  static constexpr int kMicro = kEdge / kThreadEdge;
  static constexpr int kSlice = kQuad * kProductThreads / kEdge;
  static constexpr int kStride = kEdge + kMicro;
  static constexpr int kSliceSize = kSlice * kStride;
  static constexpr int kShared = 4 * kSliceSize;  // elements
  static_assert(kShared >= kEdge * kEdge, "the result is put there, too");
};

// Element (i, k) of an operand, i along the result and k along the depth, at data[k * stride + i].
template <class T>
struct Across {
  const T* data;
  int64_t size, stride;  // size: of i
};

// The same at data[i * stride + k].
template <class T>
struct Along {
  const T* data;
  int64_t size, stride;
};

// What chains start from: `data` null means zeros, stride 0 one row for all.
template <class T>
struct Start {
  const T* data;
  int64_t stride;
};

template <class Operand>
__device__ __forceinline__ bool rows_are_aligned(const Operand& m) {
  const auto bytes = static_cast<uint64_t>(m.stride) * sizeof(m.data[0]);
  return (reinterpret_cast<uintptr_t>(m.data) | bytes) % 16 == 0;
}

// The first n of a quad, zeros for the others.
template <class T>
__device__ __forceinline__ Quad<T> load_quad(const T* from, int n, bool aligned) {
  if (aligned && n == kQuad) return *reinterpret_cast<const Quad<T>*>(from);
  Quad<T> quad{};
  for (int j = 0; j < kQuad; ++j) {
    if (j < n) quad.at[j] = from[j];
  }
  return quad;
}

__device__ __forceinline__ int part_of_quad(int64_t left) {
  return left < 0 ? 0 : left < kQuad ? static_cast<int>(left) : kQuad;
}

// A thread's way through one operand: its quad of the slice at hand.
template <class Tile, class Operand>
struct Reader;

template <class Tile, class T>
struct Reader<Tile, Across<T>> {
  static constexpr int kQuads = Tile::kEdge / kQuad;
  const int k, i, n;
  const bool aligned;
  const int64_t step;
  const T* at;

  __device__ __forceinline__ Reader(const Across<T>& m, int64_t first)
      : k(static_cast<int>(threadIdx.x) / kQuads),
        i(static_cast<int>(threadIdx.x) % kQuads * kQuad),
        n(part_of_quad(m.size - first - i)),
        aligned(rows_are_aligned(m)),
        step(Tile::kSlice * m.stride),
        at(m.data + (k * m.stride + first + i)) {}

  // `left`: of the depth, from this slice's beginning on
  __device__ __forceinline__ Quad<T> load(int64_t left) const {
    return load_quad(at, k < left ? n : 0, aligned);
  }
  __device__ __forceinline__ void next() { at += step; }
  __device__ __forceinline__ void put(const Quad<T>& quad, T* slice) const {
    using Piece = Pack<T, Tile::kMicro>;  // as far as rows are aligned
    T* to = slice + k * Tile::kStride + i;
    for (int j = 0; j < kQuad; j += Tile::kMicro) {
      Piece piece;
      for (int q = 0; q < Tile::kMicro; ++q) piece.at[q] = quad.at[j + q];
      *reinterpret_cast<Piece*>(to + j) = piece;
    }
  }
};

template <class Tile, class T>
struct Reader<Tile, Along<T>> {
  static constexpr int kQuads = Tile::kSlice / kQuad;
  const int i, k;
  const bool inside, aligned;
  const T* at;

  __device__ __forceinline__ Reader(const Along<T>& m, int64_t first)
      : i(static_cast<int>(threadIdx.x) / kQuads),
        k(static_cast<int>(threadIdx.x) % kQuads * kQuad),
        inside(first + i < m.size),
        aligned(rows_are_aligned(m)),
        at(m.data + ((first + i) * m.stride + k)) {}

  __device__ __forceinline__ Quad<T> load(int64_t left) const {
    return load_quad(at, inside ? part_of_quad(left - k) : 0, aligned);
  }
  __device__ __forceinline__ void next() { at += Tile::kSlice; }
  __device__ __forceinline__ void put(const Quad<T>& quad, T* slice) const {
    for (int j = 0; j < kQuad; ++j) slice[(k + j) * Tile::kStride + i] = quad.at[j];
  }
};

__device__ __forceinline__ float multiply_add(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
__device__ __forceinline__ double multiply_add(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}

// This thread's elements of a tile, and where they begin in it. A warp has 4 x 8 threads: so it
// reads the fewest different numbers.
template <class Tile>
struct Micro {
  using T = typename Tile::T;
  static constexpr int kMicro = Tile::kMicro;
  using Row = Pack<T, kMicro>;
  T sum[kMicro][kMicro];
  const int r, c;

  __device__ __forceinline__ Micro()
      : r((warp() / 2 * 4 + lane() / 8) * kMicro), c((warp() % 2 * 8 + lane() % 8) * kMicro) {}
  static __device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) / 32; }
  static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % 32; }

  // Of a tile at (first_r, first_c) of a rows x cols result.
  __device__ __forceinline__ void begin(const Start<T>& start, int64_t first_r, int64_t first_c,
                                        int64_t rows, int64_t cols) {
    for (int i = 0; i < kMicro; ++i) {
      for (int j = 0; j < kMicro; ++j) {
        const int64_t at_r = first_r + r + i, at_c = first_c + c + j;
        const bool given = start.data != nullptr && at_r < rows && at_c < cols;
        sum[i][j] = given ? start.data[at_r * start.stride + at_c] : T(0);
      }
    }
  }

  __device__ __forceinline__ void add(const T* a_k, const T* b_k) {
    const Row a = *reinterpret_cast<const Row*>(a_k + r);
    const Row b = *reinterpret_cast<const Row*>(b_k + c);
    for (int i = 0; i < kMicro; ++i) {
      for (int j = 0; j < kMicro; ++j) sum[i][j] = multiply_add(a.at[i], b.at[j], sum[i][j]);
    }
  }

  // A slice, or what of the depth is left: zeros for the rest would make NaN of infinities.
  __device__ __forceinline__ void add_slice(const T* a, const T* b, int64_t left) {
    if (left >= Tile::kSlice) {
      ONEPASS_UNROLL(32)
      for (int k = 0; k < Tile::kSlice; ++k) add(a + k * Tile::kStride, b + k * Tile::kStride);
    } else {
      ONEPASS_UNROLL(1)
      for (int k = 0; k < left; ++k) add(a + k * Tile::kStride, b + k * Tile::kStride);
    }
  }

  __device__ __forceinline__ void put(T* tile) const {
    for (int i = 0; i < kMicro; ++i) {
      Row row;
      for (int j = 0; j < kMicro; ++j) row.at[j] = sum[i][j];
      *reinterpret_cast<Row*>(tile + (r + i) * Tile::kEdge + c) = row;
    }
  }
};

// Behind this, all threads are done with the shared memory.
template <class Tile, class A, class B>
__device__ __forceinline__ void add_products(Reader<Tile, A> a, Reader<Tile, B> b, int64_t depth,
                                             typename Tile::T* memory, Micro<Tile>& micro) {
  using T = typename Tile::T;
  T* slice = memory;  // of A; that of B follows
  T* other = memory + 2 * Tile::kSliceSize;
  a.put(a.load(depth), slice);
  b.put(b.load(depth), slice + Tile::kSliceSize);
  __syncthreads();
  ONEPASS_UNROLL(1)
  for (int64_t left = depth; left > 0; left -= Tile::kSlice) {
    const bool more = left > Tile::kSlice;
    Quad<T> next_a{}, next_b{};
    if (more) {  // on their way while this slice is worked on
      a.next();
      b.next();
      next_a = a.load(left - Tile::kSlice);
      next_b = b.load(left - Tile::kSlice);
    }
    micro.add_slice(slice, slice + Tile::kSliceSize, left);
    if (more) {
      a.put(next_a, other);
      b.put(next_b, other + Tile::kSliceSize);
    }
    __syncthreads();
    T* const done = slice;
    slice = other;
    other = done;
  }
}

// A tile of sums in shared memory. Each thread works on elements below each other, of which no
// other thread takes any; a warp's lie side by side.
template <class Tile>
struct Sums {
  using T = typename Tile::T;
  static constexpr int kStep = kProductThreads / Tile::kEdge;
  static constexpr int kOwn = Tile::kEdge / kStep;
  T* at;
  int64_t r, c;    // of the tile in the result
  int rows, cols;  // that the result has in the tile

  // f(number of the element, sum, row, column)
  template <class F>
  __device__ __forceinline__ void each(F&& f) const {
    const int own_r = static_cast<int>(threadIdx.x) / Tile::kEdge;
    const int own_c = static_cast<int>(threadIdx.x) % Tile::kEdge;
    if (own_c >= cols) return;
    ONEPASS_UNROLL(16)
    for (int i = 0; i < kOwn; ++i) {
      const int row = own_r + i * kStep;
      if (row < rows) f(i, at[row * Tile::kEdge + own_c], r + row, c + own_c);
    }
  }

  // f(sum, row, column), for functions so long that they must not be repeated in the code.
  template <class F>
  __device__ __forceinline__ void each_in_turn(F&& f) const {
    const int own_r = static_cast<int>(threadIdx.x) / Tile::kEdge;
    const int own_c = static_cast<int>(threadIdx.x) % Tile::kEdge;
    if (own_c >= cols) return;
    ONEPASS_UNROLL(1)
    for (int row = own_r; row < rows; row += kStep) {
      f(at[row * Tile::kEdge + own_c], r + row, c + own_c);
    }
  }
};

template <class Tile>
ONEPASS_INLINE int64_t tiles_of(int64_t rows, int64_t cols) {
  return ((rows + Tile::kEdge - 1) / Tile::kEdge) * ((cols + Tile::kEdge - 1) / Tile::kEdge);
}

// Where a tile lies in the result of p, its sums in `memory`.
template <class Tile, class P>
__device__ __forceinline__ Sums<Tile> sums_of_tile(const P& p, unsigned tile,
                                                   typename Tile::T* memory) {
  const auto across = static_cast<unsigned>((p.cols() + Tile::kEdge - 1) / Tile::kEdge);
  const int64_t r = static_cast<int64_t>(tile / across) * Tile::kEdge;
  const int64_t c = static_cast<int64_t>(tile % across) * Tile::kEdge;
  const int64_t below = p.rows() - r, beside = p.cols() - c;
  return {memory, r, c, below < Tile::kEdge ? static_cast<int>(below) : Tile::kEdge,
          beside < Tile::kEdge ? static_cast<int>(beside) : Tile::kEdge};
}

// One tile. P has T, rows(), cols(), depth(), the operands left() and right(), start(), and
// finish(Sums), which stores.
template <class Tile, class P>
__device__ __forceinline__ void multiply_tile(const P& p, unsigned tile, typename Tile::T* memory) {
  const Sums<Tile> sums = sums_of_tile<Tile>(p, tile, memory);
  Micro<Tile> micro;
  micro.begin(p.start(), sums.r, sums.c, p.rows(), p.cols());
  if (p.depth() > 0) {
    const auto a = p.left();
    const auto b = p.right();
    using A = Reader<Tile, typename P::Left>;
    using B = Reader<Tile, typename P::Right>;
    add_products(A(a, sums.r), B(b, sums.c), p.depth(), memory, micro);
  }
  micro.put(memory);
  __syncthreads();
  p.finish(sums);
}

template <class T>
using LargeTile = Tile<T, 64>;
template <class T>
using SmallTile = Tile<T, 32>;

constexpr int64_t kMultiprocessors = 132;  // of an H200

// Large tiles read less, small ones keep more of the GPU busy.
template <class T>
bool fill_large_tiles(int64_t rows, int64_t cols) {
  return tiles_of<LargeTile<T>>(rows, cols) >= kMultiprocessors;
}

}  // namespace
}  // namespace onepass::cuda
