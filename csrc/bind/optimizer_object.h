// A native optimizer together with the Python arrays whose memory it points to.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "../event.h"
#include "../plan/captured_steps.h"
#include "../plan/optimizer.h"

namespace onepass::bind {

namespace py = pybind11;

class OptimizerObject {
 public:
  OptimizerObject(bool float64, const OptimizerSettings& settings, const Device* device);
  ~OptimizerObject();

  int add_group(const RuleSettings& rule) { return native_->add_group(rule); }
  void set_group(int group, const RuleSettings& rule);
  // `learned`: one float64 number, kept for all native optimizers of the same group.
  void keep_learned_rate(int group, py::array learned);
  // `sum` and `average` as `states`: of the optimizer's type and the parameter's shape. Arrays of
  // uint16 hold bfloat16.
  void add(py::array p, const std::vector<py::array>& states, bool decays,
           const std::optional<py::array>& sum, const std::optional<py::array>& average, int group,
           int64_t missed);
  // Checks all gradients, then plans their addresses. None: the tensor is left alone.
  void set_gradients(const py::sequence& gradients);
  void step(double learning_rate, int64_t t);
  // Both, as one: what another thread cannot come between.
  void apply(const py::sequence& gradients, double learning_rate, int64_t t);
  // As `apply`, but checks faster and also for overlaps. False, and nothing done, wherever anything
  // is out of the ordinary: what exactly, and whether it matters, is for the slower checks to say.
  bool try_apply(py::handle gradients, double learning_rate, int64_t t);
  // A step with gradients at these addresses, of these types; 0: none. The caller has checked them.
  // One learning rate a group, or one for all.
  // On a GPU it is put on this stream, and not waited for.
  void apply_addresses(const std::vector<std::uintptr_t>& addresses,
                       const std::vector<int>& numbers, const std::vector<double>& learning_rates,
                       int64_t t, std::uintptr_t stream);
  // As `apply_addresses` on a stream that is captured: each launch of the graph does the next step.
  // They count themselves, from `t` on. `rates_there`: where each launch reads one float64 a group
  // instead of the given rates; 0: nowhere.
  void capture(const std::vector<std::uintptr_t>& addresses, const std::vector<int>& numbers,
               const std::vector<double>& learning_rates, int64_t t, std::uintptr_t stream,
               std::uintptr_t rates_there);
  bool captured() const { return captured_.any(); }
  // Whether a graph has done the last step, for which it waits.
  bool graph_stepped();
  // With captured steps: how many were done, for which it waits; others may be put in its place.
  int64_t steps_done();
  void set_steps_done(int64_t steps);
  // Learning rates of captured steps that are launched on the stream from now on.
  void set_rates(const std::vector<double>& learning_rates, std::uintptr_t stream);
  // For the time of a step, which runs without the GIL. Throws if another thread has it.
  std::unique_lock<std::mutex> claim();
  bool elementwise() const { return native_->elementwise(); }
  double global_norm();
  bool skipped() const { return native_->skipped(); }
  std::vector<int64_t> missed() const;
  void set_missed(const std::vector<int64_t>& steps);
  void set_unscale(double factor) { native_->set_unscale(factor); }
  std::shared_ptr<Optimizer> native() const { return native_; }

 private:
  // A cache line, since a call looks at all of them.
  struct Tensor {
    py::array p;
    const void* address;  // as planned: an array that moved is refused
    TensorLayout layout;
    const void* gradient;  // as planned
    Number gradient_number;
    int dimensions;
    py::object gradient_owner;
  };
  // What a fast look at gradients finds.
  enum class Found { kOther, kNew, kSame };
  using Address = std::uintptr_t;
  void check(const py::array& a, const char* name) const;
  Number number_of(const py::array& a, const std::string& name) const;
  std::optional<Number> known_number(PyObject* descr) const;
  void* keep(const Tensor& tensor, const py::array& a, const char* name);
  void* keep_factor(const py::array& a, int64_t size);
  void check_parameter(std::size_t i) const;
  void check_gradient(std::size_t i, const py::object& given) const;
  void remember(const py::array& a, TensorLayout layout);
  // Memory that holds no parameter and no state.
  struct Gap {
    Address begin = 0, end = 0;
  };
  // Looks beside `gap` only where that does not hold it all, and puts there what does.
  bool overlaps(const void* data, int64_t size, Gap& gap) const;
  Found look(py::handle gradients) const;
  Found look(const Tensor& tensor, const py::ssize_t* shape, PyObject* gradient, Gap& gap) const;

  // Returns what was planned before, where that is something else.
  py::object plan_gradient(std::size_t i, PyObject* gradient);
  void plan_gradients(const py::sequence& gradients);
  void run(const std::vector<double>& learning_rates, int64_t t);
  void run(double learning_rate, int64_t t);
  [[noreturn]] static void refuse_to_miss();
  void plan_addresses(const std::vector<std::uintptr_t>& addresses,
                      const std::vector<int>& numbers);
  std::vector<double> one_a_group(const std::vector<double>& learning_rates) const;
  void start(const std::vector<double>& learning_rates, int64_t t);  // on the GPU
  // For as long as it lives, something is started on a stream there, behind all that was started
  // before; whatever happens, it is waited for before its memory goes.
  class Work {
   public:
    Work(OptimizerObject& of, void* stream);
    ~Work();
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;

   private:
    OptimizerObject& of_;
  };
  // Wait for what was started there, and for what graphs have launched. Null, or what went wrong.
  const char* finish();
  const char* finish_graphs();

  bool float64_, clears_gradients_;
  const Device* device_;          // where the arrays are, if on a GPU
  void* stream_ = nullptr;        // of the last step there
  bool started_ = false;          // a step there, which may be at work on this object's memory
  void* started_on_ = nullptr;    // the stream
  std::optional<Event> stepped_;  // it is done
  bool marked_ = false;           // whether that could be marked
  CapturedSteps captured_;
  int64_t last_step_ = 0;  // that was not launched by a graph
  std::mutex stepping_;
  std::shared_ptr<Optimizer> native_;
  std::vector<Tensor> tensors_;
  std::vector<py::array> learned_;                   // rates
  std::vector<py::ssize_t> shapes_;                  // of one tensor behind the other
  std::vector<std::ptrdiff_t> shapes_at_;            // where each begins
  std::vector<py::array> kept_;                      // states and the like
  std::vector<std::pair<Address, Address>> memory_;  // of parameters and states, sorted
  const py::dtype dtypes_[4];                        // by Number
  std::size_t planned_ = 0;    // tensors whose gradients, or lack of one, are known
  std::vector<double> rates_;  // of each group
};

}  // namespace onepass::bind
