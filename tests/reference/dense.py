"""The dense layer: ``y = activation(x w + b)`` and its gradients."""

import numpy as np
from numpy.typing import NDArray

from reference.activations import ACTIVATIONS

Array = NDArray[np.float64]


def dense_forward(
    x: Array, w: Array, b: Array | None, activation: str = "linear", **hyper: float
) -> Array:
    z = x @ w if b is None else x @ w + b
    return ACTIVATIONS[activation].value(z, **hyper)


def dense_backward(
    x: Array, w: Array, b: Array, dy: Array, activation: str = "linear", **hyper: float
) -> tuple[Array, Array, Array]:
    """Return dx, dw and db for the gradient dy of the layer's result."""
    dz = dy * ACTIVATIONS[activation].derivative(x @ w + b, **hyper)
    return dz @ w.T, x.T @ dz, dz.sum(axis=0)
