// Every elementwise activation, once. Adding one: its header in activations/, its name here.
#pragma once

#include "activations/elu.h"
#include "activations/exponential.h"
#include "activations/gelu.h"
#include "activations/gelu_tanh.h"
#include "activations/hard.h"
#include "activations/leaky_relu.h"
#include "activations/linear.h"
#include "activations/relu.h"
#include "activations/relu_general.h"
#include "activations/shrink.h"
#include "activations/sigmoid.h"
#include "activations/silu.h"
#include "activations/softplus.h"
#include "activations/softsign.h"
#include "activations/sparse.h"
#include "activations/steps.h"
#include "activations/tanh.h"

namespace onepass::math {
namespace {

// Linear first: id 0 means "no activation" to the kernels.
using Activations = List<Linear, Relu, LeakyRelu, Sigmoid, Tanh, Gelu, GeluTanh, ReluGeneral, Relu6,
                         Elu, Selu, Celu, Silu, HardSilu, HardSigmoid, HardTanh, Mish, Softplus,
                         LogSigmoid, Squareplus, Softsign, Exponential, HardShrink, SoftShrink,
                         TanhShrink, Threshold, SparsePlus, SparseSigmoid, Heaviside, Sign>;

}  // namespace
}  // namespace onepass::math
