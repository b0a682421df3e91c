// Steps that graphs of a caller launch again and again. All of them count in one place, on the GPU,
// and what they read there stays for as long as this lives.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../event.h"
#include "../memory.h"
#include "optimizer.h"

namespace onepass {

class CapturedSteps {
 public:
  explicit CapturedSteps(const Device* device)
      : device_(device), done_(Reachable<int64_t>(device)), norm_(Reachable<double>(device)) {}

  // Whether there is one.
  bool any() const { return any_; }

  // Puts a step of the optimizer, with its present gradients, on a stream that is captured. The
  // first one says where they begin: behind so many steps. Learning rates, one a group, stay as
  // they are until others are written; or each launch reads them in memory of the caller's.
  void capture(const Optimizer& optimizer, const std::vector<double>& rates, const double* rates_at,
               int64_t done, void* stream) {
    std::vector<int64_t> all(static_cast<std::size_t>(optimizer.tensors()));
    std::iota(all.begin(), all.end(), int64_t{0});
    // Its own, as other gradients and settings may come later.
    std::unique_ptr<Optimizer> step = optimizer.subset(all);
    step->prepare_step();
    if (const char* why = cannot_capture(*step)) {
      throw std::runtime_error(
          std::string("a step of this optimizer cannot be captured in a CUDA graph: ") + why);
    }
    if (!any_) {
      done_.assign(1, done);
      norm_.assign(1, std::numeric_limits<double>::quiet_NaN());
    }
    if (rates_at == nullptr) rates_at = kept(rates);
    Team host{0, 1, nullptr, nullptr};
    host.device = device_, host.stream = stream;
    auto launched = std::make_unique<Event>(*device_);
    any_ = true;  // whatever happens: kernels may be in the graph already
    steps_.push_back({std::move(step), std::move(launched)});
    const auto& [own, event] = steps_.back();
    own->start_repeated({done_.data(), done_.data(), rates_at, false, norm_.data()},
                        device_->kernels, host);
    event->mark_launches(stream);
    check(device_->started());
  }

  // Waits for all launches so far. Null, or what went wrong.
  const char* finish() const {
    for (const Captured& captured : steps_) {
      if (const char* wrong = captured.launched->reach()) return wrong;
    }
    return nullptr;
  }

  // The caller has waited for the GPU.
  int64_t done() const { return done_[0]; }
  void set_done(int64_t steps) { done_[0] = steps; }
  double norm() const { return norm_[0]; }
  // Of all steps that keep theirs here. Behind what was started before on the stream.
  void write_rates(const std::vector<double>& rates, void* stream) {
    for (Rates& kept : rates_) {
      device_->write(kept.there.data(), rates.data(), rates.size() * sizeof(double), stream);
      kept.now = rates;
    }
  }

 private:
  struct Captured {
    std::unique_ptr<Optimizer> step;
    std::unique_ptr<Event> launched;
  };

  struct Rates {
    std::vector<double> now;
    ReachableVector<double> there;  // the same, where launches read them
  };

  // In one place for all steps that were captured at the same rates, but for those in between.
  const double* kept(const std::vector<double>& rates) {
    if (rates_.empty() || rates_.back().now != rates) {
      rates_.push_back({rates, {rates.begin(), rates.end(), Reachable<double>(device_)}});
    }
    return rates_.back().there.data();
  }

  static const char* cannot_capture(const Optimizer& step) {
    if (const char* why = step.cannot_repeat()) return why;
    if (!step.complete()) return "a parameter has no gradient";
    for (int64_t i = 0; i < step.tensors(); ++i) {
      // Its own count could not follow when the optimizer's is set.
      if (step.missed(i) != 0) return "a parameter has missed a step";
    }
    return nullptr;
  }

  const Device* device_;
  ReachableVector<int64_t> done_;
  std::deque<Rates> rates_;
  ReachableVector<double> norm_;
  std::vector<Captured> steps_;
  bool any_ = false;
};

}  // namespace onepass
