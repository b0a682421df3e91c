"""What every operation says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass.engine.graph import Shape
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class Op:
    """An operation on symbolic tensors."""

    name = "op"

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Shape of the output for inputs of these shapes."""
        return shapes[0]

    def shares_memory(self, training: bool) -> bool:
        """Whether the output is its input's memory, so that nothing has to be computed."""
        return False

    def variables(self) -> list[Variable]:
        """Variables that the operation reads, in the order of its layer's weights."""
        return []

    def forward(self, low: Lowering, node: Node) -> None:
        """Emit the calls that compute the output."""
        raise NotImplementedError

    def backward(self, low: Lowering, node: Node) -> None:
        """Emit the calls that turn the output's gradient into those of inputs and variables."""
        raise NotImplementedError
