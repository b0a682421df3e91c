"""Activations over rows beside softmax. Public through ``onepass.kernels``."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]


def log_softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
    """Return ``x - max x - log sum exp(x - max x)`` over the last axis.

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
    return _forward(_core.log_softmax, x, out)


def log_softmax_backward(y: ArrayLike, dy: ArrayLike, *, out: Array | None = None) -> Array:
    """Return ``dy - exp(y) sum(dy)`` over the last axis, the gradient through `log_softmax`.

    Parameters
    ----------
    y : (..., c) float32 or float64, the result of `log_softmax`
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
    return _backward(_core.log_softmax_backward, y, dy, out)


def sparsemax(x: ArrayLike, *, out: Array | None = None) -> Array:
    """Return ``max(x - t, 0)`` over the last axis, with the t for which it sums to 1.

    Martins and Astudillo, From Softmax to Sparsemax, 2016.

    Parameters
    ----------
    x : (..., c) float32 or float64
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given; NaN for a row with a NaN or an infinite largest

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If x has no axis or out is not usable.
    """
    return _forward(_core.sparsemax, x, out)


def sparsemax_backward(y: ArrayLike, dy: ArrayLike, *, out: Array | None = None) -> Array:
    """Return ``dy - mean(dy)``, both where y > 0, and 0 elsewhere: the gradient of `sparsemax`.

    Parameters
    ----------
    y : (..., c) float32 or float64, the result of `sparsemax`
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
    return _backward(_core.sparsemax_backward, y, dy, out)


def glu(x: ArrayLike, *, out: Array | None = None) -> Array:
    """Return ``a * sigmoid(b)``, where a and b are the halves of x along the last axis.

    Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017.

    Parameters
    ----------
    x : (..., 2 c) float32 or float64
    out : (..., c) dtype of x, optional; receives the result

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If the last axis has no halves or out is not usable.
    """
    x = _checks.floats(x, "x")
    shape = _half(x, "x")
    y, rows = _checks.output(out, "out", shape, x.dtype, {"x": x})
    _core.glu(_checks.input_rows(x), rows)
    return y


def glu_backward(x: ArrayLike, dy: ArrayLike, *, out: Array | None = None) -> Array:
    """Return the gradient through `glu` with respect to its input.

    Parameters
    ----------
    x : (..., 2 c) float32 or float64, the input of `glu`
    dy : (..., c) dtype of x, gradient with respect to its result
    out : shape and dtype of x, optional; receives the result

    Returns
    -------
    dx : (..., 2 c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree or out is not usable.
    """
    x = _checks.floats(x, "x")
    dy = _checks.floats(dy, "dy", x, "x")
    _checks.expect_shape(dy, "dy", _half(x, "x"), "as half of x")
    dx, rows = _checks.output(out, "out", x.shape, x.dtype, {"x": x, "dy": dy})
    _core.glu_backward(_checks.input_rows(x), _checks.input_rows(dy), rows, False)
    return dx


def _half(x: Array, name: str) -> tuple[int, ...]:
    _checks.expect_axis(x, name)
    if x.shape[-1] % 2:
        raise ValueError(f"{name} must have an even last dimension, got shape {x.shape}")
    return (*x.shape[:-1], x.shape[-1] // 2)


def _forward(kernel: Any, x: ArrayLike, out: Array | None) -> Array:
    x = _checks.floats(x, "x")
    _checks.expect_axis(x, "x")
    y, rows = _checks.output(out, "out", x.shape, x.dtype, {"x": x}, in_place=True)
    kernel(_checks.input_rows(x), rows)
    return y


def _backward(kernel: Any, y: ArrayLike, dy: ArrayLike, out: Array | None) -> Array:
    y = _checks.floats(y, "y")
    dy = _checks.floats(dy, "dy", y, "y")
    _checks.expect_axis(y, "y")
    _checks.expect_shape(dy, "dy", y.shape, "as y")
    inputs = {"y": y, "dy": dy}
    dx, rows = _checks.output(out, "out", y.shape, y.dtype, inputs, in_place=True)
    kernel(_checks.input_rows(y), _checks.input_rows(dy), rows, False)
    return dx
