"""Norms of weights and gradients, and the state of each layer's units, on a few samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass import kernels
from onepass.engine.feeding import Feed, Samples
from onepass.engine.graph import SymbolicTensor, nodes_between
from onepass.engine.plan import build_plan
from onepass.engine.recording import Graph
from onepass.engine.replay import Pass, as_output_rows, batches, empty_output

if TYPE_CHECKING:
    from onepass.engine.storage import Floats, Variable
    from onepass.layers.layer import Layer
    from onepass.models.model import Model

# What an activation cannot leave far behind: beyond these values it hardly reacts any more.
_SATURATED = {"sigmoid": (0.02, 0.98), "tanh": (-0.98, 0.98), "softsign": (-0.98, 0.98)}
_SATURATED |= {"hard_sigmoid": (0.0, 1.0), "hard_tanh": (-1.0, 1.0)}
_CAN_DIE = ("relu", "relu6", "relu_general")

Snapshot = Mapping[int, "Floats"]  # values by the id of a variable


@dataclass(frozen=True)
class LayerReport:
    """The state of one layer.

    Attributes
    ----------
    name : the layer's
    gradient_norm, weight_norm : Euclidean, of all trained weights; NaN or infinite where these are
    gradient_size : root of the mean square of a gradient's elements, which compares layers
    update_ratio : norm of the weights' change since a snapshot over that of the weights, or None
    dead : share of units whose activation was 0 for all samples; None where none can die
    saturated : share of activations near an end of their range; None where there is no such end
    non_finite : number of weights, gradients and activations that are NaN or infinite
    """

    name: str
    gradient_norm: float
    weight_norm: float
    gradient_size: float
    update_ratio: float | None
    dead: float | None
    saturated: float | None
    non_finite: int


@dataclass(frozen=True)
class Report:
    """The state of a model.

    Attributes
    ----------
    loss : on the samples, as in training
    layers : those with weights that are trained, from the input on
    """

    loss: float
    layers: list[LayerReport] = field(default_factory=list)

    def __str__(self) -> str:
        head = ("layer", "gradient", "weights", "update", "dead", "saturated", "not finite")
        rows = [head, *(_cells(layer) for layer in self.layers)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = [
            "  ".join(f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in pairs)
            for pairs in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
        ]
        return "\n".join([f"loss {self.loss:.4g}", *lines])


def _cells(layer: LayerReport) -> tuple[str, ...]:
    numbers = (layer.gradient_norm, layer.weight_norm, layer.update_ratio)
    shares = (layer.dead, layer.saturated)
    return (
        layer.name,
        *("-" if value is None else f"{value:.2e}" for value in numbers),
        *("-" if share is None else f"{share:.0%}" for share in shares),
        str(layer.non_finite),
    )


def diagnose(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    before: Snapshot | None = None,
) -> Report:
    """Report norms of gradients and weights, and dead or saturated units, on samples.

    Parameters
    ----------
    model : compiled with a loss
    x, y, sample_weight : as for ``fit``; a few hundred samples are enough
    before : from ``snapshot``, for the update ratios

    Returns
    -------
    report : Report
        ``print(report)`` shows a table; ``warnings_of([report])`` says what looks wrong.

    Raises
    ------
    TypeError, ValueError
        If the data do not fit the model, or it was not compiled.

    Notes
    -----
    Weights and the state of training stay as they are.
    """
    return report_of(model, model.checked_samples(x, y, sample_weight), before)


def snapshot(model: Model) -> dict[int, Floats]:
    """Return copies of the weights that are trained, to compare with later."""
    return {id(variable): variable.numpy() for variable in model.trainable_variables}


def report_of(model: Model, samples: Samples, before: Snapshot | None = None) -> Report:
    """As ``diagnose``, of checked samples."""
    loss = _compute_gradients(model, samples)
    shown = _with_weights(model)
    activations = _activations(model, samples, shown)
    return Report(loss, [_layer_report(layer, activations.get(layer), before) for layer in shown])


def _compute_gradients(model: Model, samples: Samples) -> float:
    """Fill the gradients of the weights as a training step does; return the loss."""
    plan = build_plan(
        "train",
        model.record(training=True),
        objectives=model.objectives(),
        weighted=samples.weighted,
        trained=model.trainable_variables,
    )
    kept = [variable.numpy() for variable in model.non_trainable_variables]
    for variable in model.trainable_variables:  # one that the loss does not reach keeps this
        variable.gradient[...] = 0
    count = len(samples)
    work = Pass(plan, samples.feed, batches(count, count), draw=model.next_draw(epoch=False))
    try:
        work.run()
    finally:  # batch normalization has followed the batch
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
    return work.logs()["loss"]


def _with_weights(model: Model) -> list[Layer]:
    """Return the innermost layers whose weights are trained, in order."""
    found: dict[int, Layer] = {}

    def walk(layer: Layer) -> None:
        for inner in layer.sublayers():
            walk(inner)
        if layer.own_trained():
            found.setdefault(id(layer), layer)

    walk(model)
    return list(found.values())


def _activations(
    model: Model, samples: Samples, layers: Sequence[Layer]
) -> dict[Layer, tuple[str, Floats]]:
    """Return the name and the values of the activation that follows each layer, if any does."""
    recorded = model.record(training=True)
    ends = _following_activations(recorded, layers)
    if not ends:
        return {}
    tensors = list(ends.values())
    graph = Graph(recorded.inputs, tensors)
    count = len(samples)
    results = [empty_output(tensor, count) for tensor in tensors]
    feed = Feed([(array, 1.0) for array in samples.inputs], count)
    outputs = [as_output_rows(result) for result in results]
    draw = model.next_draw(epoch=False)
    Pass(build_plan("sample", graph), feed, batches(count, count), outputs=outputs, draw=draw).run()
    return {
        layer: (tensor.node.op.name if tensor.node else "", values)
        for (layer, tensor), values in zip(ends.items(), results, strict=True)
    }


def _following_activations(graph: Graph, layers: Sequence[Layer]) -> dict[Layer, SymbolicTensor]:
    """Return the first activation behind each layer's weights, past what keeps shapes."""
    owners = {id(variable): layer for layer in layers for variable in layer.variables}
    origin: dict[int, Layer] = {}  # layer whose output a tensor still is, before an activation
    found: dict[Layer, SymbolicTensor] = {}
    for node in nodes_between(graph.input_list, graph.output_list):
        own = [owners[id(v)] for v in node.op.variables() if id(v) in owners]
        sources = [origin[id(tensor)] for tensor in node.inputs if id(tensor) in origin]
        name = node.op.name
        if own:
            origin[id(node.output)] = own[0]
            if name in _CAN_DIE or name in _SATURATED:
                found.setdefault(own[0], node.output)
        elif sources and (name in _CAN_DIE or name in _SATURATED):
            for layer in sources:
                found.setdefault(layer, node.output)
        elif sources and node.output.shape == node.inputs[0].shape and len(node.inputs) == 1:
            origin[id(node.output)] = sources[0]
    return found


