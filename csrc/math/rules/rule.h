// What every update rule shares: its hyper-parameters on the host and the two conventions.
#pragma once

#include <cstdint>

#include "../list.h"

namespace onepass::math {
namespace {

// Which library's formula and meaning of the hyper-parameters a rule follows.
enum class Convention : int { kKeras, kTorch };

// The numbers that change from step to step. t counts from 1.
struct StepTime {
  double learning_rate;
  int64_t t;
};

}  // namespace
}  // namespace onepass::math
