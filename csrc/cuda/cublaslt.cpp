// A row-major matrix is its transpose to a library that thinks in columns, so the result's
// transpose is asked for, right^T left^T: A is our right operand, B our left one, m the columns of
// the result and n its rows, leading dimensions our strides.
//
// Numbers of float32 are multiplied as such: no fast mode is set, so the library uses none. It
// reads variables of the environment that could change that, NVIDIA_TF32_OVERRIDE,
// CUBLAS_EMULATE_SINGLE_PRECISION and for float64 CUBLAS_EMULATE_DOUBLE_PRECISION; who sets them
// gets what they ask for. Bits are the same from run to run with one version of the library on one
// kind of GPU, since the work area's size is fixed and no two streams share one.
#include "cublaslt.h"

#include <compare>
#include <map>
#include <memory>
#include <mutex>

namespace onepass::cuda {
namespace {

using cublaslt::Status;

// nvmath-python gives so much more where there is an epilogue, rounded up to the alignment.
constexpr std::size_t kSpareBytes = 256;

// A stored matrix by its columns: those that the library sees.
struct Stored {
  int64_t rows, columns, stride;
  uint32_t alignment;
  auto operator<=>(const Stored&) const = default;
  bool possible() const { return stride >= rows; }
};

// What the address is a multiple of; more than 256 bytes make no difference.
uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data) | 256;
  return static_cast<uint32_t>(address & -address);
}

Stored stored(const void* data, int64_t rows, int64_t columns, int64_t stride) {
  return {rows, columns, columns > 1 ? stride : rows, alignment_of(data)};
}

Stored stored(const CublasLtOperand& x, int64_t depth) {
  return x.along ? stored(x.data, depth, x.size, x.stride)
                 : stored(x.data, x.size, depth, x.stride);
}

// All that the choice of an algorithm depends on.
struct Key {
  bool float64, transposes_a, transposes_b, accumulate;
  CublasLtEnd end;
  uint32_t bias_alignment;
  Stored a, b, d;
  auto operator<=>(const Key&) const = default;
};

Key key_of(const CublasLtProduct& p) {
  return {p.float64,
          p.right.along,
          !p.left.along,
          p.accumulate,
          p.end,
          p.bias == nullptr ? 0 : alignment_of(p.bias),
          stored(p.right, p.depth),
          stored(p.left, p.depth),
          stored(p.to, p.right.size, p.left.size, p.stride)};
}

cublaslt::Epilogue epilogue_of(CublasLtEnd end) {
  switch (end) {
    case CublasLtEnd::kBias:
      return cublaslt::Epilogue::kBias;
    case CublasLtEnd::kBiasGradient:
      return cublaslt::Epilogue::kBiasGradientA;
    default:
      return cublaslt::Epilogue::kNone;
  }
}

// Descriptors and the algorithm of all products with one key.
class Prepared {
 public:
  explicit Prepared(const CublasLt& library) : library_(library) {}
  ~Prepared() {
    if (operation_ != nullptr) library_.MatmulDescDestroy_(operation_);
    for (cublaslt::Layout* layout : {a_, b_, d_}) {
      if (layout != nullptr) library_.MatrixLayoutDestroy_(layout);
    }
  }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  // Once. The bias counts by its alignment only.
  Status prepare(const Key& key, const void* bias) {
    float64_ = key.float64;
    const auto type = float64_ ? cublaslt::Type::kFloat64 : cublaslt::Type::kFloat32;
    const auto compute = float64_ ? cublaslt::Compute::kFloat64 : cublaslt::Compute::kFloat32;
    Status status = library_.MatmulDescCreate_(&operation_, compute, type);
    const auto set = [&](cublaslt::OperationAttribute attribute, auto value) {
      if (status != Status::kSuccess) return;
      status = library_.MatmulDescSetAttribute_(operation_, attribute, &value, sizeof value);
    };
    const auto transposing = [](bool yes) {
      return yes ? cublaslt::Operation::kTransposed : cublaslt::Operation::kPlain;
    };
    set(cublaslt::OperationAttribute::kTransposeA, transposing(key.transposes_a));
    set(cublaslt::OperationAttribute::kTransposeB, transposing(key.transposes_b));
    set(cublaslt::OperationAttribute::kEpilogue, epilogue_of(key.end));
    if (bias != nullptr) set(cublaslt::OperationAttribute::kBiasPointer, bias);
    const auto lay_out = [&](cublaslt::Layout** layout, const Stored& x) {
      if (status != Status::kSuccess) return;
      status = library_.MatrixLayoutCreate_(layout, type, static_cast<uint64_t>(x.rows),
                                            static_cast<uint64_t>(x.columns), x.stride);
    };
    lay_out(&a_, key.a);
    lay_out(&b_, key.b);
    lay_out(&d_, key.d);
    return status == Status::kSuccess ? choose(key) : status;
  }

