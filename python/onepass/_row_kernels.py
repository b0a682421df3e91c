"""Losses, sums and gathered rows: the part of ``onepass.kernels`` with one value a row.

Public through ``onepass.kernels``, whose docstring says what holds for all kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]

_SOURCES = ("float32", "float64", "uint8", "int32")


def loss(
    target: ArrayLike,
    prediction: ArrayLike,
    loss: str,
    *,
    weights: ArrayLike | None = None,
    scale: float = 1.0,
    probabilities: Array | None = None,
    **hyper: float,
) -> tuple[Array, Array]:
    """Return the loss of each row and its gradient with respect to the prediction.

    Parameters
    ----------
    target : shape and dtype of prediction; for the categorical cross-entropies also (...) or
        (..., 1) integers, one class index from 0 to c - 1 a row
    prediction : (..., c) float32 or float64
    loss : str, name of a loss; ``..._from_logits`` reads logits, the others what they are named for
    weights : (...) dtype of prediction, optional; factor of each row's gradient
    scale : float, factor of the whole gradient, e.g. 1 / n for the mean over n rows
    probabilities : shape and dtype of prediction, optional; receives softmax or sigmoid of logits
    **hyper : hyper-parameters of the loss: label_smoothing in [0, 1] (default 0); of huber delta
        (1); of quantile quantile (0.5); of binary_focal_crossentropy gamma (2), positive_weight and
        negative_weight (1)

    Returns
    -------
    values : (...) dtype of prediction; neither ``weights`` nor ``scale`` is in them
    gradient : (..., c) dtype of prediction; ``scale weights d values / d prediction``

    Raises
    ------
    TypeError
        If a dtype or a name of a hyper-parameter is wrong.
    ValueError
        If shapes disagree, the loss is unknown or probabilities is not usable.
    IndexError
        If a class index is out of range.

    Notes
    -----
    Elementwise losses are means over the last axis, NaN where it has no elements; kl_divergence is
    a sum, cosine_similarity and categorical_hinge are of the whole row.
    """
    entry, numbers = _checks.loss_of(loss, hyper)
    scale = _checks.number(scale, "scale")
    prediction = _checks.floats(prediction, "prediction")
    _checks.expect_axis(prediction, "prediction")
    target = _checks.array_of(target, "target")
    sparse = entry.row_wise and target.dtype.kind in "iu"
    inputs: dict[str, Array | None] = {"prediction": prediction, "target": target}
    if sparse:
        rows_target = _checks.class_indices(target, prediction)
    else:
        target = _checks.floats(target, "target", prediction, "prediction")
        _checks.expect_shape(target, "target", prediction.shape, "as prediction")
        rows_target = _checks.input_rows(target)
    if weights is not None:
        weights = inputs["weights"] = _checks.floats(weights, "weights", prediction, "prediction")
        _checks.expect_shape(weights, "weights", prediction.shape[:-1], "as one a row")
    probability_rows = None
    if probabilities is not None:
        if entry.prediction not in ("softmax", "sigmoid"):
            raise ValueError(
                f"probabilities must be None for {entry.name}, which reads no logits, got an array"
            )
        probability_rows = _checks.output(
            probabilities, "probabilities", prediction.shape, prediction.dtype, inputs
        )[1]
    values = np.empty(prediction.shape[:-1], prediction.dtype)
    gradient = np.empty(prediction.shape, prediction.dtype)
    _core.loss(
        entry.id,
        numbers,
        rows_target,
        sparse,
        _checks.input_rows(prediction),
        None if weights is None else _checks.input_vector(weights),
        values.reshape(-1),
        _checks.as_rows(gradient),
        probability_rows,
        scale,
    )
    return values, gradient


def weighted_sum(values: ArrayLike, weights: ArrayLike | None = None) -> tuple[float, float]:
    """Return ``sum(weights values)`` and ``sum(weights)``, added up in float64 in order.

    Parameters
    ----------
    values : float32 or float64, any shape
    weights : shape and dtype of values, optional; 1 each when not given

    Returns
    -------
    total : float; a value of weight 0 is left out even if it is not finite
    weight : float

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree.
    """
    values = _checks.floats(values, "values")
    if weights is not None:
        weights = _checks.floats(weights, "weights", values, "values")
        _checks.expect_shape(weights, "weights", values.shape, "as values")
        weights = _checks.input_vector(weights)
    return _core.weighted_sum(_checks.input_vector(values), weights)


def gather_rows(
    source: ArrayLike, index: ArrayLike, *, scale: float = 1.0, dtype: DTypeLike = np.float32
) -> Array:
    """Return ``scale source[index]`` as floats: rows of a dataset in any order, in one pass.

    Parameters
    ----------
    source : (m, ...) float32, float64, uint8 or int32; may be a memory map
    index : (n,) integers from 0 to m - 1; negative ones are refused
    scale : float, e.g. 1 / 255 for images
    dtype : float32 or float64, of the result

    Returns
    -------
    rows : (n, ...) dtype

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If source has no axis or index is not of one dimension.
    IndexError
        If an index is out of range.
    """
    source = _checks.array_of(source, "source")
    if source.dtype.name not in _SOURCES:
        raise TypeError(f"source must be {', '.join(_SOURCES[:-1])} or int32, got {source.dtype}")
    _checks.expect_axis(source, "source")
    index = _checks.integers(index, "index")
    _checks.expect_ndim(index, "index", ("n",))
    _checks.in_range(index, "index", source.shape[0])
    scale = _checks.number(scale, "scale")
    result_dtype = np.dtype(dtype)
    if result_dtype.char not in _checks.FLOATS or not result_dtype.isnative:
        raise TypeError(f"dtype must be float32 or float64, got {result_dtype}")
    out = np.empty((len(index), *source.shape[1:]), result_dtype)
    order = index.astype(np.int64)
    if not (source[:1].flags.c_contiguous and source.flags.aligned):
        # The rows asked for and no more: the source may be far larger than memory.
        source, order = np.ascontiguousarray(source[order]), np.arange(len(order))
    if out.size:
        _core.gather_rows(source, order, scale, out.reshape(len(out), -1))
    return out
