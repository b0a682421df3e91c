"""The product of a dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass import _core
from onepass.engine.graph import Shape
from onepass.engine.ops.op import Op
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class DenseOp(Op):
    """``y = x w + b`` over the last dimension."""

    name = "dense"

    def __init__(self, kernel: Variable, bias: Variable | None) -> None:
        self.kernel = kernel
        self.bias = bias

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*shapes[0][:-1], self.kernel.shape[1])

    def variables(self) -> list[Variable]:
        return [self.kernel] if self.bias is None else [self.kernel, self.bias]

    def forward(self, low: Lowering, node: Node) -> None:
        reads = {"x": low.value(node.inputs[0]), "w": low.parameter(self.kernel)}
        if self.bias is not None:
            reads["b"] = low.parameter(self.bias)
        attributes = {"activation": "linear", "hyper": []}
        writes = {"y": low.value(node.output)}
        if _core.half_depth(self.kernel.shape[0]):
            writes["partial"] = low.like("partial", writes["y"])
        low.emit("dense_forward", reads, writes, attributes)

    def backward(self, low: Lowering, node: Node) -> None:
        (x,) = node.inputs
        dz, _ = low.gradient(node.output)
        # One call, unless only one of the two gradients was written before and must be added to.
        parts: dict[bool, dict[str, Buffer]] = {}
        for role, variable in (("dw", self.kernel), ("db", self.bias)):
            if variable is not None and low.is_trained(variable):
                buffer, accumulate = low.parameter_gradient(variable)
                parts.setdefault(accumulate, {})[role] = buffer
        for accumulate, writes in parts.items():
            reads = {"x": low.value(x), "dz": dz}
            low.emit("dense_backward_weights", reads, writes, {"accumulate": accumulate})
        if low.needs_gradient(x):
            dx, accumulate = low.gradient_to_write(x)
            low.emit(
                "dense_backward_input",
                {"dz": dz, "w": low.parameter(self.kernel)},
                {"dx": dx},
                {"activation": "linear", "hyper": [], "accumulate": accumulate},
            )
