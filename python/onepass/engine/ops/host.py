"""Operations that the user's own NumPy code computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass.engine.graph import Shape
from onepass.engine.ops.op import Op
from onepass.engine.storage import Floats, Variable

if TYPE_CHECKING:
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class HostOp(Op):
    """A function of arrays and the function that gives its gradients.

    Parameters
    ----------
    name : for messages and display
    forward : callable(*inputs) -> output, all with the batch dimension
    backward : callable(inputs, output, gradient) -> gradients of the inputs, then of the weights
    shape : of a batch of outputs
    weights : variables that the functions read
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        backward: Callable[[list[Floats], Floats, Floats], Sequence[Any]],
        shape: Shape,
        weights: Sequence[Variable] = (),
    ) -> None:
        self.name = name
        self._forward, self._backward = forward, backward
        self._shape, self._weights = shape, list(weights)

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return self._shape

    def variables(self) -> list[Variable]:
        return self._weights

    def forward(self, low: Lowering, node: Node) -> None:
        shapes = [tensor.shape[1:] for tensor in node.inputs]

        def compute(reads: list[Floats], writes: list[Floats]) -> None:
            inputs = [_samples(array, shape) for array, shape in zip(reads, shapes, strict=True)]
            _write(self._forward(*inputs), writes[0], node.output.shape, f"{self.name}: the output")

        reads = {f"x{i}": low.value(tensor) for i, tensor in enumerate(node.inputs)}
        low.emit("host", reads, {"y": low.value(node.output)}, {"function": compute})

    def backward(self, low: Lowering, node: Node) -> None:
        wanted: list[tuple[int, str, Shape, bool]] = []  # place, name, shape, whether to add
        writes = {}
        for i, tensor in enumerate(node.inputs):
            if low.needs_gradient(tensor):
                writes[f"dx{i}"], add = low.gradient_to_write(tensor)
                wanted.append((i, f"the gradient of input {i}", tensor.shape, add))
        for i, variable in enumerate(self._weights):
            if low.is_trained(variable):
                writes[f"dw{i}"], add = low.parameter_gradient(variable)
                name = f"the gradient of {variable.name!r}"
                wanted.append((len(node.inputs) + i, name, variable.shape, add))
        if not wanted:
            return
        shapes = [tensor.shape[1:] for tensor in (*node.inputs, node.output, node.output)]
        expected = len(node.inputs) + len(self._weights)

        def compute(reads: list[Floats], writes: list[Floats]) -> None:
            arrays = [_samples(array, shape) for array, shape in zip(reads, shapes, strict=True)]
            gradients = list(self._backward(arrays[:-2], arrays[-2], arrays[-1]))
            if len(gradients) != expected:
                raise ValueError(
                    f"{self.name}: backward must return {expected} gradients, of the inputs and "
                    f"then of the weights, got {len(gradients)}"
                )
            for out, (place, name, shape, add) in zip(writes, wanted, strict=True):
                _write(gradients[place], out, shape, f"{self.name}: {name}", add)

        reads = {f"x{i}": low.value(tensor) for i, tensor in enumerate(node.inputs)}
        reads |= {"y": low.value(node.output), "dy": low.gradient(node.output)[0]}
        low.emit("host", reads, writes, {"function": compute})


def _samples(rows: Floats, shape: Shape) -> Floats:
    """Return a plan's rows as an array of samples, a copy that the user may keep."""
    return np.array(rows, order="C").reshape(-1, *(dim or 0 for dim in shape))


def _write(value: Any, out: Floats, shape: Shape, name: str, add: bool = False) -> None:
    array = np.asarray(value)
    fixed = [dim for dim in shape if dim is not None]
    given = list(array.shape)[-len(fixed) :] if fixed else []
    if array.size != out.size or given != fixed:
        shown = "(" + ", ".join("n" if dim is None else str(dim) for dim in shape) + ")"
        raise ValueError(f"{name} must have shape {shown}, got {array.shape}")
    if add:
        out += array.reshape(out.shape)
    else:
        out[...] = array.reshape(out.shape)
