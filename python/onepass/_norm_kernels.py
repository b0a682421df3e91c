"""Norms and clips over whole arrays: the part of ``onepass.kernels`` that gradients need.

Public through ``onepass.kernels``, whose docstring says what holds for all kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]

_SMALL = 2.0**-100


def global_norm(arrays: Sequence[ArrayLike]) -> float:
    """Return the Euclidean norm of all elements of all arrays together.

    Parameters
    ----------
    arrays : sequence of arrays, all float32 or all float64, of any shapes

    Returns
    -------
    norm : float, 0 without elements

    Raises
    ------
    TypeError
        If arrays is no sequence or a dtype is wrong.

    Notes
    -----
    Squares of float32 elements that float32 cannot hold are added up in float64; those of float64
    elements above 1e154 overflow.
    """
    if isinstance(arrays, np.ndarray) or not isinstance(arrays, Sequence):
        raise TypeError(f"arrays must be a list or tuple of arrays, got {type(arrays).__name__}")
    checked: list[Array] = []
    for k, value in enumerate(arrays):
        like = checked[0] if checked else None
        checked.append(_checks.floats(value, f"arrays[{k}]", like, "arrays[0]"))
    return math.sqrt(sum(_core.sum_of_squares(_checks.input_vector(a)) for a in checked))


def clip_by_value_(x: Array, clipvalue: float) -> None:
    """Limit every element to [-clipvalue, clipvalue], in place; NaN stays.

    Parameters
    ----------
    x : float32 or float64, any shape, changed in place
    clipvalue : float above 0

    Raises
    ------
    TypeError
        If x is no float array.
    ValueError
        If clipvalue is out of range or x cannot be written to.
    """
    limit = _checks.positive(clipvalue, "clipvalue")
    for run in _checks.runs(_checks.writeable_rows(x, "x")):
        _core.scale_clip(run, 1.0, -limit, limit)


def clip_by_norm_(x: Array, clipnorm: float) -> float:
    """Scale the array by ``clipnorm / max(norm, clipnorm)``, in place.

    Parameters
    ----------
    x : float32 or float64, any shape, changed in place
    clipnorm : float above 0

    Returns
    -------
    norm : float, of x before

    Raises
    ------
    TypeError
        If x is no float array.
    ValueError
        If clipnorm is out of range or x cannot be written to.

    Notes
    -----
    As in Keras, an infinite norm makes finite elements 0 and infinite ones NaN; a NaN makes all
    NaN. Where the norm is not above clipnorm, x is not written to.
    """
    limit = _checks.positive(clipnorm, "clipnorm")
    rows = [_checks.writeable_rows(x, "x")]
    norm = global_norm(rows)
    _scale_to(limit, norm, rows)
    return norm


def clip_by_global_norm_(arrays: Sequence[Array], global_clipnorm: float) -> float:
    """Scale all arrays by ``global_clipnorm / max(norm, global_clipnorm)``, in place.

    Parameters
    ----------
    arrays : sequence of arrays, all float32 or all float64, of any shapes, changed in place
    global_clipnorm : float above 0

    Returns
    -------
    norm : float, the `global_norm` before

    Raises
    ------
    TypeError
        If arrays is no sequence, or one is no float array or of another dtype.
    ValueError
        If global_clipnorm is out of range, or an array overlaps another or cannot be written to.

    Notes
    -----
    A norm that is not finite makes all elements NaN, as in Keras.

    References
    ----------
    Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013,
    Algorithm 1.
    """
    limit = _checks.positive(global_clipnorm, "global_clipnorm")
    if isinstance(arrays, np.ndarray) or not isinstance(arrays, Sequence):
        raise TypeError(f"arrays must be a list or tuple of arrays, got {type(arrays).__name__}")
    rows: list[Array] = []
    for k, value in enumerate(arrays):
        rows.append(_checks.writeable_rows(value, f"arrays[{k}]"))
        _checks.floats(value, f"arrays[{k}]", rows[0], "arrays[0]")
        for j in range(k):
            if _checks.overlap(rows[j], rows[k]):
                raise ValueError(f"arrays[{k}] must not overlap arrays[{j}], got shared memory")
    norm = global_norm(rows)
    _scale_to(limit, norm if math.isfinite(norm) else math.nan, rows)
    return norm


def _scale_to(limit: float, norm: float, rows: Sequence[Array]) -> None:
    """Scale matrices of this norm in place so that it is at most ``limit``."""
    factor = 1.0 if norm <= limit else limit / norm
    # A factor below float32's normal range would be flushed to 0: then it is applied in two parts.
    parts = [_SMALL, factor / _SMALL] if factor < _SMALL else [factor]
    if factor != 1.0:
        for run in (run for matrix in rows for run in _checks.runs(matrix)):
            for part in parts:
                _core.scale_clip(run, part, -math.inf, math.inf)
