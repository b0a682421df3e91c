"""Noise that is drawn in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class DropoutOp(Op):
    """Zeros elements at random in training; nothing at all elsewhere.

    Parameters
    ----------
    rate : share of the elements that is dropped, in (0, 1]
    key : two words below 2**32 that set this layer's masks apart from others'
    """

    name = "dropout"

    def __init__(self, rate: float, key: tuple[int, int]) -> None:
        self.rate = rate
        self.key = key

    def shares_memory(self, training: bool) -> bool:
        return not training

    def forward(self, low: Lowering, node: Node) -> None:
        if low.training:
            self._emit(low, low.value(node.inputs[0]), low.value(node.output), False)

    def backward(self, low: Lowering, node: Node) -> None:
        (x,) = node.inputs
        if low.needs_gradient(x):
            dx, accumulate = low.gradient_to_write(x)
            self._emit(low, low.gradient(node.output)[0], dx, accumulate)

    def _emit(self, low: Lowering, x: Buffer, y: Buffer, accumulate: bool) -> None:
        attributes = {"rate": self.rate, "key": self.key, "accumulate": accumulate}
        low.emit("dropout", {"x": x}, {"y": y}, attributes)
