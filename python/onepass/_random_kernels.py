"""Kernels that draw random numbers. Public through ``onepass.kernels``.

Unit u of the sample at place s has a word of Philox4x32-10: word ``u % 64 // 16`` of the counter
``(16 * (u // 64) + u % 16, s, draw, 0)`` under the key. Places count modulo 2**32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]

_WORD = 1 << 32


def proper_rate(value: object) -> float:
    """Return a rate from 0 up and below 1."""
    rate = _checks.number(value, "rate", 0, 1)
    if rate == 1.0:
        raise ValueError(f"rate must be below 1, got {value}")
    return rate


def dropout_stddev(rate: float) -> float:
    """Return the standard deviation of Gaussian dropout's factors."""
    return math.sqrt(rate / (1.0 - rate))


def dropout(
    x: ArrayLike,
    rate: float,
    key: tuple[int, int],
    *,
    draw: int = 0,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return ``x / (1 - rate)`` where an element is kept and 0 where it is dropped.

    Unit u of the sample at place s is dropped where a word of Philox4x32-10 is below
    ``rate * 2**32``: word ``u % 64 // 16`` of the counter ``(16 * (u // 64) + u % 16, s, draw, 0)``
    under the key. The gradient is the same function of the output's gradient.

    Parameters
    ----------
    x : (n, ..., c) float32 or float64, n samples
    rate : float in [0, 1]; at 1 all is dropped
    key : two integers in [0, 2**32)
    draw : int in [0, 2**32), default 0
        Number of the draw, such as an epoch.
    first : int >= 0, default 0
        Place of the first sample; places count modulo 2**32.
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (n, ..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype or type is wrong.
    ValueError
        If a number is out of range, x has fewer than two axes or out is not usable.
    """
    rate = _checks.number(rate, "rate", 0, 1)
    a = _drawn(x, key, draw, first, out)
    _core.dropout(a.x, a.rows, rate, False, False, *a.place, False)
    return a.y


def alpha_dropout(
    x: ArrayLike,
    rate: float,
    key: tuple[int, int],
    *,
    gradient: bool = False,
    draw: int = 0,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return ``a x + b`` where an element is kept and ``a v + b`` where it is dropped.

    v is where selu saturates, ``a = ((1 - rate) (1 + rate v^2))^-0.5`` and ``b = -a v rate``, so
    that mean 0 and variance 1 stay. Elements are dropped where ``dropout`` drops them.

    Parameters
    ----------
    x : (n, ..., c) float32 or float64, n samples
    rate : float in [0, 1)
    key : two integers in [0, 2**32)
    gradient : bool, default False
        Take x for the output's gradient and return the input's: ``a x`` or 0.
    draw : int in [0, 2**32), default 0
    first : int >= 0, default 0
        As in ``dropout``.
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (n, ..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError, ValueError
        As ``dropout``.
    """
    rate = proper_rate(rate)
    a = _drawn(x, key, draw, first, out)
    _core.dropout(a.x, a.rows, rate, True, bool(gradient), *a.place, False)
    return a.y


def gaussian_dropout(
    x: ArrayLike,
    rate: float,
    key: tuple[int, int],
    *,
    draw: int = 0,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return ``x (1 + s n)`` with ``s^2 = rate / (1 - rate)`` and the n of ``gaussian_noise``.

    The gradient is the same function of the output's gradient.

    Parameters
    ----------
    x : (n, ..., c) float32 or float64, n samples
    rate : float in [0, 1)
    key : two integers in [0, 2**32)
    draw : int in [0, 2**32), default 0
    first : int >= 0, default 0
        As in ``dropout``.
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (n, ..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError, ValueError
        As ``dropout``.
    """
    stddev = dropout_stddev(proper_rate(rate))
    a = _drawn(x, key, draw, first, out)
    _core.gaussian(a.x, a.rows, stddev, True, *a.place, False)
    return a.y


def gaussian_noise(
    x: ArrayLike,
    stddev: float,
    key: tuple[int, int],
    *,
    draw: int = 0,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return ``x + stddev n`` for standard normal deviates n, computed in float64.

    Of each 64 units, i and i + 32 have the deviates that Box and Muller's transform makes of their
    words w and v: ``sqrt(-2 log((w + 0.5) / 2^32))`` times cosine and sine of an angle, whose
    quadrant is in the upper two bits of v and whose place in it, from -1/8 to 1/8 of a turn, is in
    the others as a signed number.

    Parameters
    ----------
    x : (n, ..., c) float32 or float64, n samples
    stddev : float >= 0
    key : two integers in [0, 2**32)
    draw : int in [0, 2**32), default 0
    first : int >= 0, default 0
        As in ``dropout``.
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (n, ..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError, ValueError
        As ``dropout``.
    """
    stddev = _checks.number(stddev, "stddev", 0)
    a = _drawn(x, key, draw, first, out)
    _core.gaussian(a.x, a.rows, stddev, False, *a.place, False)
    return a.y


def slope_limits(lower: object, upper: object) -> tuple[float, float]:
    """Return limits of slopes, ``0 <= lower <= upper``."""
    low = _checks.number(lower, "lower", 0)
    high = _checks.number(upper, "upper", 0)
    if low > high:
        raise ValueError(f"lower must be at most upper, {upper}, got {lower}")
    return low, high


def rrelu(
    x: ArrayLike,
    key: tuple[int, int],
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *,
    draw: int = 0,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return ``x`` where it is above 0 and ``a x`` elsewhere, for random slopes a.

    Unit u of the sample at place s has the slope ``lower + (upper - lower) (w + 0.5) / 2^32``,
    computed in float64 from the word w that ``dropout`` reads. Xu, Wang, Chen and Li, Empirical
    Evaluation of Rectified Activations in Convolutional Network, 2015.

    Parameters
    ----------
    x : (n, ..., c) float32 or float64, n samples
    key : two integers in [0, 2**32)
    lower, upper : floats, ``0 <= lower <= upper``
    draw : int in [0, 2**32), default 0
    first : int >= 0, default 0
        As in ``dropout``.
    out : shape and dtype of x, optional; receives the result and may be x itself

    Returns
    -------
    y : (n, ..., c) dtype of x; ``out`` when given

    Raises
    ------
    TypeError, ValueError
        As ``dropout``.
    """
    low, high = slope_limits(lower, upper)
    a = _drawn(x, key, draw, first, out)
    _core.rrelu(a.x, None, a.rows, low, high, *a.place, False)
    return a.y


def rrelu_backward(
    y: ArrayLike,
    dy: ArrayLike,
    key: tuple[int, int],
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *,
    draw: int = 0,
    first: int = 0,
    out: Array | None = None,
) -> Array:
    """Return the input's gradient of ``rrelu``, which draws its slopes again.

    Parameters
    ----------
    y : (n, ..., c) float32 or float64, what ``rrelu`` returned
    dy : shape and dtype of y, its gradient
    key, lower, upper, draw, first
        Those of ``rrelu``. At 0 the derivative is the slope.
    out : shape and dtype of y, optional; receives the result and may be y or dy itself

    Returns
    -------
    dx : (n, ..., c) dtype of y; ``out`` when given

    Raises
    ------
    TypeError, ValueError
        As ``dropout``.
    """
    low, high = slope_limits(lower, upper)
    y = _checks.floats(y, "y")
    dy = _checks.floats(dy, "dy", y, "y")
    _checks.expect_shape(dy, "dy", y.shape, "as y")
    a = _drawn(dy, key, draw, first, out, "dy", y=y)
    _core.rrelu(a.x, _checks.input_rows(y), a.rows, low, high, *a.place, False)
    return a.y


@dataclass(frozen=True)
class _Drawn:
    """Checked arrays and the place of their random words."""

    x: Array
    y: Array
    rows: Array
    place: tuple[tuple[int, int], int, int, int]  # key, draw, first, rows of a sample


def _drawn(
    given: ArrayLike,
    key: object,
    draw: object,
    first: object,
    out: object,
    name: str = "x",
    **others: Array,
) -> _Drawn:
    x = _checks.floats(given, name)
    if x.ndim < 2:
        raise ValueError(
            f"{name} must have at least 2 dimensions, samples first, got shape {x.shape}"
        )
    if not isinstance(key, tuple) or len(key) != 2:
        raise TypeError(f"key must be a tuple of two integers, got {key!r}")
    words = _integer(key[0], "key[0]", _WORD), _integer(key[1], "key[1]", _WORD)
    number, start = _integer(draw, "draw", _WORD), _integer(first, "first", 1 << 62)
    y, rows = _checks.output(out, "out", x.shape, x.dtype, {name: x, **others}, in_place=True)
    per_sample = max(1, len(rows) // max(1, len(x)))
    return _Drawn(_checks.input_rows(x), y, rows, (words, number, start, per_sample))


def _integer(value: object, name: str, end: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if not 0 <= int(value) < end:
        raise ValueError(f"{name} must be from 0 to {end - 1}, got {value}")
    return int(value)
