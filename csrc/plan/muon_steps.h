// Muon's steps, one matrix after the other: the part of single elements and the last one are
// sweeps, what lies between them are products as those of dense layers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "../kernels.h"
#include "../memory.h"
#include "is_rule.h"
#include "optimizer.h"

namespace onepass {

template <class T>
class MuonSteps {
 public:
  explicit MuonSteps(const Device* device)
      : memory_(Reachable<T>(device)), partials_(Reachable<double>(device)) {}

  static bool takes(int rule) { return is_rule<math::Muon>(rule); }

  // Room for one more matrix, with lines as of the factored rules.
  void add(const Lines& lines, const RuleSettings& settings) {
    const double k = static_cast<double>(short_of(lines));
    const double n = static_cast<double>(std::max(lines.rows, lines.cols));
    work_ += whole_of(settings).steps * k * k * (2.0 * n + k);
    const int64_t size = lines.count * lines.stride;
    long_side_ = std::max(long_side_, in_lines(size));
    short_side_ = std::max(short_side_, gram_size(lines));
    memory_.resize(kLine + 2 * long_side_ + 3 * short_side_);
    partials_.resize(std::max<std::size_t>(partials_.size(), (size + kNormBlock - 1) / kNormBlock));
  }

  // Multiply-adds of all products, with the numbers that were set when matrices were added.
  double work() const { return work_; }

  void step(const Update<T>& all, const Lines* lines, const RuleSettings& settings,
            double learning_rate, const KernelTable<T>& table, Team& team) {
    for (int64_t k = 0; k < all.n_segments; ++k) {
      if (all.segments[k].size == 0) continue;
      const Around& around = all.around[all.shared_around ? 0 : k];
      const Beside<T>* beside = all.beside == nullptr ? nullptr : all.beside + k;
      const One one{all, all.segments[k], around, beside, lines[k]};
      one_step(one, whole_of(settings), learning_rate, table, team);
    }
  }

 private:
  static constexpr int64_t kLine = 64 / sizeof(T);

  struct One {
    const Update<T>& all;
    const Segment<T>& segment;
    const Around& around;
    const Beside<T>* beside;  // or nullptr
    const Lines& lines;

    bool tall() const { return lines.rows > lines.cols; }
    Matrix<T> like(T* data) const { return {data, lines.rows, lines.cols, lines.stride}; }
  };

  static int64_t in_lines(int64_t n) { return (n + kLine - 1) / kLine * kLine; }
  static int64_t short_of(const Lines& lines) { return std::min(lines.rows, lines.cols); }
  static int64_t gram_size(const Lines& lines) {
    return short_of(lines) * in_lines(short_of(lines));
  }
  static math::Muon::Whole whole_of(const RuleSettings& settings) {
    return math::Muon::whole(settings.options, settings.torch_convention
                                                   ? math::Convention::kTorch
                                                   : math::Convention::kKeras);
  }

  static Matrix<const T> read(Matrix<T> m) { return {m.data, m.rows, m.cols, m.stride}; }

  T* memory(int64_t from) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    return memory_.data() + (-address % (kLine * sizeof(T))) / sizeof(T) + from;
  }
  T* long_area(int k) { return memory(k * long_side_); }
  Matrix<T> gram(const Lines& lines, int k) {
    const int64_t n = short_of(lines);
    return {memory(2 * long_side_ + k * short_side_), n, n, in_lines(n)};
  }

  // The work areas are shared: a barrier must lie between one matrix and the next.
  void one_step(const One& one, const math::Muon::Whole& whole, double learning_rate,
                const KernelTable<T>& table, Team& team) {
    T* const first = long_area(0);
    directions(one, first, table, team);
    team.sync();
    table.sum_of_squares({first, one.segment.size, partials_.data()}, team);
    team.sync();
    await(team);
    // What the last product writes then lies in the first area, whose padding the sweep has made 0.
    Matrix<T> x = one.like(long_area(whole.steps % 2));
    Matrix<T> y = one.like(long_area(1 - whole.steps % 2));
    copy_scaled(one.like(first), whole.inverse(norm(one.segment.size)), x, table, team);
    team.sync();
    for (int step = 0; step < whole.steps; ++step) {
      iterate(one, whole, x, y, table, team);
      std::swap(x, y);
    }
    const double rows = static_cast<double>(one.lines.rows), cols = one.lines.cols;
    move(one, first, learning_rate * whole.size(rows, cols), table, team);
    team.sync();
  }

