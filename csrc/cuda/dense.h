// The three products of a dense layer, with bias, activation and dropout in the tile's epilogue;
// large ones by cuBLASLt, with what it lacks of that behind it.
#pragma once

#include "../loops/dropout.h"
#include "../math/activations.h"
#include "cublaslt_product.h"

namespace onepass::cuda {
namespace {

// sums = dropout(sums): the mask and the bits of the shared loop.
template <class T, class Tile>
__device__ __forceinline__ void drop_sums(const DropoutEnd& end, int64_t cols,
                                          const Sums<Tile>& sums) {
  const uint64_t below = drop_below(end.rate);
  const math::Dropping d = math::dropping(end.rate, false, false);
  const T scale = static_cast<T>(d.scale), shift = static_cast<T>(d.shift),
          dropped = static_cast<T>(d.dropped);
  const int64_t first = end.first;
  sums.each_in_turn([&](T& v, int64_t r, int64_t c) {
    const int64_t sample = end.rows_per_sample == 1 ? r : r / end.rows_per_sample;
    const int64_t unit = (r - sample * end.rows_per_sample) * cols + c;
    const uint32_t word = word_of_unit(end.key, unit, static_cast<uint32_t>(first + sample));
    v = word < below ? dropped : v * scale + shift;
  });
}

template <class Real>
struct ForwardProduct {
  using T = Real;
  using Left = Along<T>;
  using Right = Across<T>;
  DenseForward<T> a;

  ONEPASS_INLINE int64_t rows() const { return a.y.rows; }
  ONEPASS_INLINE int64_t cols() const { return a.y.cols; }
  ONEPASS_INLINE int64_t depth() const { return a.x.cols; }
  ONEPASS_INLINE Left left() const { return {a.x.data, a.y.rows, a.x.stride}; }
  ONEPASS_INLINE Right right() const { return {a.w.data, a.y.cols, a.w.stride}; }
  ONEPASS_INLINE Start<T> start() const { return {a.b, 0}; }

  template <class Tile>
  __device__ __forceinline__ void finish(const Sums<Tile>& sums) const {
    if (a.z) sums.each([&](int, T v, int64_t r, int64_t c) { a.z.row(r)[c] = v; });
    if (a.activation.id != 0) {
      math::Activations::visit(a.activation.id, [&](auto formula) {
        using F = decltype(formula);
        const auto h = math::hyper_from<F, T>(a.activation.hyper);
        sums.each_in_turn([&](T& v, int64_t, int64_t) { v = F::value(v, h); });
      });
    }
    if (a.dropout.rate != 0.0) drop_sums<T>(a.dropout, a.y.cols, sums);
    sums.each([&](int, T v, int64_t r, int64_t c) { a.y.row(r)[c] = v; });
  }
};

// `of` is what the derivative is computed from: the input of the activation or its value.
template <class Real>
struct InputProduct {
  using T = Real;
  using Left = Along<T>;
  using Right = Along<T>;
  DenseBackwardInput<T> a;
  Matrix<const T> of;

  ONEPASS_INLINE int64_t rows() const { return a.dx.rows; }
  ONEPASS_INLINE int64_t cols() const { return a.dx.cols; }
  ONEPASS_INLINE int64_t depth() const { return a.dz.cols; }
  ONEPASS_INLINE Left left() const { return {a.dz.data, a.dx.rows, a.dz.stride}; }
  ONEPASS_INLINE Right right() const { return {a.w.data, a.dx.cols, a.w.stride}; }
  ONEPASS_INLINE Start<T> start() const {
    return {a.accumulate ? a.dx.data : nullptr, a.dx.stride};
  }

