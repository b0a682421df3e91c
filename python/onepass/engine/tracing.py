"""Losses and metrics that are functions of symbolic targets and predictions.

They are recorded behind the model's outputs, so that a plan computes them, and their gradients, as
it does the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onepass.engine import arithmetic
from onepass.engine.graph import SymbolicTensor, input_tensor, recording

if TYPE_CHECKING:
    from onepass.engine.objective import Objective


def row_values(
    values: Any, prediction: SymbolicTensor, name: str, reduction: str = "mean"
) -> SymbolicTensor:
    """Return what a function made of a prediction as one column: one number a row.

    Values for each element of a row become their mean, or their ``"sum"``.

    Raises
    ------
    TypeError, ValueError
        If they are no symbolic tensor, or not one number a row.
    """
    if not isinstance(values, SymbolicTensor):
        raise TypeError(
            f"{name!r} must return a symbolic tensor made of y_true and y_pred, got "
            f"{type(values).__name__}"
        )
    rows = prediction.shape[:-1]
    if values.shape == rows:
        return arithmetic.reshape(values, (*rows[1:], 1))
    if values.ndim != prediction.ndim or values.shape[:-1] != rows:
        raise ValueError(
            f"{name!r} must return one number a row, a tensor of shape {rows}, got {values.shape}; "
            "sums and means are over axis=-1"
        )
    return values if values.shape[-1] == 1 else arithmetic.total(reduction, values, -1, True)


@dataclass
class Traced:
    """What the functions of one output compute, and the target that they read.

    Attributes
    ----------
    target : shaped like the output
    values : one column for each loss or metric that is a function, by its id
    """

    target: SymbolicTensor
    values: dict[int, SymbolicTensor] = field(default_factory=dict)


def traced(objectives: Sequence[Objective], outputs: Sequence[SymbolicTensor]) -> list[Traced]:
    """Record the functions among the losses and metrics of each output."""
    with recording():
        return [_traced(*pair) for pair in zip(objectives, outputs, strict=True)]


def _traced(objective: Objective, output: SymbolicTensor) -> Traced:
    own = Traced(input_tensor(output.shape[1:], output.dtype, "target"))
    for measure in (objective.loss, *objective.metrics, *objective.weighted_metrics):
        trace = getattr(measure, "trace", None)
        values = None if trace is None else trace(own.target, output)
        if values is not None:
            own.values[id(measure)] = values
    return own
