"""Initial values that are known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onepass import _checks
from onepass.initializers.initializer import (
    Array,
    Initializer,
    Shape,
    checked_dtype,
    checked_shape,
)


class Constant(Initializer):
    """The same number everywhere.

    Parameters
    ----------
    value : float, default 0
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = _checks.number(value, "value")

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return the constant array."""
        return np.full(checked_shape(shape), self.value, checked_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value": self.value}


class Zeros(Initializer):
    """Zeros."""

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return an array of zeros."""
        return np.zeros(checked_shape(shape), checked_dtype(dtype))


class Ones(Initializer):
    """Ones."""

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return an array of ones."""
        return np.ones(checked_shape(shape), checked_dtype(dtype))


class Identity(Initializer):
    """``gain`` on the diagonal, 0 elsewhere.

    Parameters
    ----------
    gain : float, default 1
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = _checks.number(gain, "gain")

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return a matrix; it need not be square."""
        size = checked_shape(shape)
        if len(size) != 2:
            raise ValueError(f"Identity: shape must have 2 dimensions, got {shape!r}")
        return self.gain * np.eye(*size, dtype=checked_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain}