  template <class Tile>
  __device__ __forceinline__ void finish(const Sums<Tile>& sums) const {
    const T gain = static_cast<T>(a.gain);  // a factor of 1 changes no bit
    if (a.activation.id == 0) {
      sums.each([&](int, T v, int64_t r, int64_t c) { a.dx.row(r)[c] = v * gain; });
      return;
    }
    // The sums wait in registers while the derivatives take their places.
    T waiting[Sums<Tile>::kOwn] = {};
    sums.each([&](int i, T, int64_t r, int64_t c) { waiting[i] = of.row(r)[c]; });
    sums.each([&](int i, T& v, int64_t, int64_t) {
      const T input = waiting[i];
      waiting[i] = v * gain;
      v = input;
    });
    math::Activations::visit(a.activation.id, [&](auto formula) {
      using F = decltype(formula);
      const auto h = math::hyper_from<F, T>(a.activation.hyper);
      sums.each_in_turn([&](T& v, int64_t, int64_t) { v = F::derivative(v, v, h); });
    });
    sums.each([&](int i, T v, int64_t r, int64_t c) { a.dx.row(r)[c] = waiting[i] * v; });
  }
};

constexpr int kSumColumns = 32;  // of a block that sums up columns
constexpr int kSumChunk = 64;    // rows of them in shared memory, twice
constexpr int kSumWarps = kProductThreads / kSumColumns;
constexpr int kSumLoads = kSumChunk / kSumWarps;

// db[c] (+)= sum over rows, in ascending order: all warps load, the first one adds up.
template <class T>
__device__ __forceinline__ void sum_columns(const DenseBackwardWeights<T>& a, int64_t first_column,
                                            T* memory) {
  const int lane = static_cast<int>(threadIdx.x) % kSumColumns;
  const int warp = static_cast<int>(threadIdx.x) / kSumColumns;
  const int64_t c = first_column + lane, rows = a.dz.rows;
  const bool inside = c < a.dz.cols, adds = inside && warp == 0;
  T total = adds && a.accumulate ? a.db[c] : T(0);
  T ahead[kSumLoads] = {};
  const auto load = [&](int64_t first) {
    ONEPASS_UNROLL(8)
    for (int i = 0; i < kSumLoads; ++i) {
      const int64_t r = first + warp + i * kSumWarps;
      if (inside && r < rows) ahead[i] = a.dz.row(r)[c];
    }
  };
  load(0);
  for (int64_t first = 0; first < rows; first += kSumChunk) {
    T* chunk = memory + first / kSumChunk % 2 * (kSumChunk * kSumColumns);
    ONEPASS_UNROLL(8)
    for (int i = 0; i < kSumLoads; ++i) {
      chunk[(warp + i * kSumWarps) * kSumColumns + lane] = ahead[i];
    }
    __syncthreads();
    load(first + kSumChunk);
    if (!adds) continue;
    const auto n = static_cast<int>(rows - first < kSumChunk ? rows - first : kSumChunk);
    ONEPASS_UNROLL(16)
    for (int i = 0; i < n; ++i) total += chunk[i * kSumColumns + lane];
  }
  if (adds) a.db[c] = total;
}

// The first blocks sum up columns: each is one long chain.
template <class Real>
struct WeightsProduct {
  using T = Real;
  using Left = Across<T>;
  using Right = Across<T>;
  DenseBackwardWeights<T> a;

  ONEPASS_INLINE int64_t rows() const { return a.dw ? a.dw.rows : 0; }
  ONEPASS_INLINE int64_t cols() const { return a.dw ? a.dw.cols : 0; }
  ONEPASS_INLINE int64_t depth() const { return a.dz.rows; }
  ONEPASS_INLINE Left left() const { return {a.x.data, a.dw.rows, a.x.stride}; }
  ONEPASS_INLINE Right right() const { return {a.dz.data, a.dw.cols, a.dz.stride}; }
  ONEPASS_INLINE Start<T> start() const {
    return {a.accumulate ? a.dw.data : nullptr, a.dw.stride};
  }
  ONEPASS_INLINE unsigned sum_blocks() const {
    if (a.db == nullptr) return 0;
    return static_cast<unsigned>((a.dz.cols + kSumColumns - 1) / kSumColumns);
  }

