"""Metrics, streamed over batches inside the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onepass import losses
from onepass.engine.objective import mean

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import SymbolicTensor
    from onepass.engine.lowering import Lowering
    from onepass.engine.objective import ObjectiveBuffers
    from onepass.engine.storage import Floats
    from onepass.losses import Loss

__all__ = [
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanLoss",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "get",
]


class Metric:
    """A number that a plan sums up over the batches of a pass.

    A subclass emits the calls that add to its sums, and says what number they mean.

    Parameters
    ----------
    name : str
        Key in logs and in ``History.history``.

    Attributes
    ----------
    state_size : int
        How many sums there are.
    """

    state_size = 2

    def __init__(self, name: str) -> None:
        self.name = name

    def lower(self, low: Lowering, at: ObjectiveBuffers, sums: int) -> None:
        """Emit the calls that add a batch to the sums, which begin at number ``sums``."""
        raise NotImplementedError

    def result_of(self, sums: Floats) -> float:
        """Return the metric's value, given its sums."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class _MeanOfRows(Metric):
    """The mean of one value a row, times a factor."""

    factor = 1.0

    def lower_rows(self, low: Lowering, at: ObjectiveBuffers, values: Buffer) -> None:
        """Emit the call that writes the values."""
        raise NotImplementedError

    def lower(self, low: Lowering, at: ObjectiveBuffers, sums: int) -> None:
        traced = at.values_of(self)
        if traced is not None:
            values = low.value(traced)
        else:
            values = low.rows(self.name, 1, at.prediction.rows_per_sample)
            self.lower_rows(low, at, values)
        reads = {"values": values}
        if at.weights is not None:
            reads["weights"] = at.weights
        attributes = {"at": sums, "count": "weights", "factor": self.factor}
        low.emit("weighted_sum", reads, {}, attributes)

    def result_of(self, sums: Floats) -> float:
        return mean(sums)


class _Accuracy(_MeanOfRows):
    kind = ""
    threshold = 0.5

    def lower_rows(self, low: Lowering, at: ObjectiveBuffers, values: Buffer) -> None:
        low.emit(
            "row_accuracy",
            {"target": at.target, "prediction": at.prediction},
            {"values": values},
            {"kind": self.kind, "threshold": self.threshold},
        )


class BinaryAccuracy(_Accuracy):
    """Share of outputs on the right side of ``threshold`` (a probability)."""

    kind = "binary"

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"BinaryAccuracy: threshold must be in (0, 1), got {threshold!r}")
        super().__init__(name)
        self.threshold = threshold

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "threshold": self.threshold}


class CategoricalAccuracy(_Accuracy):
    """Share of rows whose largest output is the one-hot target's class."""

    kind = "categorical"

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)


class SparseCategoricalAccuracy(_Accuracy):
    """Share of rows whose largest output is the target's class index."""

    kind = "sparse_categorical"

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)


class MeanLoss(_MeanOfRows):
    """A loss's value, reported as a metric."""

    def __init__(self, loss: Loss, name: str | None = None) -> None:
        super().__init__(name or loss.name)
        self.loss = loss

    def trace(self, y_true: SymbolicTensor, y_pred: SymbolicTensor) -> SymbolicTensor | None:
        """Return what a loss that is a function records; None for others."""
        return self.loss.trace(y_true, y_pred)

    def lower_rows(self, low: Lowering, at: ObjectiveBuffers, values: Buffer) -> None:
        low.emit(
            "loss",
            {"target": at.target, "prediction": at.prediction},
            {"values": values},
            {"loss": self.loss.formula, "hyper": self.loss.hyper, "mean": True, "factor": 1.0},
        )


class _OneLoss(MeanLoss):
    """A metric whose constructor takes the arguments of its loss."""

    def get_config(self) -> dict[str, Any]:
        config = {**self.loss.get_config(), "name": self.name}
        del config["reduction"]  # a metric is a mean
        return config


class MeanSquaredError(_OneLoss):
    """Mean of ``losses.MeanSquaredError``."""

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(losses.MeanSquaredError(), name)


class MeanAbsoluteError(_OneLoss):
    """Mean of ``losses.MeanAbsoluteError``."""

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(losses.MeanAbsoluteError(), name)


class MeanAbsolutePercentageError(_OneLoss):
    """Mean of ``losses.MeanAbsolutePercentageError``."""

    def __init__(self, name: str = "mean_absolute_percentage_error") -> None:
        super().__init__(losses.MeanAbsolutePercentageError(), name)


class MeanSquaredLogarithmicError(_OneLoss):
    """Mean of ``losses.MeanSquaredLogarithmicError``."""

    def __init__(self, name: str = "mean_squared_logarithmic_error") -> None:
        super().__init__(losses.MeanSquaredLogarithmicError(), name)


