// What of cuBLASLt we call, on the CPU, for tests: it checks all that the real library wants of its
// arguments, and more, computes in plain loops when its turn comes, and fails when told to.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>

#include "../../csrc/cuda/cublaslt_api.h"

#define ONEPASS_EXPORT extern "C" __attribute__((visibility("default")))

namespace onepass::cublaslt {

struct Context {
  int magic = 0x17;
};
struct OperationDesc {
  Compute compute;
  Type scale;
  Operation a = Operation::kPlain, b = Operation::kPlain;
  Epilogue epilogue = Epilogue::kNone;
  void* bias = nullptr;
};
struct Layout {
  Type type;
  uint64_t rows, columns;
  int64_t stride;
};
struct Preference {
  uint64_t workspace = 0;
  std::array<uint32_t, 4> alignment = {256, 256, 256, 256};  // of A, B, C, D
};

}  // namespace onepass::cublaslt

using namespace onepass::cublaslt;

namespace {

// What tests set and ask.
using Start = void (*)(cudaStream_t, void (*work)(void*), void* own, void (*drop)(void*));
using Captures = bool (*)(cudaStream_t);
std::atomic<Start> start_on_stream{nullptr};
std::atomic<Captures> captures{nullptr};
std::atomic<uint32_t> offered{~0u};
std::atomic<int> failure{0};
std::atomic<bool> only_while_captured{false};
std::atomic<long> asked{0};
std::array<std::atomic<long>, 3> started;  // by epilogue
std::mutex mutex;
std::set<void*> workspaces;

Status invalid(const char* why) {
  std::fprintf(stderr, "played cuBLASLt: %s\n", why);
  return Status::kInvalidValue;
}

std::size_t bytes_of(Type type) { return type == Type::kFloat64 ? 8 : 4; }
bool aligned(const void* pointer, uint32_t to) {
  return reinterpret_cast<uintptr_t>(pointer) % to == 0;
}
uint32_t alignment_of(const void* pointer) {
  uint32_t to = 256;
  while (!aligned(pointer, to)) to /= 2;
  return to;
}
std::size_t place_of(Epilogue epilogue) {
  return epilogue == Epilogue::kNone ? 0 : epilogue == Epilogue::kBias ? 1 : 2;
}

constexpr std::size_t kWorkspaceUsed = 4096;

// What an algorithm was chosen for.
struct Choice {
  std::array<uint32_t, 4> alignment;
  uint32_t bias_alignment, shape;
};
static_assert(sizeof(Choice) <= sizeof(Algorithm));

uint32_t shape_of(const OperationDesc& op, std::initializer_list<const Layout*> layouts) {
  uint64_t hash = static_cast<uint64_t>(op.a) * 2 + static_cast<uint64_t>(op.b) +
                  static_cast<uint64_t>(op.epilogue) * 4;
  for (const Layout* x : layouts) {
    for (const uint64_t number :
         {static_cast<uint64_t>(x->type), x->rows, x->columns, static_cast<uint64_t>(x->stride)}) {
      hash = (hash ^ number) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 29;
    }
  }
  return static_cast<uint32_t>(hash);
}

// Null, or what is wrong with a product's descriptors.
const char* wrong(const OperationDesc& op, const Layout& a, const Layout& b, const Layout& c,
                  const Layout& d) {
  const bool wide = d.type == Type::kFloat64;
  if (op.compute != (wide ? Compute::kFloat64 : Compute::kFloat32)) return "compute type";
  for (const Layout* x : {&a, &b, &c, &d}) {
    if (x->type != d.type || op.scale != d.type) return "types that differ";
    if (x->rows == 0 || x->columns == 0) return "an empty matrix";
    if (x->stride < static_cast<int64_t>(x->rows)) return "a leading dimension below the rows";
  }
  const bool ta = op.a == Operation::kTransposed, tb = op.b == Operation::kTransposed;
  if ((ta ? a.columns : a.rows) != d.rows) return "rows of A and D";
  if ((tb ? b.rows : b.columns) != d.columns) return "columns of B and D";
  if ((ta ? a.rows : a.columns) != (tb ? b.columns : b.rows)) return "the depth of A and B";
  if (c.rows != d.rows || c.columns != d.columns) return "C and D";
  if (op.epilogue != Epilogue::kNone) {
    if (op.bias == nullptr) return "no bias";
    if (!aligned(op.bias, static_cast<uint32_t>(bytes_of(d.type)))) return "the bias's alignment";
  }
  return nullptr;
}

struct Product {
  OperationDesc op;
  Layout a, b, c, d;
  double alpha, beta;
  const void *a_data, *b_data, *c_data;
  void *d_data, *workspace;