  // Whether there is an algorithm.
  bool offered() const { return offered_; }

  Status start(const CublasLtProduct& p, void* workspace, cudaStream_t stream) {
    static constexpr float kOne = 1, kZero = 0;
    static constexpr double kOne64 = 1, kZero64 = 0;
    const auto number = [&](bool one) -> const void* {
      if (float64_) return one ? &kOne64 : &kZero64;
      return one ? &kOne : &kZero;
    };
    const std::lock_guard lock(in_use_);  // there is one bias pointer
    if (p.bias != nullptr) {
      const Status status = library_.MatmulDescSetAttribute_(
          operation_, cublaslt::OperationAttribute::kBiasPointer, &p.bias, sizeof p.bias);
      if (status != Status::kSuccess) return status;
    }
    return library_.Matmul_(library_.context, operation_, number(true), p.right.data, a_,
                            p.left.data, b_, number(p.accumulate), p.to, d_, p.to, d_, &algorithm_,
                            workspace, library_.workspace_bytes + kSpareBytes, stream);
  }

 private:
  Status choose(const Key& key) {
    cublaslt::Preference* preference = nullptr;
    Status status = library_.MatmulPreferenceCreate_(&preference);
    const auto set = [&](cublaslt::PreferenceAttribute attribute, auto value) {
      if (status != Status::kSuccess) return;
      status = library_.MatmulPreferenceSetAttribute_(preference, attribute, &value, sizeof value);
    };
    set(cublaslt::PreferenceAttribute::kMostWorkspace, uint64_t{library_.workspace_bytes});
    set(cublaslt::PreferenceAttribute::kAlignmentA, key.a.alignment);
    set(cublaslt::PreferenceAttribute::kAlignmentB, key.b.alignment);
    set(cublaslt::PreferenceAttribute::kAlignmentC, key.d.alignment);
    set(cublaslt::PreferenceAttribute::kAlignmentD, key.d.alignment);
    if (status == Status::kSuccess) status = ask(preference);
    if (preference != nullptr) library_.MatmulPreferenceDestroy_(preference);
    return status;
  }

  Status ask(cublaslt::Preference* preference) {
    cublaslt::HeuristicResult best{};
    int given = 0;
    const Status status = library_.MatmulAlgoGetHeuristic_(library_.context, operation_, a_, b_, d_,
                                                           d_, preference, 1, &best, &given);
    // "No" comes as no result or as either of these.
    if (status == Status::kNotSupported || status == Status::kInvalidValue) {
      return Status::kSuccess;
    }
    if (status != Status::kSuccess) return status;
    offered_ =
        given > 0 && best.state == Status::kSuccess && best.workspace <= library_.workspace_bytes;
    algorithm_ = best.algorithm;
    return status;
  }

  const CublasLt& library_;
  bool float64_ = false, offered_ = false;
  cublaslt::OperationDesc* operation_ = nullptr;
  cublaslt::Layout *a_ = nullptr, *b_ = nullptr, *d_ = nullptr;
  cublaslt::Algorithm algorithm_{};
  std::mutex in_use_;
};

// Of the whole process: models of the same shapes share what was prepared.
class Products {
 public:
  static Products& all() {
    static auto& products = *new Products;  // outlives threads that still work
    return products;
  }

