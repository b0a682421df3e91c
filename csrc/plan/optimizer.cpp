#include "optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "../memory.h"
#include "optimizer_tensors.h"

namespace onepass {
namespace {

template <class T>
class OptimizerOf final : public OptimizerTensors<T> {
 public:
  OptimizerOf(const OptimizerSettings& settings, const Device* device)
      : OptimizerTensors<T>(settings, device),
        repeated_(Reachable<StepSettings>(device)),
        records_(Reachable<StepRecord>(device)) {}

  double global_norm() const override { return norm_there_ ? norms_.decided() : global_norm_; }
  bool skipped() const override { return skipped_; }

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
      sum_squares(beyond.adds, table, team);
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

  void start_repeated(const Repeats& at, const Kernels& kernels, Team& team) override {
    const KernelTable<T>& table = kernels.of<T>();
    repeated_.clear();
    for (const Bucket<T>& bucket : buckets_) repeated_.push_back(bucket.settings);
    start_records(at, table, team);
    if (needs_norms()) {
      sum_squares(false, table, team);
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
  using Base = OptimizerTensors<T>;
  using Base::around_in, Base::factored, Base::groups, Base::has_table, Base::learns,
      Base::needs_norms, Base::only_sweeps, Base::takes_matrices, Base::update_of;
  using Base::buckets_, Base::clips_there_, Base::factors_, Base::groups_, Base::incomplete_,
      Base::learned_, Base::learns_, Base::measurements_, Base::measures_, Base::muon_,
      Base::norms_, Base::settings_, Base::tensors_, Base::device_;
  using typename Base::Tensor;

  static void clear(T* data, int64_t size, const Team& team) {
    if (team.device == nullptr) {
      std::fill(data, data + size, T(0));
    } else {
      team.device->clear(data, static_cast<std::size_t>(size) * sizeof(T), team.stream);
    }
  }

  void start_records(const Repeats& at, const KernelTable<T>& table, Team& team) {
    records_.resize(repeated_.size());
    table.step_records({repeated_.data(), records_.data(), static_cast<int64_t>(repeated_.size()),
                        settings_.average, at.done, at.counted, at.rates, at.one_rate},
                       team);
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

  void sum_squares(bool adds, const KernelTable<T>& table, Team& team) {
    for (const Bucket<T>& bucket : buckets_) {
      Update<T> of = update_of(bucket);
      of.shared_around = true;  // nobody asks what is around
      of.beyond.adds = adds;
      norms_.sum(of, bucket.first_blocks_there.data(), table, team);
    }
    team.sync();
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

  ReachableVector<StepSettings> repeated_;  // of each bucket, where a graph repeats the step
  ReachableVector<StepRecord> records_;
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
