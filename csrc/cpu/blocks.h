// How a dense product is walked: blocks of depth and rows sized for the caches, panels of columns,
// tiles; and what is packed on the way.
#pragma once

#include <type_traits>

#include "product.h"

namespace onepass::ONEPASS_ISA {
namespace {

constexpr int64_t kLineBytes = 64;

// Below this a matrix is read where it lies: it stays in the second-level cache.
constexpr int64_t kUnpackedBytes = int64_t{2} << 20;
// A panel is packed, and the next one fetched ahead, where so many tiles share the work.
constexpr int64_t kTilesWorthPacking = 3;

// The end of a member's work area, which products leave to the kernel that called them.
constexpr int64_t kStripeBytes = int64_t{256} << 10;

// What one member computes: C = start + A B, on a block of C.
template <class T>
struct Product {
  Left<T> a;
  int64_t depth;
  Matrix<T> c;                // takes the result, and partial sums between blocks of the depth
  const T* bias;              // what each row starts from, or nullptr
  bool accumulate;            // start from what c holds
  Fetch<T>* fetch = nullptr;  // what is asked for meanwhile
};

// A member's work area: a packed panel of B and a packed block of A's rows.
template <class T>
struct Packed {
  static constexpr int64_t kDepth = 512;
  static constexpr int64_t kHeight = Simd<T>::kRows;
  static constexpr int64_t kCols = Simd<T>::kWidth * Simd<T>::kVectors;
  static constexpr int64_t kRightSize = kDepth * kCols;
  static constexpr int64_t kLeftSize =
      (kScratchBytes - kStripeBytes) / int64_t{sizeof(T)} - kRightSize;
  static constexpr int64_t kRows = kLeftSize / kDepth / kHeight * kHeight;
  T* right;
  T* left;

  static_assert(kDepth >= kMostHalved / 2, "halves of the depth must not be blocked");

  explicit Packed(void* scratch)
      : right(static_cast<T*>(scratch)), left(static_cast<T*>(scratch) + kRightSize) {}
};

// B as it lies in memory; the first tile that reads a panel packs it on the way, where asked.
template <class T>
struct Straight {
  static constexpr bool kTurned = false;
  Matrix<const T> b;
  bool pack;

  // Small matrices need no packing, unless their rows fall into the same sets of the first cache.
  Straight(Matrix<const T> b, Range rows) : b(b) {
    const int64_t stride = b.stride * int64_t{sizeof(T)};
    const bool pays = rows.end - rows.begin >= kTilesWorthPacking * Packed<T>::kHeight;
    pack = pays && (stride * b.rows > kUnpackedBytes || stride % 1024 == 0);
  }
  ONEPASS_INLINE Right<T> panel(Range depth, int64_t c, int, T*) const {
    return {b.row(depth.begin) + c, b.stride};
  }
  Ahead<T> ahead(Range depth, int64_t c, int cols) const {
    return {b.row(depth.begin) + c, depth.end - depth.begin, cols, b.stride};
  }
};

// to[k][j] = from[j][k] for k < deep and j < rows, of which a vector's count are taken.
template <class T, bool Whole>
ONEPASS_INLINE void turn_square(const T* from, int64_t from_stride, int rows, int deep, T* to,
                                int64_t to_stride) {
  using S = Simd<T>;
  typename S::V square[S::kWidth];
  ONEPASS_UNROLL(16)
  for (int j = 0; j < S::kWidth; ++j) {
    square[j] = typename S::V{};
    if (Whole) square[j] = S::load(from + j * from_stride);
    if (!Whole && j < rows) square[j] = S::load(from + j * from_stride, deep);
  }
  transpose<T>(square);
  ONEPASS_UNROLL(16)
  for (int k = 0; k < S::kWidth; ++k) {
    if (Whole || k < deep) S::store(to + k * to_stride, square[k]);
  }
}

// B = W^T, packed before it is read.
template <class T>
struct Turned {
  static constexpr bool kTurned = true;
  Matrix<const T> w;
  static constexpr bool pack = false;

