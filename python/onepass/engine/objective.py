"""Losses and metrics of a model as calls of its plan, and how what they sum up is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass.engine.calls import Buffer
from onepass.engine.graph import Shape, SymbolicTensor
from onepass.engine.lowering import Lowering
from onepass.engine.storage import Floats
from onepass.engine.tracing import Traced

if TYPE_CHECKING:
    from onepass.losses import Loss
    from onepass.metrics import Metric


@dataclass
class Objective:
    """What one output is trained for and measured by.

    Attributes
    ----------
    loss : None where the output is not trained
    metrics, weighted_metrics : counted without and with the sample weights
    factor : of the loss in the model's
    name : the output's, before the names of its loss and metrics where a model has several
    """

    loss: Loss | None
    metrics: list[Metric] = field(default_factory=list)
    weighted_metrics: list[Metric] = field(default_factory=list)
    factor: float = 1.0
    name: str = ""

    @property
    def sparse(self) -> bool:
        """Whether targets are class indices."""
        return self.loss is not None and self.loss.sparse

    @property
    def any_label(self) -> bool:
        """Whether class indices may be any whole numbers, for the loss and all metrics."""
        measures = [self.loss, *self.metrics, *self.weighted_metrics]
        return all(measure is not None and measure.any_label for measure in measures)

    @property
    def has_target(self) -> bool:
        """Whether anything reads a target."""
        return self.loss is not None or bool(self.metrics or self.weighted_metrics)


@dataclass
class ObjectiveBuffers:
    """Where an objective finds its batch."""

    prediction: Buffer
    target: Buffer
    weights: Buffer | None = None
    traced: Traced | None = None
    shape: Shape = ()  # of a batch of predictions

    def values_of(self, measure: Loss | Metric) -> SymbolicTensor | None:
        """Return the rows' values where a loss or metric is a function."""
        return None if self.traced is None else self.traced.values.get(id(measure))


@dataclass(frozen=True)
class Readout:
    """A number in the logs: ``result`` of ``size`` of a pass's sums, from number ``first`` on.

    Metrics of several numbers give an array, or a dict of numbers by name. One of the user's own
    counts in the metric itself, which is ``reset`` in front of an epoch.
    """

    name: str
    first: int
    size: int
    result: Callable[[Floats], Any]
    reset: Callable[[], None] | None = None

    def of(self, sums: Floats) -> Any:
        """Return the number, the array or the dict."""
        value = self.result(sums[self.first : self.first + self.size])
        if isinstance(value, float):  # most are
            return float(value)
        if isinstance(value, Mapping):
            return {name: float(one) for name, one in value.items()}
        return np.array(value) if np.ndim(value) else float(value)


def mean(sums: Floats) -> float:
    """Return a numerator over its denominator, NaN where nothing was counted."""
    return sums[0] / sums[1] if sums[1] else float("nan")


def target_buffer(
    low: Lowering, objective: Objective, output: SymbolicTensor, traced: Traced | None = None
) -> Buffer:
    """Buffer for a batch of targets: class indices or a matrix like the output."""
    if traced is not None and traced.values:
        return low.value(traced.target)
    prediction = low.value(output)
    rows = prediction.rows_per_sample
    if objective.sparse:
        return low.index("target", rows)
    return low.rows("target", prediction.cols, rows)


def emit_objectives(
    low: Lowering,
    objectives: Sequence[Objective],
    outputs: Sequence[SymbolicTensor],
    at: Sequence[ObjectiveBuffers | None],
) -> list[Readout]:
    """Emit losses (with their gradients where training needs them), then metrics.

    Returns
    -------
    readouts : the model's loss, then each output's where there are several, then the metrics
    """
    several = len(objectives) > 1
    losses: list[Readout] = []
    factors: list[float] = []
    metrics: list[Readout] = []
    for objective, output, buffers in zip(objectives, outputs, at, strict=True):
        if objective.loss is None or buffers is None:
            continue
        first = _emit_loss(low, objective, output, buffers)
        losses.append(Readout(f"{objective.name}_loss", first, 2, mean))
        factors.append(objective.factor)
    for objective, buffers in zip(objectives, at, strict=True):
        if buffers is not None:
            metrics += _emit_metrics(low, objective, buffers, several)
    total = _total(losses, factors)
    return _distinct([total, *(losses if several else ()), *metrics])


def _total(losses: Sequence[Readout], factors: Sequence[float]) -> Readout:
    """Return the model's loss: the sum of its outputs', each times its factor."""

    def result(sums: Floats) -> float:
        value = 0.0  # not `sum`, which adds otherwise from Python 3.12 on
        for loss, factor in zip(losses, factors, strict=True):
            value += factor * loss.of(sums)
        return value

    last = max((loss.first + loss.size for loss in losses), default=0)
    return Readout("loss", 0, last, result)


