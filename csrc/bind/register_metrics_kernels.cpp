// Kernels that count for metrics, on arrays that onepass.kernels has checked for shape.
#include "arrays.h"
#include "register.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

void row_accuracy(int kind, double threshold, int64_t k, py::array target, py::array prediction,
                  py::array values) {
  by_dtype(prediction, "prediction", [&](auto zero) {
    using T = decltype(zero);
    RowAccuracy<T> a{};
    a.kind = static_cast<Accuracy>(kind);
    a.threshold = threshold, a.k = k;
    if (reads_index(a.kind)) {
      a.target.index = index_of(target, "target");
    } else {
      a.target.dense = matrix_of<T>(target, "target");
    }
    a.prediction = matrix_of<T>(prediction, "prediction");
    a.values = output_of<T>(values, "values").data;
    run_kernel(&KernelTable<T>::row_accuracy, a, sweep_work(a.prediction));
  });
}

// An array of float64 that is added to.
double* sums_of(const py::array& a, const char* name) { return output_of<double>(a, name).data; }

void confusion_counts(py::array target, py::array prediction, py::object weights,
                      py::object thresholds, int64_t n_thresholds, int64_t least, int64_t top_k,
                      int64_t first, int64_t last, bool by_column, py::array counts) {
  by_dtype(prediction, "prediction", [&](auto zero) {
    using T = decltype(zero);
    const ConfusionCounts<T> a{matrix_of<T>(target, "target"),
                               matrix_of<T>(prediction, "prediction"),
                               optional_matrix<T>(weights, "weights").data,
                               optional_matrix<T>(thresholds, "thresholds").data,
                               n_thresholds,
                               least,
                               top_k,
                               {first, last},
                               by_column,
                               sums_of(counts, "counts")};
    run_kernel(&KernelTable<T>::confusion_counts, a, sweep_work(a.prediction));
  });
}

void column_sums(int kind, bool largest, double threshold, py::array target, py::array prediction,
                 py::object weights, py::array sums) {
  by_dtype(prediction, "prediction", [&](auto zero) {
    using T = decltype(zero);
    const ColumnSums<T> a{static_cast<ColumnSumKind>(kind),
                          largest,
                          threshold,
                          matrix_of<T>(target, "target"),
                          matrix_of<T>(prediction, "prediction"),
                          optional_matrix<T>(weights, "weights").data,
                          sums_of(sums, "sums")};
    run_kernel(&KernelTable<T>::column_sums, a, sweep_work(a.prediction));
  });
}

}  // namespace

void register_metrics_kernels(py::module_& m) {
  using py::arg;
  m.def("row_accuracy", &row_accuracy, arg("kind"), arg("threshold"), arg("k"), arg("target"),
        arg("prediction"), arg("values"));
  m.def("confusion_counts", &confusion_counts, arg("target"), arg("prediction"), arg("weights"),
        arg("thresholds"), arg("n_thresholds"), arg("least"), arg("top_k"), arg("first"),
        arg("last"), arg("by_column"), arg("counts"));
  m.def("column_sums", &column_sums, arg("kind"), arg("largest"), arg("threshold"), arg("target"),
        arg("prediction"), arg("weights"), arg("sums"));
}

}  // namespace onepass::bind
