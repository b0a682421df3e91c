"""Checks of arguments and views of arrays: what stands between a user's array and a kernel.

Called by ``onepass.kernels``. Every check raises before anything is changed, and says which
argument was wrong, what it got and what it expected.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _formulas

Array = NDArray[Any]
Shape = tuple[int, ...]

FLOATS = "fd"  # NumPy's letters for float32 and float64


@dataclass(frozen=True)
class Range:
    """What a hyper-parameter may be, both ends included, and what it is when not given."""

    default: float
    low: float
    high: float
    infinite: bool = False  # whether it may be an end that is infinite


# Every hyper-parameter of an activation or loss, by the name that the headers give it.
HYPER_RANGES: dict[str, Range] = {
    # The derivative follows from the sign of the output, so the slope must not be negative.
    "negative_slope": Range(0.2, 0.0, math.inf),
    # elu's derivative follows from the sign of the output, celu divides by it: above 0, and not so
    # small that float32 would flush it to 0.
    "alpha": Range(1.0, float(np.finfo(np.float32).tiny), math.inf),
    # The defaults of the shrinking functions; relu and threshold always say theirs.
    "threshold": Range(0.5, -math.inf, math.inf),
    "default_value": Range(0.0, -math.inf, math.inf),
    "max_value": Range(1.0, -math.inf, math.inf, infinite=True),  # infinity: no maximum
    "smoothness": Range(4.0, 0.0, math.inf),
    "label_smoothing": Range(0.0, 0.0, 1.0),
    "delta": Range(1.0, 0.0, math.inf),
    "quantile": Range(0.5, 0.0, 1.0),
    "positive_weight": Range(1.0, 0.0, math.inf),
    "negative_weight": Range(1.0, 0.0, math.inf),
    "gamma": Range(2.0, 0.0, math.inf),
    "class_weight": Range(0.25, 0.0, math.inf),
    "q": Range(0.5, float(np.finfo(np.float32).tiny), 1.0),  # it divides
    "missed": Range(0.5, 0.0, math.inf),
    "false_alarms": Range(0.5, 0.0, math.inf),
    "epsilon": Range(1e-7, 0.0, math.inf),
}


def scalar(value: object) -> object:
    """Return the number of an array of no dimensions; anything else as it is."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def number(
    value: object,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    infinite: bool = False,
) -> float:
    """Return a finite real number in [low, high] as a float; with ``infinite``, an end may be."""
    value = scalar(value)
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    result = float(value)
    if not (math.isfinite(result) or infinite) or not low <= result <= high:
        expected = "a number" if infinite else "a finite number"
        if math.isfinite(low):
            expected += f" from {low:g}" + (f" to {high:g}" if math.isfinite(high) else " up")
        raise ValueError(f"{name} must be {expected}, got {value}")
    return result


def positive(value: object, name: str) -> float:
    """Return a finite number above 0."""
    result = number(value, name)
    if result <= 0.0:
        raise ValueError(f"{name} must be above 0, got {value}")
    return result


def integer(value: object, name: str, low: int) -> int:
    """Return a whole number of at least ``low`` as an int."""
    value = scalar(value)
    if type(value) is not int and (
        isinstance(value, bool | np.bool_) or not isinstance(value, Integral)
    ):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    if int(value) < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    return int(value)


def boolean(value: object, name: str) -> bool:
    """Return True or False; nothing else counts as one of them."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a bool, got {type(value).__name__}")
    return bool(value)


def choice(value: object, name: str, known: Collection[str]) -> str:
    """Return a string that is one of ``known``."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got '{value}'")
    return value


def hyper_of(names: tuple[str, ...], given: Mapping[str, object], owner: str) -> list[float]:
    """Return all hyper-parameters of a formula in the header's order, defaults filled in."""
    if not names and not given:
        return []
    values = {name: HYPER_RANGES[name].default for name in names if name in HYPER_RANGES}
    for name, value in given.items():
        span = HYPER_RANGES.get(name, Range(math.nan, -math.inf, math.inf))
        values[name] = number(value, name, span.low, span.high, infinite=span.infinite)
    return _formulas.hyper_values(names, values, owner)


