// An update rule bound to a list of tensors: what a model's plan and onepass.optimizers both step.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../kernels.h"

namespace onepass {

// What surrounds the rule, in the user's terms. At most one of the three clips is set (0: none).
struct OptimizerSettings {
  int rule = 0;
  bool torch_convention = false;
  double options[kMaxScalars] = {};
  double clip_value = 0.0;
  double clip_norm = 0.0;         // of each tensor's gradient
  double global_clip_norm = 0.0;  // of all gradients together
  double weight_decay = 0.0;
  bool decoupled_decay = true;  // p *= 1 - lr * decay, else g += decay * p
};

// One tensor's memory: `rows` x `cols` elements with rows `stride` apart; everything that a rule
// keeps for it has the same layout.
struct TensorLayout {
  int64_t rows, cols, stride;
  int64_t size() const { return rows * stride; }
};

// A penalty on a tensor whose derivative is added to the gradient on the way to the update.
struct PenaltyFactors {
  double l1 = 0.0, l2 = 0.0;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  virtual void add(void* p, void* const* slots, TensorLayout layout, bool decays) = 0;
  virtual void set_gradient(int64_t tensor, const void* g) = 0;
  // State slots that each tensor needs.
  virtual int states() const = 0;
  virtual int64_t tensors() const = 0;
  virtual int64_t elements() const = 0;

  // Called by every member of the team, behind a barrier that follows the last write of a gradient;
  // another must come before anything reads the parameters. t counts steps from 1.
  virtual void step(double learning_rate, int64_t t, const Kernels& kernels, Team& team) = 0;
  // Whether the update of an element needs nothing but that element: no norm of any gradient.
  virtual bool elementwise() const = 0;
  // The step's numbers of the rule, kMaxScalars of them.
  virtual void prepare(double learning_rate, int64_t t, double* scalars) const = 0;
  // One step of a dense layer's tensors from the gradients that are computed on the way; b may be
  // -1, and there may be no norm; two penalties. For elementwise optimizers of T, with the numbers
  // that prepare gave.
  virtual void dense_step(const DenseBackwardWeights<float>& gradient, int64_t w, int64_t b,
                          double learning_rate, const double* scalars, const InputNorm<float>* norm,
                          const PenaltyFactors* penalties, const Kernels& kernels,
                          Team& team) const = 0;
  virtual void dense_step(const DenseBackwardWeights<double>& gradient, int64_t w, int64_t b,
                          double learning_rate, const double* scalars,
                          const InputNorm<double>* norm, const PenaltyFactors* penalties,
                          const Kernels& kernels, Team& team) const = 0;
  // An elementwise optimizer of some of the tensors, with their gradients.
  virtual std::unique_ptr<Optimizer> subset(const std::vector<int64_t>& tensors) const = 0;
  // Norm of all gradients at the last step; NaN when the settings did not ask for it.
  virtual double global_norm() const = 0;

  static std::unique_ptr<Optimizer> create(const OptimizerSettings& settings, bool float64);
};

}  // namespace onepass
