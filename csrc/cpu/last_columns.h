// Few columns of a product beyond whole vectors. Beside the others they would take a vector of
// their own a row, most of it empty: 50 columns would cost as much as 64. On their side, as rows of
// the turned product, they take as many vectors as the rows make.
#pragma once

#include "blocks.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
struct LastColumns {
  static constexpr int64_t kWidth = Simd<T>::kWidth;
  static constexpr int64_t kMost = kWidth / 2, kMostRows = 512;

  // How many columns of a block had better lie on their side, where the other operand must be
  // `turned` for that or lies so anyway.
  static int64_t of(Block block, int64_t depth, bool turned) {
    constexpr int64_t enough = 512;          // steps of vectors, for what a product more costs
    const int64_t turning = turned ? 6 : 0;  // instructions for each vector that is turned
    const int64_t rows = block.rows.end - block.rows.begin;
    const int64_t few = (block.cols.end - block.cols.begin) % kWidth;
    if (few == 0 || few > kMost || rows > kMostRows || rows * depth < enough) return 0;
    const int64_t vectors = (rows + kWidth - 1) / kWidth;
    return 4 * vectors * (few + turning) <= 3 * rows ? few : 0;
  }
};

// B(k, c) from column c on, as rows of its transpose.
template <class T>
Left<T> as_rows(const Straight<T>& right, int64_t c) {
  return {right.b.data + c, 1, right.b.stride};
}
template <class T>
Left<T> as_rows(const Turned<T>& right, int64_t c) {
  return {right.w.row(c), right.w.stride, 1};
}

// The last columns of a block, `few`. Each element is the same chain as elsewhere.
template <class T, class B>
void multiply_last_columns(const Product<T>& p, const B& b, Block block, int64_t few, Team& team) {
  using Last = LastColumns<T>;
  const int64_t n = block.rows.end - block.rows.begin, first = block.cols.end - few;
  alignas(64) T side[Last::kMost * Last::kMostRows];
  const Matrix<T> sums{side, few, n, Last::kMostRows};
  const Matrix<T> c{p.c.row(block.rows.begin) + first, n, few, p.c.stride};
  const bool starts = p.accumulate || p.bias != nullptr;
  for (int64_t j = 0; starts && j < few; ++j) {
    for (int64_t i = 0; i < n; ++i) sums.row(j)[i] = p.accumulate ? c.row(i)[j] : p.bias[first + j];
  }
  const Product<T> product{as_rows(b, first), p.depth, sums, nullptr, starts};
  const Block all{{0, few}, {0, n}};
  const T* const a = p.a.data + block.rows.begin * p.a.row;
  if (p.a.row == 1) {
    const Straight<T> right({a, p.depth, n, p.a.depth}, all.rows);
    Walk<T, Straight<T>, Stored<T>>(product, right, all, team, Stored<T>{}).run();
  } else {
    const Turned<T> right{{a, n, p.depth, p.a.row}};
    Walk<T, Turned<T>, Stored<T>>(product, right, all, team, Stored<T>{}).run();
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < few; ++j) c.row(i)[j] = sums.row(j)[i];
  }
}

template <class T, class B, class Finish>
void multiply_block(const Product<T>& product, const B& b, Block block, Team& team, Finish finish) {
  if constexpr (std::is_same_v<Finish, Stored<T>>) {
    const bool turned = product.a.row != 1;
    if (!turned || product.a.depth == 1) {
      const int64_t few = LastColumns<T>::of(block, product.depth, turned);
      if (few > 0) multiply_last_columns(product, b, block, few, team);
      block.cols.end -= few;
    }
  }
  if (block.cols.end > block.cols.begin) {
    Walk<T, B, Finish>(product, b, block, team, finish).run();
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
