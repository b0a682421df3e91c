"""Rows of a table by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass.engine.graph import Shape
from onepass.engine.ops.op import Op
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class EmbeddingOp(Op):
    """``table[x]``: the whole numbers of x are places in the table, and have no gradient."""

    name = "embedding"

    def __init__(self, table: Variable) -> None:
        self.table = table

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*shapes[0], self.table.shape[1])

    def variables(self) -> list[Variable]:
        return [self.table]

    def forward(self, low: Lowering, node: Node) -> None:
        reads = {"index": low.value(node.inputs[0]), "table": low.parameter(self.table)}
        low.emit("embedding", reads, {"y": low.value(node.output)})

    def backward(self, low: Lowering, node: Node) -> None:
        if low.is_trained(self.table):
            dtable, accumulate = low.parameter_gradient(self.table)
            reads = {"index": low.value(node.inputs[0]), "dy": low.gradient(node.output)[0]}
            low.emit("embedding_backward", reads, {"dtable": dtable}, {"accumulate": accumulate})
