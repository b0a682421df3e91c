// What cuBLASLt's epilogues do and where it has none, and how long products take.
#pragma once

#include "cublas_lt.h"
#include "judge.h"

namespace onepass::probes {

constexpr std::size_t kWorkspace = std::size_t{32} << 20;
constexpr std::size_t kAuxBytes = std::size_t{16} << 20;

// d (m, n) = a (m, k) b (k, n), all in columns; a or b may lie transposed.
struct Shape {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
};

// What products of a probe share.
struct Desk {
  explicit Desk(const std::string& path) : library(path) {}

  Lt library;
  Stream stream;
  Memory<char> workspace{kWorkspace}, aux{kAuxBytes};
  Memory<float> bias{1 << 13};
};

class Product {
 public:
  Product(Desk& desk, const Shape& shape, unsigned epilogue) : desk_(desk) {
    const Lt& library = desk.library;
    require_lt(library.description(&description_, lt::kCompute32, CUDA_R_32F), "a product");
    set(lt::kTransposeA, static_cast<std::int32_t>(shape.transpose_a));
    set(lt::kTransposeB, static_cast<std::int32_t>(shape.transpose_b));
    set(lt::kEpilogue, epilogue);
    set(lt::kBias, static_cast<void*>(desk.bias.get()));
    if (epilogue & lt::kWritesOrReadsAux) {
      set(lt::kAux, static_cast<void*>(desk.aux.get()));
      set(lt::kAuxStride, aux_stride(shape, epilogue));
    }
    make(a_, shape.m, shape.k, shape.transpose_a);
    make(b_, shape.k, shape.n, shape.transpose_b);
    make(d_, shape.m, shape.n, false);
    lt::Preference preference = nullptr;
    require_lt(library.preference(&preference), "a preference");
    const std::uint64_t bytes = kWorkspace;
    require_lt(library.prefer(preference, lt::kWorkspaceBytes, &bytes, sizeof bytes), "workspace");
    int count = 0;
    status_ =
        library.ask(library.handle, description_, a_, b_, d_, d_, preference, 1, &found_, &count);
    library.forget_preference(preference);
    if (status_ == 0) status_ = count == 0 ? -1 : found_.status;
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;
  ~Product() {
    for (lt::Layout layout : {a_, b_, d_}) desk_.library.forget_layout(layout);
    desk_.library.forget_description(description_);
  }

  // In bits for relu, in elements for gelu.
  static std::int64_t aux_stride(const Shape& shape, unsigned epilogue) {
    const std::int64_t step = epilogue & lt::kReluKind ? 128 : 8;
    return (shape.m + step - 1) / step * step;
  }

  int status() const { return status_; }  // 0: the library has an algorithm

  void run(const float* a, const float* b, float* d) const {
    const float one = 1.0f, zero = 0.0f;
    require_lt(status_, "no algorithm for a product");
    require_lt(desk_.library.multiply(desk_.library.handle, description_, &one, a, a_, b, b_, &zero,
                                      d, d_, d, d_, &found_.algorithm, desk_.workspace.get(),
                                      kWorkspace, desk_.stream),
               "a product");
  }

 private:
  template <class Value>
  void set(int attribute, Value value) {
    require_lt(desk_.library.describe(description_, attribute, &value, sizeof value),
               "an attribute of a product");
  }
  void make(lt::Layout& layout, std::int64_t rows, std::int64_t columns, bool transposed) {
    if (transposed) std::swap(rows, columns);
    require_lt(desk_.library.layout(&layout, CUDA_R_32F, static_cast<std::uint64_t>(rows),
                                    static_cast<std::uint64_t>(columns), rows),
               "a layout");
  }

  Desk& desk_;
  lt::Description description_ = nullptr;
  lt::Layout a_ = nullptr, b_ = nullptr, d_ = nullptr;
  lt::Found found_{};
  int status_ = 0;
};

// Values through an epilogue: a product with the identity.
constexpr std::size_t kSide = 128;

inline std::vector<float> through(Desk& desk, unsigned epilogue, const std::vector<float>& values) {
  std::vector<float> identity(kSide * kSide, 0.0f);
  for (std::size_t i = 0; i < kSide; ++i) identity[i * kSide + i] = 1.0f;
  const Memory<float> a(identity), b(values), d(kSide * kSide);
  const Product product(desk, {kSide, kSide, kSide}, epilogue);
  product.run(a.get(), b.get(), d.get());
  desk.stream.wait();
  return d.host();
}

inline Json relu_and_nan(Desk& desk) {
  std::vector<float> values(kSide * kSide, 1.0f);
  std::fill_n(values.begin(), kSide, std::numeric_limits<float>::quiet_NaN());  // a column
  const std::vector<float> results = through(desk, lt::kRelu, values);
  const auto kept = std::count_if(results.begin(), results.begin() + kSide,
                                  [](float result) { return std::isnan(result); });
  return Json()
      .put("keeps NaN", kept == static_cast<std::ptrdiff_t>(kSide))
      .put("its value of NaN", results[0]);
}

inline Json gelu_form(Desk& desk) {
  std::vector<float> values(kSide * kSide);
  const auto n = static_cast<double>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(12.0 * static_cast<double>(i) / n - 6.0);
  }
  const std::vector<float> results = through(desk, lt::kGelu, values);
  GeluDistances distances;
  for (std::size_t i = 0; i < values.size(); ++i) {
    distances.add(static_cast<double>(values[i]), static_cast<double>(results[i]));
  }
  return Json()
      .put("form", distances.verdict())
      .put("largest distance to erf's", distances.erf)
      .put("largest distance to tanh's", distances.tanh);
}

inline Json mask_of_relu(Desk& desk) {
  std::vector<float> values(kSide * kSide);
  std::vector<std::uint8_t> positive(values.size());
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    state = 1664525u * state + 1013904223u;
    positive[i] = state >> 31;
    values[i] = positive[i] ? 1.0f : -1.0f;
  }
  through(desk, lt::kReluAux, values);
  const std::vector<char> aux = desk.aux.host();
  const std::vector<std::uint8_t> mask(aux.begin(), aux.begin() + kSide * kSide / 8);
  Json found;
  std::string verdict = "none of these";
  for (std::size_t order = 0; order < kBitOrders.size(); ++order) {
    const std::size_t wrong = wrong_bits(mask, positive, kSide, kSide, order);
    found.put(std::string("wrong, ") + kBitOrders[order], wrong);
    if (wrong == 0) verdict = kBitOrders[order];
    if (wrong == values.size()) verdict = std::string(kBitOrders[order]) + ", 0 where positive";
  }
  return found.put("order", verdict);
}

