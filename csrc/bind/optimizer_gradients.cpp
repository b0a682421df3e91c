// Gradients as an optimizer's steps get them: looked at fast, checked in full, planned.
#include <algorithm>
#include <iterator>
#include <limits>

#include "arrays.h"
#include "optimizer_object.h"
#include "tensor_layout.h"

namespace onepass::bind {
namespace {

PyObject* array_type() {
  return reinterpret_cast<PyObject*>(py::detail::npy_api::get().PyArray_Type_);
}

}  // namespace

bool OptimizerObject::overlaps(const void* data, int64_t size, Gap& gap) const {
  const auto begin = reinterpret_cast<Address>(data);
  const Address end = begin + size;
  if (size == 0 || (gap.begin <= begin && end <= gap.end)) return false;
  // Behind the last range that begins before the end; ranges do not overlap each other.
  const auto after = std::lower_bound(memory_.begin(), memory_.end(), std::pair{end, Address{0}});
  const Address free = after == memory_.begin() ? 0 : std::prev(after)->second;
  if (free > begin) return true;
  gap = {free, after == memory_.end() ? std::numeric_limits<Address>::max() : after->first};
  return false;
}

OptimizerObject::Found OptimizerObject::look(py::handle gradients) const {
  PyObject* given = gradients.ptr();
  if (!PyList_CheckExact(given) && !PyTuple_CheckExact(given)) return Found::kOther;
  if (static_cast<std::size_t>(PySequence_Fast_GET_SIZE(given)) != tensors_.size()) {
    return Found::kOther;
  }
  PyObject** items = PySequence_Fast_ITEMS(given);
  const py::ssize_t* shape = shapes_.data();
  Found all = Found::kSame;
  Gap gap;  // gradients often lie together
  for (const Tensor& tensor : tensors_) {
    const Found found = look(tensor, shape, *items++, gap);
    if (found == Found::kOther) return found;
    if (found == Found::kNew) all = found;
    shape += tensor.dimensions;
  }
  return all;
}

// Everything that may have changed between two calls, parameter included, in NumPy's own fields.
inline OptimizerObject::Found OptimizerObject::look(const Tensor& tensor, const py::ssize_t* shape,
                                                    PyObject* gradient, Gap& gap) const {
  using Api = py::detail::npy_api;
  constexpr int plain = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_;
  constexpr int own = plain | Api::NPY_ARRAY_WRITEABLE_;
  if (reinterpret_cast<PyObject*>(Py_TYPE(gradient)) != array_type()) return Found::kOther;
  const auto& p = *py::detail::array_proxy(tensor.p.ptr());
  const auto& g = *py::detail::array_proxy(gradient);
  if (p.data != tensor.address || (p.flags & own) != own) return Found::kOther;
  const int wanted = clears_gradients_ ? own : plain;
  if ((g.flags & wanted) != wanted) return Found::kOther;
  if (p.nd != tensor.dimensions || g.nd != tensor.dimensions) return Found::kOther;
  for (int d = 0; d < tensor.dimensions; ++d) {
    if (p.dimensions[d] != shape[d] || g.dimensions[d] != shape[d]) return Found::kOther;
  }
  Number number = tensor.gradient_number;
  const bool same_number = dtypes_[static_cast<int>(number)].ptr() == g.descr;
  if (!same_number) {
    const auto known = known_number(g.descr);
    if (!known) return Found::kOther;
    number = *known;
  }
  // Plain numbers of uint16 look like bfloat16: the slower checks tell them apart.
  if (number == Number::kBfloat16) return Found::kOther;
  // What lay here at the last step has been looked at then, as far as it went.
  const bool here = g.data == tensor.gradient && size_of(number) <= size_of(tensor.gradient_number);
  // Gradients that are cleared must not overlap, which the slower checks look at.
  if (clears_gradients_ && !here) return Found::kOther;
  if (here && same_number) {
    return tensor.gradient_owner.ptr() == gradient ? Found::kSame : Found::kNew;
  }
  const bool apart = here || !overlaps(g.data, tensor.layout.size() * size_of(number), gap);
  return apart ? Found::kNew : Found::kOther;
}

bool OptimizerObject::try_apply(py::handle gradients, double learning_rate, int64_t t) {
  const std::unique_lock lock(stepping_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  const Found found = look(gradients);
  if (found == Found::kOther) return false;
  if (found == Found::kNew || planned_ != tensors_.size()) {
    PyObject** items = PySequence_Fast_ITEMS(gradients.ptr());
    // Let go of behind the loop only: whoever then ends may change the list.
    std::vector<py::object> before;
    for (std::size_t i = 0; i < tensors_.size(); ++i) before.push_back(plan_gradient(i, items[i]));
    planned_ = tensors_.size();
  }
  run(learning_rate, t);
  return true;
}

py::object OptimizerObject::plan_gradient(std::size_t i, PyObject* gradient) {
  Tensor& tensor = tensors_[i];
  py::object before;
  if (tensor.gradient_owner.ptr() != gradient) {
    before = std::move(tensor.gradient_owner);
    tensor.gradient_owner = py::reinterpret_borrow<py::object>(gradient);
  }
  const bool given = gradient != Py_None;
  void* data = given ? py::detail::array_proxy(gradient)->data : nullptr;
  const Number number =
      given ? *known_number(py::detail::array_proxy(gradient)->descr) : tensor.gradient_number;
  if (tensor.gradient == data && tensor.gradient_number == number) return before;
  native_->set_gradient(static_cast<int64_t>(i), data, number);
  tensor.gradient = data;
  tensor.gradient_number = number;
  return before;
}

void OptimizerObject::plan_gradients(const py::sequence& gradients) {
  if (gradients.size() != tensors_.size()) {
    throw py::value_error("gradients: expected " + std::to_string(tensors_.size()) +
                          " arrays, got " + std::to_string(gradients.size()));
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) check_gradient(i, gradients[i]);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const py::object g = gradients[i];
    plan_gradient(i, g.ptr());
  }
  planned_ = tensors_.size();
}

void OptimizerObject::check_parameter(std::size_t i) const {
  const Tensor& tensor = tensors_[i];
  const bool moved = address_of(tensor.p) != tensor.address ||
                     !same_layout(layout_of(tensor.p, "parameter"), tensor.layout) ||
                     tensor.p.ndim() != tensor.dimensions ||
                     !std::equal(tensor.p.shape(), tensor.p.shape() + tensor.dimensions,
                                 shapes_.begin() + shapes_at_[i]);
  if (moved || !tensor.p.writeable()) {
    throw py::value_error("parameter " + std::to_string(i) +
                          " was moved, resized or made read-only since build()");
  }
}

void OptimizerObject::check_gradient(std::size_t i, const py::object& given) const {
  check_parameter(i);
  if (given.is_none()) return;
  const std::string name = "gradients[" + std::to_string(i) + "]";
  const Tensor& tensor = tensors_[i];
  if (!py::isinstance<py::array>(given)) {
    throw py::type_error(name + " must be a NumPy array, got " +
                         std::string(py::str(py::type::of(given).attr("__name__"))));
  }
  const auto g = given.cast<py::array>();
  number_of(g, name);
  if (g.ndim() != tensor.p.ndim() ||
      !std::equal(g.shape(), g.shape() + g.ndim(), tensor.p.shape())) {
    throw py::value_error(name + " has shape " + std::string(py::str(g.attr("shape"))) +
                          ", its parameter " + std::string(py::str(tensor.p.attr("shape"))));
  }
  if (!same_layout(layout_of(g, name.c_str()), tensor.layout)) {
    throw py::value_error(name + " must have its parameter's memory layout");
  }
  if (clears_gradients_) require_writeable(g, name.c_str());
}

}  // namespace onepass::bind
