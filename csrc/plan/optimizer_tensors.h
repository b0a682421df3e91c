// The tensors of an optimizer: what is known of each, and which of them a step treats alike.
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "../cpu/pool.h"
#include "../memory.h"
#include "buckets.h"
#include "factored_steps.h"
#include "gradient_norms.h"
#include "learned_rates.h"
#include "measurements.h"
#include "muon_steps.h"
#include "surroundings.h"

namespace onepass {

template <class T>
constexpr Number kOwn = sizeof(T) == sizeof(float) ? Number::kFloat32 : Number::kFloat64;

// All of an optimizer but its steps.
template <class T>
class OptimizerTensors : public Optimizer {
 public:
  int add_group(const RuleSettings& rule) override {
    if (rule.rule < 0 || rule.rule >= math::AllRules::kSize) {
      throw std::invalid_argument("unknown update rule");
    }
    groups_.push_back(rule);
    learned_.add_group();
    return groups() - 1;
  }
  void set_group(int group, const RuleSettings& rule) override {
    groups_.at(group) = rule;
    planned_ = false;
  }
  void keep_learned_rate(int group, double* learned) override { learned_.keep_at(group, learned); }
  int groups() const override { return static_cast<int>(groups_.size()); }
  int states(int group) const override {
    int n = 0;
    math::AllRules::visit(groups_.at(group).rule, [&](auto rule) { n = decltype(rule)::kStates; });
    return n;
  }

  bool factored(int group) const override { return factors_.takes(groups_.at(group).rule); }
  bool takes_matrices(int group) const override { return muon_.takes(groups_.at(group).rule); }

  void add(const TensorMemory& memory) override {
    Tensor tensor{};
    Segment<T>& s = tensor.segment;
    const bool own = memory.number == kOwn<T>;
    s.p = own ? static_cast<T*>(memory.p) : nullptr;
    for (int k = 0; k < states(memory.group); ++k) s.state[k] = static_cast<T*>(memory.slots[k]);
    s.size = memory.layout.size();
    s.cols = memory.layout.cols;
    s.stride = memory.layout.stride;
    tensor.beside.p = memory.p;
    tensor.beside.p_number = memory.number;
    tensor.beside.sum = static_cast<T*>(memory.sum);
    tensor.beside.average = static_cast<T*>(memory.average);
    tensor.group = memory.group;
    tensor.decays = memory.decays;
    if (factored(memory.group) || takes_matrices(memory.group)) {
      tensor.lines = factors_.lines_of(memory);
    }
    append(tensor);
  }

  void set_gradient(int64_t number, void* g, Number stored) override {
    Tensor& tensor = tensors_.at(number);
    const bool same_kind = tensor.present() == (g != nullptr) && tensor.beside.g_number == stored;
    const bool moved = tensor.beside.g != g;
    tensor.beside.g = g;
    tensor.beside.g_number = stored;
    tensor.segment.g = stored == kOwn<T> ? static_cast<const T*>(g) : nullptr;
    if (!same_kind) planned_ = false;
    if (!planned_ || g == nullptr) return;
    Bucket<T>& bucket = buckets_[tensor.bucket];
    bucket.segments[tensor.place].g = tensor.segment.g;
    bucket.beside[tensor.place].g = g;
    if (moved) bucket.kept = {};  // it says where gradients lie
  }

  void set_missed(int64_t tensor, int64_t steps) override {
    tensors_.at(tensor).missed = steps;
    planned_ = false;
  }
  int64_t missed(int64_t tensor) const override { return tensors_.at(tensor).missed; }
  void set_unscale(double factor) override { settings_.unscale = factor; }
  int64_t tensors() const override { return static_cast<int64_t>(tensors_.size()); }
  double work() const override { return kElementWork * swept_ + muon_.work(); }
  bool prepared() const override { return planned_; }
  void prepare_step() override {
    if (planned_) return;
    buckets_.clear();
    incomplete_ = false;
    measures_ = learns_ = false;
    for (Tensor& tensor : tensors_) {
      incomplete_ = incomplete_ || !tensor.present();
      if (!tensor.present()) continue;
      Bucket<T>& bucket = bucket_of(tensor);
      tensor.bucket = static_cast<std::size_t>(&bucket - buckets_.data());
      tensor.place = bucket.segments.size();
      bucket.add(tensor, needs_beside(tensor));
      measures_ = measures_ || looks_at_tensors(tensor.group);
      if (!learns(tensor.group)) continue;
      if (!learned_.kept(tensor.group)) throw std::logic_error("a learned rate is kept nowhere");
      learns_ = true;
    }
    clips_there_ = device_ != nullptr && needs_norms() && !settings_.needs_finite && only_sweeps();
    if (clips_there_) norms_.decide_there(tensors_, buckets_);
    for (Bucket<T>& bucket : buckets_) {
      keep_table(bucket);
      if (!needs_norms()) continue;
      bucket.first_blocks_there.assign(bucket.first_blocks.begin(), bucket.first_blocks.end());
    }
    planned_ = true;
  }

  bool elementwise() const override {
    const bool beside = std::any_of(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) {
      return needs_beside(tensor) || tensor.missed != 0;
    });
    return !needs_norms() && !beside && groups() == 1 && !groups_[0].maximize &&
           settings_.unscale == 1.0 && !looks_at_tensors(0) && !takes_matrices(0) &&
           groups_[0].rate_ratio == 1.0;
  }

