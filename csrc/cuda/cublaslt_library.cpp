#include "cublaslt_library.h"

#include <dlfcn.h>

#include <memory>
#include <mutex>
#include <utility>

namespace onepass::cuda {
namespace {

std::atomic<const CublasLt*> found{nullptr};

// As NVIDIA advises: 32 MiB from Hopper on, else 4.
std::size_t workspace_of_this_gpu() {
  cudaDeviceProp properties{};
  const bool known = cudaGetDeviceProperties(&properties, 0) == cudaSuccess;
  if (!known) cudaGetLastError();
  return std::size_t{known && properties.major >= 9 ? 32u : 4u} << 20;
}

std::string version_text(std::size_t version) {
  const auto part = [&](std::size_t unit) { return std::to_string(version / unit % 100); };
  return part(10000) + "." + part(100) + "." + part(1);
}

std::string text_of(const CublasLt& library, cublaslt::Status status) {
  return std::string(library.GetStatusName_(status)) + " (" +
         std::to_string(static_cast<int>(status)) + ")";
}

// Empty, or what is missing.
std::string find_functions(void* file, CublasLt& library) {
#define ONEPASS_FIND(name, Result, arguments)                                         \
  library.name##_ = reinterpret_cast<cublaslt::name*>(dlsym(file, "cublasLt" #name)); \
  if (library.name##_ == nullptr) return std::string("it has no function cublasLt" #name);
  ONEPASS_CUBLASLT_FUNCTIONS(ONEPASS_FIND)
#undef ONEPASS_FIND
  return {};
}

// Empty, or what is wrong with the library in this file.
std::string start(void* file, CublasLt& library) {
  if (const std::string missing = find_functions(file, library); !missing.empty()) return missing;
  library.version = library.GetVersion_();
  if (library.version / 10000 != 13) {
    return "it is cuBLASLt " + version_text(library.version) + ", but 13 is wanted";
  }
  const cublaslt::Status status = library.Create_(&library.context);
  if (status != cublaslt::Status::kSuccess) return "it does not start: " + text_of(library, status);
  library.workspace_bytes = workspace_of_this_gpu();
  return {};
}

thread_local std::string kept_error, told_error;

}  // namespace

const CublasLt* found_cublaslt() { return found.load(std::memory_order_acquire); }

std::string open_cublaslt(const char* path) {
  static std::mutex opening;
  const std::lock_guard lock(opening);
  if (found_cublaslt() != nullptr) return {};
  void* const file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (file == nullptr) return dlerror();
  auto library = std::make_unique<CublasLt>();
  std::string wrong = start(file, *library);
  if (!wrong.empty()) {
    dlclose(file);
    return std::string(path) + ": " + wrong;
  }
  found.store(library.release(), std::memory_order_release);  // for as long as the process runs
  return {};
}

std::atomic<int64_t>& cublaslt_size() {
  static std::atomic<int64_t> size{kCublasLtSize};
  return size;
}

bool worth_cublaslt(int64_t rows, int64_t cols, int64_t depth) {
  if (found_cublaslt() == nullptr || rows <= 0 || cols <= 0 || depth <= 0) return false;
  const double multiply_adds =
      static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(depth);
  return multiply_adds >= static_cast<double>(cublaslt_size().load(std::memory_order_relaxed));
}

void keep_cublaslt_error(std::string what) {
  if (kept_error.empty()) kept_error = "cuBLASLt " + std::move(what);
}

void keep_cublaslt_error(const CublasLt& library, const char* what, cublaslt::Status status) {
  keep_cublaslt_error(std::string(what) + ": " + text_of(library, status));
}

const char* cublaslt_error() {
  told_error = std::exchange(kept_error, {});
  return told_error.empty() ? nullptr : told_error.c_str();
}

}  // namespace onepass::cuda