class LogCoshError(_OneLoss):
    """Mean of ``losses.LogCosh``."""

    def __init__(self, name: str = "logcosh") -> None:
        super().__init__(losses.LogCosh(), name)


class Poisson(_OneLoss):
    """Mean of ``losses.Poisson``."""

    def __init__(self, name: str = "poisson") -> None:
        super().__init__(losses.Poisson(), name)


class KLDivergence(_OneLoss):
    """Mean of ``losses.KLDivergence``."""

    def __init__(self, name: str = "kl_divergence") -> None:
        super().__init__(losses.KLDivergence(), name)


class Hinge(_OneLoss):
    """Mean of ``losses.Hinge``."""

    def __init__(self, name: str = "hinge") -> None:
        super().__init__(losses.Hinge(), name)


class SquaredHinge(_OneLoss):
    """Mean of ``losses.SquaredHinge``."""

    def __init__(self, name: str = "squared_hinge") -> None:
        super().__init__(losses.SquaredHinge(), name)


class CategoricalHinge(_OneLoss):
    """Mean of ``losses.CategoricalHinge``."""

    def __init__(self, name: str = "categorical_hinge") -> None:
        super().__init__(losses.CategoricalHinge(), name)


class CosineSimilarity(_OneLoss):
    """Mean cosine of the angle between target and output: ``-losses.CosineSimilarity``."""

    factor = -1.0

    def __init__(self, name: str = "cosine_similarity") -> None:
        super().__init__(losses.CosineSimilarity(), name)


class BinaryCrossentropy(_OneLoss):
    """Mean of ``losses.BinaryCrossentropy``."""

    def __init__(
        self,
        name: str = "binary_crossentropy",
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name)


class CategoricalCrossentropy(_OneLoss):
    """Mean of ``losses.CategoricalCrossentropy``."""

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing), name)


class SparseCategoricalCrossentropy(_OneLoss):
    """Mean of ``losses.SparseCategoricalCrossentropy``."""

    def __init__(
        self, name: str = "sparse_categorical_crossentropy", *, from_logits: bool = False
    ) -> None:
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits), name)


# Names that are not those of losses, or stand for something else than the loss.
_OWN: dict[str, Callable[[str], Metric]] = {
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "cosine_similarity": CosineSimilarity,
    "CosineSimilarity": CosineSimilarity,
}


def get(
    identifier: str | Metric | Loss | Callable[[Any, Any], Any], loss: Loss, cols: int
) -> Metric:
    """Return the metric of this name for an output of ``cols`` columns trained with ``loss``.

    ``"accuracy"`` (or ``"acc"``) becomes the accuracy that fits, as in Keras: binary for one
    column, by class index where the loss reads class indices, by one-hot rows otherwise. A loss or
    its name gives that loss's mean, a function of targets and predictions the mean of what it
    returns.

    Raises
    ------
    ValueError
        If the name is unknown, or the metric reads another kind of target than the loss.
    """
    check(identifier)
    if isinstance(identifier, Metric):
        metric = identifier
    elif not isinstance(identifier, str):
        metric = MeanLoss(losses.get(identifier))
    else:
        metric = _by_name(identifier, loss, cols)
    _check_target(metric, loss)
    return metric


def names() -> list[str]:
    """Return the names that ``get`` knows."""
    return sorted({"accuracy", "acc", *_OWN, *losses.names()})


def check(identifier: object) -> None:
    """Raise unless this is a metric, a loss or a known name."""
    if isinstance(identifier, str):
        if identifier not in names():
            raise ValueError(f"unknown metric {identifier!r}; known: {names()}")
    elif not isinstance(identifier, (Metric, losses.Loss)) and not callable(identifier):
        raise TypeError(
            f"metrics: expected names, metrics or losses, got {type(identifier).__name__}"
        )


def _by_name(name: str, loss: Loss, cols: int) -> Metric:
    if name in ("accuracy", "acc"):
        if loss.sparse:
            return SparseCategoricalAccuracy(name)
        return BinaryAccuracy(name) if cols == 1 else CategoricalAccuracy(name)
    if name in _OWN:
        return _OWN[name](name)
    return MeanLoss(losses.get(name), name)


def _check_target(metric: Metric, loss: Loss) -> None:
    wants_index = isinstance(metric, SparseCategoricalAccuracy) or (
        isinstance(metric, MeanLoss) and metric.loss.sparse
    )
    if isinstance(metric, (_Accuracy, MeanLoss)) and wants_index != loss.sparse:
        kind = {True: "class indices", False: "a row of numbers"}
        raise ValueError(
            f"metric {metric.name!r} reads {kind[wants_index]} as targets, "
            f"but the loss {loss.name!r} reads {kind[loss.sparse]}"
        )