def activation_of(
    name: object, hyper: Mapping[str, object]
) -> tuple[_formulas.Activation, list[float]]:
    """Return an activation's entry and its hyper-parameters."""
    entry = _formulas.ACTIVATIONS[choice(name, "activation", _formulas.ACTIVATIONS)]
    return entry, hyper_of(entry.hyper, hyper, entry.name)


def elementwise_of(
    name: object, hyper: Mapping[str, object]
) -> tuple[_formulas.Activation, list[float]]:
    """As ``activation_of``, for a function that need not be an activation."""
    entry = _formulas.ELEMENTWISE[choice(name, "activation", _formulas.ELEMENTWISE)]
    return entry, hyper_of(entry.hyper, hyper, entry.name)


def loss_of(name: object, hyper: Mapping[str, object]) -> tuple[_formulas.Loss, list[float]]:
    """Return a loss's entry and its hyper-parameters."""
    entry = _formulas.LOSSES[choice(name, "loss", _formulas.LOSSES)]
    return entry, hyper_of(entry.hyper, hyper, entry.name)


def array_of(value: ArrayLike, name: str) -> Array:
    """Return any array-like as an array in the machine's byte order."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise TypeError(f"{name} must be an array, got {type(value).__name__}: {error}") from error
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def floats(value: ArrayLike, name: str, like: Array | None = None, like_name: str = "") -> Array:
    """Return a float32 or float64 array; with ``like``, one of that array's dtype."""
    array = array_of(value, name)
    if array.dtype.char not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if like is not None and array.dtype != like.dtype:
        raise TypeError(f"{name} must be {like.dtype} as {like_name} is, got {array.dtype}")
    return array


def integers(value: ArrayLike, name: str) -> Array:
    """Return an array of integers, of whatever size."""
    array = array_of(value, name)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got {array.dtype}")
    return array


def in_range(index: Array, name: str, size: int) -> None:
    """Raise IndexError unless all of ``index`` is from 0 to size - 1."""
    # Compared as they are: uint64 beyond int64 must not wrap into the range.
    wrong = (index < 0) | (index >= size)
    if wrong.any():
        at = int(np.argmax(wrong))
        expected = f"must be from 0 to {size - 1}" if size else "must be empty"
        raise IndexError(f"{name} {expected}, got {index.reshape(-1)[at]} at position {at}")


def expect_ndim(array: Array, name: str, meaning: Sequence[str]) -> None:
    """Raise ValueError unless the array has one dimension for each name in ``meaning``."""
    if array.ndim != len(meaning):
        expected = f"({', '.join(meaning)}{',' if len(meaning) == 1 else ''})"
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}")


def expect_axis(array: Array, name: str) -> None:
    """Raise ValueError for a scalar."""
    if array.ndim == 0:
        raise ValueError(f"{name} must have at least 1 dimension, got a scalar")


def expect_shape(array: Array, name: str, shape: Shape, reason: str) -> None:
    """Raise ValueError unless the array has this shape; ``reason`` says where it comes from."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape} {reason}, got {array.shape}")


def expect_fit(array: Array, name: str, shape: Shape, like: Array, like_name: str) -> None:
    """Raise ValueError unless the array has the shape that another array's shape asks for."""
    if array.shape != shape:
        expect_shape(array, name, shape, f"for {like_name} of shape {like.shape}")


def as_rows(array: Array) -> Array:
    """Return the array as (rows, last dimension); a view where NumPy can make one."""
    if array.ndim == 2:
        return array
    cols = array.shape[-1] if array.ndim else 1
    return array.reshape(math.prod(array.shape[:-1]), cols)


def _has_plain_rows(rows: Array) -> bool:
    """Tell whether a kernel can walk the matrix: unit column stride, whole aligned elements."""
    if rows.size == 0:  # NumPy gives these any strides
        return True
    item = rows.itemsize
    columns = rows.shape[1] <= 1 or rows.strides[1] == item
    return rows.flags.aligned and columns and (rows.shape[0] <= 1 or rows.strides[0] % item == 0)


