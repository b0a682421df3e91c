// Adafactor's numbers for an element, a line and a matrix.
#pragma once

#include "../arguments/factored.h"
#include "../math/rules/adafactor.h"
#include "around.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

constexpr int64_t kFactorBlock = 4096;  // elements of a line whose squares are one sum

// f(first element, elements) of a line's pieces.
template <class T, class F>
ONEPASS_LOOP void each_piece(const Factored<T>& a, int64_t line, F&& f) {
  const int64_t begin = line * a.lines.stride, left = a.segment.size - begin;
  const int64_t end = begin + (left < a.lines.cols ? left : a.lines.cols);
  for (int64_t at = begin; at < end; at += kFactorBlock) {
    f(at, end - at < kFactorBlock ? end - at : kFactorBlock);
  }
}

template <class T>
ONEPASS_DEVICE T mixed(const Factored<T>& a, T mean, double x) {
  return static_cast<T>(a.keep * static_cast<double>(mean) + a.take * (x + a.added));
}

template <class T>
ONEPASS_DEVICE double square(T g) {
  const double x = static_cast<double>(g);
  return x * x;
}

// What divides r of a line's matrix: its mean there.
template <class T>
ONEPASS_LOOP double mean_of_matrix(const Factored<T>& a, int64_t line) {
  const T* r = a.segment.state[0] + line / a.lines.rows * a.lines.rows;
  double sum = 0.0;
  for (int64_t i = 0; i < a.lines.rows; ++i) sum += static_cast<double>(r[i]);
  const double mean = sum / static_cast<double>(a.lines.rows);
  return mean < a.least_mean ? a.least_mean : mean;
}

// f(line, its factor r / mean) for a share of the lines.
template <class T, class F>
ONEPASS_LOOP void each_line(const Factored<T>& a, Range share, F&& f) {
  double mean = 0.0;
  for (int64_t line = share.begin; line < share.end; ++line) {
    if (a.lines.rows == 0) {
      f(line, T(1));
      continue;
    }
    if (line == share.begin || line % a.lines.rows == 0) mean = mean_of_matrix(a, line);
    const double r = static_cast<double>(a.segment.state[0][line]);
    f(line, mean == 0.0 ? T(0) : static_cast<T>(r / mean));
  }
}

// The factors of the elements from `at`: v of a vector, c of a matrix.
template <class T>
ONEPASS_DEVICE const T* column_factors(const Factored<T>& a, int64_t line, int64_t at) {
  if (a.lines.rows == 0) return a.segment.state[0] + at;
  return a.segment.state[1] + line / a.lines.rows * a.lines.cols + (at - line * a.lines.stride);
}

// What becomes of a parameter.
template <class T>
ONEPASS_DEVICE T factor_one(const AroundOf<T>& around, T step, T row, T column, T least, T g, T p) {
  const T x = around.clipped(g);
  return p * around.keep - step * math::Adafactor::direction(x, row, column, least);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
