"""The same numbers under another shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass.engine.graph import Shape
from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class ReshapeOp(Op):
    """The same numbers under another sample shape: no kernel, one memory."""

    name = "reshape"

    def __init__(self, sample_shape: tuple[int, ...]) -> None:
        self.sample_shape = sample_shape

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        batch = shapes[0][:1] if None in shapes[0] else ()
        return (*batch, *self.sample_shape)

    def shares_memory(self, training: bool) -> bool:
        return True

    def forward(self, low: Lowering, node: Node) -> None:
        pass

    def backward(self, low: Lowering, node: Node) -> None:
        pass


class IdentityOp(ReshapeOp):
    """The input itself, as a tensor of its own: what a layer returns that changes nothing."""

    name = "identity"

    def __init__(self) -> None:
        super().__init__(())

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0]
