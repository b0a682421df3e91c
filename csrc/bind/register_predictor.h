// Predictions for Python: one call from the caller's array to a new one.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "../plan/predictor.h"

namespace onepass::bind {

namespace py = pybind11;

class PredictorObject {
 public:
  // `plan` is the Python object that owns the program. Shapes are those of one sample.
  PredictorObject(py::object plan, const Program& program, BufferId source, BufferId target,
                  bool float64, std::vector<py::ssize_t> input_shape,
                  std::vector<py::ssize_t> output_shape);

  // The outputs for the samples in `x`, or None for anything but a NumPy array that can be read
  // where it is: what is wrong with it, if anything, is the caller's to find out.
  py::object predict(py::handle x);

 private:
  using Lane = std::unique_ptr<Predictor::Lane>;

  bool describe(PyObject* x, Source* source, int64_t* rows) const;
  py::object new_result(int64_t rows) const;
  void run_blocks(const Prediction& p, const Predictor::Cut& cut);
  void run_steps(const Prediction& p);
  Lane take_lane(const Predictor::Cut& cut);
  void give_back(Lane lane);

  const py::object plan_;
  const Predictor native_;
  const py::dtype float32_, float64_, uint8_, result_type_;
  const std::vector<py::ssize_t> input_shape_, output_shape_;
  std::vector<Lane> idle_;  // guarded by the GIL
  int64_t idle_bytes_ = 0;
};

}  // namespace onepass::bind
