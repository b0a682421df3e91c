// The circle loss, which couples the rows of a batch.
#pragma once

#include "../program.h"

namespace onepass {

template <class T>
struct CircleCall final : Call {
  BufferId target, prediction, weights, values, gradient, similarities, per_row;
  double gamma, margin;
  bool remove_diagonal;
  bool mean;  // over the rows whose loss is above 0; else the sum
  double factor;
  double work_per_pair;

  void run(const Frame& f, Team& team) const override {
    Circle<T> a{};
    a.embeddings = a.references = f.matrix<const T>(prediction);
    a.labels = a.reference_labels = f.data<const int32_t>(target);
    a.own_references = true;
    a.gamma = gamma, a.margin = margin, a.remove_diagonal = remove_diagonal;
    a.over_positive = mean;
    a.weights = f.data<const T>(weights);
    a.values = f.data<T>(values), a.gradient = f.matrix<T>(gradient);
    a.scale = mean ? factor / static_cast<double>(a.embeddings.rows) : factor;
    a.similarities = f.matrix<T>(similarities), a.per_row = f.data<T>(per_row);
    f.kernels.of<T>().circle(a, team);
  }
  double work(int64_t rows) const override {
    const auto pairs = static_cast<double>(rows) * static_cast<double>(rows);
    return pairs * work_per_pair;
  }
};

}  // namespace onepass