  // packed[k][j] = w[c + j][depth.begin + k], whole vectors a row, zeros beyond `cols`.
  Right<T> panel(Range depth, int64_t c, int cols, T* packed) const {
    constexpr int width = Simd<T>::kWidth;
    const int64_t stride = (cols + width - 1) / width * width;
    T* to = packed;
    for (int64_t k = depth.begin; k < depth.end; k += width, to += width * stride) {
      const int deep = static_cast<int>(depth.end - k < width ? depth.end - k : width);
      for (int j = 0; j < cols; j += width) {
        const T* from = w.row(c + j) + k;
        deep == width&& cols - j >= width
            ? turn_square<T, true>(from, w.stride, width, width, to + j, stride)
            : turn_square<T, false>(from, w.stride, cols - j, deep, to + j, stride);
      }
    }
    return {packed, stride};
  }
  Ahead<T> ahead(Range depth, int64_t c, int cols) const {
    return {w.row(c) + depth.begin, cols, depth.end - depth.begin, w.stride};
  }
};

// An A whose rows are neighbours in memory and whose depth strides far touches a new page for each
// step of the depth.
template <class T>
bool left_needs_packing(const Product<T>& p, Block block) {
  constexpr int64_t half_page = 2048;
  return p.a.row == 1 && p.a.depth * int64_t{sizeof(T)} >= half_page && p.depth >= 64 &&
         block.cols.end - block.cols.begin >= 4 * Packed<T>::kCols;
}

// packed[tile][k][i] = A(rows.begin + tile * height + i, depth.begin + k)
template <class T>
void pack_left(Left<T> a, Range rows, Range depth, T* packed) {
  constexpr int64_t height = Packed<T>::kHeight;
  constexpr int64_t step = 8;  // of the depth: neighbouring tiles share the lines that they read
  const int64_t tile_size = (depth.end - depth.begin) * height;
  for (int64_t k = depth.begin; k < depth.end; k += step) {
    const int64_t k_end = k + step < depth.end ? k + step : depth.end;
    T* tile = packed + (k - depth.begin) * height;
    for (int64_t r = rows.begin; r < rows.end; r += height, tile += tile_size) {
      const int64_t n = rows.end - r < height ? rows.end - r : height;
      for (int64_t q = k; q < k_end; ++q) {
        const T* from = a.data + r * a.row + q * a.depth;
        T* to = tile + (q - k) * height;
        if (n == height) {
          for (int64_t i = 0; i < height; ++i) to[i] = from[i];
        } else {
          for (int64_t i = 0; i < n; ++i) to[i] = from[i];
        }
      }
    }
  }
}

// An epilogue that works on tiles and stores what it makes of them; others (`Stored`) take a vector
// at a time, straight from the registers.
template <class F, class T>
concept TakesTiles = requires(F f, Tile<T>& tile, int64_t at, int cols) { f(tile, at, at, cols); };

// Panels of at most so many vectors as a tile has, as equal as can be: a narrow one at the end
// would keep the arithmetic units waiting.
template <class T>
int64_t panels_of(int64_t cols, int64_t widest) {
  const int64_t most = widest * Simd<T>::kWidth;
  return (cols + most - 1) / most;
}
template <class T>
Range panel_of(int64_t cols, int64_t i, int64_t panels) {
  constexpr int64_t width = Simd<T>::kWidth;
  const int64_t vectors = (cols + width - 1) / width;
  const int64_t begin = vectors * i / panels * width, end = vectors * (i + 1) / panels * width;
  return {begin, end < cols ? end : cols};
}

// Walks a member's block of one product. `finish(tile, r, c, cols)` takes each tile of the result,
// to which the sums came by its own End; or else it is such an end itself.
template <class T, class B, class Finish>
class Walk {
 public:
  Walk(const Product<T>& product, const B& b, Block block, Team& team, Finish finish)
      : product_(product),
        b_(b),
        block_(block),
        area_(team.scratch),
        packs_left_(left_needs_packing(product, block)),
        packs_(B::kTurned || b.pack || packs_left_),
        panels_(panels_of(block)),
        backwards_(team.backwards),
        finish_(finish) {}

  // Blocks of the depth in ascending order, equally deep; one for all where nothing is packed.
  void run() {
    const int64_t most = packs_ ? Packed<T>::kDepth : product_.depth;
    const int64_t blocks = product_.depth > most ? (product_.depth + most - 1) / most : 1;
    const int64_t step = packs_left_ ? Packed<T>::kRows : product_.c.rows;
    for (int64_t r = block_.rows.begin; r < block_.rows.end; r += step) {
      rows_ = {r, r + step < block_.rows.end ? r + step : block_.rows.end};
      for (int64_t i = 0; i < blocks; ++i) {
        depth_ = {product_.depth * i / blocks, product_.depth * (i + 1) / blocks};
        if (packs_left_) pack_left(product_.a, rows_, depth_, area_.left);
        panels();
      }
    }
  }

 private:
  static constexpr bool kInTiles = TakesTiles<Finish, T>;
  static constexpr int64_t kHeight = Packed<T>::kHeight;

  static int64_t panels_of(Block block) {
    // A turned panel must fit into the work area.
    const bool wide = block.rows.end - block.rows.begin == 1 && !B::kTurned;
    const int widest = wide ? kWideVectors : Simd<T>::kVectors;
    return onepass::ONEPASS_ISA::panels_of<T>(block.cols.end - block.cols.begin, widest);
  }
  static int cols(Range panel) { return static_cast<int>(panel.end - panel.begin); }
  bool last() const { return depth_.end == product_.depth; }
  Range panel_at(int64_t i) const {
    const int64_t first = block_.cols.begin;
    const Range found = panel_of<T>(block_.cols.end - first, i, panels_);
    return {first + found.begin, first + found.end};
  }

