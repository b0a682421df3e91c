// What the kernel checks share: matrices between poison, runs alone and by a team, comparison.
// Expected values are computed before the first run, so a kernel may work in place.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "../../csrc/kernels.h"

namespace check {

using onepass::Matrix;
using onepass::Team;

// The same numbers on every machine: multiples of 2^-19 from [-1, 1), exact in float.
class Random {
 public:
  double next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 44) * 0x1p-19 - 1.0;
  }

 private:
  uint64_t state_ = 42;
};

// Of one instruction set. `digest` covers every result that must be equal on all of them.
struct Tally {
  int64_t runs = 0, failures = 0;
  uint64_t digest = 0xcbf29ce484222325u;
  Random random;
  int team = 2;  // threads of every second run
};
inline Tally tally;

inline void fail(const std::string& what) {
  if (++tally.failures <= 20) std::printf("  FAILED %s\n", what.c_str());
}

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// A NaN that no arithmetic makes: found again in the padding, or else somebody wrote there.
template <class T>
T poison() {
  return std::bit_cast<T>(static_cast<Bits<T>>(sizeof(T) == 4 ? 0x7fc0dead : 0x7ff8dead0000deadu));
}
template <class T>
bool is_poison(T x) {
  return std::bit_cast<Bits<T>>(x) == std::bit_cast<Bits<T>>(poison<T>());
}

enum class Layout { kDense, kPadded, kReversed };
inline constexpr Layout kLayouts[] = {Layout::kDense, Layout::kPadded, Layout::kReversed};

// A matrix with poison before it, after it and in its padding. Rows are not aligned.
template <class T>
class Grid {
 public:
  Grid(int64_t rows, int64_t cols, Layout layout = Layout::kDense, double scale = 1.0)
      : rows_(rows), cols_(cols), stride_(layout == Layout::kDense ? cols : cols + 3) {
    all_.assign(2 * kGuard + rows * stride_, poison<T>());
    first_ = kGuard;
    if (layout == Layout::kReversed && rows > 0) {
      first_ += (rows - 1) * stride_;
      stride_ = -stride_;
    }
    fill([&](int64_t, int64_t) { return scale * tally.random.next(); });
  }

  template <class F>
  Grid& fill(F&& f) {
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < cols_; ++c) at(r, c) = static_cast<T>(f(r, c));
    }
    return *this;
  }

  T& at(int64_t r, int64_t c) { return all_[first_ + r * stride_ + c]; }
  double operator()(int64_t r, int64_t c) const {
    return static_cast<double>(all_[first_ + r * stride_ + c]);
  }
  T* data() { return all_.data() + first_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  Matrix<T> view() { return {data(), rows_, cols_, stride_}; }
  Matrix<const T> read() { return {data(), rows_, cols_, stride_}; }
  std::vector<T>& all() { return all_; }

  bool padding_is_poison() const {
    std::vector<bool> element(all_.size());
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < cols_; ++c) element[first_ + r * stride_ + c] = true;
    }
    for (size_t i = 0; i < all_.size(); ++i) {
      if (!element[i] && !is_poison(all_[i])) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kGuard = 64;
  int64_t rows_, cols_, stride_, first_;
  std::vector<T> all_;
};

// Results of a product may differ between instruction sets, all others may not.
enum class Across { kEqual, kMayDiffer };

// A result and what it must be: |got - want| <= ulps * eps * (floor + |want|), eps of type E.
template <class T, class E = T>
class Output {
 public:
  template <class F>
  Output(Grid<T>& grid, double ulps, F&& want, Across across = Across::kEqual, double floor = 1.0)
      : grid_(grid), ulps_(ulps), floor_(floor), across_(across), before_(grid.all()) {
    for (int64_t r = 0; r < grid.rows(); ++r) {
      for (int64_t c = 0; c < grid.cols(); ++c) want_.push_back(static_cast<double>(want(r, c)));
    }
  }

  void reset() { grid_.all() = before_; }

  void judge(const std::string& what, int team) {
    const std::string where = what + ", team of " + std::to_string(team);
    if (!grid_.padding_is_poison()) fail(where + ": wrote outside the matrix");
    if (team == 1) {
      compare(where);
      first_run_ = grid_.all();
    } else if (!same_bits(grid_.all(), first_run_)) {
      fail(where + ": differs from a team of 1");
    }
  }

