// An update rule bound to a list of tensors: what a model's plan and onepass.optimizers both step.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../kernels.h"

namespace onepass {

// The rule of a group of tensors, in the user's terms.
struct RuleSettings {
  int rule = 0;
  bool torch_convention = false;
  double options[kMaxScalars] = {};
  double weight_decay = 0.0;
  bool decoupled_decay = true;  // p *= 1 - lr * decay, else g += decay * p
  bool maximize = false;        // steps against the gradient's sign
  double rate_ratio = 1.0;      // the rule's learning rate to the group's, which is that of decay
};

// What surrounds all rules. At most one of the three clips is set (0: none).
struct OptimizerSettings {
  double clip_value = 0.0;
  double clip_norm = 0.0;         // of each tensor's gradient
  double global_clip_norm = 0.0;  // of all gradients together
  bool clips_as_torch = false;    // the latter as torch.nn.utils.clip_grad_norm_ does
  double unscale = 1.0;           // gradients are multiplied by this first
  bool needs_finite = false;      // a step with a gradient that is not finite is left out
  bool clears_gradients = false;
  int64_t calls_a_step = 1;  // gradients of so many calls are averaged
  AverageSettings average;   // of the parameters of tensors that have one
};

// One tensor's memory: `rows` x `cols` elements with rows `stride` apart; everything that a rule
// keeps for it has the same layout, unless the rule is a factored one.
struct TensorLayout {
  int64_t rows, cols, stride;
  int64_t size() const { return rows * stride; }
};

// A tensor and what is kept for it; `slots` are its rule's states. All but p are of the optimizer's
// type.
struct TensorMemory {
  void* p;
  Number number;  // how p stores its elements
  void* const* slots;
  void* sum = nullptr;      // of gradients, where a step takes several calls
  void* average = nullptr;  // moving average of p, if wanted
  TensorLayout layout;
  // Of a tensor of two dimensions or more the last two, else 0.
  int64_t matrix_rows = 0, matrix_cols = 0;
  int group = 0;
  bool decays = false;
};

// A penalty on a tensor whose derivative is added to the gradient on the way to the update.
struct PenaltyFactors {
  double l1 = 0.0, l2 = 0.0;
};

// Where a step that a graph launches again and again finds what the host tells others, in memory
// that kernels reach.
struct Repeats {
  const int64_t* done;  // steps so far
  int64_t* counted;     // where it counts itself, or null: somebody else does
  const double* rates;  // one a group
  bool one_rate;        // or one for all
  double* norm;         // where that of all gradients goes, if they are clipped by norms, or null
};

// The numbers of a `dense_step`: those that `prepare` gave for this rate, or the record.
struct DenseStep {
  double learning_rate;
  const double* scalars;
  const StepRecord* record = nullptr;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Returns the group's number.
  virtual int add_group(const RuleSettings& rule) = 0;
  // New numbers for the same rule.
  virtual void set_group(int group, const RuleSettings& rule) = 0;
  // Of a group whose rule learns its learning rate: where what it has learned is kept. A step adds
  // it to the rate that it is given.
  virtual void keep_learned_rate(int group, double* learned) = 0;
  virtual int groups() const = 0;
  // State slots that each tensor of the group needs.
  virtual int states(int group) const = 0;
  // Whether these are means over rows and columns of matrices: one a row, and one a column of each
  // matrix, without padding. Other tensors then have the first slot only.
  virtual bool factored(int group) const = 0;
  // Whether all tensors of the group must have two dimensions.
  virtual bool takes_matrices(int group) const = 0;
  virtual void add(const TensorMemory& tensor) = 0;
  // nullptr: the next call brings none, and leaves this tensor alone.
  virtual void set_gradient(int64_t tensor, void* g, Number number) = 0;
  // Steps that a tensor has missed: its own count is so much lower. Only torch's convention counts
  // for each.
  virtual void set_missed(int64_t tensor, int64_t steps) = 0;
  virtual int64_t missed(int64_t tensor) const = 0;
  virtual void set_unscale(double factor) = 0;
  virtual int64_t tensors() const = 0;
  // Of a step, counted as in pool.h.
  virtual double work() const = 0;

  // One thread alone, before calls of `step` if tensors, groups or what has a gradient changed.
  virtual void prepare_step() = 0;
  virtual bool prepared() const = 0;
  // Called by every member of the team, behind a barrier that follows the last write of a gradient;
  // another must come before anything reads the parameters. t counts calls from 1. One learning
  // rate a group.
  virtual void step(const double* learning_rates, int64_t t, const Kernels& kernels,
                    Team& team) = 0;
  // One thread alone, behind call t, if some tensor had no gradient.
  virtual void count_missing(int64_t t, const Team& team) = 0;
  // Whether the last call left all parameters alone because a gradient was not finite.
  virtual bool skipped() const = 0;
  // Whether the update of an element needs nothing but that element: no norm of any gradient.
  virtual bool elementwise() const = 0;
  // Whether a step on a GPU reads nothing on the host: of an optimizer whose step was prepared.
  virtual bool only_starts() const = 0;
  // Null, or why a graph cannot launch this step again and again: of an optimizer whose step was
  // prepared.
  virtual const char* cannot_repeat() const = 0;
  // Whether no tensor lacks a gradient; whether one does that would miss the step.
  virtual bool complete() const = 0;
  virtual bool misses() const = 0;
  // Starts such a step. What its launches read belongs to this optimizer, as it is now.
  virtual void start_repeated(const Repeats& at, const Kernels& kernels, Team& team) = 0;
  // The same for `dense_step`s: makes the record that they read.
  virtual const StepRecord* start_record(const Repeats& at, const Kernels& kernels, Team& team) = 0;
  // The step's numbers of the first group's rule, kMaxScalars of them.
  virtual void prepare(double learning_rate, int64_t t, double* scalars) const = 0;
  // One step of a dense layer's tensors from the gradients that are computed on the way; b may be
  // -1, and there may be no norm; two penalties. For elementwise optimizers of T.
  virtual void dense_step(const DenseBackwardWeights<float>& gradient, int64_t w, int64_t b,
                          const DenseStep& step, const InputNorm<float>* norm,
                          const PenaltyFactors* penalties, const Kernels& kernels,
                          Team& team) const = 0;
  virtual void dense_step(const DenseBackwardWeights<double>& gradient, int64_t w, int64_t b,
                          const DenseStep& step, const InputNorm<double>* norm,
                          const PenaltyFactors* penalties, const Kernels& kernels,
                          Team& team) const = 0;
  // An optimizer of some of the tensors, with their gradients.
  virtual std::unique_ptr<Optimizer> subset(const std::vector<int64_t>& tensors) const = 0;
  // Norm of all gradients at the last step, unscaled; NaN when the settings did not ask for it.
  virtual double global_norm() const = 0;

  // `device`: whose kernels will step it, if not the processor's.
  static std::unique_ptr<Optimizer> create(const OptimizerSettings& settings, bool float64,
                                           const Device* device = nullptr);
};

}  // namespace onepass
