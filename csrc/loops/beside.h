// In which order a step does what is more than a rule on arrays of T.
#pragma once

#include "../arguments/update.h"

namespace onepass::ONEPASS_ISA {
namespace {

// `part` is what a backend takes at once: a block of elements or a single one.
template <class Part>
ONEPASS_INLINE void step_in_order(const Beyond& beyond, bool averages, Part& part) {
  const bool touches = !beyond.waits || averages;
  part.read_gradient();
  if (beyond.waits) part.keep_sum();
  if (touches) part.read_parameters();
  if (!beyond.waits) part.step();
  if (averages) part.average();
  if (touches) part.write_parameters();
  if (beyond.clears) part.clear_gradient();
}

// A moving average. What is kept not at all may be anything, NaN too: then it is only replaced.
template <class T>
struct AverageOf {
  T keep, gain;

  static ONEPASS_INLINE AverageOf of(double keep) {
    return {static_cast<T>(keep), static_cast<T>(1.0 - keep)};
  }
  ONEPASS_INLINE bool forgets() const { return keep == T(0); }
  ONEPASS_INLINE T mixed(T average, T p) const { return keep * average + gain * p; }
};

}  // namespace
}  // namespace onepass::ONEPASS_ISA