  template <class Tile>
  __device__ __forceinline__ void finish(const Sums<Tile>& sums) const {
    sums.each([&](int, T v, int64_t r, int64_t c) { a.dw.row(r)[c] = v; });
  }
};

template <class Tile, class P>
__global__ void __launch_bounds__(kProductThreads) run_product(const P p) {
  using Memory = Quad<typename Tile::T>;
  ONEPASS_SHARED(Memory, memory, [Tile::kShared / kQuad]);
  multiply_tile<Tile>(p, blockIdx.x, memory[0].at);
}

template <class Tile, class P>
__global__ void __launch_bounds__(kProductThreads) run_gradients(const P p) {
  using Memory = Quad<typename Tile::T>;
  ONEPASS_SHARED(Memory, memory, [Tile::kShared / kQuad]);
  static_assert(Tile::kShared >= 2 * kSumChunk * kSumColumns);
  const unsigned sums = p.sum_blocks();
  if (blockIdx.x < sums) {
    sum_columns(p.a, static_cast<int64_t>(blockIdx.x) * kSumColumns, memory[0].at);
  } else {
    multiply_tile<Tile>(p, blockIdx.x - sums, memory[0].at);
  }
}

template <class P>
void start_product(const P& p, const onepass::Team& team) {
  using Large = LargeTile<typename P::T>;
  using Small = SmallTile<typename P::T>;
  const int64_t rows = p.rows(), cols = p.cols();
  if (team.rank != 0 || rows == 0 || cols == 0) return;
  if (fill_large_tiles<typename P::T>(rows, cols)) {
    const auto tiles = static_cast<unsigned>(tiles_of<Large>(rows, cols));
    launch(run_product<Large, P>, {tiles}, {kProductThreads}, team, p);
  } else {
    const auto tiles = static_cast<unsigned>(tiles_of<Small>(rows, cols));
    launch(run_product<Small, P>, {tiles}, {kProductThreads}, team, p);
  }
}

template <class T>
bool forward_by_cublaslt(const DenseForward<T>& a, const onepass::Team& team) {
  const ForwardProduct<T> p{a};
  if (!left_to_cublaslt(p)) return false;
  const Matrix<T> to = a.z ? a.z : a.y;
  CublasLtProduct product = cublaslt_product(p, to);
  if (a.b != nullptr) {
    product.end = CublasLtEnd::kBias;
    product.bias = const_cast<T*>(a.b);  // which is only read
  }
  if (!multiplied_by_cublaslt(product, team)) return false;
  if (a.z || a.activation.id != 0 || a.dropout.rate != 0.0) {
    ForwardProduct<T> end{a};
    end.a.z = {};  // it is there
    start_end(end, to, team);
  }
  return true;
}

template <class T>
void start_dense_forward(const DenseForward<T>& a, onepass::Team& team) {
  if (team.rank != 0 || forward_by_cublaslt(a, team)) return;
  start_product(ForwardProduct<T>{a}, team);
}

inline bool derives_from_input(const ActivationSpec& spec) {
  bool needs = false;
  math::Activations::visit(spec.id, [&](auto formula) { needs = decltype(formula)::kNeedsInput; });
  return needs;
}

template <class T>
bool input_gradient_by_cublaslt(const InputProduct<T>& p, const onepass::Team& team) {
  if (!left_to_cublaslt(p)) return false;
  CublasLtProduct product = cublaslt_product(p, p.a.dx);
  product.accumulate = p.a.accumulate;
  if (!multiplied_by_cublaslt(product, team)) return false;
  if (p.a.activation.id != 0 || p.a.gain != 1.0) start_end(p, p.a.dx, team);
  return true;
}

template <class T>
void start_dense_backward_input(const DenseBackwardInput<T>& a, onepass::Team& team) {
  const InputProduct<T> p{a, derives_from_input(a.activation) ? a.z : a.y};
  if (team.rank != 0 || input_gradient_by_cublaslt(p, team)) return;
  start_product(p, team);
}

template <class T>
void start_own_gradients(const DenseBackwardWeights<T>& a, const onepass::Team& team) {
  using P = WeightsProduct<T>;
  const P p{a};
  const bool large = fill_large_tiles<T>(p.rows(), p.cols());
  const int64_t tiles = large ? tiles_of<LargeTile<T>>(p.rows(), p.cols())
                              : tiles_of<SmallTile<T>>(p.rows(), p.cols());
  const unsigned blocks = p.sum_blocks() + static_cast<unsigned>(tiles);
  if (blocks == 0) return;
  launch(large ? run_gradients<LargeTile<T>, P> : run_gradients<SmallTile<T>, P>, {blocks},
         {kProductThreads}, team, p);
}

template <class T>
bool gradients_by_cublaslt(const DenseBackwardWeights<T>& a, const onepass::Team& team) {
  const WeightsProduct<T> p{a};
  if (!a.dw || !left_to_cublaslt(p)) return false;
  CublasLtProduct product = cublaslt_product(p, a.dw);
  product.accumulate = a.accumulate;
  if (a.db != nullptr && !a.accumulate) {  // the library's sums are not added to others
    CublasLtProduct both = product;
    both.end = CublasLtEnd::kBiasGradient;
    both.bias = a.db;
    if (multiplied_by_cublaslt(both, team)) return true;
  }
  if (!multiplied_by_cublaslt(product, team)) return false;
  if (a.db == nullptr) return true;
  DenseBackwardWeights<T> sums = a;
  sums.dw = {};
  start_own_gradients(sums, team);
  return true;
}

template <class T>
void start_dense_backward_weights(const DenseBackwardWeights<T>& a, onepass::Team& team) {
  if (team.rank != 0 || gradients_by_cublaslt(a, team)) return;
  start_own_gradients(a, team);
}

}  // namespace
}  // namespace onepass::cuda
