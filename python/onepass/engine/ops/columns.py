"""Columns of tensors: side by side, taken out, summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass._broadcast import repeat_of
from onepass.engine.graph import Shape
from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class ConcatenateOp(Op):
    """Tensors side by side along the last dimension."""

    name = "concatenate"

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        if len({shape[:-1] for shape in shapes}) > 1:
            shown = " and ".join(str(shape) for shape in shapes)
            raise ValueError(f"concatenate: shapes {shown} differ in another dimension")
        return (*shapes[0][:-1], sum(shape[-1] or 0 for shape in shapes))

    def _bands(self, node: Node) -> list[tuple[int, int]]:
        """Return first column and number of columns of each input."""
        sizes = [tensor.shape[-1] or 0 for tensor in node.inputs]
        return [(sum(sizes[:i]), size) for i, size in enumerate(sizes)]

    def forward(self, low: Lowering, node: Node) -> None:
        y = low.value(node.output)
        for tensor, (first, cols) in zip(node.inputs, self._bands(node), strict=True):
            low.copy(low.value(tensor), y, y_first=first, cols=cols)

    def backward(self, low: Lowering, node: Node) -> None:
        dy, _ = low.gradient(node.output)
        for tensor, (first, cols) in zip(node.inputs, self._bands(node), strict=True):
            if low.needs_gradient(tensor):
                dx, accumulate = low.gradient_to_write(tensor)
                low.copy(dy, dx, x_first=first, cols=cols, accumulate=accumulate)


class SliceOp(Op):
    """Some columns: ``x[..., first : first + cols]``."""

    name = "slice"

    def __init__(self, first: int, cols: int) -> None:
        self.first = first
        self.cols = cols

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*shapes[0][:-1], self.cols)

    def forward(self, low: Lowering, node: Node) -> None:
        x, y = low.value(node.inputs[0]), low.value(node.output)
        low.copy(x, y, x_first=self.first, cols=self.cols)

    def backward(self, low: Lowering, node: Node) -> None:
        (x,) = node.inputs
        if not low.needs_gradient(x):
            return
        dy, _ = low.gradient(node.output)
        dx, accumulate = low.gradient_to_write(x)
        if not accumulate:  # the other columns have no gradient from here
            low.copy(None, dx)
        low.copy(dy, dx, y_first=self.first, cols=self.cols, accumulate=True)


class SumOp(Op):
    """``scale`` times the sum over one dimension, which stays as 1."""

    name = "sum"

    def __init__(self, axis: int, scale: float) -> None:
        self.axis = axis
        self.scale = scale

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        result = (*shape[: self.axis], 1, *shape[self.axis + 1 :])
        repeat_of(result, shape, "the result", self.name)
        return result

    def forward(self, low: Lowering, node: Node) -> None:
        attributes = {"repeat": self._repeat(node), "scale": self.scale, "accumulate": False}
        x, y = low.value(node.inputs[0]), low.value(node.output)
        low.emit("scaled_sum", {"x": x}, {"y": y}, attributes)

    def backward(self, low: Lowering, node: Node) -> None:
        (x,) = node.inputs
        if low.needs_gradient(x):
            dy, _ = low.gradient(node.output)
            dx, accumulate = low.gradient_to_write(x)
            repeat = self._repeat(node)
            low.copy(dy, dx, repeat=repeat, scale=self.scale, accumulate=accumulate)

    def _repeat(self, node: Node) -> int:
        return repeat_of(node.output.shape, node.inputs[0].shape, "", self.name)
