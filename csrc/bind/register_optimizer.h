// A native optimizer together with the Python arrays whose memory it points to.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "../plan/optimizer.h"

namespace onepass::bind {

namespace py = pybind11;

class OptimizerObject {
 public:
  OptimizerObject(int rule, bool float64, bool torch_convention, const std::vector<double>& options,
                  double clip_value, double clip_norm, double global_clip_norm, double weight_decay,
                  bool decoupled_decay);

  void add(py::array p, const std::vector<py::array>& states, bool decays);
  // Checks all gradients, then plans their addresses.
  void set_gradients(const py::sequence& gradients);
  void step(double learning_rate, int64_t t);
  // Both, as one: what another thread cannot come between.
  void apply(const py::sequence& gradients, double learning_rate, int64_t t);
  // As `apply`, but checks faster and also for overlaps. False, and nothing done, wherever anything
  // is out of the ordinary: what exactly, and whether it matters, is for the slower checks to say.
  bool try_apply(py::handle gradients, double learning_rate, int64_t t);
  // For the time of a step, which runs without the GIL. Throws if another thread has it.
  std::unique_lock<std::mutex> claim();
  bool elementwise() const { return native_->elementwise(); }
  double global_norm() const { return native_->global_norm(); }
  std::shared_ptr<Optimizer> native() const { return native_; }

 private:
  struct Tensor {
    py::array p;
    const void* address;  // as planned: an array that moved is refused
    TensorLayout layout;
    std::vector<py::array> states;
    std::vector<py::ssize_t> shape;
    const void* gradient;  // as planned
    py::object gradient_owner;
  };
  using Address = std::uintptr_t;
  void check(const py::array& a, const char* name) const;
  void check_gradient(std::size_t i, const py::object& given) const;
  void remember(const py::array& a, TensorLayout layout);
  bool overlaps(const void* data, int64_t size) const;
  bool takes(py::handle gradients) const;
  bool takes(const Tensor& tensor, PyObject* gradient) const;

  void plan_gradient(std::size_t i, PyObject* gradient);
  void plan_gradients(const py::sequence& gradients);
  int64_t item_size() const { return float64_ ? 8 : 4; }
  void run(double learning_rate, int64_t t);

  bool float64_;
  std::mutex stepping_;
  std::shared_ptr<Optimizer> native_;
  std::vector<Tensor> tensors_;
  std::vector<std::pair<Address, Address>> memory_;  // of parameters and states, sorted
  const py::dtype dtype_;
  std::size_t planned_ = 0;  // tensors that have a gradient
};

}  // namespace onepass::bind
