// Every loss, once. Adding an elementwise one: its header in losses/, its name here.
// A loss's id is its place in ElementwiseLosses, or kSize of that plus its place in RowLosses.
#pragma once

#include "losses/binary_crossentropy.h"
#include "losses/categorical_crossentropy.h"
#include "losses/mean_squared_error.h"

namespace onepass::math {
namespace {

using ElementwiseLosses = List<MeanSquaredError, BinaryCrossentropy, BinaryCrossentropyFromLogits>;
using RowLosses = List<CategoricalCrossentropy, CategoricalCrossentropyFromLogits>;

}  // namespace
}  // namespace onepass::math
