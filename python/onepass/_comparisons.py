"""Comparisons, logic and choices on symbolic tensors, weights and arrays, for ``onepass.ops``."""

from __future__ import annotations

from typing import Any

import numpy as np

from onepass.engine import arithmetic
from onepass.engine.graph import SymbolicTensor
from onepass.engine.ops.weight import as_tensor


def any_symbolic(*values: Any) -> bool:
    """Whether a symbolic tensor is among the values."""
    return any(isinstance(value, SymbolicTensor) for value in values)


def recorded(*values: Any) -> tuple[Any, ...]:
    """Return the values, weights as tensors where anything is recorded and no tensor is there."""
    return values if any_symbolic(*values) else tuple(map(as_tensor, values))


def floats(*values: Any) -> list[Any]:
    """Return arrays of one float type: float64 if an array among them is, else float32."""
    arrays = [np.asarray(value) for value in values]
    double = any(
        array.dtype == np.float64 and not isinstance(value, float)
        for array, value in zip(arrays, values, strict=True)
    )
    return [np.asarray(array, np.float64 if double else np.float32) for array in arrays]


def less(x1: Any, x2: Any) -> Any:
    """Return whether ``x1 < x2``: bools for arrays, 1 and 0 for symbolic tensors, with no slope."""
    return arithmetic.operation("less", x1, x2)


def less_equal(x1: Any, x2: Any) -> Any:
    """Return whether ``x1 <= x2``; see `less`."""
    return arithmetic.operation("less_equal", x1, x2)


def greater(x1: Any, x2: Any) -> Any:
    """Return whether ``x1 > x2``; see `less`."""
    return arithmetic.operation("less", x2, x1)


def greater_equal(x1: Any, x2: Any) -> Any:
    """Return whether ``x1 >= x2``; see `less`."""
    return arithmetic.operation("less_equal", x2, x1)


def equal(x1: Any, x2: Any) -> Any:
    """Return whether ``x1 == x2``; see `less`."""
    return arithmetic.operation("equal", x1, x2)


def not_equal(x1: Any, x2: Any) -> Any:
    """Return whether ``x1 != x2``; see `less`."""
    return arithmetic.operation("not_equal", x1, x2)


def logical_and(x1: Any, x2: Any) -> Any:
    """Return whether neither operand is 0; see `less`."""
    x1, x2 = recorded(x1, x2)
    return arithmetic.both(x1, x2) if any_symbolic(x1, x2) else np.logical_and(x1, x2)


def logical_or(x1: Any, x2: Any) -> Any:
    """Return whether one operand at least is not 0; see `less`."""
    x1, x2 = recorded(x1, x2)
    return arithmetic.either(x1, x2) if any_symbolic(x1, x2) else np.logical_or(x1, x2)


def logical_not(x: Any) -> Any:
    """Return whether the operand is 0; see `less`."""
    x = as_tensor(x)
    return equal(x, 0.0) if any_symbolic(x) else np.logical_not(x)


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """Return ``x1`` where the condition is not 0, else ``x2``, broadcast together.

    Parameters
    ----------
    condition, x1, x2 : arrays, numbers, weights or symbolic tensors

    Notes
    -----
    Only what is chosen gets a gradient. As elsewhere, the slope of a function that is infinite
    where it is not chosen, such as that of ``sqrt`` at 0, makes NaN of it.
    """
    condition, x1, x2 = recorded(condition, x1, x2)
    if any_symbolic(condition, x1, x2):
        return arithmetic.where(condition, x1, x2)
    return np.where(np.asarray(condition) != 0, *floats(x1, x2))[()]


def cast(x: Any, dtype: str) -> Any:
    """Return the numbers as another type.

    A symbolic tensor keeps its float type, whichever of ``"float32"`` and ``"float64"`` is named;
    ``"bool"`` makes 1 of every number but 0.

    Raises
    ------
    TypeError
        If a symbolic tensor should become something else.
    """
    x = as_tensor(x)
    if not isinstance(x, SymbolicTensor):
        return np.asarray(x).astype(dtype)[()]
    name = np.dtype(dtype).name
    if name not in ("float32", "float64", "bool"):
        raise TypeError(f"cast: a symbolic tensor holds floats, it cannot become {dtype!r}")
    return arithmetic.truth(x) if name == "bool" else x


def zeros_like(x: Any) -> Any:
    """Return zeros in the shape of ``x``."""
    x = as_tensor(x)
    return arithmetic.zeros_like(x) if isinstance(x, SymbolicTensor) else np.zeros_like(x)


def ones_like(x: Any) -> Any:
    """Return ones in the shape of ``x``."""
    x = as_tensor(x)
    return zeros_like(x) + 1.0 if isinstance(x, SymbolicTensor) else np.ones_like(x)
