// Our declarations of cuBLASLt against its own header: compiles where they agree.
#include <cublasLt.h>

#include <cstddef>
#include <type_traits>

#include "../../csrc/cuda/cublaslt_api.h"

namespace onepass::cublaslt {
namespace {

// Passed in the same way: both pointers, or both whole numbers (of which enumerators are) of one
// size, or the same type.
template <class A, class B>
constexpr bool kAlike = std::is_same_v<A, B> || (std::is_pointer_v<A> && std::is_pointer_v<B>) ||
                        ((std::is_enum_v<A> || std::is_integral_v<A>) &&
                         (std::is_enum_v<B> || std::is_integral_v<B>) && sizeof(A) == sizeof(B));

template <class A, class B>
constexpr bool kCallable = false;
template <class A, class... As, class B, class... Bs>
  requires(sizeof...(As) == sizeof...(Bs))
constexpr bool kCallable<A(As...), B(Bs...)> = kAlike<A, B> && (... && kAlike<As, Bs>);

#define ONEPASS_CHECK(name, Result, arguments) \
  static_assert(kCallable<name, std::remove_pointer_t<decltype(&cublasLt##name)>>, #name);
ONEPASS_CUBLASLT_FUNCTIONS(ONEPASS_CHECK)
#undef ONEPASS_CHECK

template <class A, class B>
constexpr bool same(A a, B b) {
  return static_cast<long long>(a) == static_cast<long long>(b) && sizeof(A) == sizeof(B);
}
static_assert(same(Status::kSuccess, CUBLAS_STATUS_SUCCESS));
static_assert(same(Status::kInvalidValue, CUBLAS_STATUS_INVALID_VALUE));
static_assert(same(Status::kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED));
static_assert(same(Compute::kFloat32, CUBLAS_COMPUTE_32F));
static_assert(same(Compute::kFloat64, CUBLAS_COMPUTE_64F));
static_assert(same(Type::kFloat32, CUDA_R_32F));
static_assert(same(Type::kFloat64, CUDA_R_64F));
static_assert(same(Operation::kPlain, CUBLAS_OP_N));
static_assert(same(Operation::kTransposed, CUBLAS_OP_T));
static_assert(same(Epilogue::kNone, CUBLASLT_EPILOGUE_DEFAULT));
static_assert(same(Epilogue::kBias, CUBLASLT_EPILOGUE_BIAS));
static_assert(same(Epilogue::kBiasGradientA, CUBLASLT_EPILOGUE_BGRADA));
static_assert(same(OperationAttribute::kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA));
static_assert(same(OperationAttribute::kTransposeB, CUBLASLT_MATMUL_DESC_TRANSB));
static_assert(same(OperationAttribute::kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE));
static_assert(same(OperationAttribute::kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER));
static_assert(same(PreferenceAttribute::kMostWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES));
static_assert(same(PreferenceAttribute::kAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES));
static_assert(same(PreferenceAttribute::kAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES));
static_assert(same(PreferenceAttribute::kAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES));
static_assert(same(PreferenceAttribute::kAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES));

static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(HeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(HeuristicResult, workspace) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(HeuristicResult, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

}  // namespace
}  // namespace onepass::cublaslt
