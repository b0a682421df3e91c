#include "register_optimizer.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <iterator>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"
#include "arrays.h"
#include "register.h"

namespace onepass::bind {
namespace {

// A sweep with less work takes 10 us at most: other Python threads gain less than they and
// this one lose by handing over the GIL.
constexpr double kBrief = 400'000;

PyObject* array_type() {
  return reinterpret_cast<PyObject*>(py::detail::npy_api::get().PyArray_Type_);
}

const void* address_of(const py::array& a) { return a.data(); }

// A C-contiguous array, or a matrix whose rows are padded: what a sweep may run over.
TensorLayout layout_of(const py::array& a, const char* name) {
  if (reinterpret_cast<std::uintptr_t>(a.data()) % a.itemsize() != 0) {
    throw py::value_error(std::string(name) + " must be aligned");
  }
  if ((a.flags() & py::array::c_style) != 0) return {1, a.size(), a.size()};
  const bool padded_rows = a.ndim() == 2 && a.strides(1) == a.itemsize() &&
                           a.strides(0) >= a.shape(1) * a.itemsize() &&
                           a.strides(0) % a.itemsize() == 0;
  if (!padded_rows) throw py::value_error(std::string(name) + " must be C-contiguous");
  return {a.shape(0), a.shape(1), a.strides(0) / a.itemsize()};
}

bool same_layout(TensorLayout a, TensorLayout b) {
  return a.rows == b.rows && a.cols == b.cols && a.stride == b.stride;
}

}  // namespace

OptimizerObject::OptimizerObject(int rule, bool float64, bool torch_convention,
                                 const std::vector<double>& options, double clip_value,
                                 double clip_norm, double global_clip_norm, double weight_decay,
                                 bool decoupled_decay)
    : float64_(float64), dtype_(float64 ? py::dtype::of<double>() : py::dtype::of<float>()) {
  OptimizerSettings settings;
  settings.rule = rule;
  settings.torch_convention = torch_convention;
  settings.clip_value = clip_value;
  settings.clip_norm = clip_norm;
  settings.global_clip_norm = global_clip_norm;
  settings.weight_decay = weight_decay;
  settings.decoupled_decay = decoupled_decay;
  if (options.size() > kMaxScalars) throw py::value_error("too many options");
  for (std::size_t i = 0; i < options.size(); ++i) settings.options[i] = options[i];
  native_ = Optimizer::create(settings, float64);
}

void OptimizerObject::check(const py::array& a, const char* name) const {
  float64_ ? require_dtype<double>(a, name) : require_dtype<float>(a, name);
}

void OptimizerObject::add(py::array p, const std::vector<py::array>& states, bool decays) {
  check(p, "parameter");
  require_writeable(p, "parameter");
  const TensorLayout layout = layout_of(p, "parameter");
  if (static_cast<int>(states.size()) != native_->states()) {
    throw py::value_error("states: expected " + std::to_string(native_->states()) +
                          " arrays, got " + std::to_string(states.size()));
  }
  void* slots[kMaxStates] = {};
  for (std::size_t k = 0; k < states.size(); ++k) {
    check(states[k], "state");
    require_writeable(states[k], "state");
    if (!same_layout(layout_of(states[k], "state"), layout)) {
      throw py::value_error("a state must have its parameter's layout");
    }
    slots[k] = const_cast<void*>(address_of(states[k]));
    remember(states[k], layout);
  }
  remember(p, layout);
  native_->add(const_cast<void*>(address_of(p)), slots, layout, decays);
  tensors_.push_back(
      {p, address_of(p), layout, states, {p.shape(), p.shape() + p.ndim()}, nullptr, {}});
}

void OptimizerObject::remember(const py::array& a, TensorLayout layout) {
  if (layout.size() == 0) return;
  const auto begin = reinterpret_cast<Address>(a.data());
  memory_.emplace_back(begin, begin + layout.size() * a.itemsize());
  std::sort(memory_.begin(), memory_.end());
}

bool OptimizerObject::overlaps(const void* data, int64_t size) const {
  const auto begin = reinterpret_cast<Address>(data);
  const Address end = begin + size;
  // The last range that begins before the end; ranges do not overlap each other.
  const auto after = std::lower_bound(memory_.begin(), memory_.end(), std::pair{end, Address{0}});
  return size > 0 && after != memory_.begin() && std::prev(after)->second > begin;
}

std::unique_lock<std::mutex> OptimizerObject::claim() {
  std::unique_lock lock(stepping_, std::try_to_lock);
  if (!lock.owns_lock()) {
    throw std::runtime_error("this optimizer is at a step in another thread");
  }
  return lock;
}

void OptimizerObject::set_gradients(const py::sequence& gradients) {
  const auto lock = claim();
  plan_gradients(gradients);
}

void OptimizerObject::step(double learning_rate, int64_t t) {
  const auto lock = claim();
  run(learning_rate, t);
}

void OptimizerObject::apply(const py::sequence& gradients, double learning_rate, int64_t t) {
  const auto lock = claim();
  plan_gradients(gradients);
  run(learning_rate, t);
}

bool OptimizerObject::takes(py::handle gradients) const {
  PyObject* given = gradients.ptr();
  if (!PyList_CheckExact(given) && !PyTuple_CheckExact(given)) return false;
  if (static_cast<std::size_t>(PySequence_Fast_GET_SIZE(given)) != tensors_.size()) return false;
  PyObject** items = PySequence_Fast_ITEMS(given);
  for (const Tensor& tensor : tensors_) {
    if (!takes(tensor, *items++)) return false;
  }
  return true;
}

// Everything that may have changed between two calls, parameter included, in NumPy's own fields.
bool OptimizerObject::takes(const Tensor& tensor, PyObject* gradient) const {
  using Api = py::detail::npy_api;
  constexpr int plain = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_;
  constexpr int own = plain | Api::NPY_ARRAY_WRITEABLE_;
  if (reinterpret_cast<PyObject*>(Py_TYPE(gradient)) != array_type()) return false;
  const auto& p = *py::detail::array_proxy(tensor.p.ptr());
  const auto& g = *py::detail::array_proxy(gradient);
  if (p.data != tensor.address || (p.flags & own) != own) return false;
  if (g.descr != dtype_.ptr() || (g.flags & plain) != plain) return false;
  const auto dimensions = static_cast<int>(tensor.shape.size());
  if (p.nd != dimensions || g.nd != dimensions) return false;
  for (int d = 0; d < dimensions; ++d) {
    if (p.dimensions[d] != tensor.shape[d] || g.dimensions[d] != tensor.shape[d]) return false;
  }
  // What lay here at the last step has been looked at then.
  return g.data == tensor.gradient || !overlaps(g.data, tensor.layout.size() * item_size());
}

bool OptimizerObject::try_apply(py::handle gradients, double learning_rate, int64_t t) {
  const std::unique_lock lock(stepping_, std::try_to_lock);
  if (!lock.owns_lock() || !takes(gradients)) return false;
  PyObject** items = PySequence_Fast_ITEMS(gradients.ptr());
  for (std::size_t i = 0; i < tensors_.size(); ++i) plan_gradient(i, items[i]);
  planned_ = tensors_.size();
  run(learning_rate, t);
  return true;
}

void OptimizerObject::plan_gradient(std::size_t i, PyObject* gradient) {
  Tensor& tensor = tensors_[i];
  if (tensor.gradient_owner.ptr() != gradient) {
    tensor.gradient_owner = py::reinterpret_borrow<py::object>(gradient);
  }
  const void* data = py::detail::array_proxy(gradient)->data;
  if (tensor.gradient == data) return;
  native_->set_gradient(static_cast<int64_t>(i), data);
  tensor.gradient = data;
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

void OptimizerObject::check_gradient(std::size_t i, const py::object& given) const {
  const std::string name = "gradients[" + std::to_string(i) + "]";
  const Tensor& tensor = tensors_[i];
  const bool moved = address_of(tensor.p) != tensor.address ||
                     !same_layout(layout_of(tensor.p, "parameter"), tensor.layout);
  if (moved || !tensor.p.writeable()) {
    throw py::value_error("parameter " + std::to_string(i) +
                          " was moved, resized or made read-only since build()");
  }
  if (!py::isinstance<py::array>(given)) {
    throw py::type_error(name + " must be a NumPy array, got " +
                         std::string(py::str(py::type::of(given).attr("__name__"))));
  }
  const auto g = given.cast<py::array>();
  check(g, name.c_str());
  if (g.ndim() != tensor.p.ndim() ||
      !std::equal(g.shape(), g.shape() + g.ndim(), tensor.p.shape())) {
    throw py::value_error(name + " has shape " + std::string(py::str(g.attr("shape"))) +
                          ", its parameter " + std::string(py::str(tensor.p.attr("shape"))));
  }
  if (!same_layout(layout_of(g, name.c_str()), tensor.layout)) {
    throw py::value_error(name + " must have its parameter's memory layout");
  }
}

void OptimizerObject::run(double learning_rate, int64_t t) {
  if (planned_ != tensors_.size()) throw py::value_error("no gradients were set");
  const double work = kElementWork * static_cast<double>(native_->elements());
  const Kernels& table = kernels();
  const auto step = [&](Team& team) { native_->step(learning_rate, t, table, team); };
  // One reference: what a std::function holds without allocating.
  const auto run = [&] { run_team(work, [&step](Team& team) { step(team); }); };
  if (work < kBrief) return run();
  py::gil_scoped_release release;
  run();
}

void register_optimizer(py::module_& m) {
  using py::arg;
  py::class_<OptimizerObject, std::shared_ptr<OptimizerObject>>(m, "Optimizer")
      .def(py::init<int, bool, bool, const std::vector<double>&, double, double, double, double,
                    bool>(),
           arg("rule"), arg("float64"), arg("torch_convention"), arg("options"), arg("clip_value"),
           arg("clip_norm"), arg("global_clip_norm"), arg("weight_decay"), arg("decoupled_decay"))
      .def("add", &OptimizerObject::add, arg("p"), arg("states"), arg("decays"))
      .def("set_gradients", &OptimizerObject::set_gradients, arg("gradients"))
      .def("step", &OptimizerObject::step, arg("learning_rate"), arg("t"))
      .def("apply", &OptimizerObject::apply, arg("gradients"), arg("learning_rate"), arg("t"))
      .def_property_readonly("elementwise", &OptimizerObject::elementwise)
      .def("try_apply", &OptimizerObject::try_apply, arg("gradients"), arg("learning_rate"),
           arg("t"))
      .def_property_readonly("global_norm", &OptimizerObject::global_norm);
}

}  // namespace onepass::bind
