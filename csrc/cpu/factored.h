// Adafactor: means of squares over rows and columns, sums over the tensor, the step. Each line and
// each column is one sum in a fixed order, whoever computes it.
#pragma once

#include "../loops/factors.h"
#include "reduce.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
struct FactorAreas {
  T *g, *p, *u;
  double* sums;

  explicit FactorAreas(const Team& team)
      : g(static_cast<T*>(team.scratch)),
        p(g + kFactorBlock),
        u(p + kFactorBlock),
        sums(reinterpret_cast<double*>(u + kFactorBlock)) {
    static_assert(kFactorBlock * (3 * sizeof(T) + sizeof(double)) <= kScratchBytes);
  }
};

// g' = clamp(g * scale, +-clip), where it lies or in the area.
template <class T>
const T* clipped(const AroundOf<T>& around, const T* g, int64_t n, T* area) {
  if (around.plain) return g;
  for (int64_t i = 0; i < n; ++i) area[i] = around.clipped(g[i]);
  return area;
}

template <class T>
const T* clipped_gradient(const Factored<T>& a, const AroundOf<T>& around, int64_t at, int64_t n,
                          T* area) {
  const T* g = a.beside == nullptr
                   ? a.segment.g + at
                   : gradient_block(a.segment.g, *a.beside, a.beyond.adds, at, n, area);
  return clipped(around, g, n, area);
}

template <class T>
void vector_moments(const Factored<T>& a, const AroundOf<T>& around, const FactorAreas<T>& areas,
                    const Team& team) {
  const Range share = team.share(a.lines.count, 1);
  for (int64_t line = share.begin; line < share.end; ++line) {
    each_piece(a, line, [&](int64_t at, int64_t n) {
      const T* g = clipped_gradient(a, around, at, n, areas.g);
      T* v = a.segment.state[0] + at;
      for (int64_t i = 0; i < n; ++i) v[i] = mixed(a, v[i], square(g[i]));
    });
  }
}

template <class T>
void row_moments(const Factored<T>& a, const AroundOf<T>& around, const FactorAreas<T>& areas,
                 const Team& team) {
  const Range share = team.share(a.lines.count, 1);
  for (int64_t line = share.begin; line < share.end; ++line) {
    double sum = 0.0;
    each_piece(a, line, [&](int64_t at, int64_t n) {
      sum += squares_of(clipped_gradient(a, around, at, n, areas.g), n);
    });
    T& r = a.segment.state[0][line];
    r = mixed(a, r, sum / static_cast<double>(a.lines.cols));
  }
}

// Members take columns, a cache line of them at least.
template <class T>
void column_moments(const Factored<T>& a, const AroundOf<T>& around, const FactorAreas<T>& areas,
                    const Team& team) {
  const Lines& lines = a.lines;
  const Range share = team.share(lines.cols, 16);
  for (int64_t first = 0; first < lines.count; first += lines.rows) {
    T* c = a.segment.state[1] + first / lines.rows * lines.cols;
    for (int64_t j = share.begin; j < share.end; j += kFactorBlock) {
      const int64_t n = share.end - j < kFactorBlock ? share.end - j : kFactorBlock;
      for (int64_t i = 0; i < n; ++i) areas.sums[i] = 0.0;
      for (int64_t line = first; line < first + lines.rows; ++line) {
        const T* g = clipped_gradient(a, around, line * lines.stride + j, n, areas.g);
        ONEPASS_IVDEP
        for (int64_t i = 0; i < n; ++i) areas.sums[i] += square(g[i]);
      }
      const double rows = static_cast<double>(lines.rows);
      for (int64_t i = 0; i < n; ++i) c[j + i] = mixed(a, c[j + i], areas.sums[i] / rows);
    }
  }
}

template <class T>
void factor_moments(const Factored<T>& a, Team& team) {
  const AroundOf<T> around = AroundOf<T>::of(a.around);
  const FactorAreas<T> areas(team);
  if (a.lines.rows == 0) return vector_moments(a, around, areas, team);
  row_moments(a, around, areas, team);
  column_moments(a, around, areas, team);
}

template <class T>
void factor_measure(const Factored<T>& a, Team& team) {
  const AroundOf<T> around = AroundOf<T>::of(a.around);
  const FactorAreas<T> areas(team);
  const T least = static_cast<T>(a.least_variance);
  each_line(a, team.share(a.lines.count, 1), [&](int64_t line, T row) {
    double parameters = 0.0, directions = 0.0;
    each_piece(a, line, [&](int64_t at, int64_t n) {
      const T* g = clipped_gradient(a, around, at, n, areas.g);
      const T* c = column_factors(a, line, at);
      const T* p = a.segment.p + at;
      if (a.segment.p == nullptr) {
        read_numbers(a.beside->p, a.beside->p_number, at, n, areas.p);
        p = areas.p;
      }
      T* u = areas.u;
      ONEPASS_IVDEP
      for (int64_t i = 0; i < n; ++i) u[i] = math::Adafactor::direction(g[i], row, c[i], least);
      parameters += squares_of(p, n);
      directions += squares_of(u, n);
    });
    a.partial[2 * line] = parameters;
    a.partial[2 * line + 1] = directions;
  });
}

template <class T>
void factor_block(const AroundOf<T>& around, T step, T row, T least, T* __restrict p,
                  const T* __restrict g, const T* __restrict c, int64_t n) {
  ONEPASS_IVDEP
  for (int64_t i = 0; i < n; ++i) {
    p[i] = factor_one(around, step, row, c[i], least, g[i], p[i]);
  }
}

template <class T>
void factor_update(const Factored<T>& a, Team& team) {
  const AroundOf<T> around = AroundOf<T>::of(a.around);
  const T least = static_cast<T>(a.least_variance), step = static_cast<T>(a.step);
  each_line(a, team.share(a.lines.count, 1), [&](int64_t line, T row) {
    each_piece(a, line, [&](int64_t begin, int64_t n) {
      const auto apply = [&](const Segment<T>& b, int64_t at) {
        factor_block(around, step, row, least, b.p, b.g, column_factors(a, line, at), b.size);
      };
      if (a.beside != nullptr) {
        sweep_beside(a.segment, *a.beside, a.beyond, {begin, begin + n}, apply);
      } else {
        apply({a.segment.p + begin, a.segment.g + begin, {}, n, n, n}, begin);
      }
    });
  });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
