#include "optimizer.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "../math/rules.h"

namespace onepass {
namespace {

// As Keras: an infinite norm of one tensor makes its finite elements 0 and its infinite ones NaN.
double clip_factor(double clip, double norm) { return norm <= clip ? 1.0 : clip / norm; }

// As Keras: a norm over all tensors that is not finite makes the step visibly NaN.
double global_clip_factor(double clip, double norm) {
  return std::isfinite(norm) ? clip_factor(clip, norm) : std::numeric_limits<double>::quiet_NaN();
}

template <class T>
class OptimizerOf final : public Optimizer {
 public:
  explicit OptimizerOf(const OptimizerSettings& settings) : settings_(settings) {}

  void add(void* p, void* const* slots, TensorLayout layout, bool decays) override {
    Segment<T> segment{};
    segment.p = static_cast<T*>(p);
    for (int k = 0; k < states(); ++k) {
      segment.state[k] = static_cast<T*>(slots[k]);
    }
    segment.size = layout.size();
    segment.cols = layout.cols;
    segment.stride = layout.stride;
    segments_.push_back(segment);
    decays_.push_back(decays);
    around_.emplace_back();
    first_block_.push_back(static_cast<int64_t>(partials_.size()));
    partials_.resize(partials_.size() + (segment.size + kNormBlock - 1) / kNormBlock);
    elements_ += segment.size;
  }

  void set_gradient(int64_t tensor, const void* g) override {
    segments_.at(tensor).g = static_cast<const T*>(g);
  }

  int states() const override {
    int n = 0;
    math::Rules::visit(settings_.rule, [&](auto rule) { n = decltype(rule)::kStates; });
    return n;
  }
  int64_t tensors() const override { return static_cast<int64_t>(segments_.size()); }
  int64_t elements() const override { return elements_; }
  double global_norm() const override { return global_norm_; }

  void step(double learning_rate, int64_t t, const Kernels& kernels, Team& team) override {
    const KernelTable<T>& table = kernels.of<T>();
    const bool norms = settings_.clip_norm > 0.0 || settings_.global_clip_norm > 0.0;
    if (norms) {
      for (std::size_t k = 0; k < segments_.size(); ++k) {
        table.sum_of_squares(
            {segments_[k].g, segments_[k].size, partials_.data() + first_block_[k]}, team);
      }
      team.sync();
    }
    if (team.rank == 0) plan_step(learning_rate, norms);
    team.sync();
    Update<T> update{};
    update.rule = settings_.rule;
    update.segments = segments_.data();
    update.n_segments = tensors();
    update.around = around_.data();
    const auto convention =
        settings_.torch_convention ? math::Convention::kTorch : math::Convention::kKeras;
    math::Rules::visit(settings_.rule, [&](auto rule) {
      decltype(rule)::prepare(settings_.options, convention, {learning_rate, t}, update.scalars);
    });
    table.update(update, team);
  }

 private:
  double norm_of(std::size_t first, std::size_t last) const {
    const std::size_t begin = first_block_[first];
    const std::size_t end = last < segments_.size() ? first_block_[last] : partials_.size();
    double sum = 0.0;
    for (std::size_t b = begin; b < end; ++b) sum += partials_[b];
    return std::sqrt(sum);
  }

  void plan_step(double learning_rate, bool norms) {
    double shared_scale = 1.0;
    if (norms && !segments_.empty()) {
      global_norm_ = norm_of(0, segments_.size());
      if (settings_.global_clip_norm > 0.0) {
        shared_scale = global_clip_factor(settings_.global_clip_norm, global_norm_);
      }
    }
    for (std::size_t k = 0; k < segments_.size(); ++k) {
      Around& around = around_[k];
      around.scale = settings_.clip_norm > 0.0 ? clip_factor(settings_.clip_norm, norm_of(k, k + 1))
                                               : shared_scale;
      around.clip = settings_.clip_value;
      const double decay = decays_[k] ? settings_.weight_decay : 0.0;
      around.keep = settings_.decoupled_decay ? 1.0 - learning_rate * decay : 1.0;
      around.l2 = settings_.decoupled_decay ? 0.0 : decay;
    }
  }

  OptimizerSettings settings_;
  std::vector<Segment<T>> segments_;
  std::vector<bool> decays_;
  std::vector<Around> around_;
  std::vector<int64_t> first_block_;
  std::vector<double> partials_;
  int64_t elements_ = 0;
  double global_norm_ = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace

std::unique_ptr<Optimizer> Optimizer::create(const OptimizerSettings& settings, bool float64) {
  if (settings.rule < 0 || settings.rule >= math::Rules::kSize) {
    throw std::invalid_argument("unknown update rule");
  }
  if (float64) return std::make_unique<OptimizerOf<double>>(settings);
  return std::make_unique<OptimizerOf<float>>(settings);
}

}  // namespace onepass
