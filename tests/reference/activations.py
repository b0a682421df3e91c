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
}
