#include <pybind11/stl.h>

#include <stdexcept>

#include "../limits/limits.h"
#include "register.h"

namespace py = pybind11;

namespace onepass::bind {
namespace {

void require_threads(int threads) {
  if (threads < 1 || threads > 1024) {
    throw py::value_error("threads must be from 1 to 1024, got " + std::to_string(threads));
  }
}

void require_arrays(int count, const char* name) {
  if (count < 0 || count > 9) {
    throw py::value_error(std::string(name) + " must be from 0 to 9, got " + std::to_string(count));
  }
}

}  // namespace

void register_limits(py::module_& m) {
  using Released = py::call_guard<py::gil_scoped_release>;
  m.def(
      "limits_multiply_add",
      [](const std::string& isa, bool float64, int threads, double seconds) {
        require_threads(threads);
        return limits::multiply_add_rate(isa, float64, threads, seconds);
      },
      py::arg("isa"), py::arg("float64"), py::arg("threads"), py::arg("seconds"), Released());
  m.def(
      "limits_stream",
      [](int reads, int updates, int writes, int64_t lines, int threads, double seconds) {
        require_threads(threads);
        require_arrays(reads, "reads");
        require_arrays(updates, "updates");
        require_arrays(writes, "writes");
        if (lines < 1) throw py::value_error("lines must be at least 1");
        return limits::stream_seconds(reads, updates, writes, lines, threads, seconds);
      },
      py::arg("reads"), py::arg("updates"), py::arg("writes"), py::arg("lines"), py::arg("threads"),
      py::arg("seconds"), Released());
  m.def("limits_core_to_core", &limits::core_to_core_seconds, py::arg("seconds"), Released());
  m.def(
      "limits_spin",
      [](int threads, int64_t rounds) {
        require_threads(threads);
        return limits::spin_seconds(threads, rounds);
      },
      py::arg("threads"), py::arg("rounds"), Released());
}

}  // namespace onepass::bind
