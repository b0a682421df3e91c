"""A penalty on what a layer puts out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class ActivityPenaltyOp(Op):
    """Leaves its input as it is; ``engine.penalties`` adds a penalty on it to the loss.

    Parameters
    ----------
    regularizer : callable
    """

    name = "activity_penalty"

    def __init__(self, regularizer: Any) -> None:
        self.regularizer = regularizer

    def shares_memory(self, training: bool) -> bool:
        return True

    def forward(self, low: Lowering, node: Node) -> None:
        pass

    def backward(self, low: Lowering, node: Node) -> None:
        pass
