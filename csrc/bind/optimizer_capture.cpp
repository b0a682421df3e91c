// Steps of an optimizer's arrays in CUDA graphs of the caller.
#include "../device.h"
#include "optimizer_object.h"

namespace onepass::bind {

std::vector<double> OptimizerObject::one_a_group(const std::vector<double>& learning_rates) const {
  const auto groups = static_cast<std::size_t>(native_->groups());
  if (learning_rates.size() == groups) return learning_rates;
  if (learning_rates.size() == 1) return std::vector<double>(groups, learning_rates[0]);
  throw py::value_error("expected one learning rate a group, or one for all");
}

void OptimizerObject::capture(const std::vector<std::uintptr_t>& addresses,
                              const std::vector<int>& numbers,
                              const std::vector<double>& learning_rates, int64_t t,
                              std::uintptr_t stream, std::uintptr_t rates_there) {
  const auto lock = claim();
  if (device_ == nullptr) throw py::value_error("capture: this optimizer's arrays are on the CPU");
  const std::vector<double> rates = one_a_group(learning_rates);
  const auto* const rates_at = reinterpret_cast<const double*>(rates_there);
  plan_addresses(addresses, numbers);
  const OnDevice on_device(device_);
  if (!captured()) last_step_ = t - 1;  // whoever has done it
  captured_.capture(*native_, rates, rates_at, t - 1, reinterpret_cast<void*>(stream));
}

const char* OptimizerObject::finish_graphs() {
  const py::gil_scoped_release release;
  const OnDevice on_device(device_);
  return captured_.finish();
}

int64_t OptimizerObject::steps_done() {
  const auto lock = claim();
  if (!captured()) throw py::value_error("steps_done: no step was captured");
  onepass::check(finish_graphs());  // nobody else counts there
  return captured_.done();
}

void OptimizerObject::set_steps_done(int64_t steps) {
  const auto lock = claim();
  if (!captured()) return;
  onepass::check(finish());
  if (captured_.done() == last_step_) last_step_ = steps;
  captured_.set_done(steps);
}

bool OptimizerObject::graph_stepped() {
  const auto lock = claim();
  if (!captured()) return false;
  onepass::check(finish());
  return captured_.done() != last_step_;
}

void OptimizerObject::set_rates(const std::vector<double>& learning_rates, std::uintptr_t stream) {
  const auto lock = claim();
  if (!captured()) return;
  const OnDevice on_device(device_);
  const Work work(*this, reinterpret_cast<void*>(stream));
  captured_.write_rates(one_a_group(learning_rates), reinterpret_cast<void*>(stream));
  onepass::check(device_->started());
}

}  // namespace onepass::bind
