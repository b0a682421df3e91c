"""Metrics that are means: of any values, and of losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass import kernels, losses
from onepass.engine.operators import NotRecordedError
from onepass.metrics.metric import Metric, ratio

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import SymbolicTensor
    from onepass.engine.lowering import Lowering
    from onepass.engine.objective import ObjectiveBuffers
    from onepass.engine.storage import Floats
    from onepass.losses import Loss


def _samplewise(values: Any, weight: Any, reduce: Callable[..., Any]) -> tuple[Floats, Any]:
    """Return one value a sample and one weight, as Keras reduces arrays of more dimensions."""
    array = np.asarray(values, np.float64)
    if weight is None:
        return (reduce(array, axis=tuple(range(1, array.ndim))) if array.ndim > 1 else array), None
    given = np.asarray(weight, np.float64)
    if given.ndim == array.ndim + 1 and given.shape[-1] == 1:
        given = given[..., 0]
    if array.ndim > given.ndim:
        array = reduce(array, axis=tuple(range(given.ndim, array.ndim)))
    try:
        given = np.broadcast_to(given, array.shape)
    except ValueError:
        raise ValueError(
            f"sample_weight of shape {given.shape} does not fit values of shape {array.shape}"
        ) from None
    if array.ndim > 1:
        axes = tuple(range(1, array.ndim))
        weighted, given = reduce(array * given, axis=axes), reduce(given, axis=axes)
        return np.divide(weighted, given, out=np.zeros_like(weighted), where=given != 0.0), given
    return array, given


class _OfValues(Metric):
    """A metric of values rather than of targets and predictions."""

    _reduce: Callable[..., Any] = staticmethod(np.mean)

    def __init__(self, name: str | None, dtype: str | None = None) -> None:
        super().__init__(dtype, name)

    def lower(self, low: Lowering, at: ObjectiveBuffers, sums: int) -> None:
        raise NotImplementedError(
            f"metric {self.name!r} of class {type(self).__name__} is of values, not of targets and "
            "predictions; a subclass can override update_state(y_true, y_pred, sample_weight=None)"
        )

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values.

        Parameters
        ----------
        values : number or (n, ...) numbers
        sample_weight : number or array that broadcasts to values, optional
        """
        samples, weights = _samplewise(values, sample_weight, self._reduce)
        added = kernels.weighted_sum(samples, weights)
        if self._sums is None:
            self._sums = np.zeros(2)
        self._sums += added


