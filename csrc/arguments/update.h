// Steps of optimizers.
#pragma once

#include "../math/clip_norm.h"
#include "../matrix.h"
#include "step.h"

namespace onepass {

inline constexpr int kMaxStates = 4;  // optimizer state slots of one parameter

// How an array stores its numbers. Kernels compute in float or double.
enum class Number : int { kFloat32, kFloat64, kFloat16, kBfloat16 };

ONEPASS_INLINE int64_t size_of(Number number) {
  return number == Number::kFloat64 ? 8 : number == Number::kFloat32 ? 4 : 2;
}

// A run of parameters that share one set of per-step numbers. `cols` of every `stride` elements are
// real, the rest is padding that must be zero and must stay zero.
template <class T>
struct Segment {
  T* p;
  const T* g;
  T* state[kMaxStates];
  int64_t size;  // elements, padding included
  int64_t cols, stride;
  const double* factor = nullptr;  // of ClipFactors, on a GPU: multiplies the gradient's scale
};

// What lies beside a segment where a step is more than a rule on arrays of T.
template <class T>
struct Beside {
  void* p = nullptr;  // the parameters and
  void* g = nullptr;  // the gradient, as their arrays store them; the segment's may be null then
  Number p_number = Number::kFloat32, g_number = Number::kFloat32;
  T* sum = nullptr;      // of the gradients of earlier calls
  T* average = nullptr;  // moving average of the parameters
};

// What a step does beside the rule, all segments alike.
struct Beyond {
  bool adds = false;              // the sums of earlier calls are a part of the gradient
  bool waits = false;             // the gradient is only added to the sum: no rule
  double average_keep = 0.0;      // average = keep * average + (1 - keep) * p
  bool average_replaces = false;  // and p = average
  bool clears = false;            // the gradient is 0 afterwards
};

// What happens to a gradient before the rule, and to the parameter beside it:
// g' = clamp((g + d) * scale, +-clip) + l2 * p;  p' = keep * p, then the rule. d is the derivative
// of the penalty with these factors on p; only DenseUpdate knows it.
struct Around {
  double scale = 1.0;
  double clip = 0.0;  // 0: no clipping by value
  double l2 = 0.0;
  double keep = 1.0;
  double decay = 0.0;  // keep = 1 - rate * decay, where the rate comes from a record
  double penalty_l1 = 0.0, penalty_l2 = 0.0;
};

// What a GPU knows of a step's segments, kept from step to step; of which segments it is.
struct KeptTable {
  const void* table = nullptr;
  int64_t chunks = 0;
  const void* segments = nullptr;
  int64_t n_segments = 0;
};

template <class T>
struct Update {
  int rule;  // index in math/rules.h
  const Segment<T>* segments;
  int64_t n_segments;
  double scalars[kMaxScalars];
  const Around* around;  // one a segment, or one for all when `shared_around`
  bool shared_around;
  const Beside<T>* beside = nullptr;  // one a segment, if needed
  Beyond beyond = {};
  KeptTable kept = {};
  // On a GPU: holds the rule's numbers, and of `around` and `beyond` those that change from step to
  // step. Null: they come along.
  const StepRecord* record = nullptr;
};

// partial[b] = sum of squares of block b of kNormBlock elements; the caller adds the partials up in
// order. In double where float would overflow or lose the small ones. `beside`, when given, says
// what the gradient really is.
inline constexpr int64_t kNormBlock = 8192;

template <class T>
struct SumOfSquares {
  const T* data;
  int64_t size;
  double* partial;  // one a block
  const Beside<T>* beside = nullptr;
  bool adds = false;  // Beyond::adds
};

// The same of all gradients of a step, whose `around` and `record` do not matter: the blocks of
// segment k begin at partials[first_blocks[k]]. For a GPU, where each launch costs.
template <class T>
struct SumsOfSquares {
  Update<T> of;
  const int64_t* first_blocks;
  double* partials;
};

// From sums of squares what gradients are multiplied by to clip their norms. For a GPU: the host
// would have to wait for the sums.
struct ClipFactors {
  math::ClipNorm kind;
  double clip;
  double scale;           // of the gradients, without its sign
  const double* partial;  // of SumOfSquares
  const Range* blocks;    // of each tensor
  int64_t n_tensors;
  double* norm;     // of all gradients
  double* factors;  // one a tensor
};

}  // namespace onepass
