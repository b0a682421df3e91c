// The module onepass._cuda: what GPUs there are. Importing it needs no driver.
#include <cuda_runtime_api.h>
#include <pybind11/pybind11.h>

#include <sstream>
#include <stdexcept>
#include <string>

#include "../cuda/cublaslt.h"
#include "../cuda/device.h"

namespace py = pybind11;

namespace onepass::bind {
namespace {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // else the next call would report it once more
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

int version_of(cudaError_t (*ask)(int*), const char* what) {
  int version = 0;
  check(ask(&version), what);
  return version;
}

py::list devices() {
  int count = 0;
  check(cudaGetDeviceCount(&count), "asking for GPUs");
  py::list all;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    check(cudaGetDeviceProperties(&p, i), "asking a GPU for its properties");
    py::dict device;
    device["name"] = p.name;
    device["architecture"] = 10 * p.major + p.minor;
    device["multiprocessors"] = p.multiProcessorCount;
    device["memory_bytes"] = p.totalGlobalMem;
    device["l2_bytes"] = p.l2CacheSize;
    device["shares_memory"] = p.concurrentManagedAccess != 0;
    all.append(device);
  }
  return all;
}

// Of "80-real,120" the numbers.
py::list architectures() {
  std::istringstream given(ONEPASS_ARCHITECTURES);
  py::list numbers;
  for (std::string one; std::getline(given, one, ',');) numbers.append(std::stoi(one));
  return numbers;
}

void open_cublaslt(const std::string& path) {
  const OnDevice on_device(&cuda_device());
  const std::string wrong = cuda::open_cublaslt(path.c_str());
  if (!wrong.empty()) throw std::runtime_error(wrong);
}

std::size_t cublaslt_version() {
  const cuda::CublasLt* const library = cuda::found_cublaslt();
  return library == nullptr ? 0 : library->version;
}

}  // namespace
}  // namespace onepass::bind

#if !defined(ONEPASS_MODULE)
#define ONEPASS_MODULE _cuda
#endif

PYBIND11_MODULE(ONEPASS_MODULE, m) {
  using namespace onepass;
  m.def("devices", &bind::devices);
  m.def("architectures", &bind::architectures);
  m.def("driver_version",
        [] { return bind::version_of(cudaDriverGetVersion, "asking the driver"); });
  m.def("runtime_version", [] { return bind::version_of(cudaRuntimeGetVersion, "asking cudart"); });
  m.def("open_cublaslt", &bind::open_cublaslt, py::arg("path"));
  m.def("cublaslt_version", &bind::cublaslt_version);
  m.def("cublaslt_products", &cuda::cublaslt_products);
  m.def(
      "set_cublaslt_size", [](int64_t n) { cuda::cublaslt_size() = n; }, py::arg("multiply_adds"));
  // For _core.bring_gpu.
  m.def("device",
        [] { return py::capsule(const_cast<Device*>(&cuda_device()), "onepass.device"); });
}
