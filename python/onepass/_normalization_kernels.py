"""Normalization by the batch and by rows. Public through ``onepass.kernels``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]


def batch_norm_forward(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return ``gamma (x - mean) / sqrt(variance + epsilon) + beta`` by the columns of the batch.

    Parameters
    ----------
    x : (..., c) float32 or float64; all axes but the last are the batch
    gamma : (c,) dtype of x, optional; 1 without
    beta : (c,) dtype of x, optional; 0 without
    epsilon : float >= 0, default 1e-3
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given
    statistics : (4, c) dtype of x
        Each column's mean, what of it the dtype cannot hold beside that, (biased) variance and
        ``1 / sqrt(variance + epsilon)``; 0 the first three without rows.

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis, epsilon is out of range or out is not usable.

    Notes
    -----
    Of a large mean with a small variance nothing is lost: 1e4 +- 0.01 is right in float32, as far
    as x holds it. One row has the variance 0, so y is beta.

    References
    ----------
    Ioffe and Szegedy, Batch Normalization, 2015.
    """
    x, gamma, beta, epsilon = _checked(x, gamma, beta, epsilon)
    inputs = {"x": x, "gamma": gamma, "beta": beta}
    y, rows = _output(out, x, inputs)
    statistics = np.empty((_core.batch_statistics, x.shape[-1]), x.dtype)
    _core.batch_norm_forward(
        _checks.input_rows(x), _vector(gamma), _vector(beta), rows, statistics, epsilon
    )
    return y, statistics


