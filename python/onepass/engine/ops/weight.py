"""A weight as a tensor, and sums over all rows of a tensor: tensors without a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass.engine.graph import Node, Shape, SymbolicTensor, is_recording
from onepass.engine.ops.host import HostOp
from onepass.engine.ops.op import Op
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.lowering import Lowering


class WeightOp(Op):
    """A weight as a tensor without a batch."""

    name = "weight"

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def tensor(self) -> SymbolicTensor:
        """Return the tensor, the output of a node without inputs."""
        tensor = SymbolicTensor(self.variable.shape, self.variable.dtype, self.variable.name)
        tensor.node = Node(self, (), tensor, self.name)
        return tensor

    def variables(self) -> list[Variable]:
        return [self.variable]

    def forward(self, low: Lowering, node: Node) -> None:
        low.copy(low.parameter(self.variable), low.value(node.output))

    def backward(self, low: Lowering, node: Node) -> None:
        if low.is_trained(self.variable):
            dw, accumulate = low.parameter_gradient(self.variable)
            low.copy(low.gradient(node.output)[0], dw, accumulate=accumulate)


def as_tensor(value: Any) -> Any:
    """Return a weight as a tensor while anything is recorded; anything else as it is.

    A function of a weight alone would otherwise be a number for ever.
    """
    if isinstance(value, Variable) and is_recording():
        return WeightOp(value).tensor()
    return value


class TransposeOp(HostOp):
    """The transpose of a matrix that no batch is in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__("transpose", np.transpose, lambda x, y, dy: [dy.T], shape[::-1])


class FirstAxisSumOp(Op):
    """The sum over the rows of a matrix, or of all samples of a batch: a vector without a batch.

    Parameters
    ----------
    mean : whether it is divided by their number
    """

    name = "first_axis_sum"

    def __init__(self, mean: bool) -> None:
        self.mean = mean

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0][1:]

    def forward(self, low: Lowering, node: Node) -> None:
        x = low.value(node.inputs[0])
        if self.mean:
            part = low.like("part", x)
            low.copy(x, part, mean=True)
            x = part
        sums = {"db": low.value(node.output)}
        low.emit("dense_backward_weights", {"x": x, "dz": x}, sums, {"accumulate": False})

    def backward(self, low: Lowering, node: Node) -> None:
        (x,) = node.inputs
        if low.needs_gradient(x):
            dx, accumulate = low.gradient_to_write(x)
            low.copy(low.gradient(node.output)[0], dx, mean=self.mean, accumulate=accumulate)
