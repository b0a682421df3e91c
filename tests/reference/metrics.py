"""What metrics count: each element compared with each threshold, sums over columns."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def above(prediction: NDArray[np.floating], thresholds: int | Sequence[float]) -> NDArray[np.bool_]:
    """Whether each element exceeds each threshold, (..., thresholds); NaN exceeds none."""
    if isinstance(thresholds, int):  # even ones, compared in the prediction's own type
        scale = prediction.dtype.type(thresholds - 1)
        return (np.clip(prediction, 0, 1) * scale)[..., None] > np.arange(thresholds)
    return prediction[..., None] > np.asarray(thresholds, prediction.dtype)


def among_top(prediction: NDArray[np.floating], k: int) -> NDArray[np.bool_]:
    """Whether an element is among the k first of its row in stable descending order."""
    order = np.argsort(-prediction, axis=-1, kind="stable")
    place = np.argsort(order, axis=-1, kind="stable")
    return place < k


def counts(
    target: Array,
    prediction: NDArray[np.floating],
    thresholds: int | Sequence[float],
    weights: Array | None = None,
    top_k: int | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Return true and false positives, true and false negatives, each (cols, thresholds)."""
    predicted = above(prediction, thresholds)
    if top_k is not None:
        predicted &= among_top(prediction, top_k)[..., None]
    weight = np.ones(prediction.shape[:-1]) if weights is None else weights
    weight = weight.astype(np.float64)[..., None, None]
    true = (target != 0)[..., None]
    axes = tuple(range(prediction.ndim - 1))

    def total(which: NDArray[np.bool_]) -> Array:
        return (weight * which).sum(axes)

    return (
        total(true & predicted),
        total(~true & predicted),
        total(~true & ~predicted),
        total(true & ~predicted),
    )


def hits(
    target: Array, prediction: Array, threshold: float | None, weights: Array
) -> tuple[Array, Array, Array]:
    """Return, for each column, the target where predicted, what is predicted, and the target."""
    if threshold is None:
        predicted = prediction >= prediction.max(-1, keepdims=True, initial=-np.inf)
        predicted &= np.abs(prediction) > 1e-9
    else:
        predicted = prediction > threshold
    w = weights[:, None]
    return (w * predicted * target).sum(0), (w * predicted).sum(0), (w * target).sum(0)


def errors(target: Array, prediction: Array, weights: Array) -> tuple[Array, ...]:
    """Return, for each column, the squared error, the target, its square, 1, and the rows."""
    w = weights[:, None]
    error = (target - prediction) ** 2
    ones = np.ones_like(target)
    return tuple((v).sum(0) for v in (w * error, w * target, w * target**2, w * ones, ones))


def f_beta(
    target: Array, prediction: Array, beta: float, threshold: float | None, weights: Array
) -> Array:
    """Return the score of each column; 1e-7 in the denominators, as Keras has it."""
    tp, predicted, true = hits(target, prediction, threshold, weights)
    precision, recall = tp / (predicted + 1e-7), tp / (true + 1e-7)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall + 1e-7)


def r2(target: Array, prediction: Array, weights: Array) -> Array:
    """Return the score of each column."""
    w = weights[:, None] / weights.sum()
    spread = (w * (target - (w * target).sum(0)) ** 2).sum(0)
    return 1 - (w * (target - prediction) ** 2).sum(0) / spread


def ranking_auc(target: NDArray[np.bool_], prediction: Array, weights: Array) -> float:
    """Return the chance that a true element is ranked above a false one, ties counting half."""
    true, false = prediction[target], prediction[~target]
    pairs = weights[target][:, None] * weights[~target]
    better = (true[:, None] > false) + 0.5 * (true[:, None] == false)
    return float((pairs * better).sum() / pairs.sum())
