"""Losses by name. Adding one: its class in `_CLASSES`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from onepass.losses.classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Perceptron,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from onepass.losses.function import FunctionLoss
from onepass.losses.loss import Loss
from onepass.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    Quantile,
)

_CLASSES: tuple[Callable[[], Loss], ...] = (
    MeanSquaredError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    Huber,
    LogCosh,
    Quantile,
    Poisson,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    KLDivergence,
    Hinge,
    SquaredHinge,
    Perceptron,
    CategoricalHinge,
    CosineSimilarity,
)
_ALIASES: dict[str, Callable[..., Loss]] = {
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError,
    "huber": Huber,
    "logcosh": LogCosh,
    "pinball": Quantile,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "kld": KLDivergence,
    "KLD": KLDivergence,
}
_BY_NAME: dict[str, Callable[[], Loss]] = {
    **{kind().name: kind for kind in _CLASSES},
    **{type(kind()).__name__: kind for kind in _CLASSES},
    **{alias: partial(kind, name=alias) for alias, kind in _ALIASES.items()},
}


def names() -> list[str]:
    """Return the names that ``get`` knows."""
    return list(_BY_NAME)


def get(identifier: str | Loss | Callable[[Any, Any], Any]) -> Loss:
    """Return the loss of this name, the given loss, or one that is a function.

    Raises
    ------
    ValueError
        If no loss has this name.
    TypeError
        If ``identifier`` is nothing of that kind.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise ValueError(f"unknown loss {identifier!r}; known: {sorted(_BY_NAME)}")
        return _BY_NAME[identifier]()
    if callable(identifier):
        return FunctionLoss(identifier)
    raise TypeError(f"loss must be a name, a function or a Loss, got {type(identifier).__name__}")