// The epilogues without an algorithm in a model's products, with the library's status.
inline Json epilogues_of(Desk& desk, const std::vector<std::int64_t>& widths, std::int64_t rows) {
  std::vector<std::string> none;
  int asked = 0;
  const auto ask = [&](const char* which, const lt::Named& epilogue, const Shape& shape,
                       std::size_t layer) {
    ++asked;
    const int status = Product(desk, shape, epilogue.value).status();
    if (status == 0) return;
    none.push_back(std::string(which) + ' ' + std::to_string(widths[layer]) + 'x' +
                   std::to_string(widths[layer + 1]) + ' ' + epilogue.name + ": status " +
                   std::to_string(status));
  };
  for (std::size_t layer = 0; layer + 1 < widths.size(); ++layer) {
    const std::int64_t i = widths[layer], o = widths[layer + 1];
    for (const lt::Named& one : lt::kForward) ask("forward", one, {o, rows, i}, layer);
    for (const lt::Named& one : lt::kWeights) {
      ask("weight gradient", one, {o, i, rows, false, true}, layer);
    }
    if (layer == 0) continue;  // nobody wants the gradient of the data
    for (const lt::Named& one : lt::kBackward) {
      ask("input gradient", one, {i, rows, o, true, false}, layer);
    }
  }
  return Json().put("asked", asked).put("no algorithm", none);
}

// A product as a node of a graph of many: 2 m n k operations.
inline Json time_of(Desk& desk, const Shape& shape) {
  constexpr int kNodes = 50;
  const auto size = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
  const Memory<float> a(size(shape.m, shape.k)), b(size(shape.k, shape.n)),
      d(size(shape.m, shape.n));
  const Product product(desk, shape, 1);
  product.run(a.get(), b.get(), d.get());  // loads kernels, which a capture must not
  desk.stream.wait();
  Graph graph(desk.stream, [&] {
    for (int i = 0; i < kNodes; ++i) product.run(a.get(), b.get(), d.get());
  });
  const double us = least(desk.stream, 10, [&] { graph.launch(desk.stream); }).gpu / kNodes;
  const double operations = 2.0 * static_cast<double>(shape.m * shape.n * shape.k);
  return Json().put("us", us).put("TFLOP/s", 1e-6 * operations / us);
}

inline Json products(const std::string& path) {
  Desk desk(path);
  Json found = Json().put("version", desk.library.version());
  answer(found, "RELU", [&] { return relu_and_nan(desk); });
  answer(found, "GELU", [&] { return gelu_form(desk); });
  answer(found, "RELU_AUX", [&] { return mask_of_relu(desk); });
  answer(found, "epilogues at 784-300-100-10, 32 rows",
         [&] { return epilogues_of(desk, {784, 300, 100, 10}, 32); });
  answer(found, "epilogues at 8-50-50-50-1, 32 rows",
         [&] { return epilogues_of(desk, {8, 50, 50, 50, 1}, 32); });
  struct Rows {
    std::int64_t rows, inputs, outputs;
  };
  for (const auto& [rows, inputs, outputs] :
       {Rows{32, 784, 300}, Rows{256, 784, 300}, Rows{512, 1024, 4096}}) {
    const std::string name =
        std::to_string(rows) + 'x' + std::to_string(inputs) + 'x' + std::to_string(outputs);
    answer(found, name, [&] { return time_of(desk, {outputs, rows, inputs}); });
  }
  return found;
}

}  // namespace onepass::probes
