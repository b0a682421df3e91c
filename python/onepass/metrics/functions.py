"""Accuracies as functions of arrays, and what a function means as a metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from onepass import kernels, losses
from onepass.losses.functions import CLASS_OF
from onepass.metrics import accuracies
from onepass.metrics.means import MeanLoss, MeanMetricWrapper
from onepass.metrics.metric import Metric

_FLOATS = ("float32", "float64")


def _floats(value: Any) -> Any:
    array = np.asarray(value)
    return array if array.dtype.name in _FLOATS else array.astype(np.float32)


def _elementwise(y_true: Any, y_pred: Any, kind: Any, threshold: float = 0.5) -> Any:
    prediction = _floats(y_pred)
    target = np.asarray(y_true, prediction.dtype)
    if (*target.shape, 1) == prediction.shape:
        target = target[..., None]
    return kernels.row_accuracy(target[..., None], prediction[..., None], kind, threshold)


def _by_class(y_true: Any, y_pred: Any, kind: Any, k: int = 1) -> Any:
    prediction = _floats(y_pred)
    sparse = kind.startswith("sparse")
    target = np.asarray(y_true) if sparse else np.asarray(y_true, prediction.dtype)
    if sparse and target.dtype.kind == "f" and np.array_equal(target, np.floor(target)):
        target = target.astype(np.int64)
    return kernels.row_accuracy(target, prediction, kind, k=k)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Return 1 for each element where the target says whether it is above the threshold, else 0."""
    return _elementwise(y_true, y_pred, "binary", threshold)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 for each row whose largest element is the one-hot target's class, else 0."""
    return _by_class(y_true, y_pred, "categorical")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 for each row whose largest element is the target's class index, else 0."""
    return _by_class(y_true, y_pred, "sparse_categorical")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """Return 1 for each row with fewer than k elements above the one-hot target's class, else 0."""
    return _by_class(y_true, y_pred, "top_k_categorical", k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """Return 1 for each row with fewer than k elements above the target's class index, else 0."""
    return _by_class(y_true, y_pred, "sparse_top_k_categorical", k)


_ACCURACY_OF: dict[Callable[..., Any], Callable[..., Metric]] = {
    binary_accuracy: accuracies.BinaryAccuracy,
    categorical_accuracy: accuracies.CategoricalAccuracy,
    sparse_categorical_accuracy: accuracies.SparseCategoricalAccuracy,
    top_k_categorical_accuracy: accuracies.TopKCategoricalAccuracy,
    sparse_top_k_categorical_accuracy: accuracies.SparseTopKCategoricalAccuracy,
}


def metric_of(function: Any, name: str | None = None, **arguments: Any) -> Metric | None:
    """Return the metric that is the mean of a function or a loss; None for anything else."""
    if isinstance(function, losses.Loss):
        return MeanLoss(function, name)
    if not callable(function) or isinstance(function, type):
        return None
    name = name or getattr(function, "__name__", None)
    if function in CLASS_OF:
        return MeanLoss(CLASS_OF[function](**arguments), name)
    if function in _ACCURACY_OF:
        return _ACCURACY_OF[function](name=name, **arguments)
    return MeanLoss(losses.FunctionLoss(partial(function, **arguments), name=name))


def for_plan(metric: Metric) -> Metric:
    """Return the metric that a plan can count; a wrapped function of ours becomes its own."""
    if isinstance(metric, MeanMetricWrapper) and not metric.on_host:
        return metric_of(metric.fn, metric.name, **metric.arguments) or metric
    return metric
