"""Variables and the memory they live in: one aligned block per layer, mirrored by gradients.

Rows of a matrix that is 64 or more wide start on a cache line: they are padded to multiples of 16
elements. Padding is internal (views are strided) and zero, always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onepass import _core, config
from onepass.engine.changes import trained_changed
from onepass.engine.graph import is_recording
from onepass.engine.operators import WeightOperators

if TYPE_CHECKING:
    from onepass.constraints import Constrain
    from onepass.regularizers import Penalize

Floats = NDArray[Any]

_LINE = 16  # elements; a cache line of float32
_PAD_FROM = 64


def padded(cols: int) -> int:
    """Distance between rows of a matrix of this width."""
    return -(-cols // _LINE) * _LINE if cols >= _PAD_FROM else cols


def _extent(shape: tuple[int, ...]) -> int:
    """Elements that a tensor takes in a block, rows padded and the next one aligned."""
    cols = shape[-1] if shape else 1
    rows = int(np.prod(shape[:-1], dtype=np.int64)) if shape else 1
    stride = padded(cols) if len(shape) == 2 else cols
    return -(-rows * stride // _LINE) * _LINE


def _view(block: Floats, start: int, shape: tuple[int, ...]) -> Floats:
    if len(shape) != 2:
        size = int(np.prod(shape, dtype=np.int64))
        return block[start : start + size].reshape(shape)
    rows, cols = shape
    stride = padded(cols)
    return block[start : start + rows * stride].reshape(rows, stride)[:, :cols]


def allocate(shapes: Sequence[tuple[int, ...]], dtype: str, device: str = "cpu") -> list[Floats]:
    """Zeroed arrays of these shapes, side by side in one aligned block that the device reaches."""
    starts = np.cumsum([0, *(_extent(shape) for shape in shapes)])
    block = _core.aligned_zeros(int(starts[-1]), dtype == "float64", device)
    return [_view(block, int(at), shape) for at, shape in zip(starts, shapes, strict=False)]


def compact(array: Floats) -> Floats:
    """Return a copy without padding."""
    return np.array(array, order="C")


def reallocated(values: Sequence[Floats], device: str = "cpu") -> list[Floats]:
    """Return copies of arrays of one dtype in a block of memory of their own, rows padded."""
    if not values:
        return []
    arrays = allocate([value.shape for value in values], str(values[0].dtype), device)
    for array, value in zip(arrays, values, strict=True):
        array[...] = value
    return arrays


class Variable(WeightOperators):
    """A layer's tensor: name, shape, values in place.

    Parameters
    ----------
    name : str
    shape : tuple of int
    dtype : {"float32", "float64"}
    initializer : callable(shape, dtype) -> array
    trainable : bool
    regularizer : the penalty that it adds to the loss, optional
    constraint : what holds again behind each update, optional
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        initializer: Callable[..., Any],
        trainable: bool = True,
        regularizer: Penalize | None = None,
        constraint: Constrain | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.initializer = initializer
        self._trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.device = "cpu"  # where the values lie
        self._array: Floats | None = None
        self._gradient: Floats | None = None

    @property
    def trainable(self) -> bool:
        """Whether training changes the values; may be set."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if value != self._trainable:
            self._trainable = value
            trained_changed()

    @property
    def array(self) -> Floats:
        """The values themselves, (..., cols) with padded rows: writing changes the model."""
        if self._array is None:
            raise ValueError(
                f"variable {self.name!r} has no values before its layer is built; weights are made "
                "in build(), and get their values behind it"
            )
        return self._array

    @property
    def gradient(self) -> Floats:
        """Memory for a gradient, in the values' layout.

        Where the update is fused into the gradient's product it is only a work area.
        """
        if self._gradient is None:
            (self._gradient,) = allocate([self.shape], self.dtype, self.device)
        return self._gradient

    @property
    def size(self) -> int:
        """Number of elements, padding not counted."""
        return int(np.prod(self.shape, dtype=np.int64))

    def numpy(self) -> Floats:
        """Return a compact copy of the values."""
        return compact(self.array)

    def check(self, given: Floats) -> None:
        """Raise ValueError or TypeError unless these values can be assigned."""
        if given.shape != self.shape:
            raise ValueError(
                f"variable {self.name!r} has shape {self.shape}, got values of shape {given.shape}"
            )
        if given.dtype.kind not in "fiub":
            raise TypeError(f"variable {self.name!r} needs real numbers, got dtype {given.dtype}")

    def assign(self, value: Any) -> None:
        """Overwrite the values.

        Raises
        ------
        TypeError, ValueError
            If the values are not real numbers or have another shape; nothing is changed.
        """
        given = np.asarray(value)
        self.check(given)
        self.array[...] = given

    def assign_add(self, value: Any) -> None:
        """Add to the values."""
        self.assign(self.numpy() + value)

    def assign_sub(self, value: Any) -> None:
        """Subtract from the values."""
        self.assign(self.numpy() - value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Floats:
        if is_recording():
            raise TypeError(
                f"the weight {self.name!r} is no array while a call is recorded, where today's "
                "numbers would stay for ever: use operators, onepass.ops and layers, or numpy() if "
                "they are meant to stay"
            )
        return np.array(self.array, dtype=dtype, copy=copy)

    def __getstate__(self) -> dict[str, Any]:
        array = None if self._array is None else compact(self._array)
        return {**vars(self), "_array": array, "_gradient": None}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._restore(saved, config.device())

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied._restore(deepcopy(self.__getstate__(), memo), self.device)
        return copied

    def _restore(self, saved: dict[str, Any], device: str) -> None:
        vars(self).update(saved)
        self.device = device
        if self._array is not None:
            (self._array,) = reallocated([self._array], device)

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} shape={self.shape} dtype={self.dtype}>"


def moved(variables: Sequence[Variable], device: str) -> list[Floats]:
    """Return copies of a layer's variables that the device reaches, for `put`."""
    return reallocated([variable.array for variable in variables], device)


def put(variables: Sequence[Variable], arrays: Sequence[Floats], device: str) -> None:
    """Let variables lie in these arrays."""
    for variable, array in zip(variables, arrays, strict=True):
        variable._array, variable._gradient, variable.device = array, None, device


def materialize(variables: Sequence[Variable]) -> None:
    """Give a layer's variables their block of memory and initial values, all or none.

    They lie on the device that is set.
    """
    if not variables:
        return
    values = []
    for variable in variables:
        value = np.asarray(variable.initializer(variable.shape, dtype=variable.dtype))
        if value.shape != variable.shape:
            raise ValueError(
                f"the initializer of {variable.name!r} returned shape {value.shape}, "
                f"expected {variable.shape}"
            )
        values.append(value)
    shapes = [variable.shape for variable in variables]
    arrays = allocate(shapes, variables[0].dtype, config.device())
    for array, value in zip(arrays, values, strict=True):
        array[...] = value
    put(variables, arrays, config.device())
