"""The layer calls between symbolic inputs and outputs: what a functional model consists of."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from onepass.engine.graph import LayerCall, Node, SymbolicTensor, record
from onepass.engine.structure import flatten, map_structure
from onepass.layers.input import InputLayer
from onepass.layers.layer import Layer

Step = LayerCall | Node  # a layer's call, or an operation that was recorded outside of layers


class Network:
    """What leads from inputs to outputs, in an order in which it can be done again.

    Parameters
    ----------
    inputs, outputs : SymbolicTensor, or nested structures of them

    Raises
    ------
    TypeError, ValueError
        If they are not symbolic tensors, or an output depends on something else than the inputs.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        for name, structure in (("inputs", inputs), ("outputs", outputs)):
            for leaf in flatten(structure):
                if not isinstance(leaf, SymbolicTensor):
                    raise TypeError(
                        f"Model: {name} must be symbolic tensors such as Input(shape), "
                        f"got {type(leaf).__name__}"
                    )
        if not flatten(inputs) or not flatten(outputs):
            raise ValueError("Model: at least one input and one output are needed")
        names = [tensor.name for tensor in flatten(inputs)]
        if len(set(names)) < len(names):
            raise ValueError(f"Model: inputs must have different names, got {names}")
        self.inputs, self.outputs = inputs, outputs
        self.steps = _steps_between(flatten(inputs), flatten(outputs))
        self.layers = _in_order_of_depth(flatten(inputs), self.steps, flatten(outputs))
        by_name: dict[str, Layer] = {}
        for layer in self.layers:
            if by_name.setdefault(layer.name, layer) is not layer:
                raise ValueError(f"Model: two layers are named {layer.name!r}")

    def __getstate__(self) -> dict[str, Any]:
        # Steps first: a copier then meets each tensor when those before it are known, and does not
        # go down the whole graph from the outputs.
        return {"inputs": self.inputs, "steps": self.steps, **vars(self)}

    def __call__(self, inputs: Any) -> Any:
        """Do the same to other inputs."""
        return self.replayed(inputs, {})

    def replayed(self, inputs: Any, instead: dict[int, Layer]) -> Any:
        """Do the same to other inputs with some layers replaced, which go by the ids of the old."""
        made = {
            id(old): new for old, new in zip(flatten(self.inputs), flatten(inputs), strict=True)
        }

        def now(leaf: Any) -> Any:
            return made.get(id(leaf), leaf)

        for step in self.steps:
            if isinstance(step, LayerCall):
                layer = instead.get(id(step.layer), step.layer)
                args, kwargs = map_structure(now, (step.args, step.kwargs))
                outputs = layer(*args, **kwargs)
                for old, new in zip(flatten(step.outputs), flatten(outputs), strict=True):
                    made[id(old)] = new
            elif step.inputs:  # a weight's tensor stays what it is
                made[id(step.output)] = record(step.op, [now(tensor) for tensor in step.inputs])
        return map_structure(now, self.outputs)

    def remember_calls(self) -> None:
        """Tell layers that were copied of their calls."""
        for step in self.steps:
            if isinstance(step, LayerCall):
                step.layer.remember_call(step)

    def sources_by_layer(self) -> dict[Layer, list[str]]:
        """Return the names of what each layer is called on, in the order of its calls."""
        sources: dict[Layer, list[str]] = {layer: [] for layer in self.layers}
        for step in self.steps:
            if isinstance(step, LayerCall):
                sources[step.layer] += [tensor.name for tensor in sources_of(step)]
        return sources


def step_of(tensor: SymbolicTensor) -> Step | None:
    """Return what made a tensor; None for an input."""
    call = tensor.made_by
    if call is not None and not isinstance(call.layer, InputLayer):
        return call
    return tensor.node


def sources_of(step: Step) -> list[SymbolicTensor]:
    """Return the tensors that a step needs."""
    given = step.inputs if isinstance(step, Node) else flatten((step.args, step.kwargs))
    return [value for value in given if isinstance(value, SymbolicTensor)]


def _steps_between(inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]) -> list[Step]:
    """Steps from inputs to outputs, each behind those it needs."""
    known = {id(tensor) for tensor in inputs}
    done: set[int] = set()
    order: list[Step] = []
    stack: list[tuple[SymbolicTensor, bool]] = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, expanded = stack.pop()
        if id(tensor) in known:
            continue
        step = step_of(tensor)
        if step is None:
            raise ValueError(
                f"Model: an output depends on {tensor.name!r}, which is not among the inputs"
            )
        if id(step) in done:
            continue
        if expanded:
            done.add(id(step))
            order.append(step)
        else:
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(sources_of(step)))
    return order


def _in_order_of_depth(
    inputs: list[SymbolicTensor], steps: list[Step], outputs: list[SymbolicTensor]
) -> list[Layer]:
    """Layers as Keras lists them: those farthest from the outputs first.

    Those equally far stand in the order in which a walk back from the outputs meets them.
    """
    at_inputs = {id(tensor) for tensor in inputs}

    def maker_of(tensor: SymbolicTensor) -> Layer | Node | SymbolicTensor:
        if id(tensor) in at_inputs:
            call = tensor.made_by
            is_input = call is not None and isinstance(call.layer, InputLayer)
            return call.layer if call is not None and is_input else tensor
        step = step_of(tensor)
        assert step is not None
        return step.layer if isinstance(step, LayerCall) else step

    depths: dict[int, int] = defaultdict(int)  # by the id of a maker
    for step in reversed(steps):
        own = step.layer if isinstance(step, LayerCall) else step
        for source in sources_of(step):
            maker = id(maker_of(source))
            depths[maker] = max(depths[maker], depths[id(own)] + 1)
    met: dict[int, Layer | Node | SymbolicTensor] = {}
    walked: set[int] = set()
    stack = list(reversed(outputs))
    while stack:
        tensor = stack.pop()
        met.setdefault(id(maker_of(tensor)), maker_of(tensor))
        made_by = None if id(tensor) in at_inputs else step_of(tensor)
        if made_by is not None and id(made_by) not in walked:
            walked.add(id(made_by))
            stack.extend(reversed(sources_of(made_by)))
    for tensor in inputs:  # also those that no output needs
        met.setdefault(id(maker_of(tensor)), maker_of(tensor))
    layers = [maker for maker in met.values() if isinstance(maker, Layer)]
    return sorted(layers, key=lambda layer: -depths[id(layer)])
