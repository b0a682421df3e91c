// The numbers of a step where kernels find them. A graph launches the same steps again and again:
// nothing that changes may come with the launch.
#pragma once

#include "../matrix.h"

namespace onepass {

// What changes from step to step of a replay.
struct Step {
  int64_t first = 0;  // position in the (shuffled) epoch
  int64_t rows = 0;
  int64_t t = 0;  // optimizer step, from 1
  double learning_rate = 0.0;
};

// The same of the step that is under way.
struct StepAt {
  int64_t first;
  int64_t done;  // optimizer steps before
  double rate;
};

// `*at` = steps[*number], then the next one.
struct NextStep {
  const Step* steps;
  int64_t* number;
  StepAt* at;
};

// A place in the epoch, or so many behind one that is found in memory.
struct Position {
  int64_t own;
  const int64_t* base;

  ONEPASS_INLINE Position(int64_t place = 0, const int64_t* behind = nullptr)
      : own(place), base(behind) {}
  ONEPASS_INLINE operator int64_t() const { return base == nullptr ? own : own + *base; }
};

// What a rule's numbers follow from, of tensors that have the same.
struct StepSettings {
  int rule = 0;  // index in math/rules.h
  bool torch_convention = false;
  double options[kMaxScalars] = {};
  double rate_ratio = 1.0;  // the rule's learning rate to the group's, which is that of decay
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
  double rate;  // of the group
  double average_keep;
  bool average_replaces;
};

// The records of step `*done` + 1, one for each settings.
struct StepRecords {
  const StepSettings* settings;
  StepRecord* records;
  int64_t n;
  AverageSettings average;
  const int64_t* done;
  int64_t* counted;     // where it is counted as done: `done`, or null, if somebody else does
  const double* rates;  // one a group
  bool one_rate;        // or one for all
};

}  // namespace onepass
