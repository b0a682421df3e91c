"""Kernels that put tensors together. Public through ``onepass.kernels``.

Operands are broadcast as in NumPy; where a dimension in the middle of others is, they are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _broadcast, _checks, _core
from onepass._formulas import BINARY, Binary

Array = NDArray[Any]


def combine(a: ArrayLike, b: ArrayLike, op: str, *, out: Array | None = None) -> Array:
    """Return ``a + b``, ``a * b`` or another operation of two arrays, element by element.

    Parameters
    ----------
    a : float32 or float64, any shape
    b : dtype of a, a shape that can be broadcast with that of a
    op : {"add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "prelu", "less", \
"less_equal", "equal", "not_equal", "keep_where", "keep_unless"}
        ``"prelu"`` is a where a is positive and ``b * a`` elsewhere; comparisons are 1 where they
        hold, else 0; ``"keep_where"`` is a where b is not 0, else 0, ``"keep_unless"`` the rest.
    out : shape of the result, dtype of a, optional; receives it and may be a or b itself

    Returns
    -------
    y : the common shape of a and b, dtype of a; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If the shapes do not fit together, the operation is unknown or out is not usable.

    Notes
    -----
    The larger and the smaller of two numbers are NaN where one of them is. Powers in float64 are as
    accurate as the product ``b log(a)``.
    """
    entry = _binary_of(op)
    x, y, shape = _operands(a, b)
    repeats = [_broadcast.repeat_of(v.shape, shape, n, op) for n, v in (("a", x), ("b", y))]
    result, rows = _checks.output(out, "out", shape, x.dtype, {"a": x, "b": y}, in_place=True)
    _core.combine(
        _checks.input_rows(x), repeats[0], _checks.input_rows(y), repeats[1], rows, entry.id
    )
    return result


def combine_backward(a: ArrayLike, b: ArrayLike, dy: ArrayLike, op: str) -> tuple[Array, Array]:
    """Return the gradients of ``combine(a, b, op)`` with respect to a and b.

    They are sums over whatever the operand was broadcast over. Where a and b are equal, each has
    half of the slope of their maximum and minimum. The slope of ``0 ** b`` in b is 0.

    Parameters
    ----------
    a : float32 or float64, any shape
    b : dtype of a, a shape that can be broadcast with that of a
    dy : the common shape of a and b, dtype of a; gradient with respect to the result
    op : str, as given to `combine`

    Returns
    -------
    da : shape and dtype of a
    db : shape and dtype of b

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If the shapes do not fit together or the operation is unknown.
    """
    entry = _binary_of(op)
    x, y, shape = _operands(a, b)
    dy = _checks.floats(dy, "dy", x, "a")
    _checks.expect_shape(dy, "dy", shape, f"for a of shape {x.shape} and b of shape {y.shape}")
    repeats = [_broadcast.repeat_of(v.shape, shape, n, op) for n, v in (("a", x), ("b", y))]
    operands = _checks.input_rows(x), repeats[0], _checks.input_rows(y), repeats[1]
    gradients = np.empty_like(x, order="C"), np.empty_like(y, order="C")
    for side, gradient in enumerate(gradients):
        _core.combine_backward(
            *operands,
            _checks.input_rows(dy),
            _checks.as_rows(gradient),
            repeats[side],
            entry.id,
            side == 1,
            False,
        )
    return gradients


def scaled_copy(
    x: ArrayLike,
    scale: float = 1.0,
    *,
    shape: Sequence[int] | None = None,
    out: Array | None = None,
) -> Array:
    """Return ``scale * x``, broadcast to a shape.

    Parameters
    ----------
    x : float32 or float64, any shape
    scale : float, default 1
    shape : sequence of int, optional; default that of x
    out : this shape, dtype of x, optional; receives the result, perhaps columns of a wider array

    Returns
    -------
    y : this shape, dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype or type is wrong.
    ValueError
        If x cannot be broadcast to the shape or out is not usable.
    """
    x = _checks.floats(x, "x")
    scale = _checks.number(scale, "scale")
    target = x.shape if shape is None else _shape_of(shape)
    repeat = _repeat(x.shape, target, "x")
    y, rows = _checks.output(out, "out", target, x.dtype, {"x": x}, in_place=x.shape == target)
    _core.scaled_copy(_checks.input_rows(x), repeat, rows, scale, False)
    return y


def scaled_sum(
    x: ArrayLike,
    scale: float = 1.0,
    *,
    shape: Sequence[int],
    out: Array | None = None,
) -> Array:
    """Return ``scale`` times sums of x over what a shape would have to be broadcast over.

    The gradient of `scaled_copy`. Sums over the last dimension are made in lanes, those over others
    in ascending order.

    Parameters
    ----------
    x : float32 or float64, any shape
    scale : float, default 1
    shape : sequence of int that can be broadcast to the shape of x: 1 where x is summed up
    out : this shape, dtype of x, optional; receives the result

    Returns
    -------
    y : this shape, dtype of x; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype or type is wrong.
    ValueError
        If the shape cannot be broadcast to that of x or out is not usable.
    """
    x = _checks.floats(x, "x")
    scale = _checks.number(scale, "scale")
    target = _shape_of(shape)
    repeat = _repeat(target, x.shape, "shape")
    y, rows = _checks.output(out, "out", target, x.dtype, {"x": x})
    _core.scaled_sum(_checks.input_rows(x), rows, repeat, scale, False)
    return y


def embedding(index: ArrayLike, table: ArrayLike, *, out: Array | None = None) -> Array:
    """Return the rows of a table that the indices name.

    Parameters
    ----------
    index : (...) integers below r
    table : (r, c) float32 or float64
    out : (..., c) dtype of table, optional; receives the rows

    Returns
    -------
    y : (..., c) dtype of table; ``out`` when given

    Raises
    ------
    TypeError
        If a dtype is wrong.
    ValueError
        If the table is not a matrix or out is not usable.
    IndexError
        If an index is not in the table.
    """
    table = _checks.floats(table, "table")
    _checks.expect_ndim(table, "table", ("r", "c"))
    numbers = _indices(index, table.shape[0], table.dtype)
    shape = (*numbers.shape, table.shape[1])
    y, rows = _checks.output(out, "out", shape, table.dtype, {"table": table})
    _core.embedding(_checks.as_rows(numbers), _checks.input_rows(table), rows)
    return y


def embedding_backward(index: ArrayLike, dy: ArrayLike, rows: int) -> Array:
    """Return the gradient of `embedding` with respect to its table.

    Rows of the table that several indices name add up, in the order of the indices.

    Parameters
    ----------
    index : (...) integers below ``rows``, as given to `embedding`
    dy : (..., c) float32 or float64, gradient with respect to the result
    rows : int, at least 0, rows of the table

    Returns
    -------
    dtable : (rows, c) dtype of dy

    Raises
    ------
    TypeError
        If a dtype or type is wrong.
    ValueError
        If shapes disagree or ``rows`` is negative.
    IndexError
        If an index is not below ``rows``.
    """
    dy = _checks.floats(dy, "dy")
    _checks.expect_axis(dy, "dy")
    rows = _checks.integer(rows, "rows", 0)
    numbers = _indices(index, rows, dy.dtype)
    shape = (*numbers.shape, dy.shape[-1])
    _checks.expect_fit(dy, "dy", shape, numbers, "index")
    dtable = np.empty((rows, dy.shape[-1]), dy.dtype)
    _core.embedding_backward(_checks.as_rows(numbers), _checks.input_rows(dy), dtable, False)
    return dtable


def _binary_of(op: object) -> Binary:
    return BINARY[_checks.choice(op, "op", BINARY)]


def _operands(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array, tuple[int, ...]]:
    x = _checks.floats(a, "a")
    y = _checks.floats(b, "b", x, "a")
    shape = _broadcast.result_shape([x.shape, y.shape], ["a", "b"], "combine")
    return x, y, tuple(dim or 0 for dim in shape)


def _shape_of(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        dims = tuple(shape)
    except TypeError:
        raise TypeError(f"shape must be a sequence of ints, got {type(shape).__name__}") from None
    return tuple(_checks.integer(dim, "shape", 0) for dim in dims)


def _repeat(shape: tuple[int, ...], to: tuple[int, ...], name: str) -> int:
    """As ``repeat_of``, for what must be broadcast to exactly this shape."""
    if len(shape) > len(to) or any(
        dim not in (1, wanted) for dim, wanted in zip(shape[::-1], to[::-1], strict=False)
    ):
        raise ValueError(f"{name}: {shape} cannot be broadcast to {to}")
    return _broadcast.repeat_of(shape, to, name, "kernels")


def _indices(index: ArrayLike, rows: int, dtype: np.dtype[Any]) -> Array:
    """Return indices as the float kernels read them."""
    numbers = _checks.integers(index, "index")
    _checks.in_range(numbers, "index", rows)
    if rows > 1 << (np.finfo(dtype).nmant + 1):
        raise ValueError(f"{dtype} cannot tell {rows} rows apart")
    return np.asarray(numbers, dtype, order="C")
