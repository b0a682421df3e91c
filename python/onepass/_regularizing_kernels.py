"""Penalties and constraints of parameters. Public through ``onepass.kernels``."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]

CONSTRAINTS = _core.constraints()
EPSILON = 1e-7  # of Keras: added to a norm before dividing by it


def penalty(
    x: ArrayLike, l1: float = 0.0, l2: float = 0.0, *, gradient: Array | None = None
) -> float:
    """Return ``sum(l1 |x| + l2 x^2)``, added up in float64.

    Parameters
    ----------
    x : float32 or float64, any shape
    l1 : float >= 0, default 0
    l2 : float >= 0, default 0
    gradient : shape and dtype of x, optional
        ``l1 sign(x) + 2 l2 x`` is added to it; the sign of 0 is 0.

    Returns
    -------
    value : float

    Raises
    ------
    TypeError
        If a dtype or type is wrong.
    ValueError
        If a number is out of range or the gradient is not usable.
    """
    x = _checks.floats(x, "x")
    l1, l2 = _checks.number(l1, "l1", 0), _checks.number(l2, "l2", 0)
    rows = None
    if gradient is not None:
        _, rows = _checks.output(gradient, "gradient", x.shape, x.dtype, {"x": x})
    return _core.penalty(_checks.input_rows(x), l1, l2, rows)


def constrain_(
    x: Array,
    kind: str,
    *,
    low: float = 0.0,
    high: float = 1.0,
    rate: float = 1.0,
    epsilon: float = EPSILON,
) -> None:
    """Make elements non-negative, or bring the norms of rows or columns into a range, in place.

    A row or column of norm n is multiplied by
    ``(rate clip(n, low, high) + (1 - rate) n) / (n + epsilon)``; norms are computed in float64.

    Parameters
    ----------
    x : (..., c) float32 or float64, changed in place
    kind : {"non_negative", "column_norms", "row_norms"}
        A row is what lies along the last axis.
    low : float >= 0, default 0
    high : float >= low, default 1
    rate : float in [0, 1], default 1
    epsilon : float >= 0, default 1e-7

    Raises
    ------
    TypeError
        If x is no float array or a type is wrong.
    ValueError
        If the kind is unknown, a number out of range or x cannot be written to.
    """
    number = CONSTRAINTS[_checks.choice(kind, "kind", CONSTRAINTS)]
    low = _checks.number(low, "low", 0)
    high = _checks.number(high, "high", 0)
    if low > high:
        raise ValueError(f"low must not exceed high, got {low} and {high}")
    rate = _checks.number(rate, "rate", 0, 1)
    epsilon = _checks.number(epsilon, "epsilon", 0)
    _core.constrain(_checks.writeable_rows(x, "x"), number, low, high, rate, epsilon)
