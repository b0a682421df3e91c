// As much of cuBLASLt as the probes call, opened when it is there: no header of it is needed.
#pragma once

#include <dlfcn.h>
#include <library_types.h>

#include <string>

#include "probe.h"

namespace onepass::probes {

namespace lt {

constexpr int kCompute32 = 68;
constexpr int kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBias = 8, kAux = 11,
              kAuxStride = 12;
constexpr int kWorkspaceBytes = 1;

struct Named {
  const char* name;
  unsigned value;
};
constexpr Named kForward[] = {
    {"DEFAULT", 1},    {"RELU", 2},           {"BIAS", 4},       {"RELU_BIAS", 6},
    {"GELU", 32},      {"GELU_BIAS", 36},     {"RELU_AUX", 130}, {"RELU_AUX_BIAS", 134},
    {"GELU_AUX", 160}, {"GELU_AUX_BIAS", 164}};
constexpr Named kBackward[] = {
    {"DEFAULT", 1}, {"DRELU", 136}, {"DRELU_BGRAD", 152}, {"DGELU", 192}, {"DGELU_BGRAD", 208}};
constexpr Named kWeights[] = {{"DEFAULT", 1}, {"BGRADA", 256}, {"BGRADB", 512}};
constexpr unsigned kRelu = 2, kGelu = 32, kReluAux = 130;
constexpr unsigned kWritesOrReadsAux = 128, kReluKind = 2 | 8;

struct Algorithm {
  unsigned long long data[8];
};
struct Found {
  Algorithm algorithm;
  std::size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

using Handle = void*;
using Description = void*;
using Layout = void*;
using Preference = void*;

}  // namespace lt

inline void require_lt(int status, const char* what) {
  if (status != 0) {
    throw std::runtime_error(std::string(what) + ": cuBLASLt's status " + std::to_string(status));
  }
}

// The library's functions; Missing where it cannot be opened.
class Lt {
 public:
  explicit Lt(const std::string& path) : library_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) throw Missing(dlerror());
    find(create, "cublasLtCreate");
    find(destroy, "cublasLtDestroy");
    find(version, "cublasLtGetVersion");
    find(description, "cublasLtMatmulDescCreate");
    find(describe, "cublasLtMatmulDescSetAttribute");
    find(forget_description, "cublasLtMatmulDescDestroy");
    find(layout, "cublasLtMatrixLayoutCreate");
    find(forget_layout, "cublasLtMatrixLayoutDestroy");
    find(preference, "cublasLtMatmulPreferenceCreate");
    find(prefer, "cublasLtMatmulPreferenceSetAttribute");
    find(forget_preference, "cublasLtMatmulPreferenceDestroy");
    find(ask, "cublasLtMatmulAlgoGetHeuristic");
    find(multiply, "cublasLtMatmul");
    require_lt(create(&handle), "opening cuBLASLt");
  }
  Lt(const Lt&) = delete;
  Lt& operator=(const Lt&) = delete;
  ~Lt() { destroy(handle); }

  lt::Handle handle = nullptr;
  int (*create)(lt::Handle*) = nullptr;
  int (*destroy)(lt::Handle) = nullptr;
  std::size_t (*version)() = nullptr;
  int (*description)(lt::Description*, int compute, cudaDataType scale) = nullptr;
  int (*describe)(lt::Description, int attribute, const void*, std::size_t bytes) = nullptr;
  int (*forget_description)(lt::Description) = nullptr;
  int (*layout)(lt::Layout*, cudaDataType, std::uint64_t rows, std::uint64_t columns,
                std::int64_t stride) = nullptr;
  int (*forget_layout)(lt::Layout) = nullptr;
  int (*preference)(lt::Preference*) = nullptr;
  int (*prefer)(lt::Preference, int attribute, const void*, std::size_t bytes) = nullptr;
  int (*forget_preference)(lt::Preference) = nullptr;
  int (*ask)(lt::Handle, lt::Description, lt::Layout a, lt::Layout b, lt::Layout c, lt::Layout d,
             lt::Preference, int wanted, lt::Found*, int* found) = nullptr;
  int (*multiply)(lt::Handle, lt::Description, const void* alpha, const void* a, lt::Layout,
                  const void* b, lt::Layout, const void* beta, const void* c, lt::Layout, void* d,
                  lt::Layout, const lt::Algorithm*, void* workspace, std::size_t bytes,
                  cudaStream_t) = nullptr;

 private:
  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr) throw Missing(std::string("cuBLASLt has no ") + name);
  }

  void* library_;  // stays open: closing it while CUDA ends is not safe
};

}  // namespace onepass::probes
