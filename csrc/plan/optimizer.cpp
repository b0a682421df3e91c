#include "optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "../memory.h"
#include "buckets.h"
#include "factored_steps.h"
#include "gradient_norms.h"
#include "learned_rates.h"
#include "measurements.h"
#include "muon_steps.h"
#include "surroundings.h"

namespace onepass {
namespace {

template <class T>
constexpr Number kOwn = sizeof(T) == sizeof(float) ? Number::kFloat32 : Number::kFloat64;

template <class T>
class OptimizerOf final : public Optimizer {
 public:
  OptimizerOf(const OptimizerSettings& settings, const Device* device)
      : settings_(settings),
        device_(device),
        norms_(device),
        measurements_(device),
        factors_(device),
        muon_(device),
        repeated_(Reachable<StepSettings>(device)),
        records_(Reachable<StepRecord>(device)) {}

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
  int64_t elements() const override { return elements_; }
  double products() const override { return muon_.work(); }
  double global_norm() const override { return norm_there_ ? norms_.decided() : global_norm_; }
  bool skipped() const override { return skipped_; }

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
    for (Bucket<T>& bucket : buckets_) keep_table(bucket);
    planned_ = true;
  }

  void step(const double* learning_rates, int64_t t, const Kernels& kernels, Team& team) override {
    const KernelTable<T>& table = kernels.of<T>();
    const int64_t calls = settings_.calls_a_step, before = (t - 1) / calls;
    const Beyond beyond = beyond_at(settings_, (t - 1) % calls, before);
    double scale = settings_.unscale / static_cast<double>(calls);
    if (team.rank == 0) {
      skipped_ = false;
      norm_there_ = clips_there_ && !beyond.waits;
      global_norm_ = std::numeric_limits<double>::quiet_NaN();
    }
    if (needs_norms() && !beyond.waits) {
      norms_.sum(buckets_, beyond.adds, table, team);
      if (clips_there_) {
        norms_.start_decision(norm_clip(settings_), scale, table, team);
      } else if (!clip_here(learning_rates, scale, team)) {
        if (team.rank == 0) skipped_ = true;
        return clear_gradients(team);
      }
    }
    const double* rates = learning_rates;
    const auto each_bucket = [&](auto&& use) {
      for (const Bucket<T>& bucket : buckets_) {
        const double rate = rates[bucket.group];
        const Around around = around_in(bucket, rate, scale);
        const math::StepTime at = math::time_of(bucket.settings, rate, before);
        Update<T> update = update_of(bucket);
        math::rule_numbers<math::AllRules>(bucket.settings, at, update.scalars);
        update.around = update.shared_around ? &around : bucket.around.data();
        update.beyond = beyond;
        use(bucket, update, at);
      }
    };
    const bool measures = measures_ && !beyond.waits;
    if (measures) {
      each_bucket([&](const Bucket<T>& bucket, Update<T>& update, math::StepTime at) {
        if (learns(bucket.group)) {
          math::rule_numbers<math::AllRules>(bucket.settings, LearnedRates::before(at),
                                             update.scalars);
        }
        measurements_.take(update, bucket.first_blocks.data(), table, team);
        if (!factored(bucket.group)) return;
        factors_.moments(update, bucket.lines.data(), table, team);
      });
      team.sync();
      each_bucket([&](const Bucket<T>& bucket, const Update<T>& update, math::StepTime) {
        if (!factored(bucket.group)) return;
        factors_.measure(update, bucket.lines.data(), table, team);
      });
      await(team);
      if (learns_ && team.rank == 0) learn(learning_rates);
      team.sync();
      if (learns_) rates = learned_.rates();
    }
    each_bucket([&](const Bucket<T>& bucket, const Update<T>& update, math::StepTime at) {
      if (factored(bucket.group)) {
        factors_.update(update, bucket.lines.data(), table, team);
      } else if (takes_matrices(bucket.group) && !beyond.waits) {
        muon_.step(update, bucket.lines.data(), groups_[bucket.group], at.learning_rate, table,
                   team);
      } else if (measures) {
        measurements_.update(update, bucket.first_blocks.data(), at, table, team);
      } else {
        table.update(update, team);
      }
    });
  }

