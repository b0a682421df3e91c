"""Norms, clips, weighted sums and accuracies."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def global_norm(arrays: Sequence[Array]) -> float:
    return float(np.sqrt(sum(np.sum(a.astype(np.float64) ** 2) for a in arrays)))


def clip_by_value(x: Array, clipvalue: float) -> Array:
    return np.clip(x, -clipvalue, clipvalue)


def clip_by_global_norm(arrays: Sequence[Array], global_clipnorm: float) -> list[Array]:
    norm = global_norm(arrays)
    if not np.isfinite(norm):
        return [np.full_like(a, np.nan) for a in arrays]
    return [a * global_clipnorm / max(norm, global_clipnorm) for a in arrays]


def clip_by_norm(x: Array, clipnorm: float) -> Array:
    with np.errstate(invalid="ignore"):
        return x * clipnorm / np.maximum(global_norm([x]), clipnorm)


def weighted_sum(values: Array, weights: Array) -> tuple[float, float]:
    counted = weights != 0.0
    return float(np.sum(values[counted] * weights[counted])), float(np.sum(weights))


def row_accuracy(
    target: NDArray[np.generic], prediction: Array, kind: str, threshold: float
) -> Array:
    if kind == "binary":
        return np.mean(target == (prediction > threshold), axis=-1)
    truth = target if kind == "sparse_categorical" else np.argmax(target, axis=-1)
    return (np.argmax(prediction, axis=-1) == truth).astype(np.float64)
