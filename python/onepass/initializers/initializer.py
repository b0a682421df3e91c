"""What all initializers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = Sequence[int]


class Initializer(ABC):
    """Base class: an instance called with a shape returns a new array.

    A subclass writes ``__call__(shape, dtype)`` and, when it has arguments, ``get_config``.
    """

    @abstractmethod
    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return a C-contiguous array of this shape and dtype, float32 or float64."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an initializer from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def checked_shape(shape: object) -> tuple[int, ...]:
    """Return the shape as a tuple, or raise."""
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise TypeError(f"shape must be a tuple of integers, got {shape!r}")
    for size in shape:
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"shape must be a tuple of integers, got {shape!r}")
        if size < 0:
            raise ValueError(f"shape must not be negative, got {shape!r}")
    return tuple(int(size) for size in shape)


def checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return the dtype, float32 where there is none, or raise."""
    kind = np.dtype("float32" if dtype is None else dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {kind}")
    return kind