def input_rows(array: Array) -> Array:
    """Return the array as a matrix that a kernel can read; a copy where it must be one."""
    rows = as_rows(array)
    return rows if _has_plain_rows(rows) else rows.copy(order="C")


def input_vector(array: Array) -> Array:
    """Return the array as one gapless row in C order; a copy where it must be one."""
    flat = array.reshape(-1)
    # copy(), not ascontiguousarray(): that one leaves a misaligned array as it is.
    return flat if flat.flags.c_contiguous and flat.flags.aligned else flat.copy()


def same_view(a: Array, b: Array) -> bool:
    """Tell whether two arrays name exactly the same elements in the same order."""
    return (
        a.ctypes.data == b.ctypes.data
        and a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
    )


def overlap(a: Array, b: Array) -> bool:
    """Tell whether two arrays share memory."""
    return np.may_share_memory(a, b) and np.shares_memory(a, b)


def writeable_rows(value: object, name: str) -> Array:
    """Return an array that a kernel writes to as a matrix, always a view of it."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(value).__name__}")
    if value.dtype.char not in FLOATS or not value.dtype.isnative:
        raise TypeError(f"{name} must be float32 or float64, got {value.dtype}")
    if not value.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
    rows = as_rows(value)
    distinct = rows.shape[0] <= 1 or abs(rows.strides[0]) >= rows.shape[1] * rows.itemsize
    distinct |= rows.size == 0
    copied = value.size > 0 and not np.may_share_memory(rows, value)
    if copied or not _has_plain_rows(rows) or not distinct:
        raise ValueError(
            f"{name} must have contiguous, aligned rows, got shape {value.shape} with the "
            f"strides {value.strides}"
        )
    return rows


def output(
    out: object,
    name: str,
    shape: Shape,
    dtype: np.dtype[Any],
    inputs: Mapping[str, Array | None],
    *,
    in_place: bool = False,
) -> tuple[Array, Array]:
    """Return the array to write and its matrix: a new one, or ``out`` after all its checks.

    ``in_place`` allows ``out`` to be exactly one of the inputs, as elementwise kernels may.
    """
    if out is None:
        result: Array = np.empty(shape, dtype)
        return result, as_rows(result)
    rows = writeable_rows(out, name)
    assert isinstance(out, np.ndarray)
    if out.dtype != dtype:
        raise TypeError(f"{name} must be {dtype} as the inputs are, got {out.dtype}")
    expect_shape(out, name, shape, "as the result")
    for other_name, other in inputs.items():
        if other is None or not overlap(out, other):
            continue
        if not (in_place and same_view(out, other)):
            allowed = ", unless it is that same array" if in_place else ""
            raise ValueError(f"{name} must not overlap {other_name}{allowed}, got shared memory")
    return out, rows


def runs(rows: Array) -> Iterator[Array]:
    """Yield the elements of a matrix as the fewest gapless rows."""
    if rows.flags.c_contiguous:
        yield rows.reshape(-1)
    else:
        yield from rows


def labels(value: ArrayLike, name: str, rows: int) -> Array:
    """Return one label a row: any whole number of 32 bits."""
    array = integers(value, name)
    if array.shape != (rows, 1):
        expect_shape(array, name, (rows,), "as one label a row")
    in_int32(array, name)
    return array.astype(np.int32).reshape(-1)


def in_int32(array: Array, name: str) -> None:
    """Raise ValueError unless all numbers fit into 32 bits."""
    limits = np.iinfo(np.int32)
    if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
        worst = array.min() if array.min() < limits.min else array.max()
        raise ValueError(f"{name} must hold integers of 32 bits, got {worst}")


def class_indices(target: Array, prediction: Array) -> Array:
    """Return one class index a row of the prediction, as the kernels read them."""
    shape = prediction.shape[:-1]
    if target.shape != (*shape, 1):
        expect_shape(target, "target", shape, "as one class index a row of prediction")
    in_range(target, "target", prediction.shape[-1])
    return target.astype(np.int32).reshape(-1)
