"""Activations: elementwise ones and softmax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from onepass._formulas import ELEMENTWISE, hyper_values
from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class _ActivationLike(Op):
    """One input of the output's shape, whose gradient follows from the output and its gradient."""

    def backward(self, low: Lowering, node: Node) -> None:
        (x,) = node.inputs
        if not low.needs_gradient(x):
            return
        dy, _ = low.gradient(node.output)
        dx, accumulate = low.gradient_to_write(x)
        reads = {"y": low.value(node.output), "dy": dy}
        self.emit_backward(low, node, reads, dx, accumulate)

    def emit_backward(
        self, low: Lowering, node: Node, reads: dict[str, Buffer], dx: Buffer, accumulate: bool
    ) -> None:
        """Emit the call that writes ``dx``."""
        raise NotImplementedError


class ActivationOp(_ActivationLike):
    """An elementwise activation or function of the compiled lists."""

    def __init__(self, name: str, hyper: Mapping[str, float]) -> None:
        self.name = name
        self.formula = ELEMENTWISE[name]
        self.hyper = hyper_values(self.formula.hyper, hyper, name)

    def forward(self, low: Lowering, node: Node) -> None:
        low.emit(
            "activation_forward",
            {"x": low.value(node.inputs[0])},
            {"y": low.value(node.output)},
            {"activation": self.name, "hyper": self.hyper},
        )

    def emit_backward(
        self, low: Lowering, node: Node, reads: dict[str, Buffer], dx: Buffer, accumulate: bool
    ) -> None:
        if self.formula.needs_input:
            reads = {**reads, "x": low.value(node.inputs[0])}
        attributes = {"activation": self.name, "hyper": self.hyper, "accumulate": accumulate}
        low.emit("activation_backward", reads, {"dx": dx}, attributes)


class SoftmaxOp(_ActivationLike):
    """Softmax over the last dimension."""

    name = "softmax"

    def forward(self, low: Lowering, node: Node) -> None:
        low.emit("softmax", {"x": low.value(node.inputs[0])}, {"y": low.value(node.output)})

    def emit_backward(
        self, low: Lowering, node: Node, reads: dict[str, Buffer], dx: Buffer, accumulate: bool
    ) -> None:
        low.emit("softmax_backward", reads, {"dx": dx}, {"accumulate": accumulate})
