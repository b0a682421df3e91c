"""Kernels that count for metrics. Public through ``onepass.kernels``."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]

_ACCURACIES = _core.accuracies()
_COLUMN_SUMS = _core.column_sum_kinds()
_KINDS = list(_ACCURACIES)
_SPARSE = ("sparse_categorical", "sparse_top_k_categorical")
_ELEMENTWISE = ("binary", "equal")


def row_accuracy(
    target: ArrayLike,
    prediction: ArrayLike,
    kind: Literal[
        "binary",
        "categorical",
        "sparse_categorical",
        "equal",
        "top_k_categorical",
        "sparse_top_k_categorical",
    ] = "categorical",
    threshold: float = 0.5,
    k: int = 5,
) -> Array:
    """Return the share of right answers in each row.

    Parameters
    ----------
    target : shape and dtype of prediction; for the sparse kinds (...) or (..., 1) integers, one
        class index from 0 to c - 1 a row
    prediction : (..., c) float32 or float64
    kind : "categorical" and "sparse_categorical" compare the places of the largest elements; the
        kinds with "top_k" ask whether fewer than k elements exceed the right one, which must not be
        NaN; "binary" compares each target with ``prediction > threshold``, "equal" with the
        prediction itself
    threshold : float, for "binary" only
    k : int, for "top_k" only

    Returns
    -------
    values : (...) dtype of prediction, 0 to 1

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, the kind is unknown, k is below 1 or a categorical row has no classes.
    IndexError
        If a class index is out of range.
    """
    code = _ACCURACIES[_checks.choice(kind, "kind", _KINDS)]
    threshold = _checks.number(threshold, "threshold")
    k = _checks.integer(k, "k", 1)
    prediction = _checks.floats(prediction, "prediction")
    _checks.expect_axis(prediction, "prediction")
    if kind not in _ELEMENTWISE and prediction.shape[-1] == 0:
        raise ValueError(f"prediction must have at least 1 class, got shape {prediction.shape}")
    if kind in _SPARSE:
        rows_target = _checks.class_indices(_checks.integers(target, "target"), prediction)
    else:
        target = _checks.floats(target, "target", prediction, "prediction")
        _checks.expect_shape(target, "target", prediction.shape, "as prediction")
        rows_target = _checks.input_rows(target)
    values = np.empty(prediction.shape[:-1], prediction.dtype)
    rows = _checks.input_rows(prediction)
    _core.row_accuracy(code, threshold, k, rows_target, rows, values.reshape(-1))
    return values


def confusion_counts(
    target: ArrayLike,
    prediction: ArrayLike,
    thresholds: int | ArrayLike,
    *,
    weights: ArrayLike | None = None,
    top_k: int | None = None,
    by_column: bool = False,
) -> Array:
    """Return the weight of true and of false elements by how many thresholds they exceed.

    With ``counts`` returned, true positives at threshold i are ``counts[0, i + 1:].sum()`` and
    false negatives ``counts[0, :i + 1].sum()``; ``counts[1]`` gives those of false targets.

    Parameters
    ----------
    target : shape and dtype of prediction; true where it is not 0
    prediction : (..., c) float32 or float64; NaN exceeds nothing
    thresholds : int t >= 2 for even steps ``i / (t - 1)``, or (t,) numbers in ascending order
        Even ones are compared as ``min(max(p, 0), 1) * (t - 1) > i``, as Keras does.
    weights : (...) dtype of prediction, optional; of all elements of a row
    top_k : int, optional
        Only the k largest elements of a row (the first of equal ones) exceed any threshold.
    by_column : bool
        Count each column apart.

    Returns
    -------
    counts : (2, t + 1) float64, or (c, 2, t + 1) by column

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree or thresholds are not in order.
    """
    prediction = _checks.floats(prediction, "prediction")
    _checks.expect_axis(prediction, "prediction")
    target = _checks.floats(target, "target", prediction, "prediction")
    _checks.expect_shape(target, "target", prediction.shape, "as prediction")
    if isinstance(thresholds, (int, np.integer)) or np.ndim(thresholds) == 0:
        given, size = None, _checks.integer(thresholds, "thresholds", 2)
    else:
        given = np.asarray(thresholds, prediction.dtype)
        _checks.expect_ndim(given, "thresholds", ("t",))
        size = len(given)
        if not size or not (given[1:] >= given[:-1]).all() or np.isnan(given).any():
            raise ValueError(f"thresholds must be numbers in ascending order, got {thresholds}")
    largest = 0 if top_k is None else _checks.integer(top_k, "top_k", 1)
    cols = prediction.shape[-1]
    counts = np.zeros((cols if by_column else 1, 2, size + 1))
    _core.confusion_counts(
        _checks.input_rows(target),
        _checks.input_rows(prediction),
        _row_weights(weights, prediction),
        given,
        size,
        0,
        largest,
        0,
        cols,
        by_column,
        counts.reshape(-1),
    )
    return counts if by_column else counts[0]


def column_sums(
    target: ArrayLike,
    prediction: ArrayLike,
    kind: Literal["hits", "errors"] = "errors",
    *,
    threshold: float | None = None,
    weights: ArrayLike | None = None,
) -> Array:
    """Return weighted sums over the rows, for each column.

    Parameters
    ----------
    target : shape and dtype of prediction
    prediction : (..., c) float32 or float64
    kind : "errors": of the squared error, the target, its square and 1, and the number of rows;
        "hits": of the target where it is predicted, of 1 where it is, and of the target
    threshold : float, optional, for "hits"
        Predicted is what exceeds it; without one the largest of a row, if it is not 0 (to 1e-9).
    weights : (...) dtype of prediction, optional; a row of weight 0 is left out

    Returns
    -------
    sums : (5, c) float64 for "errors", (3, c) for "hits"

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree or the kind is unknown.
    """
    code = _COLUMN_SUMS[_checks.choice(kind, "kind", _COLUMN_SUMS)]
    limit = 0.0 if threshold is None else _checks.number(threshold, "threshold")
    prediction = _checks.floats(prediction, "prediction")
    _checks.expect_axis(prediction, "prediction")
    target = _checks.floats(target, "target", prediction, "prediction")
    _checks.expect_shape(target, "target", prediction.shape, "as prediction")
    sums = np.zeros((3 if kind == "hits" else 5, prediction.shape[-1]))
    _core.column_sums(
        code,
        threshold is None,
        limit,
        _checks.input_rows(target),
        _checks.input_rows(prediction),
        _row_weights(weights, prediction),
        sums.reshape(-1),
    )
    return sums


def _row_weights(weights: ArrayLike | None, prediction: Array) -> Array | None:
    if weights is None:
        return None
    array = _checks.floats(weights, "weights", prediction, "prediction")
    _checks.expect_shape(array, "weights", prediction.shape[:-1], "as one a row")
    return _checks.input_vector(array)