def _emit_loss(
    low: Lowering, objective: Objective, output: SymbolicTensor, at: ObjectiveBuffers
) -> int:
    """Emit the loss and its sums; return where these are."""
    loss = objective.loss
    assert loss is not None
    weights = {} if at.weights is None else {"weights": at.weights}
    traced = at.values_of(loss)
    if traced is None:
        values = _emit_compiled_loss(low, loss, objective.factor, output, at)
    else:
        values = low.value(traced)
        _emit_slopes(low, loss, objective.factor, traced, at)
    count = "batch_sum" if loss.reduction == "sum" else "rows"
    first = low.sums(2)
    attributes = {"at": first, "count": count, "factor": 1.0}
    low.emit("weighted_sum", {"values": values, **weights}, {}, attributes)
    return first


def _emit_compiled_loss(
    low: Lowering, loss: Loss, factor: float, output: SymbolicTensor, at: ObjectiveBuffers
) -> Buffer:
    """Emit a loss of the compiled list; return its values."""
    values = low.rows("loss_values", 1, at.prediction.rows_per_sample)
    weights = {} if at.weights is None else {"weights": at.weights}
    writes = {"values": values}
    gradient, written_before = None, False
    if low.needs_gradient(output):
        gradient, written_before = low.gradient_to_write(output)
        # The kernel does not add: another output's gradient may be there in the same memory.
        writes["gradient"] = low.like("d_loss", gradient) if written_before else gradient
    reads = {"target": at.target, "prediction": at.prediction, **weights}
    loss.emit(low, reads, writes, mean=loss.reduction != "sum", factor=factor)
    if gradient is not None and written_before:
        low.add(writes["gradient"], gradient)
    return values


def _emit_slopes(
    low: Lowering, loss: Loss, factor: float, values: SymbolicTensor, at: ObjectiveBuffers
) -> None:
    """Emit the gradient of the loss in the values of rows: their weights, over their number."""
    if not low.needs_gradient(values):
        return
    weights = at.weights or low.constant(np.ones((1, 1), values.dtype))
    gradient, accumulate = low.gradient_to_write(values)
    mean = loss.reduction != "sum"
    low.copy(weights, gradient, scale=factor, mean=mean, accumulate=accumulate)


def _emit_metrics(
    low: Lowering, objective: Objective, at: ObjectiveBuffers, several: bool
) -> list[Readout]:
    prefix = f"{objective.name}_" if several else ""
    unweighted = replace(at, weights=None)
    readouts: list[Readout] = []
    for metrics, buffers, kind in (
        (objective.metrics, unweighted, ""),
        (objective.weighted_metrics, at, "weighted_"),
    ):
        for metric in metrics:
            counted = _counted(low, metric, buffers)
            taken = any(readout.name == prefix + metric.name for readout in readouts)
            name = prefix + (kind if taken else "") + metric.name
            readouts.append(replace(counted, name=name))
    return readouts


def _counted(low: Lowering, metric: Metric, at: ObjectiveBuffers) -> Readout:
    """Emit what counts a batch for a metric."""
    if metric.on_host:
        emit_own_metric(low, metric, at)
        return Readout(metric.name, 0, 0, lambda _: metric.result(), metric.reset_state)
    size = metric.state_size_for(at.prediction.cols)
    first = low.sums(size)
    metric.lower(low, at, first)
    return Readout(metric.name, first, size, metric.result_of)


def emit_own_metric(low: Lowering, metric: Metric, at: ObjectiveBuffers) -> None:
    """Emit the call of a metric of the user's own with copies of a batch."""
    sample, rows = at.shape[1:], at.shape[1:-1]
    target = rows if at.target.kind == "index" else sample

    def count(reads: list[Floats], _: list[Floats]) -> None:
        batch = [
            np.array(array).reshape(-1, *shape)
            for array, shape in zip(reads, (target, sample, rows), strict=False)
        ]
        metric.update_state(*batch[:2], **dict(zip(["sample_weight"], batch[2:], strict=False)))

    reads = {"y_true": at.target, "y_pred": at.prediction}
    if at.weights is not None:
        reads["sample_weight"] = at.weights
    low.emit("host", reads, {}, {"function": count})


def _distinct(readouts: Sequence[Readout]) -> list[Readout]:
    """Number the names that come again, as Keras does."""
    result: list[Readout] = []
    for readout in readouts:
        names = {other.name for other in result}
        name, repeat = readout.name, 0
        while name in names:
            repeat += 1
            name = f"{readout.name}_{repeat}"
        result.append(replace(readout, name=name))
    return result
