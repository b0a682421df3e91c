"""Normalization by the batch and by rows, and its gradients, by the textbook."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def moments(x: Array, axis: int) -> tuple[Array, Array]:
    """Return mean and biased variance, with their axis kept; 0 where there is nothing."""
    if x.shape[axis] == 0:
        shape = list(x.shape)
        shape[axis] = 1
        return np.zeros(shape), np.zeros(shape)
    return x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)


def normalized(x: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    return (x - mean) / np.sqrt(variance + epsilon)


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    """Return y for a matrix, by its columns."""
    return gamma * normalized(x, *moments(x, 0), epsilon) + beta


def batch_norm_backward(
    x: Array, dy: Array, gamma: Array, epsilon: float
) -> tuple[Array, Array, Array]:
    """Return dx, dgamma and dbeta."""
    mean, variance = moments(x, 0)
    h = normalized(x, mean, variance, epsilon)
    n = max(1, len(x))
    dbeta, dgamma = dy.sum(axis=0), (dy * h).sum(axis=0)
    return gamma / np.sqrt(variance + epsilon) * (dy - dbeta / n - h * dgamma / n), dgamma, dbeta


def inference_backward(
    x: Array, dy: Array, mean: Array, variance: Array, gamma: Array, epsilon: float
) -> tuple[Array, Array, Array]:
    """Return dx, dgamma and dbeta where mean and variance are given."""
    h = normalized(x, mean, variance, epsilon)
    return dy * gamma / np.sqrt(variance + epsilon), (dy * h).sum(axis=0), dy.sum(axis=0)


def row_factor(x: Array, norm: str, epsilon: float) -> tuple[Array, Array]:
    """Return what is subtracted from each row of a matrix and what it is then multiplied by."""
    if norm == "layer":
        mean, variance = moments(x, 1)
        return mean, 1 / np.sqrt(variance + epsilon)
    squares = (x * x).sum(axis=1, keepdims=True)
    if norm == "rms":
        return 0 * squares, 1 / np.sqrt(squares / max(1, x.shape[1]) + epsilon)
    with np.errstate(divide="ignore"):
        return 0 * squares, np.minimum(1 / np.sqrt(squares), 1e12)


def row_norm(x: Array, gamma: Array, beta: Array, norm: str, epsilon: float = 0.0) -> Array:
    """Return y for a matrix; norm is "layer", "rms" or "unit"."""
    mean, factor = row_factor(x, norm, epsilon)
    return gamma * ((x - mean) * factor) + beta


def row_norm_backward(
    x: Array, dy: Array, gamma: Array, norm: str, epsilon: float = 0.0
) -> tuple[Array, Array, Array]:
    """Return dx, dgamma and dbeta, through the Jacobian of each row."""
    mean, factor = row_factor(x, norm, epsilon)
    h = (x - mean) * factor
    cols = x.shape[1]
    dx = np.zeros_like(x)
    centre = np.eye(cols) - (1 / max(1, cols) if norm == "layer" else 0.0)
    for r in range(len(x)):
        share = 1.0 if norm == "unit" else 1 / max(1, cols)
        if norm == "unit" and factor[r, 0] == 1e12:
            share = 0.0
        jacobian = factor[r, 0] * (centre - share * np.outer(h[r], h[r]))
        dx[r] = jacobian.T @ (dy[r] * gamma)
    return dx, (dy * h).sum(axis=0), dy.sum(axis=0)