  template <class T>
  void run() const {
    std::memset(workspace, 0x5A, kWorkspaceUsed);
    const auto* of_a = static_cast<const T*>(a_data);
    const auto* of_b = static_cast<const T*>(b_data);
    const auto* of_c = static_cast<const T*>(c_data);
    auto* const bias = static_cast<T*>(op.bias);
    const bool ta = op.a == Operation::kTransposed, tb = op.b == Operation::kTransposed;
    const auto m = static_cast<int64_t>(d.rows), n = static_cast<int64_t>(d.columns);
    const auto depth = static_cast<int64_t>(ta ? a.rows : a.columns);
    const auto left = [&](int64_t r, int64_t k) {
      return of_a[ta ? k + r * a.stride : r + k * a.stride];
    };
    for (int64_t column = 0; column < n; ++column) {
      for (int64_t r = 0; r < m; ++r) {
        T sum = 0;
        for (int64_t k = 0; k < depth; ++k) {
          sum += left(r, k) * of_b[tb ? column + k * b.stride : k + column * b.stride];
        }
        sum *= static_cast<T>(alpha);
        if (beta != 0.0) sum += static_cast<T>(beta) * of_c[r + column * c.stride];
        if (op.epilogue == Epilogue::kBias) sum += bias[r];
        static_cast<T*>(d_data)[r + column * d.stride] = sum;
      }
    }
    if (op.epilogue != Epilogue::kBiasGradientA) return;
    for (int64_t r = 0; r < m; ++r) {
      bias[r] = 0;
      for (int64_t k = 0; k < depth; ++k) bias[r] += left(r, k);
    }
  }
};

void run(void* product) {
  const auto& p = *static_cast<const Product*>(product);
  p.d.type == Type::kFloat64 ? p.run<double>() : p.run<float>();
}
void drop(void* product) { delete static_cast<Product*>(product); }

double number(Type type, const void* at) {
  return type == Type::kFloat64 ? *static_cast<const double*>(at) : *static_cast<const float*>(at);
}

template <class T>
bool put(T& value, const void* from, std::size_t bytes) {
  if (from == nullptr || bytes != sizeof(T)) return false;
  std::memcpy(&value, from, bytes);
  return true;
}

}  // namespace

// Two functions of tests/cuda/runtime.cpp in the module that is tested; which epilogues there are
// algorithms for, as a mask of their numbers; the status with which products fail, if not 0, and
// whether only those that are recorded do; and what happened so far.
ONEPASS_EXPORT void onepass_played_cublaslt_on(Start start, Captures asks) {
  start_on_stream = start;
  captures = asks;
}
ONEPASS_EXPORT void onepass_played_cublaslt_offers(uint32_t epilogues) { offered = epilogues; }
ONEPASS_EXPORT void onepass_played_cublaslt_fails(int status, bool while_captured) {
  failure = status;
  only_while_captured = while_captured;
}
ONEPASS_EXPORT long onepass_played_cublaslt_asked() { return asked; }
ONEPASS_EXPORT long onepass_played_cublaslt_started(uint32_t epilogue) {
  return started[place_of(static_cast<Epilogue>(epilogue))];
}
ONEPASS_EXPORT long onepass_played_cublaslt_workspaces() {
  const std::lock_guard lock(mutex);
  return static_cast<long>(workspaces.size());
}

ONEPASS_EXPORT std::size_t cublasLtGetVersion() { return 130002; }
ONEPASS_EXPORT const char* cublasLtGetStatusName(Status status) {
  if (status == Status::kInvalidValue) return "CUBLAS_STATUS_INVALID_VALUE";
  return status == Status::kNotSupported ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_OTHER";
}
ONEPASS_EXPORT Status cublasLtCreate(Context** made) {
  *made = new Context;
  return Status::kSuccess;
}

ONEPASS_EXPORT Status cublasLtMatmulDescCreate(OperationDesc** made, Compute compute, Type scale) {
  *made = new OperationDesc{compute, scale};
  return Status::kSuccess;
}
ONEPASS_EXPORT Status cublasLtMatmulDescDestroy(OperationDesc* op) {
  return delete op, Status::kSuccess;
}
ONEPASS_EXPORT Status cublasLtMatmulDescSetAttribute(OperationDesc* op,
                                                     OperationAttribute attribute,
                                                     const void* value, std::size_t bytes) {
  const bool done =
      attribute == OperationAttribute::kTransposeA   ? put(op->a, value, bytes)
      : attribute == OperationAttribute::kTransposeB ? put(op->b, value, bytes)
      : attribute == OperationAttribute::kEpilogue
          ? put(op->epilogue, value, bytes)
          : attribute == OperationAttribute::kBiasPointer && put(op->bias, value, bytes);
  return done ? Status::kSuccess : invalid("an attribute of an operation");
}

