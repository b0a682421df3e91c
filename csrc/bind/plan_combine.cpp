#include <pybind11/stl.h>

#include "../plan/calls/combine.h"
#include "arrays.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

void check_repeat(int64_t repeat) {
  if (repeat < 1) throw py::value_error("repeat must be positive");
}

void combine(PlanObject& plan, int a, int64_t a_repeat, int b, int64_t b_repeat, int y, int op) {
  check_repeat(a_repeat), check_repeat(b_repeat);
  plan.add([&](auto zero) {
    auto call = std::make_unique<CombineCall<decltype(zero)>>();
    call->op = op, call->a = {a, a_repeat}, call->b = {b, b_repeat}, call->y = y;
    call->work_per_sample = plan.sweep_work(y);
    return call;
  });
}

void combine_backward(PlanObject& plan, OptionalId a, int64_t a_repeat, OptionalId b,
                      int64_t b_repeat, int dy, int dx, int64_t dx_repeat, int op, bool of_second,
                      bool accumulate) {
  check_repeat(a_repeat), check_repeat(b_repeat), check_repeat(dx_repeat);
  plan.add([&](auto zero) {
    auto call = std::make_unique<CombineBackwardCall<decltype(zero)>>();
    call->op = op, call->of_second = of_second, call->accumulate = accumulate;
    call->a = {id_of(a), a_repeat}, call->b = {id_of(b), b_repeat};
    call->dy = dy, call->dx = {dx, dx_repeat};
    call->work_per_sample = plan.sweep_work(dy);
    return call;
  });
}

void scaled_copy(PlanObject& plan, OptionalId x, int y, int64_t repeat, int64_t x_first,
                 int64_t y_first, int64_t cols, double scale, bool mean, bool accumulate) {
  check_repeat(repeat);
  const BufferSpec& to = plan.program().buffer(y);
  int64_t x_cols = 0;
  bool fits = y_first >= 0 && cols >= 0 && y_first + cols <= to.cols && x_first >= 0;
  if (x) {
    const BufferSpec& from = plan.program().buffer(*x);
    x_cols = from.cols == 1 ? 1 : cols;
    fits = fits && x_first + x_cols <= from.cols;
  }
  if (!fits) throw py::value_error("scaled_copy: the columns do not exist");
  plan.add([&](auto zero) {
    auto call = std::make_unique<ScaledCopyCall<decltype(zero)>>();
    call->x = {id_of(x), repeat}, call->y = y;
    call->x_first = x_first, call->x_cols = x_cols;
    call->y_first = y_first, call->y_cols = cols;
    call->scale = scale, call->mean = mean, call->accumulate = accumulate;
    call->work_per_sample = plan.sweep_work(y);
    return call;
  });
}

void scaled_sum(PlanObject& plan, int x, int y, int64_t repeat, double scale, bool accumulate) {
  check_repeat(repeat);
  plan.add([&](auto zero) {
    auto call = std::make_unique<ScaledSumCall<decltype(zero)>>();
    call->x = x, call->y = {y, repeat}, call->scale = scale, call->accumulate = accumulate;
    call->work_per_sample = plan.sweep_work(x);
    return call;
  });
}

void embedding(PlanObject& plan, int index, int table, int y) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<EmbeddingCall<decltype(zero)>>();
    call->index = index, call->table = table, call->y = y;
    call->work_per_sample = plan.sweep_work(y);
    return call;
  });
}

void embedding_backward(PlanObject& plan, int index, int dy, int dtable, bool accumulate) {
  plan.add([&](auto zero) {
    auto call = std::make_unique<EmbeddingBackwardCall<decltype(zero)>>();
    call->index = index, call->dy = dy, call->dtable = dtable, call->accumulate = accumulate;
    const BufferSpec& table = plan.program().buffer(dtable);
    call->work_per_sample = plan.sweep_work(dy);
    call->work_of_table = kElementWork * static_cast<double>(table.rows * table.cols);
    return call;
  });
}

}  // namespace

void add_combine_calls(PlanClass& plan) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  plan.def("combine", &combine, py::kw_only(), arg("a"), arg("a_repeat"), arg("b"), arg("b_repeat"),
           arg("y"), arg("op"))
      .def("combine_backward", &combine_backward, py::kw_only(), none("a"), arg("a_repeat"),
           none("b"), arg("b_repeat"), arg("dy"), arg("dx"), arg("dx_repeat"), arg("op"),
           arg("of_second"), arg("accumulate"))
      .def("scaled_copy", &scaled_copy, py::kw_only(), none("x"), arg("y"), arg("repeat"),
           arg("x_first"), arg("y_first"), arg("cols"), arg("scale"), arg("mean"),
           arg("accumulate"))
      .def("scaled_sum", &scaled_sum, py::kw_only(), arg("x"), arg("y"), arg("repeat"),
           arg("scale"), arg("accumulate"))
      .def("embedding", &embedding, py::kw_only(), arg("index"), arg("table"), arg("y"))
      .def("embedding_backward", &embedding_backward, py::kw_only(), arg("index"), arg("dy"),
           arg("dtable"), arg("accumulate"));
}

}  // namespace onepass::bind