  bool only_starts() const override {
    const bool tables = std::all_of(buckets_.begin(), buckets_.end(),
                                    [&](const auto& bucket) { return has_table(bucket); });
    return tables && only_sweeps() && (!needs_norms() || clips_there_);
  }

  const char* cannot_repeat() const override {
    if (settings_.calls_a_step > 1) return "several calls make a step";
    if (settings_.needs_finite) return "the host decides whether the gradients are finite";
    if (!only_sweeps()) return "the host decides something from sums over whole tensors";
    return nullptr;
  }
  bool complete() const override { return !incomplete_; }
  bool misses() const override {
    return std::any_of(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) {
      return !tensor.present() && groups_[tensor.group].torch_convention;
    });
  }

 protected:
  using Tensor = SteppedTensor<T>;

  OptimizerTensors(const OptimizerSettings& settings, const Device* device)
      : settings_(settings),
        device_(device),
        norms_(device),
        measurements_(device),
        factors_(device),
        muon_(device) {}

  void append(Tensor tensor) {
    tensor.first_block = norms_.add(tensor.segment.size);
    measurements_.resize(norms_.blocks());
    factors_.add(tensor.lines);
    if (takes_matrices(tensor.group)) muon_.add(tensor.lines, groups_[tensor.group]);
    swept_ += static_cast<double>(tensor.segment.size) * (1 + states(tensor.group));
    tensors_.push_back(tensor);
    planned_ = false;
  }

  Bucket<T>& bucket_of(const Tensor& tensor) {
    const bool decays = tensor.decays && groups_[tensor.group].weight_decay != 0.0;
    const auto found = std::find_if(buckets_.begin(), buckets_.end(), [&](const Bucket<T>& bucket) {
      return bucket.group == tensor.group && bucket.decays == decays &&
             bucket.settings.missed == tensor.missed;
    });
    if (found != buckets_.end()) return *found;
    buckets_.push_back({step_settings(groups_[tensor.group], tensor.group, tensor.missed),
                        tensor.group, decays,
                        ReachableVector<int64_t>(Reachable<int64_t>(device_))});
    return buckets_.back();
  }

  // What stays the same from step to step.
  Update<T> update_of(const Bucket<T>& bucket) const {
    Update<T> update{};
    update.rule = groups_[bucket.group].rule;
    update.segments = bucket.segments.data();
    update.n_segments = static_cast<int64_t>(bucket.segments.size());
    update.shared_around = settings_.clip_norm <= 0.0 || clips_there_;
    update.beside = bucket.needs_beside ? bucket.beside.data() : nullptr;
    update.kept = bucket.kept;
    return update;
  }

  int64_t table_bytes(const Bucket<T>& bucket) const {
    return device_ == nullptr ? 0 : device_->kernels.of<T>().kept_table_bytes(update_of(bucket));
  }
  void keep_table(Bucket<T>& bucket) const {
    const int64_t bytes = table_bytes(bucket);
    if (bytes == 0) return;
    bucket.table = allocate(static_cast<std::size_t>(bytes), device_);
    bucket.kept = device_->kernels.of<T>().write_kept_table(update_of(bucket), bucket.table.get());
  }
  bool has_table(const Bucket<T>& bucket) const {
    return bucket.kept.table != nullptr || table_bytes(bucket) == 0;
  }

  bool looks_at_tensors(int group) const {
    return Measurements<T>::wanted_by(groups_[group].rule) || factored(group);
  }
  // Whether no rule decides anything from sums over tensors.
  bool only_sweeps() const {
    return !measures_ && std::none_of(buckets_.begin(), buckets_.end(), [&](const auto& bucket) {
      return takes_matrices(bucket.group);
    });
  }
  bool learns(int group) const { return LearnedRates::learns(groups_[group].rule); }

  bool needs_beside(const Tensor& tensor) const {
    return tensor.segment.p == nullptr || (tensor.segment.g == nullptr && tensor.present()) ||
           tensor.beside.sum != nullptr || tensor.beside.average != nullptr ||
           settings_.clears_gradients;
  }
  bool needs_norms() const {
    return settings_.clip_norm > 0.0 || settings_.global_clip_norm > 0.0 || settings_.needs_finite;
  }

  Around around_in(const Bucket<T>& bucket, double rate, double scale) const {
    return around_of(settings_, groups_[bucket.group], bucket.decays, rate, scale);
  }

  OptimizerSettings settings_;
  const Device* device_;
  std::vector<RuleSettings> groups_;
  std::vector<Tensor> tensors_;
  std::vector<Bucket<T>> buckets_;
  bool planned_ = false;
  bool incomplete_ = false;   // some tensor has no gradient
  bool measures_ = false;     // some rule does
  bool learns_ = false;       // some rule does
  bool clips_there_ = false;  // by norms, on the GPU
  GradientNorms<T> norms_;
  Measurements<T> measurements_;
  LearnedRates learned_;
  FactoredSteps<T> factors_;
  MuonSteps<T> muon_;
  double swept_ = 0;  // elements, once for p with g and once for each state
};

}  // namespace onepass
