"""What all losses share: reduction, name, hyper-parameters and the call on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from onepass import kernels
from onepass._checks import HYPER_RANGES, number
from onepass._names import to_snake_case
from onepass.engine.arithmetic import reshape
from onepass.engine.graph import SymbolicTensor, record
from onepass.engine.ops import LossOp
from onepass.engine.tracing import row_values

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.lowering import Lowering

_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none", None)


class Loss:
    """A loss of the compiled list, or of one's own in a subclass that overrides ``call``.

    Parameters
    ----------
    name : str, optional
        Key of a metric made of this loss; default the name of the class.
    reduction : {"sum_over_batch_size", "mean", "sum", "none", None}
        How row values become one number: ``sum(w * value) / rows`` (the first two), their sum, or
        not at all (only for calls on arrays).
    dtype : {"float32", "float64"}, optional
        What predictions are converted to before they are compared; by default float32 and float64
        stay as they are. In a model the output's float type counts.

    Attributes
    ----------
    sparse : bool
        Whether targets are class indices, not rows like the prediction.
    any_label : bool
        Whether class indices may be any whole numbers: labels that no column stands for.
    whole_batch : bool
        Whether it is one value of all rows together, each of which then has it.
    """

    sparse = False
    any_label = False
    whole_batch = False
    _from_probabilities = ""

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: str | None = None,
        from_logits: bool = False,
        **hyper: float,
    ) -> None:
        name = name or to_snake_case(type(self).__name__)
        if dtype not in (None, "float32", "float64"):
            raise ValueError(f"{name}: dtype must be 'float32' or 'float64', got {dtype!r}")
        if not isinstance(name, str):
            raise TypeError(f"Loss: name must be a string, got {type(name).__name__}")
        if reduction not in _REDUCTIONS:
            raise ValueError(f"{name}: reduction must be one of {_REDUCTIONS}, got {reduction!r}")
        if not isinstance(from_logits, bool):
            raise TypeError(f"{name}: from_logits must be a bool, got {type(from_logits).__name__}")
        self.reduction = reduction
        self.name = name
        self.from_logits = from_logits
        self._dtype = dtype
        self._hyper = {
            key: number(value, f"{name}: {key}", HYPER_RANGES[key].low, HYPER_RANGES[key].high)
            for key, value in hyper.items()
        }

    @property
    def formula(self) -> str:
        """Name in the compiled list."""
        return self._from_probabilities + ("_from_logits" if self.from_logits else "")

    @property
    def hyper(self) -> list[float]:
        """Hyper-parameters in the compiled formula's order."""
        return list(self._hyper.values())

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number a row, or for each element; for subclasses.

        Targets look like the predictions. Of elements a row has the mean, or with
        ``reduction="sum"`` the sum.

        Both are symbolic tensors in a model and arrays in calls on arrays: ``onepass.ops``,
        operators and the functions of ``onepass.losses`` work on both.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override call()")

    def trace(self, y_true: SymbolicTensor, y_pred: SymbolicTensor) -> SymbolicTensor | None:
        """Return what ``call`` records; None for a loss of the compiled list."""
        if type(self).call is Loss.call:
            return None
        reduction = "sum" if self.reduction == "sum" else "mean"
        return row_values(self.call(y_true, y_pred), y_pred, self.name, reduction)

    def emit(
        self,
        low: Lowering,
        reads: dict[str, Buffer],
        writes: dict[str, Buffer],
        *,
        mean: bool,
        factor: float,
    ) -> None:
        """Emit the call of a loss of the compiled list.

        Parameters
        ----------
        reads : target, prediction and, if there are any, weights
        writes : values, and the gradient where one is wanted
        mean : whether the gradient is that of a mean, not a sum
        factor : of the gradient
        """
        attributes = {"loss": self.formula, "hyper": self.hyper, "mean": mean, "factor": factor}
        low.emit("loss", reads, writes, attributes)

    def of_tensors(self, y_true: Any, y_pred: Any) -> Any:
        """Return what a loss makes of symbolic tensors: one number a row.

        Raises
        ------
        TypeError, ValueError
            If only one is a tensor, shapes differ, or the loss is not one number for each row of
            numbers.
        """
        if type(self).call is not Loss.call:
            return self.call(y_true, y_pred)
        if not (isinstance(y_true, SymbolicTensor) and isinstance(y_pred, SymbolicTensor)):
            raise TypeError(f"{self.name}: y_true and y_pred must both be tensors, or both arrays")
        if self.sparse or self.whole_batch or self.reduction not in ("none", None):
            raise TypeError(
                f"{self.name}: within a loss, metric or layer of your own only losses that are one "
                "number for each row of numbers are possible: not those of class indices or of a "
                "whole batch; as functions, or with reduction=None"
            )
        values = record(LossOp(self.formula, self.hyper), [y_true, y_pred])
        return reshape(values, values.shape[1:-1])

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss of a batch of predictions.

        Parameters
        ----------
        y_true : (n, k) numbers, or (n,) class indices for a sparse loss; (n,) where k is 1
        y_pred : (n, k) floats
        sample_weight : (n,) floats, optional

        Returns
        -------
        loss : float, or (n,) array without reduction
        """
        if isinstance(y_true, SymbolicTensor) or isinstance(y_pred, SymbolicTensor):
            return self.of_tensors(y_true, y_pred)
        prediction = np.asarray(y_pred)
        if self._dtype is not None or prediction.dtype.kind in "iub":
            prediction = prediction.astype(self._dtype or np.float32)
        target = np.asarray(y_true)
        if not self.sparse:
            target = target.astype(prediction.dtype, copy=False)
            if (*target.shape, 1) == prediction.shape:
                target = target[..., None]
        values = self._values(target, prediction)
        rows = self._rows_of_mean(values)
        if sample_weight is not None:
            weights = np.asarray(sample_weight, values.dtype)
            if weights.shape == (*values.shape, 1):
                weights = weights[..., 0]
            values = values * weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
        if self.reduction in ("none", None):
            return values[(0,) * values.ndim] if self.whole_batch and values.size else values
        total = float(np.sum(values, dtype=np.float64))
        return total if self.reduction == "sum" else total / rows

    def _rows_of_mean(self, values: Any) -> int:
        """Return what the sum of the values is divided by."""
        return int(values.size)

    def _values(self, target: Any, prediction: Any) -> Any:
        if type(self).call is not Loss.call:
            values = np.asarray(self.call(target, prediction))
            if values.ndim != prediction.ndim or self.reduction in ("none", None):
                return values
            return values.sum(-1) if self.reduction == "sum" else values.mean(-1)
        hyper: Any = self._hyper  # keyword arguments of one formula
        return kernels.loss(target, prediction, self.formula, **hyper)[0]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**self._hyper, "reduction": self.reduction, "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a loss with these constructor's arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