  void panels() {
    for (int64_t i = 0; i < panels_; ++i) {
      panel_ = panel_at(backwards_ ? panels_ - 1 - i : i);
      next_ = i + 1 < panels_ ? panel_at(backwards_ ? panels_ - 2 - i : i + 1) : Range{0, 0};
      tiles(b_.panel(depth_, panel_.begin, cols(panel_), area_.right));
    }
  }

  // All tiles below each other that share a panel, some at a time. The next panel is asked for
  // meanwhile, where this one comes from far.
  void tiles(Right<T> panel) {
    const int64_t deep = depth_.end - depth_.begin;
    const int64_t high = rows_.end - rows_.begin;
    bool pack = b_.pack && high >= kTilesWorthPacking * kHeight;
    ahead_ = ahead_of(high / kHeight, deep);
    for (int64_t r = rows_.begin; r < rows_.end;) {
      const int count = pack ? 1 : tiles_at(r, deep);
      const int64_t end = r + count * kHeight < rows_.end ? r + count * kHeight : rows_.end;
      compute({r, end}, count, panel, pack);
      if (pack) panel = {area_.right, tile_.vectors * Simd<T>::kWidth};
      pack = false;
      r = end;
    }
  }

  // How many whole tiles one call takes: enough to hide its setting up; one where the last rows
  // make no whole tile.
  int tiles_at(int64_t r, int64_t deep) const {
    constexpr int64_t enough = 4096;  // steps of the depth
    const int64_t whole = (rows_.end - r) / kHeight;
    int64_t most = deep > 0 ? enough / deep : 1;
    if (kInTiles && most > Tile<T>::kTiles) most = Tile<T>::kTiles;
    if (most > whole) most = whole;
    return most < 1 ? 1 : static_cast<int>(most);
  }

  // The next panel, asked for in the first half of this one's steps.
  Ahead<T> ahead_of(int64_t whole_tiles, int64_t deep) const {
    if (!packs_ || whole_tiles < kTilesWorthPacking || next_.end == 0) return {};
    Ahead<T> ahead = b_.ahead(depth_, next_.begin, cols(next_));
    const int64_t lines = ahead.lines(), steps = whole_tiles * deep / 2;
    if (steps > lines && lines > 0) ahead.every = steps / lines;
    return ahead;
  }

  ONEPASS_INLINE void compute(Range rows, int count, Right<T> panel, bool pack) {
    const int64_t c = panel_.begin;
    const int cols = this->cols(panel_);
    tile_.rows = static_cast<int>(rows.end - rows.begin);
    tile_.vectors = (cols + Simd<T>::kWidth - 1) / Simd<T>::kWidth;
    const Destination<T> place{product_.c.row(rows.begin) + c, product_.c.stride};
    const bool into_tile = kInTiles && last();
    TileCall<T> call;
    call.a = left_at(rows.begin);
    call.a_step = packs_left_ ? kHeight * (depth_.end - depth_.begin) : kHeight * call.a.row;
    call.b = panel;
    call.depth = depth_.end - depth_.begin;
    call.cols = cols;
    call.tiles = count;
    call.start = start_at(c, place);
    call.joined = {place.data, place.stride};
    call.to = into_tile ? Destination<T>{tile_.at, tile_.stride()} : place;
    call.packed = pack ? area_.right : nullptr;
    call.fetch = product_.fetch;
    call.next = after(rows.end, place);
    call.ahead = &ahead_;
    call.far = packs_;
    const int high = tile_.rows < kHeight ? tile_.rows : kHeight;
    if constexpr (kInTiles) {
      multiply(high, call, typename Finish::End{});
      if (into_tile) finish_(tile_, rows.begin, c, cols);
    } else {
      multiply(high, call, finish_);
    }
  }

  ONEPASS_INLINE Left<T> left_at(int64_t r) const {
    if (packs_left_) {
      return {area_.left + (r - rows_.begin) * (depth_.end - depth_.begin), 1, kHeight};
    }
    const Left<T>& a = product_.a;
    return {a.data + r * a.row + depth_.begin * a.depth, a.row, a.depth};
  }

  // Where the call after this one puts its sums.
  ONEPASS_INLINE const T* after(int64_t end, Destination<T> place) const {
    if (end < rows_.end) return product_.c.row(end) + panel_.begin;
    return next_.end > 0 ? product_.c.row(rows_.begin) + next_.begin : place.data;
  }

  ONEPASS_INLINE Start<T> start_at(int64_t c, Destination<T> place) const {
    if (depth_.begin > 0 || product_.accumulate) return {place.data, place.stride};
    return {product_.bias == nullptr ? nullptr : product_.bias + c, 0};
  }

  const Product<T>& product_;
  const B& b_;
  const Block block_;
  const Packed<T> area_;
  const bool packs_left_, packs_;
  const int64_t panels_;
  const bool backwards_;
  Finish finish_;
  Range depth_{}, rows_{}, panel_{}, next_{};
  Ahead<T> ahead_;
  Tile<T> tile_;
};

}  // namespace
}  // namespace onepass::ONEPASS_ISA
