// What we call of cuBLASLt 13, which is opened while the program runs: nvcc's packages lack its
// header. tests/cuda/cublaslt_declared.cpp holds this against it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace onepass::cublaslt {

enum class Status : int { kSuccess = 0, kInvalidValue = 7, kNotSupported = 15 };
enum class Compute : int { kFloat32 = 68, kFloat64 = 70 };
enum class Type : int { kFloat32 = 0, kFloat64 = 1 };
enum class Operation : int32_t { kPlain = 0, kTransposed = 1 };
// All matrices are column-major and D is m x n: kBias adds bias[row] to a row of D, kBiasGradientA
// writes the sum of op(A)'s row there.
enum class Epilogue : uint32_t { kNone = 1, kBias = 4, kBiasGradientA = 256 };
enum class OperationAttribute : int {
  kTransposeA = 3,   // Operation
  kTransposeB = 4,   // Operation
  kEpilogue = 7,     // Epilogue
  kBiasPointer = 8,  // void*
};
enum class PreferenceAttribute : int {
  kMostWorkspace = 1,  // uint64_t, bytes
  kAlignmentA = 5,     // uint32_t, bytes, as the three others
  kAlignmentB = 6,
  kAlignmentC = 7,
  kAlignmentD = 8,
};

// Opaque.
struct Context;
struct OperationDesc;
struct Layout;
struct Preference;

struct Algorithm {
  uint64_t data[8];
};
struct HeuristicResult {
  Algorithm algorithm;
  std::size_t workspace;  // bytes that it needs
  Status state;           // the rest means something on success only
  float waves;
  int reserved[4];
};

// X(name behind "cublasLt", result, arguments)
#define ONEPASS_CUBLASLT_FUNCTIONS(X)                                                             \
  X(GetVersion, std::size_t, ())                                                                  \
  X(GetStatusName, const char*, (Status))                                                         \
  X(Create, Status, (Context**))                                                                  \
  X(MatmulDescCreate, Status, (OperationDesc**, Compute, Type scale))                             \
  X(MatmulDescDestroy, Status, (OperationDesc*))                                                  \
  X(MatmulDescSetAttribute, Status,                                                               \
    (OperationDesc*, OperationAttribute, const void* value, std::size_t bytes))                   \
  X(MatrixLayoutCreate, Status,                                                                   \
    (Layout**, Type, uint64_t rows, uint64_t columns, int64_t stride_of_columns))                 \
  X(MatrixLayoutDestroy, Status, (Layout*))                                                       \
  X(MatmulPreferenceCreate, Status, (Preference**))                                               \
  X(MatmulPreferenceDestroy, Status, (Preference*))                                               \
  X(MatmulPreferenceSetAttribute, Status,                                                         \
    (Preference*, PreferenceAttribute, const void* value, std::size_t bytes))                     \
  X(MatmulAlgoGetHeuristic, Status,                                                               \
    (Context*, OperationDesc*, Layout * a, Layout * b, Layout * c, Layout * d, Preference*,       \
     int wanted, HeuristicResult*, int* given))                                                   \
  X(Matmul, Status,                                                                               \
    (Context*, OperationDesc*, const void* alpha, const void* a, Layout*, const void* b, Layout*, \
     const void* beta, const void* c, Layout*, void* d, Layout*, const Algorithm*,                \
     void* workspace, std::size_t workspace_bytes, cudaStream_t))

#define ONEPASS_DECLARE(name, Result, arguments) using name = Result arguments;
ONEPASS_CUBLASLT_FUNCTIONS(ONEPASS_DECLARE)
#undef ONEPASS_DECLARE

// As they were found in the library.
struct Functions {
#define ONEPASS_DECLARE(name, Result, arguments) name* name##_ = nullptr;
  ONEPASS_CUBLASLT_FUNCTIONS(ONEPASS_DECLARE)
#undef ONEPASS_DECLARE
};

}  // namespace onepass::cublaslt
