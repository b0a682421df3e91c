#include <pybind11/stl.h>

#include <cstdlib>
#include <cstring>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"
#include "../memory.h"
#include "arrays.h"
#include "register.h"

namespace onepass::bind {
namespace {

// Zeroed float32 or float64 memory on a cache line's boundary, as parameters and gradients want it.
template <class T>
py::array aligned_zeros(int64_t size) {
  if (size < 0) throw py::value_error("size must not be negative");
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T) + kLineBytes;
  Memory memory = allocate(bytes);
  std::memset(memory.get(), 0, bytes);
  T* data = static_cast<T*>(memory.get());
  py::capsule owner(memory.release(), [](void* p) { std::free(p); });
  return py::array_t<T>(size, data, owner);
}

}  // namespace

void register_config(py::module_& m) {
  m.def("isa", [] { return std::string(kernels().isa); });
  m.def("set_isa", &set_isa, py::arg("name"));
  m.def("available_isas", &available_isas);
  m.def("compiled_isas", &compiled_isas);
  m.def("threads", &threads);
  m.def("set_threads", &set_threads, py::arg("n"));
  m.def("set_team_thresholds", &set_team_thresholds, py::arg("awake"), py::arg("asleep"));
  m.def("flush_denormals", &flush_denormals);
  m.def("set_flush_denormals", &set_flush_denormals, py::arg("on"));
  m.def(
      "aligned_zeros",
      [](int64_t size, bool float64) {
        return float64 ? aligned_zeros<double>(size) : aligned_zeros<float>(size);
      },
      py::arg("size"), py::arg("float64"));
}

}  // namespace onepass::bind
