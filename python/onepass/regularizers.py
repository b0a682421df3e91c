"""Penalties on weights and outputs that are added to the loss, with Keras's names and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from onepass import _checks, _lookup, kernels

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "serialize",
]


class Regularizer:
    """Base of all penalties: an instance called with an array returns its penalty.

    Models train with the penalties below only; one of one's own is refused by layers.
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

    def __call__(self, x: Any) -> Any:
        """Return the penalty of a float32 or float64 array, a scalar of its dtype."""
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


l1, l2, l1_l2 = L1, L2, L1L2
_BY_NAME = _lookup.names_of((L1, L2, L1L2))


def get(identifier: Any) -> Norms | None:
    """Return the regularizer that an identifier stands for.

    Parameters
    ----------
    identifier : str, dict, class, Regularizer or None
        "l1", "L1", "l2", "L2", "l1l2", "L1L2" (with that class's defaults), ``{"class_name": ...,
        "config": ...}``, a class, or an instance, returned unchanged; None stays None.

    Raises
    ------
    ValueError
        For an unknown name, and for functions and regularizers of one's own: a model cannot
        differentiate them.
    """
    found = _lookup.made_of(identifier, _BY_NAME, "regularizer")
    if found is None or (isinstance(found, Norms) and type(found).__call__ is Norms.__call__):
        return found
    raise ValueError(
        f"regularizer must be L1, L2 or L1L2, a name or configuration of these, got {identifier!r}:"
        " penalties of one's own are not supported yet"
    )


def serialize(regularizer: Norms | None) -> dict[str, Any] | None:
    """Return what ``deserialize`` makes this regularizer from."""
    return _lookup.serialized(regularizer)


def deserialize(config: Mapping[str, Any] | None) -> Norms | None:
    """Make a regularizer from what ``serialize`` returned."""
    return get(config)
