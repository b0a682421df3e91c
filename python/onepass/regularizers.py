"""Penalties on weights and outputs that are added to the loss, with Keras's names and defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from onepass import _checks, _lookup, kernels, ops
from onepass.engine.graph import SymbolicTensor

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


Penalize = Callable[[Any], Any]


class Regularizer:
    """Base of all penalties: an instance called with a weight returns its penalty.

    A subclass overrides ``__call__`` with operators and functions of ``onepass.ops``, which work on
    arrays and are differentiated in models. A model calls it with a symbolic tensor of the weight's
    shape, all of whose axes can be summed up, or of a layer's output, with the batch.

    Examples
    --------
    >>> import onepass
    >>> class Groups(onepass.regularizers.Regularizer):
    ...     def __call__(self, x):
    ...         norms = onepass.ops.sqrt(onepass.ops.sum(onepass.ops.square(x), axis=1))
    ...         return 0.01 * onepass.ops.sum(norms)
    >>> layer = onepass.layers.Dense(4, kernel_regularizer=Groups())
    """

    def __call__(self, x: Any) -> Any:
        """Return the penalty of an array, a scalar."""
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        raise NotImplementedError(f"{type(self).__name__} does not implement get_config()")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a regularizer from what ``get_config`` returned."""
        return cls(**config)


class Norms(Regularizer):
    """What is made of absolute values and squares."""

    @property
    def factors(self) -> tuple[float, float]:
        """Those of the absolute values and of the squares."""
        raise NotImplementedError

    @property
    def native(self) -> bool:
        """Whether kernels compute it: a subclass may say something else."""
        return type(self).__call__ is Norms.__call__

    def __call__(self, x: Any) -> Any:
        """Return the penalty of a float32 or float64 array, a scalar of its dtype."""
        if isinstance(x, SymbolicTensor):
            l1, l2 = self.factors
            return l1 * ops.sum(ops.absolute(x)) + l2 * ops.sum(ops.square(x))
        x = _checks.floats(x, "x")
        return x.dtype.type(kernels.penalty(x, *self.factors))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def _factor(value: float | None, name: str, default: float) -> float:
    return default if value is None else _checks.number(value, name, 0)


class L1(Norms):
    """``l1 * sum(|x|)``; its slope at 0 is 0.

    Parameters
    ----------
    l1 : float >= 0, default 0.01
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor(l1, "l1", 0.01)

    @property
    def factors(self) -> tuple[float, float]:
        return self.l1, 0.0

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Norms):
    """``l2 * sum(x^2)``.

    Parameters
    ----------
    l2 : float >= 0, default 0.01
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor(l2, "l2", 0.01)

    @property
    def factors(self) -> tuple[float, float]:
        return 0.0, self.l2

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class L1L2(Norms):
    """``l1 * sum(|x|) + l2 * sum(x^2)``.

    Parameters
    ----------
    l1, l2 : float >= 0, default 0
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor(l1, "l1", 0.0)
        self.l2 = _factor(l2, "l2", 0.0)

    @property
    def factors(self) -> tuple[float, float]:
        return self.l1, self.l2

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean of ``|cosine|`` between all pairs of rows, or of columns.

    Parameters
    ----------
    factor : float >= 0, default 0.01
    mode : {"rows", "columns"}

    Notes
    -----
    As in Keras; 0 where there is only one row.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _checks.number(factor, "factor", 0)
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be 'rows' or 'columns', got {mode!r}")
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        """Return the penalty of a matrix."""
        shape = tuple(x.shape)
        if len(shape) != 2 or None in shape:
            raise ValueError(f"OrthogonalRegularizer: a matrix is expected, got shape {shape}")
        if self.mode == "columns":
            x = ops.transpose(x)
        squares = ops.sum(ops.square(x), axis=1, keepdims=True)
        unit = x / ops.sqrt(ops.maximum(squares, 1e-24))
        size = unit.shape[0]
        pairs = max(1.0, size * (size - 1.0) / 2.0)
        cosines = ops.matmul(unit, ops.transpose(unit)) * (1.0 - np.eye(size, dtype=x.dtype))
        return self.factor * 0.5 * ops.sum(ops.absolute(cosines)) / pairs

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2 = L1, L2, L1L2
orthogonal_regularizer = OrthogonalRegularizer
_BY_NAME = _lookup.names_of((L1, L2, L1L2, OrthogonalRegularizer))


def get(identifier: Any) -> Penalize | None:
    """Return the regularizer that an identifier stands for.

    Parameters
    ----------
    identifier : str, dict, class, Regularizer or None
        "l1", "L1", "l2", "L2", "l1l2", "L1L2", "orthogonal_regularizer", "OrthogonalRegularizer"
        (with that class's defaults), ``{"class_name": ..., "config": ...}``, a class, or an
        instance or function ``f(x)``, returned unchanged; None stays None.

    Raises
    ------
    ValueError
        For an unknown name or anything else.
    """
    return _lookup.callable_of(identifier, _BY_NAME, "regularizer")


def serialize(regularizer: Penalize | None) -> Any:
    """Return what ``deserialize`` makes this regularizer from; one's own as it is."""
    return _lookup.serialized(regularizer, _BY_NAME)


def deserialize(config: Any) -> Penalize | None:
    """Make a regularizer from what ``serialize`` returned."""
    return get(config)
