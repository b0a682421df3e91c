// The circle loss on arrays that onepass.kernels has checked for shape.
#include <pybind11/stl.h>

#include "arrays.h"
#include "circle_work.h"
#include "register.h"
#include "run_kernel.h"

namespace onepass::bind {
namespace {

// Without references the embeddings are their own.
void circle(py::array labels, py::array embeddings, py::object reference_labels,
            py::object references, double gamma, double margin, bool remove_diagonal,
            bool over_positive, py::object weights, py::array values, py::array gradient,
            double scale, py::array similarities, py::array per_row) {
  by_dtype(embeddings, "embeddings", [&](auto zero) {
    using T = decltype(zero);
    Circle<T> a{};
    a.embeddings = a.references = matrix_of<T>(embeddings, "embeddings");
    a.labels = a.reference_labels = index_of(labels, "labels");
    a.own_references = references.is_none();
    if (!a.own_references) {
      a.references = optional_matrix<T>(references, "references");
      a.reference_labels = optional_matrix<int32_t>(reference_labels, "reference_labels").data;
    }
    a.gamma = gamma, a.margin = margin, a.remove_diagonal = remove_diagonal;
    a.over_positive = over_positive;
    a.weights = optional_matrix<T>(weights, "weights").data;
    a.values = output_of<T>(values, "values").data;
    a.gradient = output_of<T>(gradient, "gradient");
    a.scale = scale;
    a.similarities = output_of<T>(similarities, "similarities");
    a.per_row = output_of<T>(per_row, "per_row").data;
    const double pairs =
        static_cast<double>(a.embeddings.rows) * static_cast<double>(a.references.rows);
    run_kernel(&KernelTable<T>::circle, a, pairs * circle_work_per_pair(a.embeddings.cols));
  });
}

}  // namespace

void register_circle_kernels(py::module_& m) {
  using py::arg;
  m.attr("circle_numbers") = kCircleNumbers;
  m.def("circle", &circle, arg("labels"), arg("embeddings"), arg("reference_labels").none(true),
        arg("references").none(true), arg("gamma"), arg("margin"), arg("remove_diagonal"),
        arg("over_positive"), arg("weights").none(true), arg("values"), arg("gradient"),
        arg("scale"), arg("similarities"), arg("per_row"));
}

}  // namespace onepass::bind