def batch_norm_inference(
    x: ArrayLike,
    moving_mean: ArrayLike,
    moving_variance: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return ``gamma (x - moving_mean) / sqrt(moving_variance + epsilon) + beta``.

    Parameters
    ----------
    x : (..., c) float32 or float64
    moving_mean : (c,) dtype of x
    moving_variance : (c,) dtype of x
    gamma : (c,) dtype of x, optional; 1 without
    beta : (c,) dtype of x, optional; 0 without
    epsilon : float >= 0, default 1e-3
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given
    statistics : (4, c) dtype of x, as of `batch_norm_forward`

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis, epsilon is out of range or out is not usable.
    """
    x, gamma, beta, epsilon = _checked(x, gamma, beta, epsilon)
    moving_mean = _column(moving_mean, "moving_mean", x)
    moving_variance = _column(moving_variance, "moving_variance", x)
    inputs = {"x": x, "gamma": gamma, "beta": beta}
    inputs |= {"moving_mean": moving_mean, "moving_variance": moving_variance}
    y, rows = _output(out, x, inputs)
    statistics = np.empty((_core.batch_statistics, x.shape[-1]), x.dtype)
    _core.batch_norm_inference(
        _checks.input_rows(x),
        _checks.input_vector(moving_mean),
        _checks.input_vector(moving_variance),
        _vector(gamma),
        _vector(beta),
        rows,
        statistics,
        epsilon,
    )
    return y, statistics


def batch_norm_backward(
    x: ArrayLike,
    dy: ArrayLike,
    statistics: ArrayLike,
    gamma: ArrayLike | None = None,
    *,
    fixed: bool = False,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Return the gradients of `batch_norm_forward` with respect to x, gamma and beta.

    Parameters
    ----------
    x : (..., c) float32 or float64, as it was given
    dy : shape and dtype of x, gradient with respect to y
    statistics : (4, c) dtype of x, as they were returned
    gamma : (c,) dtype of x, as it was given
    fixed : bool, default False
        Whether they were those of `batch_norm_inference`, on which x has no influence.
    out : shape and dtype of x, optional; receives dx and may be x or dy itself

    Returns
    -------
    dx : (..., c) dtype of x; ``out`` when given
    dgamma, dbeta : (c,) dtype of x

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis or out is not usable.
    """
    x, dy, statistics, gamma = _checked_backward(x, dy, statistics, gamma, by_rows=False)
    inputs = {"x": x, "dy": dy, "statistics": statistics, "gamma": gamma}
    dx, rows = _output(out, x, inputs)
    dgamma, dbeta = np.empty(x.shape[-1], x.dtype), np.empty(x.shape[-1], x.dtype)
    _core.batch_norm_backward(
        _checks.input_rows(x),
        _checks.input_rows(dy),
        _checks.input_rows(statistics),
        _vector(gamma),
        rows,
        dgamma,
        dbeta,
        bool(fixed),
        False,
    )
    return dx, dgamma, dbeta


def moving_statistics_(
    moving_mean: Array, moving_variance: Array, statistics: ArrayLike, momentum: float = 0.99
) -> None:
    """Let moving statistics follow a batch's: ``moving = momentum moving + (1 - momentum) new``.

    Parameters
    ----------
    moving_mean : (c,) float32 or float64, changed in place
    moving_variance : (c,) dtype of moving_mean, changed in place
    statistics : (4, c) dtype of moving_mean, of `batch_norm_forward`
    momentum : float in [0, 1], default 0.99

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, momentum is out of range or an array cannot be written to.
    """
    momentum = _checks.number(momentum, "momentum", 0.0, 1.0)
    _checks.writeable_rows(moving_mean, "moving_mean")
    _checks.expect_ndim(moving_mean, "moving_mean", ("c",))
    _checks.writeable_rows(moving_variance, "moving_variance")
    _column(moving_variance, "moving_variance", moving_mean, "moving_mean")
    if _checks.overlap(moving_variance, moving_mean):
        raise ValueError("moving_variance must not overlap moving_mean, got shared memory")
    statistics = _checks.floats(statistics, "statistics", moving_mean, "moving_mean")
    expected = (_core.batch_statistics, moving_mean.size)
    _checks.expect_shape(statistics, "statistics", expected, "for the moving statistics")
    for name, array in (("moving_mean", moving_mean), ("moving_variance", moving_variance)):
        if _checks.overlap(array, statistics):
            raise ValueError(f"{name} must not overlap statistics, got shared memory")
    rows = _checks.input_rows(statistics)
    _core.moving_statistics(rows, moving_mean, moving_variance, momentum)


def layer_norm_forward(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return ``gamma (x - mean) / sqrt(variance + epsilon) + beta`` over the last axis.

    Parameters
    ----------
    x : (..., c) float32 or float64
    gamma : (c,) dtype of x, optional; 1 without
    beta : (c,) dtype of x, optional; 0 without
    epsilon : float >= 0, default 1e-3
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given
    statistics : (n, 3) dtype of x, n rows
        Each row's mean, what of it the dtype cannot hold beside that, and
        ``1 / sqrt(variance + epsilon)``.

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis, epsilon is out of range or out is not usable.

    References
    ----------
    Ba, Kiros and Hinton, Layer Normalization, 2016.
    """
    return _row_norm("layer", x, gamma, beta, epsilon, out)


def layer_norm_backward(
    x: ArrayLike,
    dy: ArrayLike,
    statistics: ArrayLike,
    gamma: ArrayLike | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Return the gradients of `layer_norm_forward` with respect to x, gamma and beta.

    Parameters
    ----------
    x : (..., c) float32 or float64, as it was given
    dy : shape and dtype of x, gradient with respect to y
    statistics : (n, 3) dtype of x, as they were returned
    gamma : (c,) dtype of x, as it was given
    out : shape and dtype of x, optional; receives dx

    Returns
    -------
    dx : (..., c) dtype of x; ``out`` when given
    dgamma, dbeta : (c,) dtype of x

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis or out is not usable.
    """
    return _row_norm_backward("layer", x, dy, statistics, gamma, out)


def rms_norm_forward(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    *,
    epsilon: float = 1e-6,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return ``scale x / sqrt(mean of squares + epsilon)`` over the last axis.

    Parameters
    ----------
    x : (..., c) float32 or float64
    scale : (c,) dtype of x, optional; 1 without
    epsilon : float >= 0, default 1e-6
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given
    statistics : (n, 3) dtype of x, n rows; as of `layer_norm_forward`, with a mean of 0

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis, epsilon is out of range or out is not usable.

    References
    ----------
    Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """
    return _row_norm("rms", x, scale, None, epsilon, out, "scale")


def rms_norm_backward(
    x: ArrayLike,
    dy: ArrayLike,
    statistics: ArrayLike,
    scale: ArrayLike | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return the gradients of `rms_norm_forward` with respect to x and scale.

    Parameters
    ----------
    x : (..., c) float32 or float64, as it was given
    dy : shape and dtype of x, gradient with respect to y
    statistics : (n, 3) dtype of x, as they were returned
    scale : (c,) dtype of x, as it was given
    out : shape and dtype of x, optional; receives dx

    Returns
    -------
    dx : (..., c) dtype of x; ``out`` when given
    dscale : (c,) dtype of x

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis or out is not usable.
    """
    return _row_norm_backward("rms", x, dy, statistics, scale, out, "scale")[:2]


def unit_norm_forward(x: ArrayLike, *, out: Array | None = None) -> tuple[Array, Array]:
    """Return ``x / norm(x)`` over the last axis, ``1e12 x`` where the Euclidean norm is below that.

    Parameters
    ----------
    x : (..., c) float32 or float64
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (..., c) dtype of x; ``out`` when given
    statistics : (n, 3) dtype of x, n rows; as of `layer_norm_forward`, with a mean of 0

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If x has no axis or out is not usable.
    """
    return _row_norm("unit", x, None, None, 0.0, out)


def unit_norm_backward(
    x: ArrayLike, dy: ArrayLike, statistics: ArrayLike, *, out: Array | None = None
) -> Array:
    """Return the gradient of `unit_norm_forward` with respect to x.

    Parameters
    ----------
    x : (..., c) float32 or float64, as it was given
    dy : shape and dtype of x, gradient with respect to y
    statistics : (n, 3) dtype of x, as they were returned
    out : shape and dtype of x, optional; receives dx

    Returns
    -------
    dx : (..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If shapes disagree, x has no axis or out is not usable.
    """
    return _row_norm_backward("unit", x, dy, statistics, None, out)[0]


def _row_norm(
    norm: str,
    x: ArrayLike,
    gamma: ArrayLike | None,
    beta: ArrayLike | None,
    epsilon: float,
    out: Array | None,
    gamma_name: str = "gamma",
) -> tuple[Array, Array]:
    x, gamma, beta, epsilon = _checked(x, gamma, beta, epsilon, gamma_name)
    y, rows = _output(out, x, {"x": x, gamma_name: gamma, "beta": beta})
    statistics = np.empty((len(rows), _core.row_statistics), x.dtype)
    _core.row_norm(
        norm, _checks.input_rows(x), _vector(gamma), _vector(beta), rows, statistics, epsilon
    )
    return y, statistics


def _row_norm_backward(
    norm: str,
    x: ArrayLike,
    dy: ArrayLike,
    statistics: ArrayLike,
    gamma: ArrayLike | None,
    out: Array | None,
    gamma_name: str = "gamma",
) -> tuple[Array, Array, Array]:
    x, dy, statistics, gamma = _checked_backward(x, dy, statistics, gamma, gamma_name)
    inputs = {"x": x, "dy": dy, "statistics": statistics, gamma_name: gamma}
    dx, rows = _checks.output(out, "out", x.shape, x.dtype, inputs)
    dgamma, dbeta = np.empty(x.shape[-1], x.dtype), np.empty(x.shape[-1], x.dtype)
    _core.row_norm_backward(
        norm,
        _checks.input_rows(x),
        _checks.input_rows(dy),
        _checks.input_rows(statistics),
        _vector(gamma),
        rows,
        dgamma,
        dbeta,
        False,
    )
    return dx, dgamma, dbeta


def _column(value: ArrayLike, name: str, like: Array, like_name: str = "x") -> Array:
    array = _checks.floats(value, name, like, like_name)
    _checks.expect_fit(array, name, like.shape[-1:], like, like_name)
    return array


def _checked(
    x: ArrayLike,
    gamma: ArrayLike | None,
    beta: ArrayLike | None,
    epsilon: float,
    gamma_name: str = "gamma",
) -> tuple[Array, Array | None, Array | None, float]:
    x = _checks.floats(x, "x")
    _checks.expect_axis(x, "x")
    gamma = None if gamma is None else _column(gamma, gamma_name, x)
    beta = None if beta is None else _column(beta, "beta", x)
    return x, gamma, beta, _checks.number(epsilon, "epsilon", 0.0)


def _checked_backward(
    x: ArrayLike,
    dy: ArrayLike,
    statistics: ArrayLike,
    gamma: ArrayLike | None,
    gamma_name: str = "gamma",
    *,
    by_rows: bool = True,
) -> tuple[Array, Array, Array, Array | None]:
    x, gamma, _, _ = _checked(x, gamma, None, 0.0, gamma_name)
    dy = _checks.floats(dy, "dy", x, "x")
    _checks.expect_shape(dy, "dy", x.shape, "as x")
    statistics = _checks.floats(statistics, "statistics", x, "x")
    by_columns = (_core.batch_statistics, x.shape[-1])
    shape = (len(_checks.as_rows(x)), _core.row_statistics) if by_rows else by_columns
    _checks.expect_fit(statistics, "statistics", shape, x, "x")
    return x, dy, statistics, gamma


def _output(out: Array | None, x: Array, inputs: dict[str, Array | None]) -> tuple[Array, Array]:
    """Return the array to write and its matrix; ``out`` may be an input of x's shape."""
    return _checks.output(out, "out", x.shape, x.dtype, inputs, in_place=True)


def _vector(array: Array | None) -> Array | None:
    return None if array is None else _checks.input_vector(array)
