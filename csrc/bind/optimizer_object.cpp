#include "optimizer_object.h"

#include <algorithm>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"
#include "../device.h"
#include "arrays.h"
#include "tensor_layout.h"

namespace onepass::bind {
namespace {

// A sweep with less work takes 10 us at most: other Python threads gain less than they and
// this one lose by handing over the GIL.
constexpr double kBrief = 400'000;

}  // namespace

OptimizerObject::OptimizerObject(bool float64, const OptimizerSettings& settings,
                                 const Device* device)
    : float64_(float64),
      clears_gradients_(settings.clears_gradients),
      device_(device),
      captured_(device),
      native_(Optimizer::create(settings, float64, device)),
      dtypes_{py::dtype::of<float>(), py::dtype::of<double>(), py::dtype("float16"),
              py::dtype::of<uint16_t>()} {}

OptimizerObject::~OptimizerObject() { finish(); }  // what went wrong, nobody asks any more

const char* OptimizerObject::finish() {
  const char* wrong = nullptr;
  if (started_) {
    const py::gil_scoped_release release;  // what the stream waits for may need Python
    const OnDevice on_device(device_);
    // An event, as the caller's stream may be gone.
    wrong = marked_ ? stepped_->reach() : device_->wait(started_on_);
    started_ = wrong != nullptr;
  }
  return wrong == nullptr && captured() ? finish_graphs() : wrong;
}

OptimizerObject::Work::Work(OptimizerObject& of, void* stream) : of_(of) {
  if (!of.stepped_) of.stepped_.emplace(*of.device_);
  if (of.started_ && of.started_on_ != stream) of.stepped_->hold(stream);
  of.started_ = true;
  of.started_on_ = stream;
}

OptimizerObject::Work::~Work() { of_.marked_ = of_.stepped_->mark(of_.started_on_); }

void OptimizerObject::set_group(int group, const RuleSettings& rule) {
  const auto lock = claim();
  native_->set_group(group, rule);
}

void OptimizerObject::keep_learned_rate(int group, py::array learned) {
  const auto lock = claim();
  require_dtype<double>(learned, "learned");
  require_writeable(learned, "learned");
  if (group < 0 || group >= native_->groups()) throw py::value_error("there is no such group");
  if (layout_of(learned, "learned").size() != 1) throw py::value_error("learned: one number");
  native_->keep_learned_rate(group, static_cast<double*>(learned.mutable_data()));
  learned_.push_back(std::move(learned));
}

void OptimizerObject::check(const py::array& a, const char* name) const {
  float64_ ? require_dtype<double>(a, name) : require_dtype<float>(a, name);
}

std::optional<Number> OptimizerObject::known_number(PyObject* descr) const {
  for (int number = 0; number < 4; ++number) {
    if (dtypes_[number].ptr() == descr) return static_cast<Number>(number);
  }
  // Pickled arrays come back with descriptions of their own.
  const auto& api = py::detail::npy_api::get();
  for (int number = 0; number < 4; ++number) {
    if (api.PyArray_EquivTypes_(dtypes_[number].ptr(), descr)) return static_cast<Number>(number);
  }
  return std::nullopt;
}

Number OptimizerObject::number_of(const py::array& a, const std::string& name) const {
  const auto number = known_number(a.dtype().ptr());
  if (!number) {
    throw py::type_error(name + " must be float32, float64, float16 or bfloat16, got " +
                         std::string(py::str(a.dtype())));
  }
  return *number;
}

void* OptimizerObject::keep_factor(const py::array& a, int64_t size) {
  check(a, "state");
  require_writeable(a, "state");
  const TensorLayout layout = layout_of(a, "state");
  if (layout.size() != size || a.size() != size) {
    throw py::value_error("a state must have " + std::to_string(size) + " elements, got " +
                          std::to_string(a.size()));
  }
  kept_.push_back(a);
  return const_cast<void*>(address_of(a));
}

void* OptimizerObject::keep(const Tensor& tensor, const py::array& a, const char* name) {
  check(a, name);
  require_writeable(a, name);
  if (!same_layout(layout_of(a, name), tensor.layout)) {
    throw py::value_error(std::string("a ") + name + " must have its parameter's layout");
  }
  kept_.push_back(a);
  return const_cast<void*>(address_of(a));
}

void OptimizerObject::add(py::array p, const std::vector<py::array>& states, bool decays,
                          const std::optional<py::array>& sum,
                          const std::optional<py::array>& average, int group, int64_t missed) {
  TensorMemory memory{};
  memory.number = number_of(p, "parameter");
  const Number own = float64_ ? Number::kFloat64 : Number::kFloat32;
  const bool half = size_of(memory.number) == 2;
  if (memory.number != own && (float64_ || !half)) check(p, "parameter");
  require_writeable(p, "parameter");
  const TensorLayout layout = layout_of(p, "parameter");
  if (group < 0 || group >= native_->groups()) throw py::value_error("there is no such group");
  if (static_cast<int>(states.size()) != native_->states(group)) {
    throw py::value_error("states: expected " + std::to_string(native_->states(group)) +
                          " arrays, got " + std::to_string(states.size()));
  }
  if (native_->takes_matrices(group) && p.ndim() != 2) {
    throw py::value_error("a parameter of this group must have 2 dimensions, got " +
                          std::to_string(p.ndim()));
  }
  Tensor tensor{p, address_of(p), layout, nullptr, own, static_cast<int>(p.ndim()), {}};
  const std::size_t kept_before = kept_.size();
  void* slots[kMaxStates] = {};
  if (p.ndim() >= 2) {
    memory.matrix_rows = p.shape(p.ndim() - 2);
    memory.matrix_cols = p.shape(p.ndim() - 1);
  }
  if (native_->factored(group)) {
    int64_t matrices = 1;
    for (py::ssize_t d = 0; d + 2 < p.ndim(); ++d) matrices *= p.shape(d);
    const bool matrix = p.ndim() >= 2;
    slots[0] = keep_factor(states[0], matrix ? matrices * memory.matrix_rows : p.size());
    slots[1] = keep_factor(states[1], matrix ? matrices * memory.matrix_cols : 0);
  } else {
    for (std::size_t k = 0; k < states.size(); ++k) slots[k] = keep(tensor, states[k], "state");
  }
  if (sum) memory.sum = keep(tensor, *sum, "sum");
  if (average) memory.average = keep(tensor, *average, "average");
  for (std::size_t k = kept_before; k < kept_.size(); ++k) {
    remember(kept_[k], layout_of(kept_[k], "state"));
  }
  remember(p, layout);
  memory.p = const_cast<void*>(address_of(p));
  memory.slots = slots, memory.layout = layout, memory.group = group, memory.decays = decays;
  native_->add(memory);
  if (missed != 0) native_->set_missed(native_->tensors() - 1, missed);
  shapes_at_.push_back(static_cast<std::ptrdiff_t>(shapes_.size()));
  shapes_.insert(shapes_.end(), p.shape(), p.shape() + p.ndim());
  tensors_.push_back(std::move(tensor));
}

std::vector<int64_t> OptimizerObject::missed() const {
  std::vector<int64_t> steps;
  for (int64_t i = 0; i < native_->tensors(); ++i) steps.push_back(native_->missed(i));
  return steps;
}

void OptimizerObject::set_missed(const std::vector<int64_t>& steps) {
  const auto lock = claim();
  if (steps.size() != tensors_.size()) throw py::value_error("set_missed: one number a parameter");
  const auto some = std::any_of(steps.begin(), steps.end(), [](int64_t of) { return of != 0; });
  if (captured() && some) refuse_to_miss();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    native_->set_missed(static_cast<int64_t>(i), steps[i]);
  }
}

