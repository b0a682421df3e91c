#include "optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

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
    add_to(groups_[decays && settings_.weight_decay != 0.0 ? 1 : 0], segment);
  }

  void set_gradient(int64_t tensor, const void* g) override {
    segment(places_.at(tensor)).g = static_cast<const T*>(g);
  }

  int states() const override {
    int n = 0;
    math::Rules::visit(settings_.rule, [&](auto rule) { n = decltype(rule)::kStates; });
    return n;
  }
  int64_t tensors() const override { return static_cast<int64_t>(places_.size()); }
  int64_t elements() const override { return elements_; }
  double global_norm() const override { return global_norm_; }

  void step(double learning_rate, int64_t t, const Kernels& kernels, Team& team) override {
    const KernelTable<T>& table = kernels.of<T>();
    const bool each_norm = settings_.clip_norm > 0.0;
    double scale = 1.0;
    if (each_norm || settings_.global_clip_norm > 0.0) {
      scale = take_norms(learning_rate, table, team);
    }
    Update<T> update{};
    update.rule = settings_.rule;
    prepare(learning_rate, t, update.scalars);
    for (Group& group : groups_) {
      if (group.segments.empty()) continue;
      const Around around = around_of(group, learning_rate, scale);
      update.segments = group.segments.data();
      update.n_segments = static_cast<int64_t>(group.segments.size());
      update.shared_around = !each_norm;
      update.around = each_norm ? group.around.data() : &around;
      table.update(update, team);
    }
  }

  bool elementwise() const override {
    return settings_.clip_norm <= 0.0 && settings_.global_clip_norm <= 0.0;
  }

  void prepare(double learning_rate, int64_t t, double* scalars) const override {
    const auto convention =
        settings_.torch_convention ? math::Convention::kTorch : math::Convention::kKeras;
    math::Rules::visit(settings_.rule, [&](auto rule) {
      decltype(rule)::prepare(settings_.options, convention, {learning_rate, t}, scalars);
    });
  }

  void dense_step(const DenseBackwardWeights<float>& gradient, int64_t w, int64_t b,
                  double learning_rate, const double* scalars, const InputNorm<float>* norm,
                  const PenaltyFactors* penalties, const Kernels& kernels,
                  Team& team) const override {
    dense_step_of(gradient, w, b, learning_rate, scalars, norm, penalties, kernels, team);
  }
  void dense_step(const DenseBackwardWeights<double>& gradient, int64_t w, int64_t b,
                  double learning_rate, const double* scalars, const InputNorm<double>* norm,
                  const PenaltyFactors* penalties, const Kernels& kernels,
                  Team& team) const override {
    dense_step_of(gradient, w, b, learning_rate, scalars, norm, penalties, kernels, team);
  }

  std::unique_ptr<Optimizer> subset(const std::vector<int64_t>& tensors) const override {
    auto part = std::make_unique<OptimizerOf>(settings_);
    for (const int64_t tensor : tensors) {
      const Place& place = places_.at(tensor);
      part->add_to(part->groups_[place.group == &groups_[1] ? 1 : 0], segment(place));
    }
    return part;
  }

 private:
  // The tensors that decay, or those that do not: all have the same surroundings, so that a step
  // prepares nothing for each of them, unless the norm of each is clipped.
  struct Group {
    std::vector<Segment<T>> segments;
    std::vector<Around> around;  // of each, where each norm is clipped
  };
  struct Place {
    Group* group;
    std::size_t index;
    int64_t first_block;  // of its partial sums
  };

  void add_to(Group& group, const Segment<T>& segment) {
    places_.push_back({&group, group.segments.size(), static_cast<int64_t>(partials_.size())});
    group.segments.push_back(segment);
    group.around.emplace_back();
    partials_.resize(partials_.size() + (segment.size + kNormBlock - 1) / kNormBlock);
    elements_ += segment.size;
  }

  template <class U>
  void dense_step_of(const DenseBackwardWeights<U>& gradient, int64_t w, int64_t b,
                     double learning_rate, const double* scalars, const InputNorm<U>* norm,
                     const PenaltyFactors* penalties, const Kernels& kernels, Team& team) const {
    if constexpr (std::is_same_v<T, U>) {
      const Place* places[2] = {&places_[w], b < 0 ? nullptr : &places_[b]};
      Segment<T> segments[2];
      Around around[2];
      for (int i = 0; i < 2 && places[i] != nullptr; ++i) {
        segments[i] = segment(*places[i]);
        around[i] = around_of(*places[i]->group, learning_rate, 1.0);
        around[i].penalty_l1 = penalties[i].l1, around[i].penalty_l2 = penalties[i].l2;
      }
      Update<T> update{};
      update.rule = settings_.rule;
      update.segments = segments;
      update.n_segments = b < 0 ? 1 : 2;
      update.around = around;
      std::copy(scalars, scalars + kMaxScalars, update.scalars);
      kernels.of<T>().dense_update({gradient, update, norm}, team);
    }
  }

  static Segment<T>& segment(const Place& place) { return place.group->segments[place.index]; }

  Around around_of(const Group& group, double learning_rate, double scale) const {
    const double decay = &group == &groups_[1] ? settings_.weight_decay : 0.0;
    Around around;
    around.scale = scale;
    around.clip = settings_.clip_value;
    around.keep = settings_.decoupled_decay ? 1.0 - learning_rate * decay : 1.0;
    around.l2 = settings_.decoupled_decay ? 0.0 : decay;
    return around;
  }

  double norm_of(std::size_t first, std::size_t last) const {
    const int64_t begin = places_[first].first_block;
    const int64_t end =
        last < places_.size() ? places_[last].first_block : static_cast<int64_t>(partials_.size());
    double sum = 0.0;
    for (int64_t b = begin; b < end; ++b) sum += partials_[b];
    return std::sqrt(sum);
  }

  // Takes the norms of all gradients; returns the scale of all, or writes that of each tensor.
  double take_norms(double learning_rate, const KernelTable<T>& table, Team& team) {
    if (places_.empty()) return 1.0;
    for (const Place& place : places_) {
      const Segment<T>& s = segment(place);
      table.sum_of_squares({s.g, s.size, partials_.data() + place.first_block}, team);
    }
    team.sync();
    // Every member adds up for itself, alike: one that did for all would cost another barrier.
    const double norm = norm_of(0, places_.size());
    if (team.rank == 0) global_norm_ = norm;
    if (settings_.global_clip_norm > 0.0) {
      return global_clip_factor(settings_.global_clip_norm, norm);
    }
    if (team.rank == 0) clip_each(learning_rate);
    team.sync();
    return 1.0;
  }

  void clip_each(double learning_rate) {
    for (std::size_t k = 0; k < places_.size(); ++k) {
      Group& group = *places_[k].group;
      const double factor = clip_factor(settings_.clip_norm, norm_of(k, k + 1));
      group.around[places_[k].index] = around_of(group, learning_rate, factor);
    }
  }

  OptimizerSettings settings_;
  Group groups_[2];            // [decays]
  std::vector<Place> places_;  // of each tensor
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
