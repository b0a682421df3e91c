#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "../plan/calls.h"
#include "arrays.h"
#include "plan_arrays.h"
#include "register.h"
#include "register_optimizer.h"
#include "register_predictor.h"

namespace onepass::bind {
namespace {

using Hyper = std::vector<double>;
using OptionalId = std::optional<int>;

BufferId id_of(OptionalId id) { return id.value_or(kNone); }

// A program and the Python objects whose memory it points to.
class PlanObject {
 public:
  explicit PlanObject(bool float64) : float64_(float64) {}

  int rows_buffer(int64_t cols, int64_t stride, int64_t rows_per_sample, bool index) {
    if (cols < 0 || stride < cols || rows_per_sample < 1) {
      throw py::value_error("rows_buffer: cols, stride or rows_per_sample is out of range");
    }
    return program_.add_buffer(
        {rows_per_sample, 0, cols, stride, index ? int64_t{4} : item_size(), nullptr, kNone});
  }

  void phase() { program_.begin_phase(); }

  // The same memory as a gapless buffer under another shape of the same size.
  int view(int of, int64_t cols, int64_t rows_per_sample) {
    const BufferSpec& base = program_.buffer(of);
    const bool gapless = base.stride == base.cols;
    if (!gapless || base.rows_per_sample * base.cols != rows_per_sample * cols) {
      throw py::value_error("view: the buffer has gaps or another size");
    }
    return program_.add_buffer({rows_per_sample, 0, cols, cols, base.item_size, base.fixed, of});
  }

  int fixed(py::array a) {
    return float64_ ? fixed_of<double>(std::move(a)) : fixed_of<float>(std::move(a));
  }