void OptimizerObject::remember(const py::array& a, TensorLayout layout) {
  if (layout.size() == 0) return;
  const auto begin = reinterpret_cast<Address>(a.data());
  const std::pair range{begin, static_cast<Address>(begin + layout.size() * a.itemsize())};
  memory_.insert(std::lower_bound(memory_.begin(), memory_.end(), range), range);
}

void OptimizerObject::refuse_to_miss() {
  throw std::runtime_error(
      "no parameter may miss a step once steps were captured in a CUDA graph, which counts one for "
      "all: give it a gradient of zeros, or let a new optimizer go on from this one's state");
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

void OptimizerObject::apply_addresses(const std::vector<std::uintptr_t>& addresses,
                                      const std::vector<int>& numbers,
                                      const std::vector<double>& learning_rates, int64_t t,
                                      std::uintptr_t stream) {
  const auto lock = claim();
  stream_ = reinterpret_cast<void*>(stream);
  plan_addresses(addresses, numbers);
  learning_rates.size() == 1 ? run(learning_rates[0], t) : run(learning_rates, t);
}

void OptimizerObject::plan_addresses(const std::vector<std::uintptr_t>& addresses,
                                     const std::vector<int>& numbers) {
  if (addresses.size() != tensors_.size() || numbers.size() != tensors_.size()) {
    throw py::value_error("gradients: expected one address and type a parameter");
  }
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    Tensor& tensor = tensors_[i];
    void* data = reinterpret_cast<void*>(addresses[i]);
    const auto number = static_cast<Number>(numbers[i]);
    if (tensor.gradient == data && tensor.gradient_number == number) continue;
    native_->set_gradient(static_cast<int64_t>(i), data, number);
    tensor.gradient = data;
    tensor.gradient_number = number;
  }
  planned_ = tensors_.size();
}

