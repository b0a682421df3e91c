#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"
#include "../memory.h"
#include "arrays.h"
#include "register.h"

namespace onepass::bind {
namespace {

// Zeroed float32 or float64 memory on a cache line's boundary, as parameters and gradients want it.
template <class T>
py::array aligned_zeros(int64_t size, const Device* device) {
  if (size < 0) throw py::value_error("size must not be negative");
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T) + kLineBytes;
  auto memory = std::make_unique<Memory>(allocate(bytes, device));
  T* data = static_cast<T*>(memory->get());
  std::memset(data, 0, bytes);
  py::capsule owner(memory.release(), [](void* p) { delete static_cast<Memory*>(p); });
  return py::array_t<T>(size, data, owner);
}

// A copy of any array where the device's kernels reach it.
py::array copied_to(const py::array& source, const std::string& device) {
  const auto bytes = static_cast<std::size_t>(source.nbytes());
  auto memory = std::make_unique<Memory>(allocate(bytes, device_named(device)));
  void* data = memory->get();
  py::capsule owner(memory.release(), [](void* p) { delete static_cast<Memory*>(p); });
  const std::vector<py::ssize_t> shape(source.shape(), source.shape() + source.ndim());
  py::array copy(source.dtype(), shape, data, owner);
  copy[py::ellipsis()] = source;
  return copy;
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
      [](int64_t size, bool float64, const std::string& device) {
        const Device* const where = device_named(device);
        return float64 ? aligned_zeros<double>(size, where) : aligned_zeros<float>(size, where);
      },
      py::arg("size"), py::arg("float64"), py::arg("device") = "cpu");
  m.def("copied_to", &copied_to, py::arg("source"), py::arg("device"));
  m.def(
      "bring_gpu",
      [](const py::capsule& device) {
        if (std::string(device.name() == nullptr ? "" : device.name()) != "onepass.device") {
          throw py::value_error("this is no device");
        }
        bring_gpu(device.get_pointer<const Device>());
      },
      py::arg("device"));
}

}  // namespace onepass::bind