  void gather(int source, int out) {
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

  int index_buffer(int64_t rows_per_sample) {
    const int id = rows_buffer(1, 1, rows_per_sample, true);
    index_.insert(id);
    return id;
  }

  void output(int from, int output) {
    const BufferSpec& spec = program_.buffer(from);
    if (output != static_cast<int>(outputs_.size())) {
      throw py::value_error("output: outputs must be numbered in order");
    }
    outputs_.push_back({output, spec.rows_per_sample, spec.cols, from});
    add([&](auto zero) {
      return std::make_unique<OutputCall<decltype(zero)>>(from, output, spec.rows_per_sample);
    });
  }

  void dense_forward(int x, int w, OptionalId b, OptionalId z, int y, OptionalId partial,
                     int activation, const Hyper& hyper) {
    add([&](auto zero) {
      auto call = std::make_unique<DenseForwardCall<decltype(zero)>>();
      call->x = x, call->w = w, call->b = id_of(b), call->z = id_of(z), call->y = y;
      call->partial = id_of(partial);
      call->activation = activation_of(activation, hyper);
      call->work_per_sample = product_work(x, w);
      return call;
    });
  }

  void dense_backward_input(int dz, int w, OptionalId z, OptionalId y, int dx, int activation,
                            const Hyper& hyper, bool accumulate) {
    add([&](auto zero) {
      auto call = std::make_unique<DenseBackwardInputCall<decltype(zero)>>();
      call->dz = dz, call->w = w, call->z = id_of(z), call->y = id_of(y), call->dx = dx;
      call->accumulate = accumulate;
      call->activation = activation_of(activation, hyper);
      call->work_per_sample = product_work(dx, w);
      return call;
    });
  }

  void dense_backward_weights(int x, int dz, OptionalId dw, OptionalId db, bool accumulate) {
    add([&](auto zero) {
      auto call = std::make_unique<DenseBackwardWeightsCall<decltype(zero)>>();
      call->x = x, call->dz = dz, call->dw = id_of(dw), call->db = id_of(db);
      call->accumulate = accumulate;
      call->work_per_sample = dw ? product_work(x, *dw) : sweep_work(dz);
      return call;
    });
  }

  void activation_forward(int x, int y, int activation, const Hyper& hyper) {
    add([&](auto zero) {
      auto call = std::make_unique<ActivationForwardCall<decltype(zero)>>();
      call->x = x, call->y = y, call->activation = activation_of(activation, hyper);
      call->work_per_sample = sweep_work(y);
      return call;
    });
  }

  void activation_backward(OptionalId x, int y, int dy, int dx, int activation, const Hyper& hyper,
                           bool accumulate) {
    add([&](auto zero) {
      auto call = std::make_unique<ActivationBackwardCall<decltype(zero)>>();
      call->x = id_of(x), call->y = y, call->dy = dy, call->dx = dx;
      call->activation = activation_of(activation, hyper);
      call->accumulate = accumulate;
      call->work_per_sample = sweep_work(dx);
      return call;
    });
  }

  void dropout(int x, int y, double rate, std::pair<uint32_t, uint32_t> key, bool accumulate) {
    add([&](auto zero) {
      auto call = std::make_unique<DropoutCall<decltype(zero)>>();
      call->x = x, call->y = y, call->rate = rate, call->accumulate = accumulate;
      call->key[0] = key.first, call->key[1] = key.second;
      call->work_per_sample = 4 * sweep_work(y);
      return call;
    });
  }

  void softmax(int x, int y) {
    add([&](auto zero) {
      auto call = std::make_unique<SoftmaxCall<decltype(zero)>>();
      call->x = x, call->y = y, call->work_per_sample = 4 * sweep_work(y);
      return call;
    });
  }

  void softmax_backward(int y, int dy, int dx, bool accumulate) {
    add([&](auto zero) {
      auto call = std::make_unique<SoftmaxBackwardCall<decltype(zero)>>();
      call->y = y, call->dy = dy, call->dx = dx, call->accumulate = accumulate;
      call->work_per_sample = 2 * sweep_work(dx);
      return call;
    });
  }

  void loss(int id, const Hyper& hyper, int target, int prediction, OptionalId weights,
            OptionalId values, OptionalId gradient, OptionalId probabilities, bool mean,
            double factor) {
    add([&](auto zero) {
      auto call = std::make_unique<LossCall<decltype(zero)>>();
      call->id = id;
      const ActivationSpec numbers = activation_of(id, hyper);
      std::copy(numbers.hyper, numbers.hyper + kMaxScalars, call->hyper);
      call->target = target, call->target_is_index = index_.count(target) != 0;
      call->prediction = prediction, call->weights = id_of(weights);
      call->values = id_of(values), call->gradient = id_of(gradient);
      call->probabilities = id_of(probabilities);
      call->mean = mean, call->factor = factor;
      call->work_per_sample = 5 * sweep_work(prediction);
      return call;
    });
  }

  void row_accuracy(int kind, double threshold, int target, int prediction, int values) {
    add([&](auto zero) {
      auto call = std::make_unique<RowAccuracyCall<decltype(zero)>>();
      call->kind = static_cast<Accuracy>(kind), call->threshold = threshold;
      call->target = target, call->prediction = prediction, call->values = values;
      return call;
    });
  }

  void weighted_sum(int values, OptionalId weights, int slot, int count, double factor) {
    n_slots_ = std::max(n_slots_, slot + 1);
    add([&](auto zero) {
      auto call = std::make_unique<WeightedSumCall<decltype(zero)>>();
      call->values = values, call->weights = id_of(weights), call->slot = slot;
      call->over = static_cast<MeanOver>(count), call->factor = factor;
      return call;
    });
  }

  // `tensors`: those of the optimizer that are stepped here; all without it.
  void update(const std::shared_ptr<OptimizerObject>& optimizer,
              const std::optional<std::vector<int64_t>>& tensors) {
    keep(optimizer);
    std::shared_ptr<Optimizer> native = optimizer->native();
    if (tensors) native = native->subset(*tensors);
    program_.add_call(std::make_unique<UpdateCall>(native));
  }

  void dense_update(int x, int dz, int dw, OptionalId db,
                    const std::shared_ptr<OptimizerObject>& optimizer,
                    const std::vector<int64_t>& tensors) {
    const auto native = optimizer->native();
    const bool known = std::all_of(tensors.begin(), tensors.end(), [&](int64_t tensor) {
      return 0 <= tensor && tensor < native->tensors();
    });
    if (!known || tensors.size() != (db ? 2 : 1) || !native->elementwise()) {
      throw py::value_error("dense_update: the optimizer cannot step these tensors this way");
    }
    keep(optimizer);
    add([&](auto zero) {
      auto call = std::make_unique<DenseUpdateCall<decltype(zero)>>();
      call->x = x, call->dz = dz, call->dw = dw, call->db = id_of(db);
      call->w_tensor = tensors[0], call->b_tensor = db ? tensors[1] : -1;
      call->optimizer = native;
      call->work_per_sample = product_work(x, dw);
      const BufferSpec& w = program_.buffer(dw);
      call->parameters = kElementWork * static_cast<double>(w.rows * w.cols);
      return call;
    });
  }

  // Of a plan whose first and last calls are its only gathering and output; see Predictor.
  std::unique_ptr<PredictorObject> predictor(py::object self, std::vector<py::ssize_t> input_shape,
                                             std::vector<py::ssize_t> output_shape) const {
    if (sources_.size() != 1 || outputs_.size() != 1 || sources_[0].is_index) {
      throw py::value_error("predictor: the plan must have one input and one output");
    }
    return std::make_unique<PredictorObject>(std::move(self), program_, sources_[0].to,
                                             outputs_[0].from, float64_, std::move(input_shape),
                                             std::move(output_shape));
  }

  void run(const Sources& sources, const std::vector<py::array>& outputs, const py::object& index,
           const py::array_t<int64_t, py::array::c_style>& steps,
           const py::array_t<double, py::array::c_style>& learning_rates, py::array_t<double> sums,
           py::array_t<int64_t> progress, double seconds, uint32_t draw) const {
    if (steps.ndim() != 2 || steps.shape(1) != 3 || learning_rates.ndim() != 1 ||
        learning_rates.shape(0) != steps.shape(0)) {
      throw py::value_error("steps must be (n, 3) and learning_rates (n,)");
    }
    if (sums.size() < 2 * n_slots_) throw py::value_error("sums is too small");
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
      gapless_sample(source, "source");
      replay.sources.push_back(
          {source.data(), source_type_of(source, "source"), source.strides(0), scale});
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
    for (const OutputSpec& spec : outputs_) {
      replay.outputs.push_back(output_view(outputs[spec.number], spec, table, float64_));
    }
    replay.steps = table.data();
    replay.n_steps = static_cast<int64_t>(table.size());
    replay.sums = sums.mutable_data();
    replay.seconds = seconds;
    replay.draw = draw;
    // Written here, not returned: an interrupt may strike between the return and Python's next
    // line.
    int64_t* done = progress.mutable_data();
    replay.interrupted = interrupted_by_signal;
    std::vector<std::unique_lock<std::mutex>> claims;
    for (const auto& optimizer : optimizers_) claims.push_back(optimizer->claim());
    {
      py::gil_scoped_release release;
      *done += program_.run(replay);
    }
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
  }

 private:
  void keep(const std::shared_ptr<OptimizerObject>& optimizer) {
    const auto known = std::find(optimizers_.begin(), optimizers_.end(), optimizer);
    if (known == optimizers_.end()) optimizers_.push_back(optimizer);
  }

  int64_t item_size() const { return float64_ ? 8 : 4; }

  template <class T>
  int fixed_of(py::array a) {
    const Matrix<T> m = output_of<T>(a, "fixed");
    kept_.push_back(a);
    return program_.add_buffer({0, m.rows, m.cols, m.stride, sizeof(T), m.data, kNone});
  }

  template <class F>
  void add(F&& make) {
    float64_ ? program_.add_call(make(double{})) : program_.add_call(make(float{}));
  }

  double sweep_work(int id) const {
    const BufferSpec& spec = program_.buffer(id);
    return kElementWork * static_cast<double>(spec.rows_per_sample * spec.cols);
  }
  double product_work(int rows, int matrix) const {
    const BufferSpec& w = program_.buffer(matrix);
    return static_cast<double>(program_.buffer(rows).rows_per_sample * w.rows * w.cols);
  }

  bool float64_;
  Program program_;
  std::set<int> index_;
  std::vector<SourceSpec> sources_;
  std::vector<OutputSpec> outputs_;
  std::vector<py::object> kept_;
  std::vector<std::shared_ptr<OptimizerObject>> optimizers_;
  int n_sources_ = 0, n_slots_ = 0;
};

}  // namespace

void register_plan(py::module_& m) {
  using py::arg;
  const auto none = [](const char* name) { return py::arg_v(name, py::none()); };
  py::class_<PlanObject>(m, "Plan")
      .def(py::init<bool>(), arg("float64"))
      .def(
          "rows_buffer",
          [](PlanObject& plan, int64_t cols, int64_t stride, int64_t rows_per_sample) {
            return plan.rows_buffer(cols, stride, rows_per_sample, false);
          },
          arg("cols"), arg("stride"), arg("rows_per_sample"))
      .def("index_buffer", &PlanObject::index_buffer, arg("rows_per_sample"))
      .def("phase", &PlanObject::phase)
      .def("view", &PlanObject::view, arg("of"), arg("cols"), arg("rows_per_sample"))
      .def("fixed", &PlanObject::fixed, arg("array"))
      .def("gather", &PlanObject::gather, arg("source"), arg("out"))
      .def("output", &PlanObject::output, arg("source"), arg("output"))
      .def("dense_forward", &PlanObject::dense_forward, py::kw_only(), arg("x"), arg("w"),
           none("b"), none("z"), arg("y"), none("partial"), arg("activation"), arg("hyper"))
      .def("dense_backward_input", &PlanObject::dense_backward_input, py::kw_only(), arg("dz"),
           arg("w"), none("z"), none("y"), arg("dx"), arg("activation"), arg("hyper"),
           arg("accumulate"))
      .def("dense_backward_weights", &PlanObject::dense_backward_weights, py::kw_only(), arg("x"),
           arg("dz"), none("dw"), none("db"), arg("accumulate"))
      .def("activation_forward", &PlanObject::activation_forward, py::kw_only(), arg("x"), arg("y"),
           arg("activation"), arg("hyper"))
      .def("activation_backward", &PlanObject::activation_backward, py::kw_only(), none("x"),
           arg("y"), arg("dy"), arg("dx"), arg("activation"), arg("hyper"), arg("accumulate"))
      .def("softmax", &PlanObject::softmax, py::kw_only(), arg("x"), arg("y"))
      .def("softmax_backward", &PlanObject::softmax_backward, py::kw_only(), arg("y"), arg("dy"),
           arg("dx"), arg("accumulate"))
      .def("dropout", &PlanObject::dropout, py::kw_only(), arg("x"), arg("y"), arg("rate"),
           arg("key"), arg("accumulate"))
      .def("loss", &PlanObject::loss, py::kw_only(), arg("id"), arg("hyper"), arg("target"),
           arg("prediction"), none("weights"), none("values"), none("gradient"),
           none("probabilities"), arg("mean"), arg("factor"))
      .def("row_accuracy", &PlanObject::row_accuracy, py::kw_only(), arg("kind"), arg("threshold"),
           arg("target"), arg("prediction"), arg("values"))
      .def("weighted_sum", &PlanObject::weighted_sum, py::kw_only(), arg("values"), none("weights"),
           arg("slot"), arg("count"), arg("factor"))
      .def("update", &PlanObject::update, arg("optimizer"), none("tensors"))
      .def("dense_update", &PlanObject::dense_update, py::kw_only(), arg("x"), arg("dz"), arg("dw"),
           none("db"), arg("optimizer"), arg("tensors"))
      .def(
          "predictor",
          [](const py::object& self, std::vector<py::ssize_t> inputs,
             std::vector<py::ssize_t> outputs) {
            return self.cast<const PlanObject&>().predictor(self, std::move(inputs),
                                                            std::move(outputs));
          },
          arg("input_shape"), arg("output_shape"))
      .def("run", &PlanObject::run, arg("sources"), arg("outputs"), arg("index"), arg("steps"),
           arg("learning_rates"), arg("sums"), arg("progress"), arg("seconds"), arg("draw") = 0);
}

}  // namespace onepass::bind
