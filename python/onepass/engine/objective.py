"""Losses and metrics of a model as calls of its plan, with the sums their means are read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onepass.engine.calls import Buffer
from onepass.engine.graph import SymbolicTensor
from onepass.engine.lowering import Lowering

if TYPE_CHECKING:
    from onepass.losses import Loss
    from onepass.metrics import Metric


@dataclass
class Objective:
    """What one output is trained for and measured by."""

    loss: Loss
    metrics: list[Metric] = field(default_factory=list)
    weighted_metrics: list[Metric] = field(default_factory=list)
    factor: float = 1.0  # its loss weight

    @property
    def slots(self) -> list[str]:
        """Names of the sums, in the order of their slots; made distinct as Keras does."""
        names = ["loss"]
        for prefix, metrics in (("", self.metrics), ("weighted_", self.weighted_metrics)):
            for metric in metrics:
                name = base = metric.name if metric.name not in names else prefix + metric.name
                repeat = 0
                while name in names:
                    repeat += 1
                    name = f"{base}_{repeat}"
                names.append(name)
        return names


@dataclass
class ObjectiveBuffers:
    """Where an objective finds its batch."""

    prediction: Buffer
    target: Buffer
    weights: Buffer | None


def target_buffer(low: Lowering, objective: Objective, output: SymbolicTensor) -> Buffer:
    """Buffer for a batch of targets: class indices or a matrix like the output."""
    prediction = low.value(output)
    rows = prediction.rows_per_sample
    if objective.loss.sparse:
        return low.index("target", rows)
    return low.rows("target", prediction.cols, rows)


def emit_objective(
    low: Lowering, objective: Objective, output: SymbolicTensor, at: ObjectiveBuffers
) -> None:
    """Emit the loss (with its gradient where training needs one), then the metrics."""
    loss = objective.loss
    rows = at.prediction.rows_per_sample
    values = low.rows("loss_values", 1, rows)
    weights = {} if at.weights is None else {"weights": at.weights}
    writes = {"values": values}
    if low.needs_gradient(output):
        writes["gradient"], _ = low.gradient_to_write(output)
    low.emit(
        "loss",
        {"target": at.target, "prediction": at.prediction, **weights},
        writes,
        {
            "loss": loss.formula,
            "hyper": loss.hyper,
            "mean": loss.reduction != "sum",
            "factor": objective.factor,
        },
    )
    count = "batch_sum" if loss.reduction == "sum" else "rows"
    attributes = {"slot": 0, "count": count, "factor": objective.factor}
    low.emit("weighted_sum", {"values": values, **weights}, {}, attributes)
    slot = 1
    for metrics, reads in ((objective.metrics, {}), (objective.weighted_metrics, weights)):
        for metric in metrics:
            row_values = low.rows(metric.name, 1, rows)
            metric.lower(low, at.target, at.prediction, row_values)
            attributes = {"slot": slot, "count": "weights", "factor": metric.factor}
            low.emit("weighted_sum", {"values": row_values, **reads}, {}, attributes)
            slot += 1
