"""Kernels that draw random numbers. Public through ``onepass.kernels``."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]

_WORD = 1 << 32


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
    x = _checks.floats(x, "x")
    if x.ndim < 2:
        raise ValueError(f"x must have at least 2 dimensions, samples first, got shape {x.shape}")
    rate = _checks.number(rate, "rate", 0, 1)
    if not isinstance(key, tuple) or len(key) != 2:
        raise TypeError(f"key must be a tuple of two integers, got {key!r}")
    words = _integer(key[0], "key[0]", _WORD), _integer(key[1], "key[1]", _WORD)
    draw = _integer(draw, "draw", _WORD)
    first = _integer(first, "first", 1 << 62)
    y, rows = _checks.output(out, "out", x.shape, x.dtype, {"x": x}, in_place=True)
    per_sample = max(1, len(rows) // max(1, len(x)))
    _core.dropout(_checks.input_rows(x), rows, rate, words, draw, first, per_sample, False)
    return y


def _integer(value: object, name: str, end: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if not 0 <= int(value) < end:
        raise ValueError(f"{name} must be from 0 to {end - 1}, got {value}")
    return int(value)