ONEPASS_EXPORT Status cublasLtMatrixLayoutCreate(Layout** made, Type type, uint64_t rows,
                                                 uint64_t columns, int64_t stride) {
  *made = new Layout{type, rows, columns, stride};
  return Status::kSuccess;
}
ONEPASS_EXPORT Status cublasLtMatrixLayoutDestroy(Layout* layout) {
  return delete layout, Status::kSuccess;
}

ONEPASS_EXPORT Status cublasLtMatmulPreferenceCreate(Preference** made) {
  *made = new Preference;
  return Status::kSuccess;
}
ONEPASS_EXPORT Status cublasLtMatmulPreferenceDestroy(Preference* preference) {
  return delete preference, Status::kSuccess;
}
ONEPASS_EXPORT Status cublasLtMatmulPreferenceSetAttribute(Preference* preference,
                                                           PreferenceAttribute attribute,
                                                           const void* value, std::size_t bytes) {
  if (attribute == PreferenceAttribute::kMostWorkspace) {
    return put(preference->workspace, value, bytes) ? Status::kSuccess : invalid("workspace");
  }
  const auto place =
      static_cast<int>(attribute) - static_cast<int>(PreferenceAttribute::kAlignmentA);
  if (place < 0 || place > 3) return invalid("an attribute of a preference");
  auto& alignment = preference->alignment[static_cast<std::size_t>(place)];
  return put(alignment, value, bytes) ? Status::kSuccess : invalid("alignment");
}

ONEPASS_EXPORT Status cublasLtMatmulAlgoGetHeuristic(Context* context, OperationDesc* op, Layout* a,
                                                     Layout* b, Layout* c, Layout* d,
                                                     Preference* preference, int wanted,
                                                     HeuristicResult* results, int* given) {
  ++asked;
  *given = 0;
  if (context->magic != Context{}.magic || wanted < 1) return invalid("a question");
  if (const char* const why = wrong(*op, *a, *b, *c, *d)) return invalid(why);
  if ((offered & static_cast<uint32_t>(op->epilogue)) == 0) return Status::kNotSupported;
  if (preference->workspace < kWorkspaceUsed) return Status::kSuccess;
  const Choice choice{preference->alignment, op->bias == nullptr ? 0 : alignment_of(op->bias),
                      shape_of(*op, {a, b, c, d})};
  *results = {};
  std::memcpy(&results->algorithm, &choice, sizeof choice);
  results->workspace = kWorkspaceUsed;
  *given = 1;
  return Status::kSuccess;
}

ONEPASS_EXPORT Status cublasLtMatmul(Context* context, OperationDesc* op, const void* alpha,
                                     const void* a_data, Layout* a, const void* b_data, Layout* b,
                                     const void* beta, const void* c_data, Layout* c, void* d_data,
                                     Layout* d, const Algorithm* algorithm, void* workspace,
                                     std::size_t workspace_bytes, cudaStream_t stream) {
  const bool fails = failure != 0 && (!only_while_captured || captures.load()(stream));
  if (fails) return static_cast<Status>(failure.load());
  if (context->magic != Context{}.magic) return invalid("no context");
  if (const char* const why = wrong(*op, *a, *b, *c, *d)) return invalid(why);
  Choice choice;
  std::memcpy(&choice, algorithm, sizeof choice);
  if (choice.shape != shape_of(*op, {a, b, c, d}))
    return invalid("the algorithm of another product");
  const std::array<const void*, 4> pointers = {a_data, b_data, c_data, d_data};
  for (std::size_t i = 0; i < pointers.size(); ++i) {
    if (!aligned(pointers[i], choice.alignment[i])) return invalid("less aligned than promised");
  }
  if (op->bias != nullptr && !aligned(op->bias, choice.bias_alignment)) {
    return invalid("a bias that is less aligned than promised");
  }
  if (workspace_bytes < kWorkspaceUsed || !aligned(workspace, 256)) return invalid("the workspace");
  if (c_data == d_data && c->stride != d->stride) return invalid("C and D in one place");
  {
    const std::lock_guard lock(mutex);
    workspaces.insert(workspace);
  }
  ++started[place_of(op->epilogue)];
  start_on_stream.load()(
      stream, run,
      new Product{*op, *a, *b, *c, *d, number(op->scale, alpha), number(op->scale, beta), a_data,
                  b_data, c_data, d_data, workspace},
      drop);
  return Status::kSuccess;
}
