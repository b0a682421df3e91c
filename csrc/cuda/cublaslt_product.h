// A product of product.h as cuBLASLt is asked for it, and what of its end is left to a kernel of
// our own.
#pragma once

#include "cublaslt.h"
#include "product.h"

namespace onepass::cuda {
namespace {

template <class T>
CublasLtOperand cublaslt_operand(const Across<T>& m) {
  return {m.data, m.size, m.stride, false};
}
template <class T>
CublasLtOperand cublaslt_operand(const Along<T>& m) {
  return {m.data, m.size, m.stride, true};
}

template <class P>
CublasLtProduct cublaslt_product(const P& p, const Matrix<typename P::T>& to) {
  return {.float64 = sizeof(typename P::T) == sizeof(double),
          .depth = p.depth(),
          .left = cublaslt_operand(p.left()),
          .right = cublaslt_operand(p.right()),
          .to = to.data,
          .stride = to.stride};
}

template <class P>
bool left_to_cublaslt(const P& p) {
  return worth_cublaslt(p.rows(), p.cols(), p.depth());
}

// False: our own kernel has to do it.
inline bool multiplied_by_cublaslt(const CublasLtProduct& product, const onepass::Team& team) {
  const bool started = start_cublaslt(product, team);
  if (started) launched(team, "cuBLASLt");
  return started;
}

// p.finish() of sums that lie in memory.
template <class Tile, class P>
__global__ void __launch_bounds__(kProductThreads)
    run_end(const P p, const Matrix<const typename P::T> products) {
  using T = typename Tile::T;
  using Memory = Quad<T>;
  ONEPASS_SHARED(Memory, memory, [Tile::kEdge * Tile::kEdge / kQuad]);
  const Sums<Tile> sums = sums_of_tile<Tile>(p, blockIdx.x, memory[0].at);
  sums.each([&](int, T& v, int64_t r, int64_t c) { v = products.row(r)[c]; });
  p.finish(sums);
}

template <class P>
void start_end(const P& p, const Matrix<typename P::T>& products, const onepass::Team& team) {
  using T = typename P::T;
  using Tile = LargeTile<T>;
  const Matrix<const T> read{products.data, products.rows, products.cols, products.stride};
  const auto tiles = static_cast<unsigned>(tiles_of<Tile>(p.rows(), p.cols()));
  launch(run_end<Tile, P>, {tiles}, {kProductThreads}, team, p, read);
}

}  // namespace
}  // namespace onepass::cuda
