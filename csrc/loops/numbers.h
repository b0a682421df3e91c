// How arrays of other types than the computation's store their numbers.
#pragma once

#include "../arguments/update.h"
#include "../math/half.h"

namespace onepass::ONEPASS_ISA {
namespace {

// `Stored` is what lies in memory, value() the number that it means.
template <class Real>
struct AsItIs {
  using Stored = Real;
  static ONEPASS_INLINE Real value(Real x) { return x; }
};
struct AsFloat16 {
  using Stored = uint16_t;
  static ONEPASS_INLINE float value(uint16_t h) { return math::from_float16(h); }
  static ONEPASS_INLINE uint16_t stored(float x) { return math::to_float16(x); }
};
struct AsBfloat16 {
  using Stored = uint16_t;
  static ONEPASS_INLINE float value(uint16_t h) { return math::from_bfloat16(h); }
  static ONEPASS_INLINE uint16_t stored(float x) { return math::to_bfloat16(x); }
};

// f(one of the above)
template <class F>
ONEPASS_INLINE void visit_number(Number number, F&& f) {
  switch (number) {
    case Number::kFloat32:
      return f(AsItIs<float>{});
    case Number::kFloat64:
      return f(AsItIs<double>{});
    case Number::kFloat16:
      return f(AsFloat16{});
    case Number::kBfloat16:
      return f(AsBfloat16{});
  }
}

// Only numbers of 16 bits are stored: parameters of other types are updated where they lie.
template <class F>
ONEPASS_INLINE void visit_stored(Number number, F&& f) {
  if (number == Number::kFloat16) {
    f(AsFloat16{});
  } else {
    f(AsBfloat16{});
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
