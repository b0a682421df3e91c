"""The user's arrays, checked once and made ready for native gathering.

float32, float64 and uint8 arrays with gapless samples are read where they are, in any order of
rows; anything else is converted once.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass import _core, _gpu
from onepass._checks import in_int32, number
from onepass.engine.graph import Shape, SymbolicTensor
from onepass.engine.structure import flatten

Array = NDArray[Any]


@dataclass(frozen=True)
class Feed:
    """Sources of a plan, in its order: inputs, targets, weights."""

    sources: list[tuple[Array, float]]
    samples: int


@dataclass(frozen=True)
class Samples:
    """Checked arrays: a model's inputs, and for each output targets and weights, if any."""

    inputs: list[Array]
    targets: list[Array | None]
    weights: list[Array | None]

    def __len__(self) -> int:
        return len(self.inputs[0])

    @property
    def weighted(self) -> tuple[bool, ...]:
        """Whether samples have weights, for each output."""
        return tuple(weights is not None for weights in self.weights)

    @property
    def feed(self) -> Feed:
        """The arrays as a plan's sources."""
        arrays = [*self.inputs, *self.targets, *self.weights]
        return Feed([(array, 1.0) for array in arrays if array is not None], len(self))

    def on(self, device: str) -> Samples:
        """Return copies that the device reaches, if they take a quarter of its memory at most.

        Files that are mapped are read where they are.
        """
        if device == "cpu":
            return self
        arrays = [a for a in (*self.inputs, *self.targets, *self.weights) if a is not None]
        mapped = any(isinstance(a, np.memmap) for a in arrays)
        if mapped or sum(a.nbytes for a in arrays) > _gpu.memory_bytes() // 4:
            return self
        inputs, targets, weights = (
            [None if a is None else _core.copied_to(a, device) for a in part]
            for part in (self.inputs, self.targets, self.weights)
        )
        return Samples([a for a in inputs if a is not None], targets, weights)

    def rows(self, start: int, stop: int) -> Samples:
        """Return a slice of the samples, without a copy."""
        parts = [
            [None if array is None else array[start:stop] for array in arrays]
            for arrays in (self.targets, self.weights)
        ]
        return Samples([array[start:stop] for array in self.inputs], *parts)

    def class_weighted(
        self,
        class_weight: Mapping[int, float],
        outputs: Sequence[SymbolicTensor],
        any_label: bool = False,
    ) -> Samples:
        """Return samples whose weights are multiplied by those of their classes.

        With ``any_label`` these are any whole numbers, not numbers of columns.

        Raises
        ------
        TypeError, ValueError
            If the classes do not fit the targets, or there are several outputs.
        """
        if len(outputs) != 1 or self.targets[0] is None:
            raise ValueError(
                f"class_weight is for models of one output, this one has {len(outputs)}; "
                "use sample_weight"
            )
        count = None if any_label else max(2, outputs[0].shape[-1] or 0)
        weights = _class_weights(self.targets[0], class_weight, outputs[0], count)
        if self.weights[0] is not None:
            weights = weights * self.weights[0]
        return Samples(self.inputs, self.targets, [np.ascontiguousarray(weights)])


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


def arranged(
    given: Any, structure: Any, names: Sequence[str], what: str, spare: bool = False
) -> list[Any]:
    """Return one item for each tensor of a model's inputs or outputs.

    Parameters
    ----------
    given : the item itself for a single tensor; a list or tuple in order, or a dict by name
    structure : the tensors as the model has them
    names : their names, in the order of ``flatten``
    what : the argument, for messages
    spare : whether a dict may hold more, which is warned about

    Raises
    ------
    TypeError, ValueError
        If there are too many or too few, or a name is missing or unknown.
    """
    if isinstance(given, Mapping):
        nested = isinstance(structure, Mapping)
        known = sorted(structure) if nested else list(names)
        missing = [name for name in known if name not in given]
        unknown = [name for name in given if name not in known]
        if unknown and spare and not missing:
            warnings.warn(f"{what} holds {unknown}, which the model does not read", stacklevel=2)
        elif missing or unknown:
            raise ValueError(f"{what} must be a dict of {known}, got one of {list(given)}")
        items = [given[name] for name in known]
        if not nested:
            return items
        counts = [len(flatten(structure[name])) for name in known]
        ends = np.cumsum(counts)
        return [
            leaf
            for name, item, count, end in zip(known, items, counts, ends, strict=True)
            for leaf in arranged(
                item, structure[name], names[end - count : end], f"{what}[{name!r}]", spare
            )
        ]
    if len(names) == 1:
        return [given]
    if not isinstance(given, (list, tuple)):
        raise TypeError(
            f"{what} must be a list, tuple or dict of {len(names)} arrays, for {list(names)}, "
            f"got {type(given).__name__}"
        )
    leaves = flatten(list(given))
    if len(leaves) != len(names):
        raise ValueError(
            f"{what} must hold {len(names)} arrays, for {list(names)}, got {len(leaves)}"
        )
    return leaves


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
    if tensor.index_below is not None:
        _check_indices(array, tensor.index_below, name)
    return _readable(array, tensor.dtype)


def _check_indices(array: Array, end: int, name: str) -> None:
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise ValueError(f"{name} must hold whole numbers for an embedding, got fractions or NaN")
    if array.size and not (array.min() >= 0 and array.max() < end):
        worst = array.min() if array.min() < 0 else array.max()
        raise ValueError(
            f"{name} must hold numbers from 0 to {end - 1} for an embedding, got {worst}"
        )


def dense_target(y: Any, tensor: SymbolicTensor, name: str = "y") -> Array:
    """Check targets that look like the model's output."""
    array = samples_of(y, name)
    if array.ndim == len(tensor.shape) - 1 and tensor.shape[-1] == 1:
        array = array[..., None]
    if not _fits(array.shape, tensor.shape):
        indices = array.ndim == len(tensor.shape) - 1 and not np.any(array % 1)
        hint = "; class indices are for sparse_categorical_crossentropy and the like"
        raise ValueError(
            f"{name} has shape {array.shape}, the loss expects {_shown(tensor.shape)} as the "
            f"model's output{hint if indices else ''}"
        )
    return _readable(array, tensor.dtype)


def index_target(y: Any, tensor: SymbolicTensor, name: str = "y", any_label: bool = False) -> Array:
    """Check class indices: whole numbers, below the number of the output's columns or any."""
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
    if any_label:
        in_int32(array, name)
    elif array.size and not (array.min() >= 0 and array.max() < classes):
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


def _class_weights(
    y: Array, class_weight: Mapping[int, float], tensor: SymbolicTensor, count: int | None
) -> Array:
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight must be a dict, got {type(class_weight).__name__}")
    if y.dtype == np.int32:
        classes = y
    elif tensor.shape[-1] == 1:
        classes = y[..., 0].astype(np.int64)
    else:
        classes = np.argmax(y, axis=-1)
    known = {}
    for index, weight in class_weight.items():
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise TypeError(f"class_weight: classes must be ints, got {index!r}")
        if count is not None and not 0 <= index < count:
            raise ValueError(f"class_weight names class {index}, the model knows 0 to {count - 1}")
        known[int(index)] = number(weight, f"class_weight[{index}]")
    if count is not None and classes.size and not 0 <= classes.min() <= classes.max() < count:
        raise ValueError("class_weight needs targets that are class indices")
    labels, places = np.unique(classes, return_inverse=True)
    table = np.array([known.get(int(label), 1.0) for label in labels])
    return table[places.reshape(classes.shape)]


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
