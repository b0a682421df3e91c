"""Native plans: a graph lowered, rewritten and handed to C++ for one mode.

Called by models, once per mode, trainable set and kind of batch; a plan is immutable, and several
threads may replay it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from onepass import _core, config
from onepass._formulas import BINARY, ELEMENTWISE, LOSSES
from onepass.engine.calls import Buffer, Call
from onepass.engine.graph import SymbolicTensor, nodes_between
from onepass.engine.lowering import Lowering
from onepass.engine.objective import (
    Objective,
    ObjectiveBuffers,
    Readout,
    emit_objectives,
    target_buffer,
)
from onepass.engine.penalties import (
    OwnPenalty,
    emit_activity_penalties,
    emit_constraints,
    emit_own_penalties,
    emit_weight_penalties,
    own_penalties,
    with_penalties,
)
from onepass.engine.recording import Graph
from onepass.engine.rewrites import DENSE_UPDATE_ROLES, REWRITES, Rewrite, rewrite
from onepass.engine.schedule import Phases, phases
from onepass.engine.storage import Variable
from onepass.engine.tracing import Traced, traced

if TYPE_CHECKING:
    from onepass._core import Optimizer as NativeOptimizer

Mode = Literal["train", "evaluate", "predict", "sample"]

_COUNTS = _core.mean_divisors()
_KINDS = {**_core.accuracies(), **_core.column_sum_kinds()}
_CONSTRAINTS = _core.constraints()


@dataclass(frozen=True)
class Plan:
    """A native program with the list of calls it was made from.

    Sources are, in this order: the inputs; unless predicting, the targets of the outputs that have
    one, then the weights of those that have some.
    """

    calls: tuple[Call, ...]
    native: _core.Plan
    readouts: tuple[Readout, ...]
    n_sums: int
    predictor: _core.Predictor | None = None  # of a predicting plan, where it has a quick way
    device: str = "cpu"

    @property
    def couples_rows(self) -> bool:
        """Whether a sample's results depend on the other samples of its batch."""
        return any(call.couples_rows for call in self.calls)

    def new_sums(self) -> Any:
        """Zeroed float64 sums, which the readouts turn into numbers."""
        return np.zeros(self.n_sums)

    def reset(self) -> None:
        """Begin to count anew in metrics that keep their own sums."""
        for readout in self.readouts:
            if readout.reset is not None:
                readout.reset()


def build_plan(
    mode: Mode,
    graph: Graph,
    *,
    objectives: Sequence[Objective] = (),
    weighted: Sequence[bool] = (),
    trained: Sequence[Variable] = (),
    optimizer: Callable[[Sequence[Variable]], NativeOptimizer] | None = None,
    rewrites: tuple[Rewrite, ...] = REWRITES,
) -> Plan:
    """Record one mode of a graph as a native plan.

    Parameters
    ----------
    mode : what a step does: predict; sample (predict with what layers do in training, such as
        dropout); evaluate (loss and metrics); train (and update)
    graph : inputs and outputs
    objectives : loss and metrics of each output; needed unless predicting
    weighted : for each output, whether a batch brings sample weights
    trained : variables that a training step changes, where the loss depends on them; evaluating
        adds their penalties to the loss
    optimizer : makes their native optimizer; without one, gradients are only computed
    rewrites : fusions to apply; () gives the plain plan
    """
    inputs, outputs = graph.input_list, graph.output_list
    training = mode in ("train", "sample")
    learning = mode == "train"
    measured = [] if mode in ("predict", "sample") else traced(objectives, outputs)
    values = [column for own in measured for column in own.values.values()]
    sources, ends = [*inputs, *(own.target for own in measured)], [*outputs, *values]
    nodes = nodes_between(sources, ends)
    penalised: list[OwnPenalty] = []
    if mode in ("train", "evaluate"):
        penalised = own_penalties(nodes, trained)
    if penalised:  # the weights' come first, so that their gradients come last
        nodes = nodes_between(sources, [*(own.value for own in penalised), *ends])
    device = _device_of([v for node in nodes for v in node.op.variables()])
    low = Lowering(nodes, trained if learning else (), training, learning, device)
    for source, tensor in enumerate(inputs):
        low.emit("gather", {}, {"out": low.value(tensor)}, {"source": source})
    readouts: list[Readout] = []
    if mode in ("predict", "sample"):
        low.forward()
        for number, tensor in enumerate(outputs):
            low.emit("output", {"source": low.value(tensor)}, {}, {"output": number})
    else:
        flags = weighted or [False] * len(outputs)
        at = _gather_targets(low, objectives, outputs, measured, flags)
        low.forward()
        readouts = emit_objectives(low, objectives, outputs, at)
        penalties = [*emit_own_penalties(low, penalised), *emit_activity_penalties(low)]
        if mode == "train":
            low.backward()
        penalties += emit_weight_penalties(low, trained)
        readouts = with_penalties(readouts, penalties)
        if mode == "train" and optimizer is not None:
            _emit_update(low, trained, optimizer)
    scheduled = phases(rewrite(low.calls, rewrites))
    calls = tuple(call for phase in scheduled for call in phase)
    native = _native(scheduled, graph.dtype == "float64", device)
    predictor = _predictor(native, calls, graph) if mode == "predict" else None
    return Plan(calls, native, tuple(readouts), low.n_sums, predictor, device)


def _device_of(variables: Sequence[Variable]) -> str:
    """Return the device on which all of them lie; without any, the one that is set."""
    devices = sorted({variable.device for variable in variables})
    if len(devices) > 1:
        where = ", ".join(f"{v.name!r} on {v.device}" for v in variables)
        raise ValueError(f"weights lie on several devices: move them with to(): {where}")
    return devices[0] if devices else config.device()


