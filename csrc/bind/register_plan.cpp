#include <exception>
#include <mutex>

#include "../plan/calls/feeding.h"
#include "plan_object.h"
#include "register.h"

namespace onepass::bind {

void PlanObject::gather(int source, int out) {
  const BufferSpec& spec = program_.buffer(out);
  const int64_t sample = spec.rows_per_sample * spec.cols;
  n_sources_ = std::max(n_sources_, source + 1);
  const bool is_index = index_.count(out) != 0;
  sources_.push_back({source, sample, is_index, out});
  if (is_index) {
    program_.add_call(std::make_unique<GatherIndexCall>(source, out, sample));
  } else {
    add([&](auto zero) {
      return std::make_unique<GatherCall<decltype(zero)>>(source, out, sample);
    });
  }
}

void PlanObject::output(int from, int output) {
  const BufferSpec& spec = program_.buffer(from);
  const auto taken = [&](const OutputSpec& other) { return other.number == output; };
  if (output < 0 || std::any_of(outputs_.begin(), outputs_.end(), taken)) {
    throw py::value_error("output: every output must have a number of its own");
  }
  outputs_.push_back({output, spec.rows_per_sample, spec.cols, from});
  add([&](auto zero) {
    return std::make_unique<OutputCall<decltype(zero)>>(from, output, spec.rows_per_sample);
  });
}

// Of a plan whose first and last calls are its only gathering and output; see Predictor.
std::unique_ptr<PredictorObject> PlanObject::predictor(
    py::object self, std::vector<py::ssize_t> input_shape,
    std::vector<py::ssize_t> output_shape) const {
  if (sources_.size() != 1 || outputs_.size() != 1 || sources_[0].is_index) {
    throw py::value_error("predictor: the plan must have one input and one output");
  }
  return std::make_unique<PredictorObject>(std::move(self), program_, sources_[0].to,
                                           outputs_[0].from, float64_, std::move(input_shape),
                                           std::move(output_shape));
}

void PlanObject::run(const Sources& sources, const std::vector<py::array>& outputs,
                     const py::object& index, const py::array_t<int64_t, py::array::c_style>& steps,
                     const py::array_t<double, py::array::c_style>& learning_rates,
                     py::array_t<double> sums, py::array_t<int64_t> progress,
                     const py::object& optimizer, double seconds, uint32_t draw) const {
  if (steps.ndim() != 2 || steps.shape(1) != 3 || learning_rates.ndim() != 1 ||
      learning_rates.shape(0) != steps.shape(0)) {
    throw py::value_error("steps must be (n, 3) and learning_rates (n,)");
  }
  if (sums.size() < n_sums_) throw py::value_error("sums is too small");
  if (static_cast<int>(sources.size()) < n_sources_ || outputs.size() < outputs_.size()) {
    throw py::value_error("too few sources or outputs");
  }
  Replay replay;
  py::array_t<int64_t, py::array::c_style> order;
  int64_t available = -1;
  if (!index.is_none()) {
    order = index.cast<py::array_t<int64_t, py::array::c_style>>();
    replay.index = order.data();
    available = order.size();
  }
  for (const auto& [source, scale] : sources) {
    const int64_t bytes = gapless_sample(source, "source") * source.itemsize();
    replay.sources.push_back(
        {source.data(), source_type_of(source, "source"), source.strides(0), scale, bytes});
    if (index.is_none() && (available < 0 || source.shape(0) < available)) {
      available = source.shape(0);
    }
  }
  for (const SourceSpec& spec : sources_) check_source(sources[spec.number].first, spec);
  std::vector<Step> table(steps.shape(0));
  for (std::size_t s = 0; s < table.size(); ++s) {
    const auto i = static_cast<py::ssize_t>(s);
    table[s] = {steps.at(i, 0), steps.at(i, 1), steps.at(i, 2), learning_rates.at(i)};
    if (table[s].first < 0 || table[s].rows < 0 ||
        (available >= 0 && table[s].first + table[s].rows > available)) {
      throw py::value_error("a step reaches beyond the data");
    }
  }
  if (!index.is_none()) check_order(order, table, sources);
  replay.outputs.resize(outputs.size());
  for (const OutputSpec& spec : outputs_) {
    if (spec.number >= static_cast<int>(outputs.size())) throw py::value_error("too few outputs");
    replay.outputs[spec.number] = output_view(outputs[spec.number], spec, table, float64_);
  }
  replay.steps = table.data();
  replay.n_steps = static_cast<int64_t>(table.size());
  replay.sums = sums.mutable_data();
  replay.n_sums = sums.size();
  replay.seconds = seconds;
  replay.draw = draw;
  replay.interrupted = interrupted_by_signal;
  std::vector<std::unique_lock<std::mutex>> claims;
  for (const auto& native : optimizers_) claims.push_back(native->claim());
  int64_t done = 0;
  std::exception_ptr wrong;
  {
    py::gil_scoped_release release;
    try {
      program_.run(replay, done);
    } catch (...) {
      wrong = std::current_exception();
    }
  }
  // Counted here: between the return and Python's next line an interrupt may strike.
  *progress.mutable_data() += done;
  if (!optimizer.is_none()) count_calls(optimizer, done);
  if (wrong) std::rethrow_exception(wrong);
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
}

void register_plan(py::module_& m) {
  using py::arg;
  PlanClass plan(m, "Plan");
  plan.def(py::init([](bool float64, const std::string& device) {
             return std::make_unique<PlanObject>(float64, device_named(device));
           }),
           arg("float64"), arg("device") = "cpu")
      .def(
          "rows_buffer",
          [](PlanObject& plan, int64_t cols, int64_t stride, int64_t rows_per_sample) {
            return plan.rows_buffer(cols, stride, rows_per_sample, false);
          },
          arg("cols"), arg("stride"), arg("rows_per_sample"))
      .def("table_buffer", &PlanObject::table_buffer, arg("rows"), arg("cols"), arg("stride"))
      .def("square_buffer", &PlanObject::square_buffer)
      .def("index_buffer", &PlanObject::index_buffer, arg("rows_per_sample"))
      .def("doubles_buffer", &PlanObject::doubles_buffer, arg("cols"), arg("rows_per_sample"))
      .def("phase", &PlanObject::phase)
      .def("view", &PlanObject::view, arg("of"), arg("cols"), arg("rows"))
      .def("fixed", &PlanObject::fixed, arg("array"))
      .def("gather", &PlanObject::gather, arg("source"), arg("out"))
      .def("output", &PlanObject::output, arg("source"), arg("output"))
      .def(
          "predictor",
          [](const py::object& self, std::vector<py::ssize_t> inputs,
             std::vector<py::ssize_t> outputs) {
            return self.cast<const PlanObject&>().predictor(self, std::move(inputs),
                                                            std::move(outputs));
          },
          arg("input_shape"), arg("output_shape"))
      .def("run", &PlanObject::run, arg("sources"), arg("outputs"), arg("index"), arg("steps"),
           arg("learning_rates"), arg("sums"), arg("progress"), arg("optimizer"), arg("seconds"),
           arg("draw") = 0);
  add_circle_calls(plan);
  add_combine_calls(plan);
  add_dense_calls(plan);
  add_elementwise_calls(plan);
  add_host_calls(plan);
  add_normalization_calls(plan);
  add_noise_calls(plan);
  add_objective_calls(plan);
  add_regularizing_calls(plan);
  add_metrics_calls(plan);
  add_rowwise_calls(plan);
  add_update_calls(plan);
}

}  // namespace onepass::bind
