"""The user's arrays, checked once and made ready for native gathering.

float32, float64 and uint8 arrays with gapless samples are read where they are, in any order of
rows; anything else is converted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass._checks import number
from onepass.engine.graph import Shape, SymbolicTensor

Array = NDArray[Any]


@dataclass(frozen=True)
class Feed:
    """Sources of a plan, in its order: input, target, weights."""

    sources: list[tuple[Array, float]]
    samples: int

    @property
    def weighted(self) -> bool:
        """Whether samples have weights."""
        return len(self.sources) > 2

    def rows(self, start: int, stop: int) -> Feed:
        """Return the feed of a slice of the samples, without a copy."""
        return Feed([(a[start:stop], scale) for a, scale in self.sources], stop - start)


def _readable(array: Array, dtype: str) -> Array:
    """Return an array that the gather kernel can read: itself where possible."""
    native = array.dtype.isnative and array.dtype in (np.float32, np.float64, np.uint8)
    if not native:
        array = array.astype(dtype)
    sample = array[:1]
    if not (array.flags.aligned and (sample.flags.c_contiguous or sample.size == 0)):
        array = np.ascontiguousarray(array)
    if array.ndim and array.strides[0] % array.itemsize != 0:
        array = np.ascontiguousarray(array)
    return array


def samples_of(value: Any, name: str = "y") -> Array:
    """Return anything array-like that holds real numbers and has a batch dimension."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged lists
        raise ValueError(f"{name} must be an array: {error}") from error
    if array.dtype.kind not in "fiub":
        kind = type(value).__name__
        hint = '; convert it with .astype("float32")' if array.dtype == object else ""
        raise TypeError(f"{name} must hold real numbers, got {kind} of dtype {array.dtype}{hint}")
    if array.ndim == 0:
        raise ValueError(f"{name} must have a batch dimension, got a single number")
    return array


def _fits(given: tuple[int, ...], wanted: Shape) -> bool:
    return len(given) == len(wanted) and given[1:] == tuple(wanted[1:])


def input_array(x: Any, tensor: SymbolicTensor, name: str = "x") -> Array:
    """Check input samples against the model's input.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers, or their shape differs.
    """
    if isinstance(x, (list, tuple)) and len(x) == 1 and np.ndim(x[0]) == tensor.ndim:
        x = x[0]  # a list of the one input, as Keras takes it
    array = samples_of(x, name)
    if array.ndim == 1 and tensor.shape == (None, 1):
        array = array[:, None]
    if not _fits(array.shape, tensor.shape):
        raise ValueError(
            f"{name} has shape {array.shape}, the model expects {_shown(tensor.shape)}"
        )
    return _readable(array, tensor.dtype)


def dense_target(y: Any, tensor: SymbolicTensor, name: str = "y") -> Array:
    """Check targets that look like the model's output."""
    array = samples_of(y, name)
    if array.ndim == len(tensor.shape) - 1 and tensor.shape[-1] == 1:
        array = array[..., None]
    if not _fits(array.shape, tensor.shape):
        raise ValueError(
            f"{name} has shape {array.shape}, the loss expects {_shown(tensor.shape)} as the "
            "model's output"
        )
    return _readable(array, tensor.dtype)


def index_target(y: Any, tensor: SymbolicTensor, name: str = "y") -> Array:
    """Check class indices: whole numbers below the number of the output's columns."""
    array = samples_of(y, name)
    if array.ndim == len(tensor.shape) and array.shape[-1] == 1:
        array = array[..., 0]
    classes = tensor.shape[-1]
    assert classes is not None
    if not _fits(array.shape, tensor.shape[:-1]):
        raise ValueError(
            f"{name} has shape {array.shape}, the loss expects class indices of shape "
            f"{_shown(tensor.shape[:-1])}"
        )
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise ValueError(f"{name} must hold whole class indices, got fractions or NaN")
    if array.size and not (array.min() >= 0 and array.max() < classes):
        worst = array.min() if array.min() < 0 else array.max()
        raise ValueError(
            f"{name} must hold class indices from 0 to {classes - 1} (the model has {classes} "
            f"outputs), got {worst}"
        )
    return np.array(array, np.int32, order="C")  # a copy: what was checked must stay so


def sample_weights(y: Array, sample_weight: Any, tensor: SymbolicTensor) -> Array | None:
    """Return one weight a row of the output, if any are given."""
    if sample_weight is None:
        return None
    rows = (len(y), *(dim or 0 for dim in tensor.shape[1:-1]))
    given = samples_of(sample_weight, "sample_weight")
    if given.ndim == len(rows) + 1 and given.shape[-1] == 1:
        given = given[..., 0]
    if given.shape != rows and given.shape != rows[:1]:
        raise ValueError(
            f"sample_weight has shape {given.shape}, expected {rows[:1]}: one number a sample"
        )
    weights = given.reshape(given.shape + (1,) * (len(rows) - given.ndim))
    return np.ascontiguousarray(np.broadcast_to(weights, rows), np.float64)


def class_weighted(feed: Feed, class_weight: Mapping[int, float], tensor: SymbolicTensor) -> Feed:
    """Return a training feed whose sample weights are multiplied by those of their classes."""
    y = feed.sources[1][0]
    weights = _class_weights(y, class_weight, tensor)
    if feed.weighted:
        weights = weights * feed.sources[2][0]
    return Feed([*feed.sources[:2], (np.ascontiguousarray(weights), 1.0)], feed.samples)


def _class_weights(y: Array, class_weight: Mapping[int, float], tensor: SymbolicTensor) -> Array:
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight must be a dict, got {type(class_weight).__name__}")
    if y.dtype == np.int32:
        classes = y
    elif tensor.shape[-1] == 1:
        classes = y[..., 0].astype(np.int64)
    else:
        classes = np.argmax(y, axis=-1)
    count = max(2, tensor.shape[-1] or 0)
    table = np.ones(count)
    for index, weight in class_weight.items():
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise TypeError(f"class_weight: classes must be ints, got {index!r}")
        if not 0 <= index < count:
            raise ValueError(f"class_weight names class {index}, the model knows 0 to {count - 1}")
        table[index] = number(weight, f"class_weight[{index}]")
    if classes.size and not 0 <= classes.min() <= classes.max() < count:
        raise ValueError("class_weight needs targets that are class indices")
    return table[classes]


def _shown(shape: Shape) -> str:
    return "(" + ", ".join("n" if dim is None else str(dim) for dim in shape) + ")"


def same_length(**arrays: Array | None) -> int:
    """Return the common number of samples.

    Raises
    ------
    ValueError
        If the arrays disagree; the message gives each one's length.
    """
    lengths = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"all arrays must have the same number of samples: {shown}")
    return next(iter(lengths.values()))
