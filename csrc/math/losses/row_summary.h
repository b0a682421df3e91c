// What a loss of a whole row may read of it beside the element at hand.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

// Over all y and p of a row: the sum of y p; then, for losses with kPeak, the largest (1 - y) p and
// how many elements have it, and for the others the sums of y^2 and p^2.
template <class T>
struct RowSummary {
  T yp;
  T yy, pp;
  T peak, peaks;
  T y, p;
};

}  // namespace
}  // namespace onepass::math
