// What a plan reads from and writes to the arrays of one run, and whether given arrays fit.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "../plan/program.h"
#include "arrays.h"

namespace onepass::bind {

// Asked from native code without the GIL. Signal handlers run in Python's main thread only;
// elsewhere the answer is no.
inline bool interrupted_by_signal() {
  py::gil_scoped_acquire acquire;
  return PyErr_CheckSignals() != 0;
}

// Adds to a Python optimizer's count. No bytecode runs (but in a subclass with a __setattr__ of its
// own), so no signal handler does; an interrupt that is already raised stays raised.
inline void count_calls(const py::object& optimizer, int64_t more) {
  py::error_scope raised;
  optimizer.attr("_calls") = optimizer.attr("_calls").cast<int64_t>() + more;
}

struct SourceSpec {
  int number;
  int64_t sample;  // elements of one
  bool is_index;
  BufferId to;
};

struct OutputSpec {
  int number;
  int64_t rows_per_sample, cols;
  BufferId from;
};

using Sources = std::vector<std::pair<py::array, double>>;

inline void check_source(const py::array& a, const SourceSpec& spec) {
  const std::string name = "source " + std::to_string(spec.number);
  if (gapless_sample(a, name.c_str()) != spec.sample) {
    throw py::value_error(name + " has samples of another size");
  }
  if (!spec.is_index) return;
  require_dtype<int32_t>(a, name.c_str());
  const bool aligned = (a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
  if (!aligned || (a.shape(0) > 1 && a.strides(0) % a.itemsize() != 0)) {
    throw py::value_error(name + " must be aligned");
  }
}

// Every row that the steps name must exist in every source.
inline void check_order(const py::array_t<int64_t, py::array::c_style>& order,
                        const std::vector<Step>& table, const Sources& sources) {
  int64_t low = 0, high = -1;
  for (const Step& step : table) {
    const int64_t* rows = order.data() + step.first;
    for (int64_t r = 0; r < step.rows; ++r) {
      low = std::min(low, rows[r]);
      high = std::max(high, rows[r]);
    }
  }
  for (const auto& source : sources) {
    if (low < 0 || high >= source.first.shape(0)) {
      throw py::index_error("index names a row that a source does not have");
    }
  }
}

inline Output output_view(py::array a, const OutputSpec& spec, const std::vector<Step>& table,
                          bool float64) {
  require_writeable(a, "output");
  float64 ? require_dtype<double>(a, "output") : require_dtype<float>(a, "output");
  int64_t samples = 0;
  for (const Step& step : table) samples = std::max(samples, step.first + step.rows);
  const bool fits = a.ndim() == 2 && a.shape(0) >= samples * spec.rows_per_sample &&
                    a.shape(1) == spec.cols &&
                    (a.size() == 0 || spec.cols == 1 || a.strides(1) == a.itemsize());
  if (!fits) throw py::value_error("output must hold all rows, without gaps in them");
  return {static_cast<char*>(a.mutable_data()), a.strides(0)};
}

}  // namespace onepass::bind
