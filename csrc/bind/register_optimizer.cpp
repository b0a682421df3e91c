// The class Optimizer of the extension.
#include <pybind11/stl.h>

#include <algorithm>
#include <string>

#include "arrays.h"
#include "optimizer_object.h"
#include "register.h"

namespace onepass::bind {
namespace {

RuleSettings rule_settings(int rule, bool torch_convention, const std::vector<double>& options,
                           double weight_decay, bool decoupled_decay, bool maximize,
                           double rate_ratio) {
  RuleSettings settings;
  settings.rule = rule;
  settings.torch_convention = torch_convention;
  if (options.size() > kMaxScalars) throw py::value_error("too many options");
  std::copy(options.begin(), options.end(), settings.options);
  settings.weight_decay = weight_decay;
  settings.decoupled_decay = decoupled_decay;
  settings.maximize = maximize;
  settings.rate_ratio = rate_ratio;
  return settings;
}

std::shared_ptr<OptimizerObject> make_optimizer(bool float64, double clip_value, double clip_norm,
                                                double global_clip_norm, double unscale,
                                                bool needs_finite, bool clears_gradients,
                                                int64_t calls_a_step, double average_keep,
                                                int64_t average_replaces, bool clips_as_torch,
                                                const std::string& device) {
  if (calls_a_step < 1) throw py::value_error("calls_a_step must be at least 1");
  return std::make_shared<OptimizerObject>(float64,
                                           OptimizerSettings{clip_value,
                                                             clip_norm,
                                                             global_clip_norm,
                                                             clips_as_torch,
                                                             unscale,
                                                             needs_finite,
                                                             clears_gradients,
                                                             calls_a_step,
                                                             {average_keep, average_replaces}},
                                           device_named(device));
}

}  // namespace

void register_optimizer(py::module_& m) {
  m.def(
      "captures",
      [](std::uintptr_t stream) {
        bool does = false;
        const Device* const device = gpu();
        if (device == nullptr) return does;
        const OnDevice on_device(device);
        check(device->captures(reinterpret_cast<void*>(stream), &does));
        return does;
      },
      py::arg("stream"));
  using py::arg;
  using Self = OptimizerObject;
  using Options = std::vector<double>;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  py::class_<Self, std::shared_ptr<Self>>(m, "Optimizer")
      .def(py::init(&make_optimizer), arg("float64"), py::kw_only(), arg("clip_value") = 0.0,
           arg("clip_norm") = 0.0, arg("global_clip_norm") = 0.0, arg("unscale") = 1.0,
           arg("needs_finite") = false, arg("clears_gradients") = false, arg("calls_a_step") = 1,
           arg("average_keep") = 0.0, arg("average_replaces") = 0, arg("clips_as_torch") = false,
           arg("device") = "cpu")
      .def(
          "add_group",
          [](Self& self, int rule, bool torch_convention, const Options& options,
             double weight_decay, bool decoupled_decay, bool maximize, double rate_ratio) {
            return self.add_group(rule_settings(rule, torch_convention, options, weight_decay,
                                                decoupled_decay, maximize, rate_ratio));
          },
          arg("rule"), arg("torch_convention"), arg("options"), arg("weight_decay"),
          arg("decoupled_decay"), arg("maximize") = false, arg("rate_ratio") = 1.0)
      .def(
          "set_group",
          [](Self& self, int group, int rule, bool torch_convention, const Options& options,
             double weight_decay, bool decoupled_decay, bool maximize, double rate_ratio) {
            self.set_group(group, rule_settings(rule, torch_convention, options, weight_decay,
                                                decoupled_decay, maximize, rate_ratio));
          },
          arg("group"), arg("rule"), arg("torch_convention"), arg("options"), arg("weight_decay"),
          arg("decoupled_decay"), arg("maximize") = false, arg("rate_ratio") = 1.0)
      .def("keep_learned_rate", &Self::keep_learned_rate, arg("group"), arg("learned"))
      .def("add", &Self::add, arg("p"), arg("states"), arg("decays"), none("sum"), none("average"),
           arg("group") = 0, arg("missed") = 0)
      .def("set_gradients", &Self::set_gradients, arg("gradients"))
      .def("step", &Self::step, arg("learning_rate"), arg("t"))
      .def("apply", &Self::apply, arg("gradients"), arg("learning_rate"), arg("t"))
      .def("apply_addresses", &Self::apply_addresses, arg("addresses"), arg("numbers"),
           arg("learning_rates"), arg("t"), arg("stream") = 0)
      .def("capture", &Self::capture, arg("addresses"), arg("numbers"), arg("learning_rates"),
           arg("t"), arg("stream"), arg("rates_there") = 0)
      .def_property_readonly("captured", &Self::captured)
      .def_property_readonly("graph_stepped", &Self::graph_stepped)
      .def("steps_done", &Self::steps_done)
      .def("set_steps_done", &Self::set_steps_done, arg("steps"))
      .def("set_rates", &Self::set_rates, arg("learning_rates"), arg("stream"))
      .def("try_apply", &Self::try_apply, arg("gradients"), arg("learning_rate"), arg("t"))
      .def("set_unscale", &Self::set_unscale, arg("factor"))
      .def_property("missed", &Self::missed, &Self::set_missed)
      .def_property_readonly("elementwise", &Self::elementwise)
      .def_property_readonly("skipped", &Self::skipped)
      .def_property_readonly("global_norm", &Self::global_norm);
}

}  // namespace onepass::bind
