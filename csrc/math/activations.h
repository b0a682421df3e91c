// Every elementwise activation, once. Adding one: its header in activations/, its name here.
#pragma once

#include "activations/gelu.h"
#include "activations/gelu_tanh.h"
#include "activations/leaky_relu.h"
#include "activations/linear.h"
#include "activations/relu.h"
#include "activations/sigmoid.h"
#include "activations/tanh.h"

namespace onepass::math {
namespace {

// Linear first: id 0 means "no activation" to the kernels.
using Activations = List<Linear, Relu, LeakyRelu, Sigmoid, Tanh, Gelu, GeluTanh>;

}  // namespace
}  // namespace onepass::math
