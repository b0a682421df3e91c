#include "register_predictor.h"

#include <algorithm>
#include <utility>

#include "plan_arrays.h"
#include "register.h"

namespace onepass::bind {
namespace {

constexpr double kSeconds = 0.05;            // of one native call; then Python looks after signals
constexpr std::size_t kMostDimensions = 64;  // NumPy's own limit
constexpr int64_t kIdleBytes = int64_t{1} << 24;

// Whether the dimensions from the second on have these sizes and no gaps.
bool gapless_samples(const py::detail::PyArray_Proxy& a, const std::vector<py::ssize_t>& shape,
                     int64_t item_size) {
  int64_t step = item_size;
  for (std::size_t d = shape.size(); d > 0; --d) {
    if (a.dimensions[d] != shape[d - 1]) return false;
    if (a.dimensions[d] > 1 && a.strides[d] != step) return false;
    step *= a.dimensions[d];
  }
  return true;
}

}  // namespace

PredictorObject::PredictorObject(py::object plan, const Program& program, BufferId source,
                                 BufferId target, bool float64,
                                 std::vector<py::ssize_t> input_shape,
                                 std::vector<py::ssize_t> output_shape)
    : plan_(std::move(plan)),
      native_(program, source, target, float64),
      float32_(py::dtype::of<float>()),
      float64_(py::dtype::of<double>()),
      uint8_(py::dtype::of<uint8_t>()),
      result_type_(float64 ? float64_ : float32_),
      input_shape_(std::move(input_shape)),
      output_shape_(std::move(output_shape)) {
  const auto size_of = [](const std::vector<py::ssize_t>& shape) {
    int64_t size = 1;
    for (const py::ssize_t dim : shape) size *= dim;
    return size;
  };
  const auto sample = [&](BufferId id) {
    return program.buffer(id).rows_per_sample * program.buffer(id).cols;
  };
  if (output_shape_.size() >= kMostDimensions) throw py::value_error("too many dimensions");
  if (size_of(input_shape_) != sample(source) || size_of(output_shape_) != sample(target)) {
    throw py::value_error("predictor: the shapes are not those of the buffers");
  }
}

// Looks at NumPy's fields themselves: asking NumPy would cost more than a small prediction.
bool PredictorObject::describe(PyObject* x, Source* source, int64_t* rows) const {
  const auto& numpy = py::detail::npy_api::get();
  if (reinterpret_cast<PyTypeObject*>(numpy.PyArray_Type_) != Py_TYPE(x)) return false;
  const auto& a = *py::detail::array_proxy(x);
  if (a.nd != static_cast<int>(input_shape_.size()) + 1) return false;
  if ((a.flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return false;
  int64_t item_size = 0;
  if (a.descr == float32_.ptr()) {
    source->type = SourceType::kFloat32, item_size = 4;
  } else if (a.descr == float64_.ptr()) {
    source->type = SourceType::kFloat64, item_size = 8;
  } else if (a.descr == uint8_.ptr()) {
    source->type = SourceType::kUint8, item_size = 1;
  } else {
    return false;
  }
  *rows = a.dimensions[0];
  if (*rows == 0 || !gapless_samples(a, input_shape_, item_size)) return false;
  int64_t sample_bytes = item_size;
  for (const py::ssize_t dim : input_shape_) sample_bytes *= dim;
  source->data = a.data;
  source->stride = *rows == 1 ? sample_bytes : a.strides[0];
  source->scale = 1.0;
  source->sample_bytes = sample_bytes;
  return source->stride % item_size == 0;
}

py::object PredictorObject::new_result(int64_t rows) const {
  const auto& numpy = py::detail::npy_api::get();
  py::ssize_t shape[kMostDimensions] = {rows};
  std::copy(output_shape_.begin(), output_shape_.end(), shape + 1);
  PyObject* made = numpy.PyArray_NewFromDescr_(
      numpy.PyArray_Type_, py::dtype(result_type_).release().ptr(),
      static_cast<int>(output_shape_.size()) + 1, shape, nullptr, nullptr, 0, nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

py::object PredictorObject::predict(py::handle x) {
  Prediction p;
  if (!describe(x.ptr(), &p.x, &p.rows)) return py::none();
  py::object result = new_result(p.rows);
  p.result = py::detail::array_proxy(result.ptr())->data;
  p.interrupted = interrupted_by_signal;
  const Predictor::Cut cut = native_.cut(p.rows);
  cut.rows > 0 ? run_blocks(p, cut) : run_steps(p);
  return result;
}

void PredictorObject::run_blocks(const Prediction& p, const Predictor::Cut& cut) {
  bool done = false;
  if (cut.brief) {
    Lane lane = take_lane(cut);
    done = native_.run(p, cut, {&lane, 1});
    give_back(std::move(lane));
  } else {
    std::vector<Lane> lanes;
    for (int i = 0; i < cut.threads; ++i) lanes.push_back(take_lane(cut));
    {
      py::gil_scoped_release release;
      done = native_.run(p, cut, lanes);
    }
    for (Lane& lane : lanes) give_back(std::move(lane));
  }
  if (!done) throw py::error_already_set();
}

void PredictorObject::run_steps(const Prediction& p) {
  for (int64_t done = 0; done < p.rows;) {
    {
      py::gil_scoped_release release;
      done = native_.run_steps(p, done, kSeconds);
    }
    if (PyErr_Occurred() != nullptr || PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

PredictorObject::Lane PredictorObject::take_lane(const Predictor::Cut& cut) {
  while (!idle_.empty()) {
    Lane lane = std::move(idle_.back());
    idle_.pop_back();
    idle_bytes_ -= lane->workspace.bytes();
    if (lane->workspace.capacity() >= cut.rows) return lane;  // smaller ones are not kept
  }
  return native_.new_lane(cut);
}

// One is kept whatever its size, more only while they are small.
void PredictorObject::give_back(Lane lane) {
  const int64_t bytes = lane->workspace.bytes();
  if (!idle_.empty() && idle_bytes_ + bytes > kIdleBytes) return;
  idle_bytes_ += bytes;
  idle_.push_back(std::move(lane));
}

void register_predictor(py::module_& m) {
  py::class_<PredictorObject>(m, "Predictor")
      .def("predict", &PredictorObject::predict, py::arg("x"));
}

}  // namespace onepass::bind
