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
    target: NDArray[np.generic], prediction: Array, kind: str, threshold: float, k: int = 5
) -> Array:
    if kind in ("binary", "equal"):
        right = target == (prediction > threshold if kind == "binary" else prediction)
        return np.mean(right, axis=-1)
    truth = target if kind.startswith("sparse") else np.argmax(target, axis=-1)
    if "top_k" not in kind:
        return (np.argmax(prediction, axis=-1) == truth).astype(np.float64)
    own = np.take_along_axis(prediction, truth[..., None], -1)
    own = np.where(np.isnan(own), -np.inf, own)
    return ((prediction > own).sum(-1) < k).astype(np.float64)