 private:
  void compare(const std::string& where) {
    size_t i = 0;
    for (int64_t r = 0; r < grid_.rows(); ++r) {
      for (int64_t c = 0; c < grid_.cols(); ++c) {
        const T got = grid_.at(r, c);
        const T want = static_cast<T>(want_[i++]);
        if (across_ == Across::kEqual) digest(got);
        const double allowed =
            ulps_ * std::numeric_limits<E>::epsilon() * (floor_ + std::abs(want));
        if (got == want || (got != got && want != want) || std::abs(got - want) <= allowed)
          continue;
        char text[120];
        std::snprintf(text, sizeof text, " (%d, %d): got %.9g, want %.9g", static_cast<int>(r),
                      static_cast<int>(c), static_cast<double>(got), static_cast<double>(want));
        fail(where + text);
        return;
      }
    }
  }

  // FNV-1a; one pattern for all NaNs, whose bits depend on the machine.
  static void digest(T x) {
    uint64_t bits = x != x ? 0x7ff8 : std::bit_cast<Bits<T>>(x);
    for (size_t i = 0; i < sizeof(T); ++i, bits >>= 8) {
      tally.digest = (tally.digest ^ (bits & 255)) * 0x100000001b3u;
    }
  }

  static bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      if (std::bit_cast<Bits<T>>(a[i]) != std::bit_cast<Bits<T>>(b[i])) return false;
    }
    return true;
  }

  Grid<T>& grid_;
  double ulps_, floor_;
  Across across_;
  std::vector<double> want_;
  std::vector<T> before_, first_run_;
};

// Scratch memory: only what lies around it matters. Poisoned again before each run, so that a
// member that reads before another has written is found out.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t size) : grid_(1, size) {}
  T* data() { return grid_.data(); }
  void reset() {
    grid_.fill([](int64_t, int64_t) { return poison<T>(); });
  }
  void judge(const std::string& what, int) const {
    if (!grid_.padding_is_poison()) fail(what + ": wrote past its scratch");
  }

 private:
  Grid<T> grid_;
};

template <class T, class E>
void reset(Output<T, E>& output) {
  output.reset();
}
template <class T, class E>
void judge(Output<T, E>& output, const std::string& what, int team) {
  output.judge(what, team);
}
template <class T>
void reset(std::reference_wrapper<Scratch<T>> scratch) {
  scratch.get().reset();
}
template <class T>
void judge(std::reference_wrapper<Scratch<T>> scratch, const std::string& what, int team) {
  scratch.get().judge(what, team);
}
template <class O>
void reset(std::vector<O>& outputs) {
  for (auto& output : outputs) output.reset();
}
template <class O>
void judge(std::vector<O>& outputs, const std::string& what, int team) {
  for (auto& output : outputs) output.judge(what, team);
}

// Runs job(team) on threads of its own: the pool of the library gives a smaller team when it likes.
// In turns, rank 0 or the others start late, so that a missing barrier shows.
void run_team(int size, const std::function<void(Team&)>& job);  // check_kernels.cpp

// Makes the call by each of the teams, 1 first, from the same start, and judges its outputs.
template <class... O>
void expect_of(std::initializer_list<int> teams, const std::string& what,
               const std::function<void(Team&)>& call, O... outputs) {
  for (const int size : teams) {
    (reset(outputs), ...);
    run_team(size, call);
    ++tally.runs;
    (judge(outputs, what, size), ...);
  }
}

template <class... O>
void expect(const std::string& what, const std::function<void(Team&)>& call, O... outputs) {
  expect_of({1, tally.team}, what, call, std::move(outputs)...);
}

template <class F>
double dot(int64_t n, F&& term) {
  double sum = 0.0;
  for (int64_t k = 0; k < n; ++k) sum += term(k);
  return sum;
}

template <class T>
void circles(const onepass::KernelTable<T>& table);  // check_circle.cpp
template <class T>
void losses_and_metrics(const onepass::KernelTable<T>& table);  // check_losses.cpp
template <class T>
void metrics_and_rows(const onepass::KernelTable<T>& table);  // check_metrics.cpp
template <class T>
void sweeps_and_reductions(const onepass::KernelTable<T>& table);  // check_sweeps.cpp
template <class T>
void regularizing(const onepass::KernelTable<T>& table);  // check_regularizing.cpp

}  // namespace check
