"""What regularizers and constraints add to a plan: penalties in the loss and in gradients, and
projections behind the update. Called by ``plan``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from onepass.engine import arithmetic
from onepass.engine.calls import Buffer
from onepass.engine.graph import Node, SymbolicTensor, recording
from onepass.engine.lowering import Lowering
from onepass.engine.objective import Readout, mean
from onepass.engine.ops import ActivityPenaltyOp, WeightOp
from onepass.engine.storage import Floats, Variable


def _factors(regularizer: Any) -> tuple[float, float] | None:
    """Return the factors of a penalty that has a kernel; None for one of the user's own."""
    return regularizer.factors if getattr(regularizer, "native", False) else None


@dataclass
class OwnPenalty:
    """What a regularizer of the user's own makes of a weight or of a layer's output.

    Attributes
    ----------
    value : tensor of shape ()
    of_batch : whether it is of a batch of outputs, by whose samples it is divided
    """

    value: SymbolicTensor
    of_batch: bool


def own_penalties(nodes: Iterable[Node], variables: Iterable[Variable]) -> list[OwnPenalty]:
    """Record the user's own regularizers, first those of weights, then those of outputs."""
    found = []
    for variable in variables:
        if variable.regularizer is not None and _factors(variable.regularizer) is None:
            tensor = WeightOp(variable).tensor()
            value = _recorded(variable.regularizer, tensor, repr(variable.name))
            found.append(OwnPenalty(value, False))
    for node in nodes:
        if isinstance(node.op, ActivityPenaltyOp) and _factors(node.op.regularizer) is None:
            where = f"the output of {node.owner!r}"
            with arithmetic.batch_sums():
                found.append(OwnPenalty(_recorded(node.op.regularizer, node.output, where), True))
    return found


def _recorded(regularizer: Callable[[Any], Any], x: SymbolicTensor, where: str) -> SymbolicTensor:
    """Return what a regularizer makes of a tensor, summed up."""
    try:
        with recording():
            value = regularizer(x)
        if isinstance(value, Real):  # such as 0.0, which depends on nothing
            return arithmetic.combine("add", arithmetic.total("sum", x, None, False) * 0.0, value)
        if isinstance(value, SymbolicTensor):
            return arithmetic.total("sum", value, None, False)
        raise TypeError(
            "it must return a number made of its argument by operators and onepass.ops, got "
            f"{type(value).__name__}"
        )
    except Exception as error:
        error.add_note(f"In the regularizer of {where}.")
        raise


def emit_own_penalties(low: Lowering, penalties: Iterable[OwnPenalty]) -> list[Readout]:
    """Emit the sums of the user's own penalties and, in front of all gradients, their slopes."""
    return [_emit_own(low, own.value, own.of_batch) for own in penalties]


def _emit_own(low: Lowering, value: SymbolicTensor, of_batch: bool) -> Readout:
    rows = low.rows("penalty")  # one a sample, so that steps count by their samples
    low.copy(low.value(value), rows, mean=of_batch)
    first = low.sums(2)
    low.emit("weighted_sum", {"values": rows}, {}, {"at": first, "count": "rows", "factor": 1.0})
    if low.needs_gradient(value):
        slope = low.constant(np.ones((1, 1), value.dtype))
        if of_batch:
            one, slope = slope, low.rows("slopes")
            low.copy(one, slope, mean=True)
        gradient, accumulate = low.gradient_to_write(value)
        low.copy(slope, gradient, accumulate=accumulate)
    return Readout("penalty", first, 2, mean)


def emit_activity_penalties(low: Lowering) -> list[Readout]:
    """Emit the penalties on outputs of layers: losses of their own, behind the others' gradients.

    As in Keras each is a sum divided by the number of samples; of what is made of weights alone, by
    its first dimension.
    """
    readouts = []
    for node in low.nodes:
        factors = _factors(getattr(node.op, "regularizer", None))
        if factors is None:
            continue
        x = low.value(node.output)
        gradient, accumulate = None, False
        if low.needs_gradient(node.output):
            gradient, accumulate = low.gradient_to_write(node.output)
        if node.output.has_batch:
            values = low.doubles("penalties", 1, x.rows_per_sample)
        else:
            values = low.doubles("penalties", x.rows_per_sample)
            rows = (*node.output.shape, 1)[0] or 1
            factors = factors[0] / rows, factors[1] / rows
        readouts.append(_emit(low, x, values, gradient, accumulate, factors))
    return readouts


def emit_weight_penalties(low: Lowering, variables: Sequence[Variable]) -> list[Readout]:
    """Emit the penalties on weights, behind the gradients that the losses give them.

    Parameters
    ----------
    variables : those that training changes; as in Keras, others are not penalised
    """
    readouts = []
    for variable in variables:
        factors = _factors(variable.regularizer)
        if factors is None or not any(factors):
            continue
        x = low.parameter(variable)
        gradient, accumulate = None, False
        if low.is_trained(variable):
            gradient, accumulate = low.parameter_gradient(variable)
        values = low.doubles("penalties", variable.shape[0] if len(variable.shape) == 2 else 1)
        readouts.append(_emit(low, x, values, gradient, accumulate, factors))
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
        constraint: Any = variable.constraint
        if constraint is None:
            continue
        writes = {"p": low.parameter(variable)}
        if getattr(constraint, "native", False):
            low.emit("constrain", {}, writes, constraint.arguments(variable.shape))
        else:
            low.emit("constrain_host", {}, writes, {"function": _on_host(variable)})


def _on_host(variable: Variable) -> Callable[[list[Floats], list[Floats]], None]:
    """Return what calls a constraint of the user's own with a copy of the weight."""
    constraint, shape = variable.constraint, variable.shape
    assert constraint is not None

    def constrain(_: list[Floats], writes: list[Floats]) -> None:
        (rows,) = writes
        result = np.asarray(constraint(np.array(rows).reshape(shape)))
        if result.shape != shape or result.dtype.kind not in "fiub":
            raise ValueError(
                f"the constraint of {variable.name!r} must return numbers of shape {shape}, got "
                f"shape {result.shape} of {result.dtype}"
            )
        rows[...] = result.reshape(rows.shape)

    return constrain
