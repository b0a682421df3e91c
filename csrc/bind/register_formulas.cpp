// The formula lists as Python sees them: names, hyper-parameters and ids, from the headers alone.
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "../math/binary.h"
#include "../math/functions.h"
#include "../math/losses.h"
#include "../math/philox.h"
#include "../math/rules.h"
#include "../plan/calls/objective.h"
#include "arrays.h"
#include "register.h"

namespace onepass::bind {
namespace {

std::vector<std::string> names_of(const char* const* names, int count) {
  return names == nullptr ? std::vector<std::string>{}
                          : std::vector<std::string>(names, names + count);
}

// Their ids begin at `id`.
template <class Formulas>
py::list elementwise(int id) {
  py::list all;
  Formulas::each([&](auto formula) {
    using F = decltype(formula);
    all.append(py::dict(py::arg("id") = id++, py::arg("name") = F::kName,
                        py::arg("hyper") = names_of(F::kHyper, F::kHyperCount),
                        py::arg("needs_input") = F::kNeedsInput));
  });
  return all;
}

py::list binary() {
  py::list all;
  int id = 0;
  math::Binary::each([&](auto formula) {
    using F = decltype(formula);
    all.append(py::dict(py::arg("id") = id++, py::arg("name") = F::kName,
                        py::arg("needs_operands") = F::kNeedsOperands));
  });
  return all;
}

py::list losses() {
  py::list all;
  int id = 0;
  const auto add = [&](auto formula, bool row_wise, bool whole_batch) {
    using F = decltype(formula);
    all.append(py::dict(py::arg("id") = id++, py::arg("name") = F::kName,
                        py::arg("hyper") = names_of(F::kHyper, F::kHyperCount),
                        py::arg("prediction") = F::kPrediction, py::arg("row_wise") = row_wise,
                        py::arg("whole_batch") = whole_batch));
  };
  math::ElementwiseLosses::each([&](auto formula) { add(formula, false, false); });
  math::RowLosses::each([&](auto formula) { add(formula, true, false); });
  math::SummaryLosses::each([&](auto formula) { add(formula, false, false); });
  math::BatchLosses::each([&](auto formula) { add(formula, false, true); });
  return all;
}

py::list rules() {
  py::list all;
  int id = 0;
  math::AllRules::each([&](auto rule) {
    using R = decltype(rule);
    all.append(py::dict(py::arg("id") = id++, py::arg("name") = R::kName,
                        py::arg("options") = names_of(R::kOptions, R::kOptionCount),
                        py::arg("states") = R::kStates));
  });
  return all;
}

// What a rule makes of its options for step t, in the order of its header; zeros behind.
std::array<double, kMaxScalars> rule_numbers(int rule, bool torch_convention,
                                             const std::vector<double>& options,
                                             double learning_rate, int64_t t) {
  std::array<double, kMaxScalars> numbers{};
  const auto convention = torch_convention ? math::Convention::kTorch : math::Convention::kKeras;
  const bool known = math::AllRules::visit(rule, [&](auto r) {
    using R = decltype(r);
    if (options.size() != static_cast<std::size_t>(R::kOptionCount)) {
      throw py::value_error("rule_numbers: expected " + std::to_string(R::kOptionCount) +
                            " options, got " + std::to_string(options.size()));
    }
    R::prepare(options.data(), convention, {learning_rate, t}, numbers.data());
  });
  if (!known) throw py::value_error("rule_numbers: unknown update rule");
  return numbers;
}

}  // namespace

void register_formulas(py::module_& m) {
  m.def("activations", [] { return elementwise<math::Activations>(0); });
  m.def("functions", [] { return elementwise<math::Functions>(math::Activations::kSize); });
  m.def("binary", &binary);
  m.def("losses", &losses);
  m.def("rules", &rules);
  m.def(
      "philox",
      [](const std::array<uint32_t, 4>& counter, const std::array<uint32_t, 2>& key) {
        const math::PhiloxWords<uint64_t> words{{counter[0], counter[1], counter[2], counter[3]}};
        std::array<uint32_t, 4> result{};
        const auto random = math::philox(words, key[0], key[1], math::Multiply{});
        for (int i = 0; i < 4; ++i) result[i] = static_cast<uint32_t>(random.at[i]);
        return result;
      },
      py::arg("counter"), py::arg("key"));
  m.def(
      "nadam_momentum_product",
      [](double beta_1, double momentum_decay, int64_t t) {
        return std::exp(math::log_momentum_product(beta_1, momentum_decay, t));
      },
      py::arg("beta_1"), py::arg("momentum_decay"), py::arg("t"));
  m.def("rule_numbers", &rule_numbers, py::arg("rule"), py::arg("torch_convention"),
        py::arg("options"), py::arg("learning_rate"), py::arg("t"));
  m.def("accuracies", [] {
    return py::dict(
        py::arg("binary") = static_cast<int>(Accuracy::kBinary),
        py::arg("categorical") = static_cast<int>(Accuracy::kCategorical),
        py::arg("sparse_categorical") = static_cast<int>(Accuracy::kSparseCategorical),
        py::arg("equal") = static_cast<int>(Accuracy::kEqual),
        py::arg("top_k_categorical") = static_cast<int>(Accuracy::kTopKCategorical),
        py::arg("sparse_top_k_categorical") = static_cast<int>(Accuracy::kSparseTopKCategorical));
  });
  m.def("column_sum_kinds", [] {
    return py::dict(py::arg("hits") = static_cast<int>(ColumnSumKind::kHits),
                    py::arg("errors") = static_cast<int>(ColumnSumKind::kErrors));
  });
  m.def("mean_divisors", [] {
    return py::dict(py::arg("weights") = static_cast<int>(MeanOver::kWeights),
                    py::arg("rows") = static_cast<int>(MeanOver::kRows),
                    py::arg("batch_sum") = static_cast<int>(MeanOver::kBatchSum));
  });
}

}  // namespace onepass::bind
