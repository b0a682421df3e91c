// The numbers of a step where kernels find them. A graph that a user captured launches the same
// step again and again: nothing that changes may come with the launch.
#pragma once

#include "../matrix.h"

namespace onepass {

// What the numbers follow from, of tensors that have the same.
struct StepSettings {
  int rule = 0;  // index in math/rules.h
  bool torch_convention = false;
  double options[kMaxScalars] = {};
  double rate_ratio = 1.0;  // the rule's learning rate to the group's, which is that of decay
  double decay = 0.0;       // p *= 1 - rate * decay
  int64_t missed = 0;       // steps: their own count is so much lower
  int group = 0;
};

// Moving averages of the parameters.
struct AverageSettings {
  double keep = 0.0;
  int64_t replaces = 0;  // every so many steps the parameters become their averages; 0: never
};

struct StepRecord {
  double scalars[kMaxScalars];
  double keep;  // of the parameters
  double average_keep;
  bool average_replaces;
};

// Step `*done` + 1: its records, one for each settings; then it is done.
struct AdvanceStep {
  const StepSettings* settings;
  StepRecord* records;
  int64_t n;
  const double* rates;  // one a group
  AverageSettings average;
  int64_t* done;
};

}  // namespace onepass
