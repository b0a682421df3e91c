"""What regularizers and constraints add to a plan: penalties in the loss and in gradients, and
projections behind the update. Called by ``plan``.
"""

from __future__ import annotations

from collections.abc import Sequence

from onepass.engine.calls import Buffer
from onepass.engine.lowering import Lowering
from onepass.engine.objective import Readout, mean
from onepass.engine.ops.activity import ActivityPenaltyOp
from onepass.engine.storage import Floats, Variable


def emit_activity_penalties(low: Lowering) -> list[Readout]:
    """Emit the penalties on outputs of layers: losses of their own, behind the others' gradients.

    As in Keras each is a sum over the batch divided by its number of samples.
    """
    readouts = []
    for node in low.nodes:
        if not isinstance(node.op, ActivityPenaltyOp):
            continue
        x = low.value(node.output)
        gradient, accumulate = None, False
        if low.needs_gradient(node.output):
            gradient, accumulate = low.gradient_to_write(node.output)
        values = low.doubles("penalties", 1, x.rows_per_sample)
        readouts.append(_emit(low, x, values, gradient, accumulate, node.op.factors))
    return readouts


def emit_weight_penalties(low: Lowering, variables: Sequence[Variable]) -> list[Readout]:
    """Emit the penalties on weights, behind the gradients that the losses give them.

    Parameters
    ----------
    variables : those that training changes; as in Keras, others are not penalised
    """
    readouts = []
    for variable in variables:
        if variable.regularizer is None or not any(variable.regularizer.factors):
            continue
        x = low.parameter(variable)
        gradient, accumulate = None, False
        if low.is_trained(variable):
            gradient, accumulate = low.parameter_gradient(variable)
        values = low.doubles("penalties", variable.shape[0] if len(variable.shape) == 2 else 1)
        readouts.append(_emit(low, x, values, gradient, accumulate, variable.regularizer.factors))
    return readouts


def _emit(
    low: Lowering,
    x: Buffer,
    values: Buffer,
    gradient: Buffer | None,
    accumulate: bool,
    factors: tuple[float, float],
) -> Readout:
    """Emit one penalty and its sums: of it times the samples over the steps, and the samples."""
    writes = {"values": values}
    if gradient is not None:
        writes["gradient"] = gradient
    attributes = {"l1": factors[0], "l2": factors[1], "accumulate": accumulate}
    low.emit("penalty", {"x": x}, writes, attributes)
    first = low.sums(2)
    low.emit("penalty_sum", {"values": values}, {}, {"at": first})
    return Readout("penalty", first, 2, mean)


def with_penalties(readouts: Sequence[Readout], penalties: Sequence[Readout]) -> list[Readout]:
    """Return the readouts, to whose first, the model's loss, the penalties are added."""
    if not penalties:
        return list(readouts)
    loss, *others = readouts

    def result(sums: Floats) -> float:
        return float(loss.of(sums) + sum(penalty.of(sums) for penalty in penalties))

    last = max(readout.first + readout.size for readout in (loss, *penalties))
    return [Readout(loss.name, 0, last, result), *others]


def emit_constraints(low: Lowering, variables: Sequence[Variable]) -> None:
    """Emit the constraints of updated variables; the schedule puts them behind the updates."""
    for variable in variables:
        if variable.constraint is not None:
            arguments = variable.constraint.arguments(variable.shape)
            low.emit("constrain", {}, {"p": low.parameter(variable)}, arguments)