void OptimizerObject::run(double learning_rate, int64_t t) {
  rates_.assign(static_cast<std::size_t>(native_->groups()), learning_rate);
  run(rates_, t);
}

void OptimizerObject::run(const std::vector<double>& learning_rates, int64_t t) {
  if (planned_ != tensors_.size()) throw py::value_error("no gradients were set");
  if (static_cast<int>(learning_rates.size()) != native_->groups()) {
    throw py::value_error("expected one learning rate a group");
  }
  if (device_ != nullptr) return start(learning_rates, t);
  const double work = native_->work();
  const Kernels& table = kernels();
  const double* rates = learning_rates.data();
  native_->prepare_step();
  const auto step = [&](Team& team) { native_->step(rates, t, table, team); };
  // One reference: what a std::function holds without allocating.
  const auto run = [&] { run_team(work, [&step](Team& team) { step(team); }); };
  if (work < kBrief) {
    run();
  } else {
    py::gil_scoped_release release;
    run();
  }
  native_->count_missing(t, Team{0, 1, nullptr, nullptr});
}

void OptimizerObject::start(const std::vector<double>& learning_rates, int64_t t) {
  const OnDevice on_device(device_);
  bool captured_by_caller = false;
  onepass::check(device_->captures(stream_, &captured_by_caller));
  if (captured_by_caller) {
    throw std::runtime_error(
        "apply_addresses: launches of the graph that is captured would all be step " +
        std::to_string(t));
  }
  if (captured() && native_->misses()) refuse_to_miss();
  // What is at work there may read what changes here.
  if (!native_->prepared()) onepass::check(finish());
  native_->prepare_step();
  const Work work(*this, stream_);
  Team host{0, 1, nullptr, nullptr};
  host.device = device_, host.stream = stream_;
  const auto step = [&] { native_->step(learning_rates.data(), t, device_->kernels, host); };
  if (native_->only_starts()) {
    step();
  } else {
    const py::gil_scoped_release release;
    step();
  }
  onepass::check(device_->started());
  native_->count_missing(t, host);
  last_step_ = t;
  if (captured()) captured_.set_done(t);  // whoever asked for t has waited for launches of graphs
}

double OptimizerObject::global_norm() {
  const auto lock = claim();
  if (device_ != nullptr) onepass::check(finish());
  return captured() && captured_.done() != last_step_ ? captured_.norm() : native_->global_norm();
}

}  // namespace onepass::bind