  // u of all elements, padding included. Decay must be decoupled: what would be p is u.
  void directions(const One& one, T* u, const KernelTable<T>& table, Team& team) const {
    const Segment<T> into{u,
                          one.segment.g,
                          {one.segment.state[0]},
                          one.segment.size,
                          one.segment.cols,
                          one.segment.stride};
    Beside<T> beside;
    if (one.beside != nullptr) beside = *one.beside;
    beside.average = nullptr;
    Update<T> sweep = one_segment(one, into, one.around);
    sweep.beside = one.beside == nullptr ? nullptr : &beside;
    sweep.beyond = {};
    sweep.beyond.adds = one.all.beyond.adds;
    table.update(sweep, team);
  }

  // p = keep p - step x, and what else surrounds a step.
  void move(const One& one, const T* x, double step, const KernelTable<T>& table,
            Team& team) const {
    Segment<T> by = one.segment;
    by.g = x;
    Around around;
    around.keep = one.around.keep;
    Beside<T> beside;
    if (one.beside != nullptr) beside = *one.beside;
    beside.sum = nullptr;
    Update<T> sweep = one_segment(one, by, around);
    sweep.rule = descent();
    math::Sgd::prepare(nullptr, math::Convention::kKeras, {step, 1}, sweep.scalars);
    sweep.beside = one.beside == nullptr ? nullptr : &beside;
    table.update(sweep, team);
  }

  static Update<T> one_segment(const One& one, const Segment<T>& segment, const Around& around) {
    Update<T> sweep = one.all;
    sweep.segments = &segment;
    sweep.n_segments = 1;
    sweep.around = &around;
    sweep.shared_around = true;
    return sweep;
  }
  static int descent() {
    int id = 0;
    while (!is_rule<math::Sgd>(id)) ++id;
    return id;
  }

  // Every member adds up for itself, alike.
  double norm(int64_t size) const {
    double sum = 0.0;
    for (int64_t b = 0; b * kNormBlock < size; ++b) sum += partials_[b];
    return std::sqrt(sum);
  }

  // to = scale * from; a scale that T does not hold, in two halves.
  static void copy_scaled(Matrix<T> from, double scale, Matrix<T> to, const KernelTable<T>& table,
                          Team& team) {
    const bool extreme = scale < 1e-30 || scale > 1e30;
    const double factor = extreme ? std::sqrt(scale) : scale;
    table.scaled_copy({{read(from)}, to, factor, false}, team);
    if (extreme) table.scaled_copy({{read(to)}, to, factor, false}, team);
  }

  // y = a x + (b A + c A A) x with A = x x^T; of a tall matrix y = a x + x (b A + c A A) with
  // A = x^T x, which is the same of its transpose.
  void iterate(const One& one, const math::Muon::Whole& whole, Matrix<T> x, Matrix<T> y,
               const KernelTable<T>& table, Team& team) {
    const Matrix<T> gram_x = gram(one.lines, 0), factor = gram(one.lines, 1);
    const Matrix<T> scaled = gram(one.lines, 2);
    if (one.tall()) {
      table.dense_backward_weights({read(x), read(x), gram_x, nullptr, false}, team);
    } else {
      table.dense_backward_input({read(x), read(x), {}, {}, gram_x, {}, false}, team);
    }
    team.sync();
    table.scaled_copy({{read(gram_x)}, factor, whole.b, false}, team);
    table.scaled_copy({{read(gram_x)}, scaled, whole.c, false}, team);
    table.scaled_copy({{read(x)}, y, whole.a, false}, team);
    team.sync();
    // A is symmetric, so that A^T A will do.
    table.dense_backward_weights({read(gram_x), read(scaled), factor, nullptr, true}, team);
    team.sync();
    if (one.tall()) {
      table.dense_backward_input({read(x), read(factor), {}, {}, y, {}, true}, team);
    } else {
      table.dense_backward_weights({read(factor), read(x), y, nullptr, true}, team);
    }
    team.sync();
  }

  double work_ = 0.0;
  int64_t long_side_ = 0, short_side_ = 0;  // elements of the work areas
  ReachableVector<T> memory_;               // two like the largest matrix, three like A
  ReachableVector<double> partials_;
};

}  // namespace onepass
