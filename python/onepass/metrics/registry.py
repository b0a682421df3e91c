"""Metrics by name, function and configuration. Adding one: its class in `_CLASSES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass import _lookup, losses
from onepass._names import to_snake_case
from onepass.losses import Loss
from onepass.metrics import accuracies, auc, columns, confusion, means
from onepass.metrics.functions import for_plan, metric_of
from onepass.metrics.metric import Metric

_CLASSES: tuple[Any, ...] = (
    means.Mean,
    means.Sum,
    means.MeanMetricWrapper,
    means.MeanLoss,
    means.MeanSquaredError,
    means.RootMeanSquaredError,
    means.MeanAbsoluteError,
    means.MeanAbsolutePercentageError,
    means.MeanSquaredLogarithmicError,
    means.CosineSimilarity,
    means.LogCoshError,
    means.Hinge,
    means.SquaredHinge,
    means.CategoricalHinge,
    means.KLDivergence,
    means.Poisson,
    means.BinaryCrossentropy,
    means.CategoricalCrossentropy,
    means.SparseCategoricalCrossentropy,
    accuracies.Accuracy,
    accuracies.BinaryAccuracy,
    accuracies.CategoricalAccuracy,
    accuracies.SparseCategoricalAccuracy,
    accuracies.TopKCategoricalAccuracy,
    accuracies.SparseTopKCategoricalAccuracy,
    confusion.TruePositives,
    confusion.FalsePositives,
    confusion.TrueNegatives,
    confusion.FalseNegatives,
    confusion.Precision,
    confusion.Recall,
    confusion.SensitivityAtSpecificity,
    confusion.SpecificityAtSensitivity,
    confusion.PrecisionAtRecall,
    confusion.RecallAtPrecision,
    auc.AUC,
    columns.FBetaScore,
    columns.F1Score,
    columns.R2Score,
)
_ALIASES = {
    "bce": means.BinaryCrossentropy,
    "BCE": means.BinaryCrossentropy,
    "mse": means.MeanSquaredError,
    "MSE": means.MeanSquaredError,
    "rmse": means.RootMeanSquaredError,
    "RMSE": means.RootMeanSquaredError,
    "mae": means.MeanAbsoluteError,
    "MAE": means.MeanAbsoluteError,
    "mape": means.MeanAbsolutePercentageError,
    "MAPE": means.MeanAbsolutePercentageError,
    "msle": means.MeanSquaredLogarithmicError,
    "MSLE": means.MeanSquaredLogarithmicError,
}
_BY_CLASS: dict[str, Any] = {cls.__name__: cls for cls in _CLASSES}
_BY_NAME: dict[str, Any] = {
    **{to_snake_case(cls.__name__): cls for cls in _CLASSES},
    **_BY_CLASS,
    **_ALIASES,
}
_FITTING = ("accuracy", "acc")  # the accuracy that fits the output


def names() -> list[str]:
    """Return the names that ``compile`` knows."""
    return sorted({*_FITTING, *_BY_NAME, *losses.names()})


def get(identifier: Any) -> Metric:
    """Return the metric that a name, a function, a class or a configuration stands for.

    Parameters
    ----------
    identifier : str, Metric, Loss, function or class of this module, or mapping
        A name of a class as it is or in snake case, or a short one such as "mae"; names of losses
        that are none of metrics give the loss's mean. A mapping is ``{"class_name": ...,
        "config": {...}}``, as ``serialize`` returns.

    Raises
    ------
    ValueError
        If no metric has this name.
    TypeError
        If ``identifier`` is nothing of that kind.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier in _BY_NAME:
            made: Metric = _BY_NAME[identifier]()
            return made
        if identifier in losses.names():
            return means.MeanLoss(losses.get(identifier))
        raise _lookup.unknown("metric", identifier, names())
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    made_of = metric_of(identifier)
    if made_of is None:
        raise TypeError(
            "metrics: expected names, metrics, losses, functions of onepass.metrics or "
            f"configurations, got {type(identifier).__name__}"
        )
    return made_of


def serialize(metric: Any) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": {...}}``, which ``deserialize`` makes it from.

    A name or a function counts as the metric that it stands for.
    """
    made = get(metric)
    return {"class_name": type(made).__name__, "config": made.get_config()}


def deserialize(config: Any) -> Metric:
    """Return the metric that ``serialize`` was given; takes what ``get`` takes."""
    if not isinstance(config, Mapping):
        return get(config)
    name = config.get("class_name")
    if name not in _BY_CLASS:
        raise ValueError(f"metric: class_name must be one of {sorted(_BY_CLASS)}, got {name!r}")
    made: Metric = _BY_CLASS[name].from_config(dict(config.get("config", {})))
    return made


# -- in models ------------------------------------------------------------------------------------


def check(identifier: Any) -> None:
    """Raise unless this can be a metric of a model."""
    if not (isinstance(identifier, str) and identifier.lower() in _FITTING):
        get(identifier)


def of_output(identifier: Any, loss: Loss, cols: int) -> Metric:
    """Return the metric for an output of ``cols`` columns trained with ``loss``.

    ``"accuracy"`` (or ``"acc"``) becomes the accuracy that fits, as in Keras: binary for one
    column, by class index where the loss reads class indices, by one-hot rows otherwise. A name
    also names the metric in logs.

    Raises
    ------
    ValueError
        If the name is unknown, or the metric reads another kind of target than the loss.
    """
    if isinstance(identifier, str) and identifier.lower() in _FITTING:
        metric = _fitting(identifier, loss, cols)
    else:
        metric = for_plan(get(identifier))
        if isinstance(identifier, str):
            metric.name = identifier
    if metric.reads_index != loss.sparse and not metric.on_host:
        kind = {True: "class indices", False: "a row of numbers"}
        raise ValueError(
            f"metric {metric.name!r} reads {kind[metric.reads_index]} as targets, "
            f"but the loss {loss.name!r} reads {kind[loss.sparse]}"
        )
    return metric


def _fitting(name: str, loss: Loss, cols: int) -> Metric:
    if loss.sparse:
        return accuracies.SparseCategoricalAccuracy(name)
    return (accuracies.BinaryAccuracy if cols == 1 else accuracies.CategoricalAccuracy)(name)