def _gather_targets(
    low: Lowering,
    objectives: Sequence[Objective],
    outputs: Sequence[SymbolicTensor],
    measured: Sequence[Traced],
    weighted: Sequence[bool],
) -> list[ObjectiveBuffers | None]:
    """Emit the gathering of all targets, then of all weights, in the order of a feed's sources."""
    source = sum(call.kernel == "gather" for call in low.calls)
    at: list[ObjectiveBuffers | None] = []
    for objective, output, own in zip(objectives, outputs, measured, strict=True):
        if not objective.has_target:
            at.append(None)
            continue
        target = target_buffer(low, objective, output, own)
        at.append(ObjectiveBuffers(low.value(output), target, None, own, output.shape))
    for buffers in at:
        if buffers is not None:
            low.emit("gather", {}, {"out": buffers.target}, {"source": source})
            source += 1
    for buffers, has_weights in zip(at, weighted, strict=True):
        if buffers is not None and has_weights:
            buffers.weights = low.rows("weights", 1, buffers.prediction.rows_per_sample)
            low.emit("gather", {}, {"out": buffers.weights}, {"source": source})
            source += 1
    return at


def _predictor(native: _core.Plan, calls: Sequence[Call], graph: Graph) -> _core.Predictor | None:
    """Return the quick way to predict, which lets calls read and write the caller's arrays."""
    first, last = calls[0], calls[-1]
    if len(graph.input_list) != 1 or len(graph.output_list) != 1:
        return None
    if (first.kernel, last.kernel) != ("gather", "output"):
        return None
    if any(call.draws or "function" in call.attributes for call in calls):
        return None  # draws at random, which needs a number; or calls Python
    (x,), (y,) = graph.input_list, graph.output_list
    if x.index_below is not None:  # numbers are looked at before they are fed
        return None
    source, target = first.writes["out"], last.reads["source"]
    if source.root() is target.root():  # nothing but reshapes: rows would have to be copied
        return None
    if any(call.writes_to(source) or call.couples_rows for call in calls[1:]):
        return None
    return native.predictor(_sizes(x), _sizes(y))


def _sizes(tensor: SymbolicTensor) -> list[int]:
    return [dim or 0 for dim in tensor.shape[1:]]


def _emit_update(
    low: Lowering,
    trained: Sequence[Variable],
    optimizer: Callable[[Sequence[Variable]], NativeOptimizer],
) -> None:
    # A variable that the loss does not depend on has no gradient and stays as it is.
    trained = [variable for variable in trained if low.has_gradient(variable)]
    gradients = [low.parameter_gradient(variable)[0] for variable in trained]
    low.emit(
        "update",
        {f"g{i}": gradient for i, gradient in enumerate(gradients)},
        {f"p{i}": low.parameter(variable) for i, variable in enumerate(trained)},
        {"optimizer": optimizer(trained)},
    )
    emit_constraints(low, trained)


def _native(phases: Phases, float64: bool, device: str = "cpu") -> _core.Plan:
    plan = _core.Plan(float64, device)
    ids: dict[Buffer, int] = {}
    for phase in phases:
        plan.phase()
        for call in phase:
            _add_call(plan, ids, call)
    return plan


def _add_call(plan: _core.Plan, ids: dict[Buffer, int], call: Call) -> None:
    if "function" in call.attributes:
        reads, writes = (
            [_buffer_id(plan, ids, buffer) for buffer in part.values()]
            for part in (call.reads, call.writes)
        )
        plan.host(function=call.attributes["function"], reads=reads, writes=writes)
        return
    buffers = {**call.reads, **call.writes}
    if "optimizer" in call.attributes:  # it knows its parameters, and an update their gradients
        roles = DENSE_UPDATE_ROLES if call.kernel == "dense_update" else ()
        buffers = {role: buffer for role, buffer in buffers.items() if role in roles}
    arguments = {role: _buffer_id(plan, ids, buffer) for role, buffer in buffers.items()}
    getattr(plan, call.kernel)(**arguments, **_native_attributes(call))


def _buffer_id(plan: _core.Plan, ids: dict[Buffer, int], buffer: Buffer) -> int:
    if buffer not in ids:
        if buffer.kind == "fixed":
            ids[buffer] = plan.fixed(buffer.array)
        elif buffer.kind == "table":
            ids[buffer] = plan.table_buffer(buffer.rows, buffer.cols, buffer.stride)
        elif buffer.kind == "doubles":
            ids[buffer] = plan.doubles_buffer(buffer.cols, buffer.rows_per_sample)
        elif buffer.kind == "square":
            ids[buffer] = plan.square_buffer()
        elif buffer.kind == "index":
            ids[buffer] = plan.index_buffer(buffer.rows_per_sample)
        elif buffer.base is not None:
            base = _buffer_id(plan, ids, buffer.base)
            ids[buffer] = plan.view(base, buffer.cols, buffer.rows_per_sample)
        else:
            ids[buffer] = plan.rows_buffer(buffer.cols, buffer.stride, buffer.rows_per_sample)
    return ids[buffer]


def _native_attributes(call: Call) -> dict[str, Any]:
    """Names to the ids that the native side knows."""
    attributes = dict(call.attributes)
    if "activation" in attributes:
        attributes["activation"] = ELEMENTWISE[attributes["activation"]].id
    if "op" in attributes:
        attributes["op"] = BINARY[attributes["op"]].id
    if "loss" in attributes:
        attributes["id"] = LOSSES[attributes.pop("loss")].id
    if "count" in attributes:
        attributes["count"] = _COUNTS[attributes["count"]]
    if "kind" in attributes:
        kinds = _CONSTRAINTS if call.kernel == "constrain" else _KINDS
        attributes["kind"] = kinds[attributes["kind"]]
    return attributes
