"""Elementwise activations with their derivatives, and softmax over the last axis."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Activation:
    """``value(x, **hyper)`` and ``derivative(x, **hyper)``."""

    value: Callable[..., Array]
    derivative: Callable[..., Array]


def linear(x: Array) -> Array:
    return x


def linear_derivative(x: Array) -> Array:
    return np.ones_like(x)


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def relu_derivative(x: Array) -> Array:
    return np.where(x > 0.0, 1.0, 0.0)


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return np.where(x > 0.0, x, negative_slope * x)


def leaky_relu_derivative(x: Array, negative_slope: float) -> Array:
    return np.where(x > 0.0, 1.0, negative_slope)


def sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right 0
        return 1.0 / (1.0 + np.exp(-x))


def sigmoid_derivative(x: Array) -> Array:
    return sigmoid(x) * sigmoid(-x)


def tanh(x: Array) -> Array:
    return np.tanh(x)


def tanh_derivative(x: Array) -> Array:
    return 1.0 - np.tanh(x) ** 2


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def gelu(x: Array) -> Array:
    # -inf times its probability of 0 is the limit, 0
    return np.maximum(x, -1e3) * 0.5 * _erfc(-x / math.sqrt(2.0))


def gelu_derivative(x: Array) -> Array:
    near = np.clip(x, -1e3, 1e3)
    density = np.exp(-0.5 * near**2) / math.sqrt(2.0 * math.pi)
    return 0.5 * _erfc(-x / math.sqrt(2.0)) + near * density


def gelu_tanh(x: Array) -> Array:
    near = np.clip(x, -1e3, 1e3)
    u = math.sqrt(2.0 / math.pi) * (near + 0.044715 * near**3)
    return np.maximum(x, -1e3) * sigmoid(2.0 * u)


def gelu_tanh_derivative(x: Array) -> Array:
    near = np.clip(x, -1e3, 1e3)
    u = math.sqrt(2.0 / math.pi) * (near + 0.044715 * near**3)
    slope = 2.0 * math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * near**2)
    return sigmoid(2.0 * u) + near * sigmoid_derivative(2.0 * u) * slope


def relu_general(x: Array, negative_slope: float, max_value: float, threshold: float) -> Array:
    kept = np.where(x <= threshold, 0.0, x)
    if max_value < math.inf:
        kept = np.clip(kept, 0.0, max_value)
    return kept - (negative_slope * np.maximum(threshold - x, 0.0) if negative_slope else 0.0)


def relu_general_derivative(
    x: Array, negative_slope: float, max_value: float, threshold: float
) -> Array:
    inside = (x <= max_value) & ((x > 0.0) | (max_value == math.inf))
    return np.where(x <= threshold, negative_slope, np.where(inside, 1.0, 0.0))


def relu6(x: Array) -> Array:
    return np.clip(x, 0.0, 6.0)


def relu6_derivative(x: Array) -> Array:
    return np.where((x > 0.0) & (x < 6.0), 1.0, 0.0)


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def elu_derivative(x: Array, alpha: float) -> Array:
    return np.where(x > 0.0, 1.0, alpha * np.exp(np.minimum(x, 0.0)))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(x: Array) -> Array:
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def selu_derivative(x: Array) -> Array:
    return _SELU_SCALE * elu_derivative(x, _SELU_ALPHA)


def celu(x: Array, alpha: float) -> Array:
    return np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0) / alpha))


def celu_derivative(x: Array, alpha: float) -> Array:
    return elu_derivative(x / alpha, 1.0)


def silu(x: Array) -> Array:
    # -inf times its sigmoid of 0 is the limit, 0; so for the other products below
    return np.maximum(x, -1e3) * sigmoid(x)


def silu_derivative(x: Array) -> Array:
    return sigmoid(x) + np.clip(x, -1e3, 1e3) * sigmoid_derivative(x)


def hard_silu(x: Array) -> Array:
    return np.maximum(x, -1e3) * hard_sigmoid(x)


def hard_silu_derivative(x: Array) -> Array:
    return np.where(x <= -3.0, 0.0, np.where(x >= 3.0, 1.0, (2.0 * x + 3.0) / 6.0))


def hard_sigmoid(x: Array) -> Array:
    return np.clip((x + 3.0) / 6.0, 0.0, 1.0)


def hard_sigmoid_derivative(x: Array) -> Array:
    return np.where(np.abs(x) < 3.0, 1.0 / 6.0, 0.0)


def hard_tanh(x: Array) -> Array:
    return np.clip(x, -1.0, 1.0)


def hard_tanh_derivative(x: Array) -> Array:
    return np.where(np.abs(x) < 1.0, 1.0, 0.0)


def mish(x: Array) -> Array:
    return np.maximum(x, -1e3) * np.tanh(softplus(x))


def mish_derivative(x: Array) -> Array:
    # 1 - tanh^2 is 1 / cosh^2
    cosh = np.cosh(np.minimum(softplus(x), 300.0))
    return np.tanh(softplus(x)) + np.clip(x, -1e3, 1e3) * sigmoid(x) / cosh**2


def softplus(x: Array) -> Array:
    return np.logaddexp(x, 0.0)


def softplus_derivative(x: Array) -> Array:
    return sigmoid(x)


def log_sigmoid(x: Array) -> Array:
    return -np.logaddexp(-x, 0.0)


def log_sigmoid_derivative(x: Array) -> Array:
    return sigmoid(-x)


def squareplus(x: Array, smoothness: float) -> Array:
    t = np.minimum(np.abs(x), 1e150)
    above = (t + np.sqrt(t**2 + smoothness)) / 2.0
    return np.where(x < 0.0, smoothness / 4.0 / np.maximum(above, np.abs(x)), np.maximum(x, above))


def squareplus_derivative(x: Array, smoothness: float) -> Array:
    near = np.clip(x, -1e150, 1e150)
    return (1.0 + near / np.sqrt(near**2 + smoothness)) / 2.0


def softsign(x: Array) -> Array:
    return 1.0 / (1.0 / np.abs(x) + 1.0) * np.sign(x)


def softsign_derivative(x: Array) -> Array:
    return 1.0 / (1.0 + np.abs(x)) ** 2


def exponential(x: Array) -> Array:
    return np.exp(x)


def exponential_derivative(x: Array) -> Array:
    return np.exp(x)


def hard_shrink(x: Array, threshold: float) -> Array:
    return np.where(np.abs(x) <= threshold, 0.0, x)


def hard_shrink_derivative(x: Array, threshold: float) -> Array:
    return np.where(np.abs(x) <= threshold, 0.0, 1.0)


def soft_shrink(x: Array, threshold: float) -> Array:
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)


def soft_shrink_derivative(x: Array, threshold: float) -> Array:
    return np.where(np.abs(x) <= threshold, 0.0, 1.0)


def tanh_shrink(x: Array) -> Array:
    return x - np.tanh(x)


def tanh_shrink_derivative(x: Array) -> Array:
    return np.tanh(x) ** 2


def threshold(x: Array, threshold: float, default_value: float) -> Array:
    return np.where(x <= threshold, default_value, x)


def threshold_derivative(x: Array, threshold: float, default_value: float) -> Array:
    return np.where(x <= threshold, 0.0, 1.0)


def sparse_plus(x: Array) -> Array:
    return np.where(x >= 1.0, x, (np.clip(x, -1.0, 1.0) + 1.0) ** 2 / 4.0)


def sparse_plus_derivative(x: Array) -> Array:
    return sparse_sigmoid(x)


def sparse_sigmoid(x: Array) -> Array:
    return (np.clip(x, -1.0, 1.0) + 1.0) / 2.0


def sparse_sigmoid_derivative(x: Array) -> Array:
    return np.where(np.abs(x) < 1.0, 0.5, 0.0)


def heaviside(x: Array) -> Array:
    return np.heaviside(x, 1.0)


def sign(x: Array) -> Array:
    return np.sign(x)


def no_derivative(x: Array) -> Array:
    return np.zeros_like(x)


def log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=-1, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(x: Array) -> Array:
    return np.exp(log_softmax(x))


def softmax_backward(y: Array, dy: Array) -> Array:
    """Return ``J^T dy`` with the Jacobian ``J = diag(y) - y y^T`` of each row written out."""
    jacobian = (
        np.einsum("...i,ij->...ij", y, np.eye(y.shape[-1])) - y[..., :, None] * y[..., None, :]
    )
    return np.einsum("...ji,...j->...i", jacobian, dy)


ACTIVATIONS = {
    "linear": Activation(linear, linear_derivative),
    "relu": Activation(relu, relu_derivative),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative),
    "sigmoid": Activation(sigmoid, sigmoid_derivative),
    "tanh": Activation(tanh, tanh_derivative),
    "gelu": Activation(gelu, gelu_derivative),
    "gelu_tanh": Activation(gelu_tanh, gelu_tanh_derivative),
    "relu_general": Activation(relu_general, relu_general_derivative),
    "relu6": Activation(relu6, relu6_derivative),
    "elu": Activation(elu, elu_derivative),
    "selu": Activation(selu, selu_derivative),
    "celu": Activation(celu, celu_derivative),
    "silu": Activation(silu, silu_derivative),
    "hard_silu": Activation(hard_silu, hard_silu_derivative),
    "hard_sigmoid": Activation(hard_sigmoid, hard_sigmoid_derivative),
    "hard_tanh": Activation(hard_tanh, hard_tanh_derivative),
    "mish": Activation(mish, mish_derivative),
    "softplus": Activation(softplus, softplus_derivative),
    "log_sigmoid": Activation(log_sigmoid, log_sigmoid_derivative),
    "squareplus": Activation(squareplus, squareplus_derivative),
    "softsign": Activation(softsign, softsign_derivative),
    "exponential": Activation(exponential, exponential_derivative),
    "hard_shrink": Activation(hard_shrink, hard_shrink_derivative),
    "soft_shrink": Activation(soft_shrink, soft_shrink_derivative),
    "tanh_shrink": Activation(tanh_shrink, tanh_shrink_derivative),
    "threshold": Activation(threshold, threshold_derivative),
    "sparse_plus": Activation(sparse_plus, sparse_plus_derivative),
    "sparse_sigmoid": Activation(sparse_sigmoid, sparse_sigmoid_derivative),
    "heaviside": Activation(heaviside, no_derivative),
    "sign": Activation(sign, no_derivative),
}


def log_softmax_backward(y: Array, dy: Array) -> Array:
    return dy - np.exp(y) * dy.sum(-1, keepdims=True)


def sparsemax(x: Array) -> Array:
    """Martins and Astudillo 2016, algorithm 1: by sorting."""
    z = x - x.max(-1, keepdims=True, initial=-np.inf)
    ordered = -np.sort(-z, axis=-1)
    place = np.arange(1, x.shape[-1] + 1)
    total = np.cumsum(ordered, axis=-1)
    size = (1.0 + place * ordered > total).sum(-1, keepdims=True)
    threshold = (np.take_along_axis(total, size - 1, -1) - 1.0) / size
    return np.maximum(z - threshold, 0.0)


def sparsemax_backward(y: Array, dy: Array) -> Array:
    support = y > 0.0
    mean = (dy * support).sum(-1, keepdims=True) / support.sum(-1, keepdims=True)
    return np.where(support, dy - mean, 0.0)


def glu(x: Array) -> Array:
    a, b = np.split(x, 2, axis=-1)
    return a * sigmoid(b)


def glu_backward(x: Array, dy: Array) -> Array:
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([dy * sigmoid(b), dy * a * sigmoid(b) * sigmoid(-b)], axis=-1)
