// A program being recorded, with the Python objects whose memory it points to. Calls are added by
// plan_<topic>.cpp.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "../cpu/pool.h"
#include "../plan/program.h"
#include "arrays.h"
#include "optimizer_object.h"
#include "plan_arrays.h"
#include "register_predictor.h"

namespace onepass::bind {

using Hyper = std::vector<double>;
using OptionalId = std::optional<int>;

inline BufferId id_of(OptionalId id) { return id.value_or(kNone); }

class PlanObject {
 public:
  PlanObject(bool float64, const Device* device) : float64_(float64), program_(device) {}

  int rows_buffer(int64_t cols, int64_t stride, int64_t rows_per_sample, bool index) {
    if (cols < 0 || stride < cols || rows_per_sample < 1) {
      throw py::value_error("rows_buffer: cols, stride or rows_per_sample is out of range");
    }
    return program_.add_buffer(
        {rows_per_sample, 0, cols, stride, index ? int64_t{4} : item_size(), nullptr, kNone});
  }

  // A work area of as many rows, whatever the batch's.
  int table_buffer(int64_t rows, int64_t cols, int64_t stride) {
    if (rows < 0 || cols < 0 || stride < cols) {
      throw py::value_error("table_buffer: rows, cols or stride is out of range");
    }
    return program_.add_buffer({0, rows, cols, stride, item_size(), nullptr, kNone});
  }

  // A work area of as many rows as the batch, each as long.
  int square_buffer() {
    return program_.add_buffer({1, 0, 0, 0, item_size(), nullptr, kNone, true});
  }

  void phase() { program_.begin_phase(); }

  // The same memory as a gapless buffer under another shape of the same size: so many rows a
  // sample, or of a table so many in all.
  int view(int of, int64_t cols, int64_t rows) {
    const BufferSpec& base = program_.buffer(of);
    const bool table = base.rows_per_sample == 0;
    const int64_t base_rows = table ? base.rows : base.rows_per_sample;
    if (base.stride != base.cols || base_rows * base.cols != rows * cols) {
      throw py::value_error("view: the buffer has gaps or another size");
    }
    return program_.add_buffer(
        {table ? 0 : rows, table ? rows : 0, cols, cols, base.item_size, base.fixed, of});
  }

  int fixed(py::array a) {
    return float64_ ? fixed_of<double>(std::move(a)) : fixed_of<float>(std::move(a));
  }

  void gather(int source, int out);
  void output(int from, int output);

  int index_buffer(int64_t rows_per_sample) {
    const int id = rows_buffer(1, 1, rows_per_sample, true);
    index_.insert(id);
    return id;
  }

  // `cols` doubles, or as many for each row of a sample where rows_per_sample is not 0.
  int doubles_buffer(int64_t cols, int64_t rows_per_sample) {
    if (cols < 0 || rows_per_sample < 0) {
      throw py::value_error("doubles_buffer: cols and rows_per_sample must not be negative");
    }
    return program_.add_buffer({rows_per_sample, 1, cols, cols, 8, nullptr, kNone});
  }

  // Takes `count` of the run's sums, from number `at` on.
  void use_sums(int at, int count) { n_sums_ = std::max(n_sums_, at + count); }
  bool holds_indices(int buffer) const { return index_.count(buffer) != 0; }

  // The optimizer is claimed while the plan runs.
  void keep(const std::shared_ptr<OptimizerObject>& optimizer) {
    const auto known = std::find(optimizers_.begin(), optimizers_.end(), optimizer);
    if (known == optimizers_.end()) optimizers_.push_back(optimizer);
  }

  void hold(py::object object) { kept_.push_back(std::move(object)); }

  // make(float{}) or make(double{}) is the call.
  template <class F>
  void add(F&& make) {
    float64_ ? program_.add_call(make(double{})) : program_.add_call(make(float{}));
  }

  // What a call costs a sample, for deciding on helpers.
  double sweep_work(int id) const {
    const BufferSpec& spec = program_.buffer(id);
    return kElementWork * static_cast<double>(spec.rows_per_sample * spec.cols);
  }
  double product_work(int rows, int matrix) const {
    const BufferSpec& w = program_.buffer(matrix);
    return static_cast<double>(program_.buffer(rows).rows_per_sample * w.rows * w.cols);
  }

  Program& program() { return program_; }
  bool float64() const { return float64_; }

  std::unique_ptr<PredictorObject> predictor(py::object self, std::vector<py::ssize_t> input_shape,
                                             std::vector<py::ssize_t> output_shape) const;
  void run(const Sources& sources, const std::vector<py::array>& outputs, const py::object& index,
           const py::array_t<int64_t, py::array::c_style>& steps,
           const py::array_t<double, py::array::c_style>& learning_rates, py::array_t<double> sums,
           py::array_t<int64_t> progress, const py::object& optimizer, double seconds,
           uint32_t draw) const;

 private:
  int64_t item_size() const { return float64_ ? 8 : 4; }

  template <class T>
  int fixed_of(py::array a) {
    const Matrix<T> m = output_of<T>(a, "fixed");
    const Device* const device = program_.device();
    if (device != nullptr && m.rows * m.cols > 0 && !device->reaches(m.data)) {
      throw py::value_error("fixed: the array's memory is not where the GPU reaches it");
    }
    kept_.push_back(a);
    return program_.add_buffer({0, m.rows, m.cols, m.stride, sizeof(T), m.data, kNone});
  }

  bool float64_;
  Program program_;
  std::set<int> index_;
  std::vector<SourceSpec> sources_;
  std::vector<OutputSpec> outputs_;
  std::vector<py::object> kept_;
  std::vector<std::shared_ptr<OptimizerObject>> optimizers_;
  int n_sources_ = 0, n_sums_ = 0;
};

using PlanClass = py::class_<PlanObject>;

// Each adds the calls of one topic to the class.
void add_circle_calls(PlanClass& plan);
void add_combine_calls(PlanClass& plan);
void add_dense_calls(PlanClass& plan);
void add_elementwise_calls(PlanClass& plan);
void add_host_calls(PlanClass& plan);
void add_normalization_calls(PlanClass& plan);
void add_noise_calls(PlanClass& plan);
void add_objective_calls(PlanClass& plan);
void add_regularizing_calls(PlanClass& plan);
void add_metrics_calls(PlanClass& plan);
void add_rowwise_calls(PlanClass& plan);
void add_update_calls(PlanClass& plan);

}  // namespace onepass::bind
