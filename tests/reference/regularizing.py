"""Penalties on weights and their gradients; constraints of weights. Keras 3.15's formulas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def penalty(x: Array, l1: float, l2: float) -> float:
    value = 0.0
    if l1:
        value += l1 * np.sum(np.abs(x))
    if l2:
        value += l2 * np.sum(x * x)
    return float(value)


def penalty_gradient(x: Array, l1: float, l2: float) -> Array:
    gradient = np.zeros_like(x)
    if l1:
        gradient = gradient + l1 * np.sign(x)
    if l2:
        gradient = gradient + 2 * l2 * x
    return gradient


def non_negative(w: Array) -> Array:
    return np.maximum(w, 0)


def bounded_norm(
    w: Array, low: float, high: float, rate: float = 1.0, axis: int = 0, epsilon: float = 1e-7
) -> Array:
    norm = np.sqrt(np.sum(w * w, axis=axis, keepdims=True))
    desired = rate * np.clip(norm, low, high) + (1 - rate) * norm
    return w * (desired / (epsilon + norm))
