"""The kernels as checked functions on NumPy arrays, one each, for use without any model.

All arrays of a call are float32 or all float64; array-likes go through ``numpy.asarray``, and
other dtypes are refused rather than converted. Inputs that a kernel cannot read where they lie
(strided columns, misaligned, foreign byte order) are copied. Outputs must be writeable arrays with
contiguous rows that overlap no input. Names ending in ``_`` work in place. Every error is raised
before anything is changed. Results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core
from onepass._circle_kernels import circle
from onepass._combine_kernels import (
    combine,
    combine_backward,
    embedding,
    embedding_backward,
    scaled_copy,
    scaled_sum,
)
from onepass._metric_kernels import column_sums, confusion_counts, row_accuracy
from onepass._norm_kernels import (
    clip_by_global_norm_,
    clip_by_norm_,
    clip_by_value_,
    global_norm,
)
from onepass._normalization_kernels import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    layer_norm_backward,
    layer_norm_forward,
    moving_statistics_,
    rms_norm_backward,
    rms_norm_forward,
    unit_norm_backward,
    unit_norm_forward,
)
from onepass._random_kernels import (
    alpha_dropout,
    dropout,
    gaussian_dropout,
    gaussian_noise,
    rrelu,
    rrelu_backward,
)
from onepass._regularizing_kernels import constrain_, penalty
from onepass._row_kernels import gather_rows, loss, weighted_sum
from onepass._rowwise_kernels import (
    glu,
    glu_backward,
    log_softmax,
    log_softmax_backward,
    sparsemax,
    sparsemax_backward,
)

Array = NDArray[Any]

__all__ = [
    "activation_backward",
    "activation_forward",
    "alpha_dropout",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference",
    "circle",
    "clip_by_global_norm_",
    "clip_by_norm_",
    "clip_by_value_",
    "column_sums",
    "combine",
    "combine_backward",
    "confusion_counts",
    "constrain_",
    "dense_backward",
    "dense_backward_input",
    "dense_backward_weights",
    "dense_forward",
    "dropout",
    "embedding",
    "embedding_backward",
    "gather_rows",
    "gaussian_dropout",
    "gaussian_noise",
    "global_norm",
    "glu",
    "glu_backward",
    "layer_norm_backward",
    "layer_norm_forward",
    "log_softmax",
    "log_softmax_backward",
    "loss",
    "moving_statistics_",
    "penalty",
    "rms_norm_backward",
    "rms_norm_forward",
    "row_accuracy",
    "rrelu",
    "rrelu_backward",
    "scaled_copy",
    "scaled_sum",
    "softmax",
    "softmax_backward",
    "sparsemax",
    "sparsemax_backward",
    "unit_norm_backward",
    "unit_norm_forward",
    "weighted_sum",
]


def dense_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    activation: str = "linear",
    *,
    z: Array | None = None,
    out: Array | None = None,
    **hyper: float,
) -> Array:
    """Return ``activation(x w + b)``.

    Parameters
    ----------
    x : (n, i) float32 or float64
    w : (i, o) dtype of x
    b : (o,) dtype of x, optional
    activation : str, name of an elementwise activation
    z : (n, o) dtype of x, optional; receives ``x w + b``
    out : (n, o) dtype of x, optional; receives the result
    **hyper : hyper-parameters of the activation

    Returns
    -------
    y : (n, o) dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype or a name of a hyper-parameter is wrong.
    ValueError
        If shapes disagree, the activation is unknown or an output is not usable.

    Notes
    -----
    A row's result does not depend on the other rows, nor on how many there are.
    """
    entry, numbers = _checks.activation_of(activation, hyper)
    x, w = _checks.floats(x, "x"), _checks.array_of(w, "w")
    w = _checks.floats(w, "w", x, "x")
    _checks.expect_ndim(x, "x", ("n", "i"))
    _checks.expect_ndim(w, "w", ("i", "o"))
    (n, i), o = x.shape, w.shape[1]
    _checks.expect_fit(w, "w", (i, o), x, "x")
    if b is not None:
        b = _checks.floats(b, "b", x, "x")
        _checks.expect_fit(b, "b", (o,), w, "w")
    inputs = {"x": x, "w": w, "b": b}
    y, y_rows = _checks.output(out, "out", (n, o), x.dtype, inputs)
    z_rows = None
    if z is not None:
        z_rows = _checks.output(z, "z", (n, o), x.dtype, inputs | {"out": y})[1]
    _core.dense_forward(
        _checks.input_rows(x),
        _checks.input_rows(w),
        None if b is None else _checks.input_vector(b),
        z_rows,
        y_rows,
        entry.id,
        numbers,
    )
    return y


def dense_backward(
    x: ArrayLike,
    w: ArrayLike,
    y: ArrayLike,
    dy: ArrayLike,
    activation: str = "linear",
    *,
    z: ArrayLike | None = None,
    **hyper: float,
) -> tuple[Array, Array, Array]:
    """Return the gradients of ``y = activation(x w + b)`` with respect to x, w and b.

    ``dz = dy activation'(z)``, ``dx = dz w^T``, ``dw = x^T dz``, ``db = sum of the rows of dz``.

    Parameters
    ----------
    x : (n, i) float32 or float64, as given to `dense_forward`
    w : (i, o) dtype of x
    y : (n, o) dtype of x, the result of `dense_forward`
    dy : (n, o) dtype of x, gradient with respect to y
    activation : str, as given to `dense_forward`
    z : (n, o) dtype of x; only for activations whose derivative needs it
    **hyper : hyper-parameters of the activation

    Returns
    -------
    dx : (n, i) dtype of x
    dw : (i, o) dtype of x
    db : (o,) dtype of x

    Raises
    ------
    TypeError
        If a dtype or a name of a hyper-parameter is wrong.
    ValueError
        If shapes disagree or the activation is unknown.
    """
    x = _checks.floats(x, "x")
    w, y, dy = (
        _checks.floats(value, name, x, "x") for name, value in (("w", w), ("y", y), ("dy", dy))
    )
    _checks.expect_ndim(x, "x", ("n", "i"))
    _checks.expect_ndim(w, "w", ("i", "o"))
    _checks.expect_fit(w, "w", (x.shape[1], w.shape[1]), x, "x")
    _checks.expect_shape(y, "y", (x.shape[0], w.shape[1]), "as x w")
    dz = activation_backward(y, dy, activation, x=z, out=None, **hyper)
    return dense_backward_input(dz, w), *dense_backward_weights(x, dz)


def dense_backward_input(
    dz: ArrayLike,
    w: ArrayLike,
    activation: str = "linear",
    *,
    y: ArrayLike | None = None,
    z: ArrayLike | None = None,
    out: Array | None = None,
    **hyper: float,
) -> Array:
    """Return ``(dz w^T) activation'(z)``, the activation being the one that made this input.

    Parameters
    ----------
    dz : (n, o) float32 or float64, gradient with respect to ``x w + b``
    w : (i, o) dtype of dz
    activation : str, the activation whose result was x
    y : (n, i) dtype of dz, its result; needed unless the activation is linear
    z : (n, i) dtype of dz, its input; only for activations whose derivative needs it
    out : (n, i) dtype of dz, optional; receives the result
    **hyper : hyper-parameters of the activation

    Returns
    -------
    dx : (n, i) dtype of dz; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype or a name of a hyper-parameter is wrong.
    ValueError
        If shapes disagree, the activation is unknown, y or z is missing or out is not usable.
    """
    entry, numbers = _checks.activation_of(activation, hyper)
    dz = _checks.floats(dz, "dz")
    w = _checks.floats(w, "w", dz, "dz")
    _checks.expect_ndim(dz, "dz", ("n", "o"))
    _checks.expect_ndim(w, "w", ("i", "o"))
    (n, o), i = dz.shape, w.shape[0]
    _checks.expect_fit(w, "w", (i, o), dz, "dz")
    inputs: dict[str, Array | None] = {"dz": dz, "w": w}
    needed = {"y": entry.name != "linear", "z": entry.needs_input}
    for name, value in (("y", y), ("z", z)):
        if value is None and needed[name]:
            raise ValueError(f"{name} must be given for the activation {entry.name}, got None")
        inputs[name] = None if value is None else _checks.floats(value, name, dz, "dz")
        if (given := inputs[name]) is not None:
            _checks.expect_shape(given, name, (n, i), "as dz w^T")
    dx, dx_rows = _checks.output(out, "out", (n, i), dz.dtype, inputs)
    y_rows, z_rows = (
        None if a is None else _checks.input_rows(a) for a in (inputs["y"], inputs["z"])
    )
    _core.dense_backward_input(
        _checks.input_rows(dz),
        _checks.input_rows(w),
        z_rows,
        y_rows,
        dx_rows,
        entry.id,
        numbers,
        False,
    )
    return dx


def dense_backward_weights(x: ArrayLike, dz: ArrayLike) -> tuple[Array, Array]:
    """Return ``dw = x^T dz`` and ``db``, the sum of the rows of dz.

    Parameters
    ----------
    x : (n, i) float32 or float64
    dz : (n, o) dtype of x, gradient with respect to ``x w + b``

    Returns
    -------
    dw : (i, o) dtype of x
    db : (o,) dtype of x

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree.
    """
    x = _checks.floats(x, "x")
    dz = _checks.floats(dz, "dz", x, "x")
    _checks.expect_ndim(x, "x", ("n", "i"))
    _checks.expect_ndim(dz, "dz", ("n", "o"))
    _checks.expect_fit(dz, "dz", (x.shape[0], dz.shape[1]), x, "x")
    dw = np.empty((x.shape[1], dz.shape[1]), x.dtype)
    db = np.empty(dz.shape[1], x.dtype)
    _core.dense_backward_weights(_checks.input_rows(x), _checks.input_rows(dz), dw, db, False)
    return dw, db


def activation_forward(
    x: ArrayLike, activation: str, *, out: Array | None = None, **hyper: float
) -> Array:
    """Return ``activation(x)``, element by element.

    Parameters
    ----------
    x : float32 or float64, any shape
    activation : str, name of an elementwise activation or function
    out : shape and dtype of x, optional; receives the result and may be x itself
    **hyper : hyper-parameters of the activation

    Returns
    -------
    y : shape and dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype or a name of a hyper-parameter is wrong.
    ValueError
        If the activation is unknown, a hyper-parameter out of range or out not usable.
    """
    entry, numbers = _checks.elementwise_of(activation, hyper)
    x = _checks.floats(x, "x")
    y, rows = _checks.output(out, "out", x.shape, x.dtype, {"x": x}, in_place=True)
    _core.activation_forward(_checks.input_rows(x), rows, entry.id, numbers)
    return y


def activation_backward(
    y: ArrayLike,
    dy: ArrayLike,
    activation: str,
    *,
    x: ArrayLike | None = None,
    out: Array | None = None,
    **hyper: float,
) -> Array:
    """Return ``dy activation'(x)``, the derivative taken from the result y where it can be.

    Parameters
    ----------
    y : float32 or float64, any shape, the result of `activation_forward`
    dy : shape and dtype of y, gradient with respect to y
    activation : str, as given to `activation_forward`
    x : shape and dtype of y; only for activations whose derivative needs the input
    out : shape and dtype of y, optional; receives the result and may be x, y or dy itself
    **hyper : hyper-parameters of the activation

    Returns
    -------
    dx : shape and dtype of y; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype or a name of a hyper-parameter is wrong.
    ValueError
        If shapes disagree, the activation is unknown, x is missing or out is not usable.
    """
    entry, numbers = _checks.elementwise_of(activation, hyper)
    y = _checks.floats(y, "y")
    dy = _checks.floats(dy, "dy", y, "y")
    _checks.expect_shape(dy, "dy", y.shape, "as y")
    if x is not None:
        x = _checks.floats(x, "x", y, "y")
        _checks.expect_shape(x, "x", y.shape, "as y")
    elif entry.needs_input:
        raise ValueError(f"x must be given for the activation {entry.name}, got None")
    inputs = {"y": y, "dy": dy, "x": x}
    dx, rows = _checks.output(out, "out", y.shape, y.dtype, inputs, in_place=True)
    _core.activation_backward(
        None if x is None else _checks.input_rows(x),
        _checks.input_rows(y),
        _checks.input_rows(dy),
        rows,
        entry.id,
        numbers,
        False,
    )
    return dx


def softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
    """Return ``exp(x - max x) / sum exp(x - max x)`` over the last axis.

    Parameters
    ----------
    x : (..., c) float32 or float64
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If x has no axis or out is not usable.
    """
    x = _checks.floats(x, "x")
    _checks.expect_axis(x, "x")
    y, rows = _checks.output(out, "out", x.shape, x.dtype, {"x": x}, in_place=True)
    _core.softmax(_checks.input_rows(x), rows)
    return y


def softmax_backward(y: ArrayLike, dy: ArrayLike, *, out: Array | None = None) -> Array:
    """Return ``y (dy - sum(y dy))`` over the last axis, the gradient through `softmax`.

    Parameters
    ----------
    y : (..., c) float32 or float64, the result of `softmax`
    dy : shape and dtype of y, gradient with respect to y
    out : shape and dtype of y, optional; receives the result and may be y or dy itself

    Returns
    -------
    dx : (..., c) dtype of y; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, y has no axis or out is not usable.
    """
    y = _checks.floats(y, "y")
    dy = _checks.floats(dy, "dy", y, "y")
    _checks.expect_axis(y, "y")
    _checks.expect_shape(dy, "dy", y.shape, "as y")
    inputs = {"y": y, "dy": dy}
    dx, rows = _checks.output(out, "out", y.shape, y.dtype, inputs, in_place=True)
    _core.softmax_backward(_checks.input_rows(y), _checks.input_rows(dy), rows, False)
    return dx