def _layer_report(
    layer: Layer, activation: tuple[str, Floats] | None, before: Snapshot | None
) -> LayerReport:
    variables = layer.own_trained()
    gradients = [np.ascontiguousarray(variable.gradient) for variable in variables]
    weights = [variable.numpy() for variable in variables]
    size = sum(variable.size for variable in variables)
    gradient_norm, weight_norm = kernels.global_norm(gradients), kernels.global_norm(weights)
    strange = sum(int(np.count_nonzero(~np.isfinite(a))) for a in (*gradients, *weights))
    dead = saturated = None
    if activation is not None:
        name, values = activation
        strange += int(np.count_nonzero(~np.isfinite(values)))
        units = values.reshape(-1, values.shape[-1])
        if name in _CAN_DIE:
            dead = float((units <= 0).all(axis=0).mean())
        if name in _SATURATED:
            low, high = _SATURATED[name]
            saturated = float(((units <= low) | (units >= high)).mean())
    return LayerReport(
        layer.name,
        gradient_norm,
        weight_norm,
        gradient_norm / size**0.5,
        _update_ratio(variables, weights, before),
        dead,
        saturated,
        strange,
    )


def _update_ratio(
    variables: Sequence[Variable], weights: Sequence[Floats], before: Snapshot | None
) -> float | None:
    if before is None or any(id(variable) not in before for variable in variables):
        return None
    old = [before[id(variable)] for variable in variables]
    norm = kernels.global_norm(old)
    moved = kernels.global_norm([new - was for new, was in zip(weights, old, strict=True)])
    return moved / norm if norm else None
