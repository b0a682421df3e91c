"""Losses as functions of arrays, and which class stands for which function.

Each returns one value a row, as Keras's functions do: `mean_squared_error` of targets and
predictions of shape (n, k) has shape (n,). Given to ``compile``, a function stands for its class.
Targets are converted to the predictions' float type; whole numbers count as float32. On symbolic
tensors, within losses, metrics and layers of one's own, those of rows of numbers work too; then
only predictions have a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onepass.losses import circle as circles
from onepass.losses import classification, overlap, regression
from onepass.losses.loss import Loss

Function = Callable[..., Any]


def _values(cls: Callable[..., Loss], y_true: Any, y_pred: Any, **arguments: Any) -> Any:
    return cls(reduction=None, **arguments)(y_true, y_pred)


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.MeanSquaredError`` of each row."""
    return _values(regression.MeanSquaredError, y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.MeanAbsoluteError`` of each row."""
    return _values(regression.MeanAbsoluteError, y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.MeanAbsolutePercentageError`` of each row."""
    return _values(regression.MeanAbsolutePercentageError, y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.MeanSquaredLogarithmicError`` of each row."""
    return _values(regression.MeanSquaredLogarithmicError, y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Return ``losses.Huber`` of each row."""
    return _values(regression.Huber, y_true, y_pred, delta=delta)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.LogCosh`` of each row."""
    return _values(regression.LogCosh, y_true, y_pred)


def quantile(y_true: Any, y_pred: Any, gamma: float = 0.5) -> Any:
    """Return ``losses.Quantile`` of each row."""
    return _values(regression.Quantile, y_true, y_pred, gamma=gamma)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.Poisson`` of each row."""
    return _values(regression.Poisson, y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Return ``losses.CosineSimilarity`` of each row."""
    return _values(regression.CosineSimilarity, y_true, y_pred, axis=axis)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return ``losses.BinaryCrossentropy`` of each row."""
    arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
    return _values(classification.BinaryCrossentropy, y_true, y_pred, **arguments)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return ``losses.BinaryFocalCrossentropy`` of each row."""
    return _values(
        classification.BinaryFocalCrossentropy,
        y_true,
        y_pred,
        apply_class_balancing=apply_class_balancing,
        alpha=alpha,
        gamma=gamma,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
    )


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return ``losses.CategoricalCrossentropy`` of each row."""
    arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
    return _values(classification.CategoricalCrossentropy, y_true, y_pred, **arguments)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return ``losses.CategoricalFocalCrossentropy`` of each row."""
    return _values(
        classification.CategoricalFocalCrossentropy,
        y_true,
        y_pred,
        alpha=alpha,
        gamma=gamma,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
    )


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """Return ``losses.SparseCategoricalCrossentropy`` of each row."""
    arguments = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
    return _values(classification.SparseCategoricalCrossentropy, y_true, y_pred, **arguments)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """Return ``losses.CategoricalGeneralizedCrossEntropy`` of each row."""
    return _values(classification.CategoricalGeneralizedCrossEntropy, y_true, y_pred, q=q)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.KLDivergence`` of each row."""
    return _values(classification.KLDivergence, y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.Hinge`` of each row."""
    return _values(classification.Hinge, y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.SquaredHinge`` of each row."""
    return _values(classification.SquaredHinge, y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.CategoricalHinge`` of each row."""
    return _values(classification.CategoricalHinge, y_true, y_pred)


def perceptron(y_true: Any, y_pred: Any) -> Any:
    """Return ``losses.Perceptron`` of each row."""
    return _values(classification.Perceptron, y_true, y_pred)


def dice(y_true: Any, y_pred: Any, axis: int | None = None) -> Any:
    """Return ``losses.Dice`` of the batch, or of each row."""
    return _values(overlap.Dice, y_true, y_pred, axis=axis)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: int | None = None
) -> Any:
    """Return ``losses.Tversky`` of the batch, or of each row."""
    return _values(overlap.Tversky, y_true, y_pred, alpha=alpha, beta=beta, axis=axis)


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """Return ``losses.Circle`` of each row, among all rows or the references given.

    Parameters
    ----------
    y_true : (n,) or (n, 1) whole numbers
    y_pred : (n, k) floats of length 1
    ref_labels : (m,) or (m, 1) whole numbers, optional; default y_true
    ref_embeddings : (m, k) floats of length 1, optional; default y_pred
    """
    embeddings = np.asarray(y_pred)
    if embeddings.dtype.kind in "iub":
        embeddings = embeddings.astype(np.float32)
    options = {"remove_diagonal": remove_diagonal, "gamma": gamma, "margin": margin}
    return circles.values_of(y_true, embeddings, ref_labels, ref_embeddings, **options)


CLASS_OF: dict[Function, Callable[..., Loss]] = {
    mean_squared_error: regression.MeanSquaredError,
    mean_absolute_error: regression.MeanAbsoluteError,
    mean_absolute_percentage_error: regression.MeanAbsolutePercentageError,
    mean_squared_logarithmic_error: regression.MeanSquaredLogarithmicError,
    huber: regression.Huber,
    log_cosh: regression.LogCosh,
    quantile: regression.Quantile,
    poisson: regression.Poisson,
    cosine_similarity: regression.CosineSimilarity,
    binary_crossentropy: classification.BinaryCrossentropy,
    binary_focal_crossentropy: classification.BinaryFocalCrossentropy,
    categorical_crossentropy: classification.CategoricalCrossentropy,
    categorical_focal_crossentropy: classification.CategoricalFocalCrossentropy,
    sparse_categorical_crossentropy: classification.SparseCategoricalCrossentropy,
    categorical_generalized_cross_entropy: classification.CategoricalGeneralizedCrossEntropy,
    kl_divergence: classification.KLDivergence,
    hinge: classification.Hinge,
    squared_hinge: classification.SquaredHinge,
    categorical_hinge: classification.CategoricalHinge,
    perceptron: classification.Perceptron,
    dice: overlap.Dice,
    tversky: overlap.Tversky,
    circle: circles.Circle,
}

ALIASES: dict[str, Function] = {
    "mse": mean_squared_error,
    "MSE": mean_squared_error,
    "mae": mean_absolute_error,
    "MAE": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "MAPE": mean_absolute_percentage_error,
    "msle": mean_squared_logarithmic_error,
    "MSLE": mean_squared_logarithmic_error,
    "logcosh": log_cosh,
    "pinball": quantile,
    "bce": binary_crossentropy,
    "BCE": binary_crossentropy,
    "kld": kl_divergence,
    "KLD": kl_divergence,
}
