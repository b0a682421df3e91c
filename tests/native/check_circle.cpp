// The circle loss; called by check_kernels.cpp.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "check.h"

namespace check {

using namespace onepass;

namespace {

constexpr double kGamma = 4.0, kMargin = 0.25;
constexpr int64_t kShapes[][3] = {{1, 1, 1}, {5, 5, 3}, {40, 40, 17}, {19, 33, 70}};

// Pair by pair, in double.
template <class T>
class Pairs {
 public:
  Pairs(const Grid<T>& x, const Grid<T>& y, const std::vector<int32_t>& own,
        const std::vector<int32_t>& others)
      : x_(x), y_(y), own_(own), others_(others) {
    for (int64_t r = 0; r < x.rows(); ++r) {
      for (const bool same : {true, false}) {
        double sum = 0.0;
        for (int64_t j = 0; j < y.rows(); ++j) {
          if (counts(r, j) && alike(r, j) == same) sum += std::exp(logit(r, j));
        }
        sums_.push_back(sum);
      }
    }
  }

  double value(int64_t r) const { return std::log1p(product(r)); }

  // Of the values' sum, with row r as the one that is held against the others.
  double slope(int64_t r, int64_t j) const {
    if (!counts(r, j) || product(r) == 0.0) return 0.0;
    const double d = distance(r, j), outer = product(r) / (1.0 + product(r));
    const double share = std::exp(logit(r, j)) / sums_[2 * r + (alike(r, j) ? 0 : 1)];
    const double change = alike(r, j) ? 2.0 * d : d < 1.0 + kMargin ? -2.0 * (1.0 - d) : 0.0;
    return dot(x_.cols(), [&](int64_t c) { return x_(r, c) * y_(j, c); }) < 1.0
               ? -kGamma * change * share * outer
               : 0.0;
  }

 private:
  bool alike(int64_t r, int64_t j) const { return own_[r] == others_[j]; }
  bool counts(int64_t r, int64_t j) const { return r != j || !alike(r, j); }
  double distance(int64_t r, int64_t j) const {
    return std::max(1.0 - dot(x_.cols(), [&](int64_t c) { return x_(r, c) * y_(j, c); }), 0.0);
  }
  double logit(int64_t r, int64_t j) const {
    const double d = distance(r, j);
    if (alike(r, j)) return -kGamma * (kMargin + d) * (kMargin - d);
    return kGamma * std::max(1.0 + kMargin - d, 0.0) * (1.0 - kMargin - d);
  }
  double product(int64_t r) const { return sums_[2 * r] * sums_[2 * r + 1]; }

  const Grid<T>&x_, &y_;
  const std::vector<int32_t>&own_, &others_;
  std::vector<double> sums_;
};

std::vector<int32_t> labels(int64_t rows) {
  std::vector<int32_t> made;
  for (int64_t r = 0; r < rows; ++r) made.push_back(static_cast<int32_t>(r * r % 5 - 1));
  return made;
}

}  // namespace

template <class T>
void circles(const KernelTable<T>& table) {
  for (const auto& [n, m, width] : kShapes) {
    for (const Layout layout : kLayouts) {
      const double scale = 1.0 / std::sqrt(static_cast<double>(width));
      Grid<T> x(n, width, layout, scale), y(m, width, layout, scale), values(1, n);
      Grid<T> gradient(n, width, layout);
      const bool own = n == m;
      Grid<T>& others = own ? x : y;
      const std::vector<int32_t> rows = labels(n), references = labels(m);
      Scratch<T> similarities(n * m), per_row(kCircleNumbers * n);
      Circle<T> a{};
      a.embeddings = x.read(), a.labels = rows.data();
      a.references = others.read(), a.reference_labels = references.data();
      a.own_references = own, a.remove_diagonal = true;
      a.gamma = kGamma, a.margin = kMargin, a.scale = 0.5;
      a.values = values.data(), a.gradient = gradient.view();
      a.similarities = {similarities.data(), n, m, m}, a.per_row = per_row.data();
      const Pairs<T> pairs(x, others, rows, references);
      const auto slope = [&](int64_t r, int64_t j) {
        return 0.5 * (pairs.slope(r, j) + (own ? pairs.slope(j, r) : 0.0));
      };
      expect(
          "circle of " + std::to_string(n) + " and " + std::to_string(m),
          [&](Team& team) { table.circle(a, team); },
          Output(
              values, 200, [&](int64_t, int64_t r) { return pairs.value(r); }, Across::kMayDiffer),
          Output(
              gradient, 500,
              [&](int64_t r, int64_t c) {
                return dot(m, [&](int64_t j) { return slope(r, j) * others(j, c); });
              },
              Across::kMayDiffer),
          std::ref(similarities), std::ref(per_row));
    }
  }
}
template void circles(const KernelTable<float>&);
template void circles(const KernelTable<double>&);

}  // namespace check
