"""Constraints that weights are brought back to behind every update, with Keras's names.

They belong to a layer's weights: stepping plain arrays with an optimizer knows none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from onepass import _checks, _lookup, kernels
from onepass._regularizing_kernels import EPSILON

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]


Constrain = Callable[[Any], Any]


class Constraint:
    """Base of all constraints: an instance called with an array returns a constrained copy.

    A subclass overrides ``__call__`` with NumPy, which a model calls behind each update, under
    Python's lock, with a copy of the weight. Where it raises, training ends behind that update.

    Examples
    --------
    >>> import numpy as np, onepass
    >>> class Symmetric(onepass.constraints.Constraint):
    ...     def __call__(self, w):
    ...         return (w + w.T) / 2
    >>> layer = onepass.layers.Dense(4, kernel_constraint=Symmetric())
    """

    def __call__(self, w: Any) -> Any:
        """Return a constrained copy of an array."""
        return w

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a constraint from what ``get_config`` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class Native(Constraint):
    """What ``kernels.constrain_`` does."""

    @property
    def native(self) -> bool:
        """Whether kernels compute it: a subclass may say something else."""
        return type(self).__call__ is Native.__call__

    def arguments(self, shape: Sequence[int]) -> dict[str, Any]:
        """Return the kernel's arguments for weights of this shape.

        Raises
        ------
        ValueError
            If the constraint does not fit the shape.
        """
        raise NotImplementedError

    def __call__(self, w: Any) -> Any:
        """Return a constrained copy of a float32 or float64 array."""
        result = np.array(_checks.floats(w, "w"), order="C")
        kernels.constrain_(result, **self.arguments(result.shape))
        return result


def _arguments(kind: str, low: float = 0.0, high: float = 0.0, rate: float = 0.0) -> dict[str, Any]:
    return {"kind": kind, "low": low, "high": high, "rate": rate, "epsilon": EPSILON}


class NonNeg(Native):
    """Weights below 0 become 0."""

    def arguments(self, shape: Sequence[int]) -> dict[str, Any]:
        return _arguments("non_negative")


class _Norm(Native):
    """Norms along an axis within a range."""

    def __init__(self, axis: int) -> None:
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{type(self).__name__}: axis must be an int, got {axis!r}")
        self.axis = int(axis)

    @property
    def bounds(self) -> tuple[float, float, float]:
        """Lowest and highest norm, and the rate."""
        raise NotImplementedError

    def arguments(self, shape: Sequence[int]) -> dict[str, Any]:
        ndim = len(shape)
        if ndim not in (1, 2) or not -ndim <= self.axis < ndim:
            raise ValueError(
                f"{type(self).__name__}: axis {self.axis} needs weights of 1 or 2 dimensions that "
                f"have it, got shape {tuple(shape)}"
            )
        low, high, rate = self.bounds
        along_rows = self.axis % ndim == ndim - 1
        kind = "row_norms" if along_rows else "column_norms"
        return _arguments(kind, low, high, rate)


class MaxNorm(_Norm):
    """Norms of at most ``max_value``.

    Parameters
    ----------
    max_value : float >= 0, default 2
    axis : int, default 0
        Along which norms are taken: 0 for the weights that lead to one unit of a dense layer.

    Notes
    -----
    As in Keras, weights of norm n are multiplied by ``min(n, max_value) / (n + 1e-7)``, so also
    those within the bound shrink by one part in 10**7 n.
    """

    def __init__(self, max_value: float = 2, axis: int = 0) -> None:
        super().__init__(axis)
        self.max_value = _checks.number(max_value, "max_value", 0)

    @property
    def bounds(self) -> tuple[float, float, float]:
        return 0.0, self.max_value, 1.0

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(_Norm):
    """Norms of 1.

    Parameters
    ----------
    axis : int, default 0
        As in ``MaxNorm``.
    """

    def __init__(self, axis: int = 0) -> None:
        super().__init__(axis)

    @property
    def bounds(self) -> tuple[float, float, float]:
        return 1.0, 1.0, 1.0

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(_Norm):
    """Norms from ``min_value`` to ``max_value``.

    Parameters
    ----------
    min_value, max_value : float >= 0, default 0 and 1
    rate : float in [0, 1], default 1
        How far a norm is moved towards the range at each update.
    axis : int, default 0
        As in ``MaxNorm``.
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int = 0
    ) -> None:
        super().__init__(axis)
        self.min_value = _checks.number(min_value, "min_value", 0)
        self.max_value = _checks.number(max_value, "max_value", 0)
        if self.min_value > self.max_value:
            raise ValueError(
                f"min_value must not exceed max_value, got {min_value!r} and {max_value!r}"
            )
        self.rate = _checks.number(rate, "rate", 0, 1)

    @property
    def bounds(self) -> tuple[float, float, float]:
        return self.min_value, self.max_value, self.rate

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
_BY_NAME = _lookup.names_of((MaxNorm, MinMaxNorm, NonNeg, UnitNorm))


def get(identifier: Any) -> Constrain | None:
    """Return the constraint that an identifier stands for.

    Parameters
    ----------
    identifier : str, dict, class, Constraint or None
        A class name as it is or in snake case ("MaxNorm", "max_norm"), ``{"class_name": ...,
        "config": ...}``, a class, or an instance or function ``f(w)``, returned unchanged; None
        stays None.

    Raises
    ------
    ValueError
        For an unknown name or anything else.
    """
    return _lookup.callable_of(identifier, _BY_NAME, "constraint")


def serialize(constraint: Constrain | None) -> Any:
    """Return what ``deserialize`` makes this constraint from; one's own as it is."""
    return _lookup.serialized(constraint, _BY_NAME)


def deserialize(config: Any) -> Constrain | None:
    """Make a constraint from what ``serialize`` returned."""
    return get(config)
