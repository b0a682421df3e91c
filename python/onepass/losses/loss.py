"""Losses: objects and names for ``compile``, and callables on arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from onepass import kernels

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "get",
    "names",
]

_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none", None)


class Loss:
    """A loss of the compiled list.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "mean", "sum", "none", None}
        How row values become one number: ``sum(w * value) / rows`` (the first two), their sum, or
        not at all (only for calls on arrays).
    name : str
        Key of a metric made of this loss.

    Attributes
    ----------
    sparse : bool
        Whether targets are class indices, not rows like the prediction.
    """

    sparse = False
    _from_probabilities = ""

    def __init__(
        self, reduction: str | None, name: str, from_logits: bool = False, **hyper: float
    ) -> None:
        if reduction not in _REDUCTIONS:
            raise ValueError(f"{name}: reduction must be one of {_REDUCTIONS}, got {reduction!r}")
        if not isinstance(from_logits, bool):
            raise TypeError(f"{name}: from_logits must be a bool, got {type(from_logits).__name__}")
        self.reduction = reduction
        self.name = name
        self.from_logits = from_logits
        self._hyper = hyper

    @property
    def formula(self) -> str:
        """Name in the compiled list."""
        return self._from_probabilities + ("_from_logits" if self.from_logits else "")

    @property
    def hyper(self) -> list[float]:
        """Hyper-parameters in the compiled formula's order."""
        return list(self._hyper.values())

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of a batch of predictions.

        Parameters
        ----------
        y_true : (n, k) numbers, or (n,) class indices for a sparse loss
        y_pred : (n, k) floats
        sample_weight : (n,) floats, optional

        Returns
        -------
        loss : float, or (n,) array without reduction
        """
        prediction = np.asarray(y_pred)
        if prediction.dtype.kind in "iub":
            prediction = prediction.astype(np.float32)
        target = np.asarray(y_true)
        if not self.sparse:
            target = target.astype(prediction.dtype, copy=False)
        hyper: Any = self._hyper  # keyword arguments of one formula
        values, _ = kernels.loss(target, prediction, self.formula, **hyper)
        if sample_weight is not None:
            values = values * np.asarray(sample_weight, values.dtype)
        if self.reduction in ("none", None):
            return values
        total = float(np.sum(values, dtype=np.float64))
        return total if self.reduction == "sum" else total / values.size

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"reduction": self.reduction, "name": self.name}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class MeanSquaredError(Loss):
    """Mean over a row of ``(y_pred - y_true)**2``."""

    _from_probabilities = "mean_squared_error"

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "mean_squared_error"
    ) -> None:
        super().__init__(reduction, name)


class _Crossentropy(Loss):
    def __init__(
        self, from_logits: bool, label_smoothing: float, reduction: str | None, name: str
    ) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"{name}: label_smoothing must be in [0, 1], got {label_smoothing!r}")
        super().__init__(reduction, name, from_logits, label_smoothing=label_smoothing)

    def get_config(self) -> dict[str, Any]:
        config = {"from_logits": self.from_logits, **super().get_config()}
        return config if self.sparse else {**config, **self._hyper}


class BinaryCrossentropy(_Crossentropy):
    """Mean over a row of ``-(y log p + (1 - y) log(1 - p))``.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / 2``
    """

    _from_probabilities = "binary_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)


class CategoricalCrossentropy(_Crossentropy):
    """``-sum_j y_j log p_j`` with one-hot or probability targets.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / classes``
    """

    _from_probabilities = "categorical_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)


class SparseCategoricalCrossentropy(_Crossentropy):
    """``-log p_y`` with class indices as targets.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    """

    sparse = True
    _from_probabilities = "categorical_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(from_logits, 0.0, reduction, name)


_CLASSES: tuple[Callable[[], Loss], ...] = (
    MeanSquaredError,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
_ALIASES: dict[str, Callable[..., Loss]] = {
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
}
_BY_NAME: dict[str, Callable[[], Loss]] = {
    **{kind().name: kind for kind in _CLASSES},
    **{type(kind()).__name__: kind for kind in _CLASSES},
    **{alias: partial(kind, name=alias) for alias, kind in _ALIASES.items()},
}


def names() -> list[str]:
    """Return the names that ``get`` knows."""
    return list(_BY_NAME)


def get(identifier: str | Loss) -> Loss:
    """Return the loss of this name, or the given loss.

    Raises
    ------
    ValueError
        If no loss has this name.
    TypeError
        If ``identifier`` is neither a name nor a loss.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise ValueError(f"unknown loss {identifier!r}; known: {sorted(_BY_NAME)}")
        return _BY_NAME[identifier]()
    raise TypeError(f"loss must be a name or a Loss, got {type(identifier).__name__}")
