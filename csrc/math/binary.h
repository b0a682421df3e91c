// Arithmetic of two numbers and its derivatives, once. Adding one: its struct, its name in the
// list.
#pragma once

#include "list.h"
#include "power.h"

namespace onepass::math {
namespace {

struct Sum {
  static constexpr const char* kName = "add";
  static constexpr bool kNeedsOperands = false;  // for the derivatives

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a + b;
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T, T) {
    return T(1);
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T, T) {
    return T(1);
  }
};

struct Difference {
  static constexpr const char* kName = "subtract";
  static constexpr bool kNeedsOperands = false;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a - b;
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T, T) {
    return T(1);
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T, T) {
    return T(-1);
  }
};

struct Product {
  static constexpr const char* kName = "multiply";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a * b;
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T, T b) {
    return b;
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T a, T) {
    return a;
  }
};

struct Quotient {
  static constexpr const char* kName = "divide";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a / b;
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T, T b) {
    return T(1) / b;
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T a, T b) {
    return -(a / b) / b;
  }
};

// Where both are equal each has half of the slope, as in JAX and torch.
template <class T>
ONEPASS_HD T share_of_larger(T a, T b) {
  return a > b ? T(1) : a < b ? T(0) : T(0.5);
}

struct Maximum {
  static constexpr const char* kName = "maximum";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return max(a, b);
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T a, T b) {
    return share_of_larger(a, b);
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T a, T b) {
    return share_of_larger(b, a);
  }
};

struct Minimum {
  static constexpr const char* kName = "minimum";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return min(a, b);
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T a, T b) {
    return share_of_larger(b, a);
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T a, T b) {
    return share_of_larger(a, b);
  }
};

// The slope of a constant, a^0, is 0 everywhere, and so is that of 0^b.
struct Power {
  static constexpr const char* kName = "power";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return power(a, b);
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T a, T b) {
    return b == T(0) ? T(0) : b * power(a, b - T(1));
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T a, T b) {
    return a == T(0) ? T(0) : power(a, b) * log(a);
  }
};

// b is the slope below 0, and at 0.
struct ParametricRelu {
  static constexpr const char* kName = "prelu";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a > T(0) ? a : b * a;
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T a, T b) {
    return a > T(0) ? T(1) : b;
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T a, T) {
    return a > T(0) ? T(0) : a;
  }
};

// Comparisons: 1 where they hold, else 0, and flat everywhere.
struct Comparison {
  static constexpr bool kNeedsOperands = false;

  template <class T>
  ONEPASS_HD static T derivative_a(T, T) {
    return T(0);
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T, T) {
    return T(0);
  }
};

struct Less : Comparison {
  static constexpr const char* kName = "less";

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a < b ? T(1) : T(0);
  }
};

struct LessEqual : Comparison {
  static constexpr const char* kName = "less_equal";

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a <= b ? T(1) : T(0);
  }
};

struct Equal : Comparison {
  static constexpr const char* kName = "equal";

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a == b ? T(1) : T(0);
  }
};

struct NotEqual : Comparison {
  static constexpr const char* kName = "not_equal";

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return a == b ? T(0) : T(1);
  }
};

// a where b is anything but 0, else 0: what b leaves out, be it NaN, is gone.
struct KeepWhere {
  static constexpr const char* kName = "keep_where";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return b == T(0) ? T(0) : a;
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T, T b) {
    return b == T(0) ? T(0) : T(1);
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T, T) {
    return T(0);
  }
};

// The other elements.
struct KeepUnless {
  static constexpr const char* kName = "keep_unless";
  static constexpr bool kNeedsOperands = true;

  template <class T>
  ONEPASS_HD static T value(T a, T b) {
    return b == T(0) ? a : T(0);
  }
  template <class T>
  ONEPASS_HD static T derivative_a(T, T b) {
    return b == T(0) ? T(1) : T(0);
  }
  template <class T>
  ONEPASS_HD static T derivative_b(T, T) {
    return T(0);
  }
};

using Binary = List<Sum, Difference, Product, Quotient, Maximum, Minimum, Power, ParametricRelu,
                    Less, LessEqual, Equal, NotEqual, KeepWhere, KeepUnless>;

}  // namespace
}  // namespace onepass::math
