// What a step must know of whole tensors.
#pragma once

#include "update.h"

namespace onepass {

// For block b of kNormBlock elements of a segment: partial[2 b] = the sum of squares of the
// parameters behind their decay, partial[2 b + 1] = that of what the rule measures; of a rule that
// learns its rate partial[2 b] = the sum of the gradients times that. Nothing is changed; padding
// counts as 0.
template <class T>
struct Measure {
  int rule;  // one with `measured`
  Segment<T> segment;
  const double* scalars;
  Around around;
  const Beside<T>* beside;  // or nullptr
  bool adds;                // Beyond::adds
  double* partial;
};

}  // namespace onepass