  void count_missing(int64_t t, const Team& team) override {
    if (skipped_ || !incomplete_) return;
    const int64_t calls = settings_.calls_a_step;
    const bool first = (t - 1) % calls == 0, last = t % calls == 0;
    for (Tensor& tensor : tensors_) {
      if (tensor.present()) continue;
      T* const sum = tensor.beside.sum;
      if (first && sum != nullptr) clear(sum, tensor.segment.size, team);
      if (last && groups_[tensor.group].torch_convention) ++tensor.missed;
    }
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

  void start_repeated(const Repeats& at, const Kernels& kernels, Team& team) override {
    const KernelTable<T>& table = kernels.of<T>();
    repeated_.clear();
    for (const Bucket<T>& bucket : buckets_) repeated_.push_back(bucket.settings);
    start_records(at, table, team);
    if (needs_norms()) {
      norms_.sum(buckets_, false, table, team);
      norms_.start_decision(norm_clip(settings_), settings_.unscale, table, team, at.norm);
    }
    for (std::size_t k = 0; k < buckets_.size(); ++k) {
      const Around around = around_in(buckets_[k], 0.0, settings_.unscale);
      Update<T> update = update_of(buckets_[k]);
      update.around = &around;
      update.beyond = beyond_at(settings_, 0, 0);
      update.record = &records_[k];
      table.update(update, team);
    }
  }

  const StepRecord* start_record(const Repeats& at, const Kernels& kernels, Team& team) override {
    repeated_.assign(1, step_settings(groups_[0], 0, 0));
    start_records(at, kernels.of<T>(), team);
    return records_.data();
  }

  void prepare(double learning_rate, int64_t t, double* scalars) const override {
    math::rule_numbers<math::AllRules>(step_settings(groups_[0], 0, 0), {learning_rate, t},
                                       scalars);
  }

  void dense_step(const DenseBackwardWeights<float>& gradient, int64_t w, int64_t b,
                  const DenseStep& step, const InputNorm<float>* norm,
                  const PenaltyFactors* penalties, const Kernels& kernels,
                  Team& team) const override {
    dense_step_of(gradient, w, b, step, norm, penalties, kernels, team);
  }
  void dense_step(const DenseBackwardWeights<double>& gradient, int64_t w, int64_t b,
                  const DenseStep& step, const InputNorm<double>* norm,
                  const PenaltyFactors* penalties, const Kernels& kernels,
                  Team& team) const override {
    dense_step_of(gradient, w, b, step, norm, penalties, kernels, team);
  }

  std::unique_ptr<Optimizer> subset(const std::vector<int64_t>& tensors) const override {
    auto part = std::make_unique<OptimizerOf>(settings_, device_);
    part->groups_ = groups_;
    part->learned_ = learned_;
    for (const int64_t number : tensors) part->append(tensors_.at(number));
    return part;
  }

 private:
  using Tensor = SteppedTensor<T>;

  void append(Tensor tensor) {
    tensor.first_block = norms_.add(tensor.segment.size);
    measurements_.resize(norms_.blocks());
    factors_.add(tensor.lines);
    if (takes_matrices(tensor.group)) muon_.add(tensor.lines, groups_[tensor.group]);
    elements_ += tensor.segment.size;
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
    buckets_.push_back(
        {step_settings(groups_[tensor.group], tensor.group, tensor.missed), tensor.group, decays});
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

  static void clear(T* data, int64_t size, const Team& team) {
    if (team.device == nullptr) {
      std::fill(data, data + size, T(0));
    } else {
      team.device->clear(data, static_cast<std::size_t>(size) * sizeof(T), team.stream);
    }
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

  void start_records(const Repeats& at, const KernelTable<T>& table, Team& team) {
    records_.resize(repeated_.size());
    table.step_records({repeated_.data(), records_.data(), static_cast<int64_t>(repeated_.size()),
                        settings_.average, at.done, at.counted, at.rates, at.one_rate},
                       team);
  }

  Around around_in(const Bucket<T>& bucket, double rate, double scale) const {
    return around_of(settings_, groups_[bucket.group], bucket.decays, rate, scale);
  }

  template <class U>
  void dense_step_of(const DenseBackwardWeights<U>& gradient, int64_t w, int64_t b,
                     const DenseStep& step, const InputNorm<U>* norm,
                     const PenaltyFactors* penalties, const Kernels& kernels, Team& team) const {
    if constexpr (std::is_same_v<T, U>) {
      const int64_t numbers[2] = {w, b};
      Segment<T> segments[2];
      Around around[2];
      for (int i = 0; i < 2 && numbers[i] >= 0; ++i) {
        const Tensor& tensor = tensors_[numbers[i]];
        segments[i] = tensor.segment;
        around[i] = around_of(settings_, groups_[0], tensor.decays, step.learning_rate, 1.0);
        around[i].penalty_l1 = penalties[i].l1, around[i].penalty_l2 = penalties[i].l2;
      }
      Update<T> update{};
      update.rule = groups_[0].rule;
      update.segments = segments;
      update.n_segments = b < 0 ? 1 : 2;
      update.around = around;
      std::copy(step.scalars, step.scalars + kMaxScalars, update.scalars);
      update.record = step.record;
      kernels.of<T>().dense_update({gradient, update, norm}, team);
    }
  }

  // Brings the scale, or that of each tensor, to what clipping leaves; false: a gradient is not
  // finite, and the step must be left out.
  bool clip_here(const double* learning_rates, double& scale, Team& team) {
    await(team);
    const double norm = norms_.of_all(tensors_) * std::fabs(scale);
    if (team.rank == 0) global_norm_ = norm;
    if (settings_.needs_finite && !std::isfinite(norm)) return false;
    const NormClip by = norm_clip(settings_);
    if (by.clip > 0.0 && by.kind != math::ClipNorm::kEach) {
      scale *= math::clip_factor(by.kind, by.clip, norm);
    } else if (by.clip > 0.0) {
      if (team.rank == 0) clip_each(learning_rates, scale);
      team.sync();
    }
    return true;
  }

  void clear_gradients(const Team& team) {
    if (!settings_.clears_gradients) return;
    for (const Tensor& tensor : tensors_) {
      if (tensor.beside.g == nullptr) continue;
      const int64_t item = size_of(tensor.beside.g_number);
      const Range share = team.share(tensor.segment.size, 1024);
      char* const g = static_cast<char*>(tensor.beside.g);
      if (team.device != nullptr) {
        team.device->clear(g, static_cast<std::size_t>(tensor.segment.size * item), team.stream);
        continue;
      }
      std::fill(g + share.begin * item, g + share.end * item, 0);  // 0 in every type
    }
  }

  void clip_each(const double* learning_rates, double scale) {
    for (const Tensor& tensor : tensors_) {
      if (!tensor.present()) continue;
      Bucket<T>& bucket = buckets_[tensor.bucket];
      const double norm = norms_.of(tensor) * std::fabs(scale);
      bucket.around[tensor.place] =
          around_in(bucket, learning_rates[bucket.group],
                    scale * math::clip_factor(math::ClipNorm::kEach, settings_.clip_norm, norm));
    }
  }

  // Makes the rates of this step. Clipped tensors know their decay by the given ones.
  void learn(const double* learning_rates) {
    learned_.begin(learning_rates);
    for (const Tensor& tensor : tensors_) {
      if (!tensor.present() || !learns(tensor.group)) continue;
      learned_.add(tensor.group, measurements_.of(tensor.segment.size, tensor.first_block).first);
    }
    for (int k = 0; k < groups(); ++k) {
      if (learns(k)) learned_.learn(k, groups_[k].rule, groups_[k].options);
    }
    for (Bucket<T>& bucket : buckets_) {
      if (!learns(bucket.group)) continue;
      const double rate = learned_.rates()[bucket.group];
      for (Around& around : bucket.around) {
        around.keep = math::kept_of_parameters(rate, around.decay);
      }
    }
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
  ReachableVector<StepSettings> repeated_;  // of each bucket, where a graph repeats the step
  ReachableVector<StepRecord> records_;
  int64_t elements_ = 0;
  double global_norm_ = std::numeric_limits<double>::quiet_NaN();
  bool skipped_ = false;
  bool norm_there_ = false;  // the last step's, on the GPU
};

}  // namespace

std::unique_ptr<Optimizer> Optimizer::create(const OptimizerSettings& settings, bool float64,
                                             const Device* device) {
  if (float64) return std::make_unique<OptimizerOf<double>>(settings, device);
  return std::make_unique<OptimizerOf<float>>(settings, device);
}

}  // namespace onepass