class Mean(_OfValues):
    """Weighted mean of values; 0 of none.

    Parameters
    ----------
    name : str
    dtype : {"float32", "float64"}, optional
        Accepted as Keras does; sums are in float64 whatever it is.
    """

    def __init__(self, name: str | None = "mean", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def result_of(self, sums: Floats) -> Any:
        return ratio(sums[0], sums[1])


class Sum(_OfValues):
    """Weighted sum of values.

    Parameters
    ----------
    name : str
    dtype : {"float32", "float64"}, optional
        Accepted as Keras does; sums are in float64 whatever it is.
    """

    _reduce = staticmethod(np.sum)

    def __init__(self, name: str = "sum", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def result_of(self, sums: Floats) -> Any:
        return sums[0]


class MeanMetricWrapper(Mean):
    """Weighted mean of what a function returns for targets and predictions.

    Parameters
    ----------
    fn : callable(y_true, y_pred, **kwargs) -> values
        In a model: one of this library's functions, or a loss.
    name : str, optional
    dtype : {"float32", "float64"}, optional
    **kwargs
        For the function.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, dtype)
        self.fn = fn
        self.arguments = kwargs

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add what the function returns."""
        values = self.fn(np.asarray(y_true), np.asarray(y_pred), **self.arguments)
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": self.fn, **self.arguments}


class MeanOfRows(Metric):
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

    def result_of(self, sums: Floats) -> Any:
        return ratio(sums[0], sums[1])


class MeanLoss(MeanOfRows):
    """A loss's value, reported as a metric."""

    def __init__(
        self, loss: Loss | Mapping[str, Any], name: str | None = None, dtype: str | None = None
    ) -> None:
        loss = losses.get(loss)
        super().__init__(dtype, name or loss.name)
        self.loss = loss
        self.reads_index, self.any_label = loss.sparse, loss.any_label
        if not isinstance(loss, losses.FunctionLoss) and self._direction is None:
            self._direction = "down"

    def trace(self, y_true: SymbolicTensor, y_pred: SymbolicTensor) -> SymbolicTensor | None:
        """Return what a loss that is a function records; None for others."""
        try:
            return self.loss.trace(y_true, y_pred)
        except NotRecordedError as error:
            raise TypeError(
                f"metric {self.name!r}: {error}. Or make it a subclass of onepass.metrics.Metric, "
                "whose update_state(y_true, y_pred, sample_weight=None) is given arrays"
            ) from error

    def lower_rows(self, low: Lowering, at: ObjectiveBuffers, values: Buffer) -> None:
        reads = {"target": at.target, "prediction": at.prediction}
        self.loss.emit(low, reads, {"values": values}, mean=False, factor=1.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": losses.serialize(self.loss)}


class _OneLoss(MeanLoss):
    """A metric whose constructor takes the arguments of its loss."""

    _arguments: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        config = self.loss.get_config()
        own = {key: config[key] for key in self._arguments}
        return {"name": self.name, "dtype": self._dtype, **own}


class MeanSquaredError(_OneLoss):
    """Mean of ``losses.MeanSquaredError``."""

    def __init__(self, name: str = "mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(losses.MeanSquaredError(), name, dtype)


class RootMeanSquaredError(_OneLoss):
    """Square root of the mean of ``losses.MeanSquaredError``."""

    elementwise = True

    def __init__(self, name: str = "root_mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(losses.MeanSquaredError(), name, dtype)

    def result_of(self, sums: Floats) -> Any:
        return np.sqrt(super().result_of(sums))


class MeanAbsoluteError(_OneLoss):
    """Mean of ``losses.MeanAbsoluteError``."""

    def __init__(self, name: str = "mean_absolute_error", dtype: str | None = None) -> None:
        super().__init__(losses.MeanAbsoluteError(), name, dtype)


class MeanAbsolutePercentageError(_OneLoss):
    """Mean of ``losses.MeanAbsolutePercentageError``."""

    def __init__(
        self, name: str = "mean_absolute_percentage_error", dtype: str | None = None
    ) -> None:
        super().__init__(losses.MeanAbsolutePercentageError(), name, dtype)


class MeanSquaredLogarithmicError(_OneLoss):
    """Mean of ``losses.MeanSquaredLogarithmicError``."""

    def __init__(
        self, name: str = "mean_squared_logarithmic_error", dtype: str | None = None
    ) -> None:
        super().__init__(losses.MeanSquaredLogarithmicError(), name, dtype)


class LogCoshError(_OneLoss):
    """Mean of ``losses.LogCosh``."""

    def __init__(self, name: str = "logcosh", dtype: str | None = None) -> None:
        super().__init__(losses.LogCosh(), name, dtype)


class Poisson(_OneLoss):
    """Mean of ``losses.Poisson``."""

    def __init__(self, name: str = "poisson", dtype: str | None = None) -> None:
        super().__init__(losses.Poisson(), name, dtype)


class KLDivergence(_OneLoss):
    """Mean of ``losses.KLDivergence``."""

    def __init__(self, name: str = "kl_divergence", dtype: str | None = None) -> None:
        super().__init__(losses.KLDivergence(), name, dtype)


class Hinge(_OneLoss):
    """Mean of ``losses.Hinge``."""

    def __init__(self, name: str = "hinge", dtype: str | None = None) -> None:
        super().__init__(losses.Hinge(), name, dtype)


class SquaredHinge(_OneLoss):
    """Mean of ``losses.SquaredHinge``."""

    def __init__(self, name: str = "squared_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.SquaredHinge(), name, dtype)


class CategoricalHinge(_OneLoss):
    """Mean of ``losses.CategoricalHinge``."""

    def __init__(self, name: str = "categorical_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.CategoricalHinge(), name, dtype)


class CosineSimilarity(_OneLoss):
    """Mean cosine of the angle between target and output: ``-losses.CosineSimilarity``."""

    _direction = "up"
    factor = -1.0

    def __init__(
        self, name: str = "cosine_similarity", dtype: str | None = None, axis: int = -1
    ) -> None:
        super().__init__(losses.CosineSimilarity(axis), name, dtype)


class BinaryCrossentropy(_OneLoss):
    """Mean of ``losses.BinaryCrossentropy``."""

    _arguments = ("from_logits", "label_smoothing")

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name, dtype)


class CategoricalCrossentropy(_OneLoss):
    """Mean of ``losses.CategoricalCrossentropy``."""

    _arguments = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        loss = losses.CategoricalCrossentropy(from_logits, label_smoothing, axis)
        super().__init__(loss, name, dtype)


class SparseCategoricalCrossentropy(_OneLoss):
    """Mean of ``losses.SparseCategoricalCrossentropy``."""

    _arguments = ("from_logits", "ignore_class")

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis)
        super().__init__(loss, name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": -1}