  // Null: it failed, which is kept.
  std::shared_ptr<Prepared> prepared(const CublasLt& library, const Key& key, const void* bias) {
    const std::lock_guard lock(mutex_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) return found->second;
    auto made = std::make_shared<Prepared>(library);
    const Status status = made->prepare(key, bias);
    if (status != Status::kSuccess) {
      keep_cublaslt_error(library, "could not prepare a product", status);
      return nullptr;
    }
    if (by_key_.size() >= kMost) by_key_.clear();  // batches of ever other sizes
    return by_key_[key] = std::move(made);
  }

 private:
  static constexpr std::size_t kMost = 4096;

  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Prepared>> by_key_;
};

// A work area for each of our own streams that has met a product: two of them may be at work at
// once. A caller's stream may be many, as CuPy's one of each thread, or end without a word: there a
// product gets memory of its own.
class Workspaces {
 public:
  static Workspaces& all() {
    static auto& workspaces = *new Workspaces;
    return workspaces;
  }

  void own(void* stream) {
    const std::lock_guard lock(mutex_);
    by_stream_[stream] = nullptr;
  }

  // Calls use(memory); false: there is none left, which is kept.
  template <class F>
  bool with(void* stream, std::size_t bytes, F&& use) {
    void* const kept = of(stream, bytes);
    if (kept != nullptr) return use(kept), true;
    void* memory = nullptr;
    const auto queue = static_cast<cudaStream_t>(stream);
    if (owns(stream) || cudaMallocAsync(&memory, bytes, queue) != cudaSuccess) {
      cudaGetLastError();
      keep_cublaslt_error("has no memory for its work area of " + std::to_string(bytes) + " bytes");
      return false;
    }
    use(memory);
    cudaFreeAsync(memory, queue);
    return true;
  }

  void forget(void* stream) {
    const auto found = [&] {
      const std::lock_guard lock(mutex_);
      return by_stream_.extract(stream);
    }();
    if (found.empty() || found.mapped() == nullptr) return;
    cudaStreamSynchronize(static_cast<cudaStream_t>(stream));
    cudaFree(found.mapped());
    cudaGetLastError();
  }

 private:
  bool owns(void* stream) {
    const std::lock_guard lock(mutex_);
    return by_stream_.contains(stream);
  }
  // Null: it is a caller's, or there is no memory.
  void* of(void* stream, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = by_stream_.find(stream);
    if (found == by_stream_.end()) return nullptr;
    void*& memory = found->second;
    if (memory == nullptr && cudaMalloc(&memory, bytes) != cudaSuccess) memory = nullptr;
    return memory;
  }

  std::mutex mutex_;
  std::map<void*, void*> by_stream_;
};

std::atomic<int64_t> products_started{0};

}  // namespace

bool start_cublaslt(const CublasLtProduct& product, const onepass::Team& team) {
  const CublasLt* const library = found_cublaslt();
  if (library == nullptr) return false;
  const Key key = key_of(product);
  // Rows that lie in each other or backwards have no leading dimension.
  if (!key.a.possible() || !key.b.possible() || !key.d.possible()) return false;
  const auto prepared = Products::all().prepared(*library, key, product.bias);
  if (prepared == nullptr || !prepared->offered()) return false;
  Status status = Status::kSuccess;
  const auto start = [&](void* workspace) {
    status = prepared->start(product, workspace, static_cast<cudaStream_t>(team.stream));
  };
  const std::size_t bytes = library->workspace_bytes + kSpareBytes;
  if (!Workspaces::all().with(team.stream, bytes, start)) return false;
  if (status != Status::kSuccess) {
    keep_cublaslt_error(*library, "could not start a product", status);
    return false;
  }
  products_started.fetch_add(1, std::memory_order_relaxed);
  return true;
}

int64_t cublaslt_products() { return products_started.load(std::memory_order_relaxed); }

void own_cublaslt_workspace(void* stream) { Workspaces::all().own(stream); }
void forget_cublaslt_workspace(void* stream) { Workspaces::all().forget(stream); }

}  // namespace onepass::cuda
