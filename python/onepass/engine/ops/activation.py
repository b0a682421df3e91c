"""Activations: elementwise ones, and those over the last dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onepass._formulas import ELEMENTWISE, hyper_values
from onepass.engine.graph import Shape
from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class _ActivationLike(Op):
    """One input, whose gradient follows from the output and its gradient."""

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


class RowOp(_ActivationLike):
    """An activation over the last dimension.

    Parameters
    ----------
    name : "softmax", "log_softmax" or "sparsemax"
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def forward(self, low: Lowering, node: Node) -> None:
        low.emit(self.name, {"x": low.value(node.inputs[0])}, {"y": low.value(node.output)})

    def emit_backward(
        self, low: Lowering, node: Node, reads: dict[str, Buffer], dx: Buffer, accumulate: bool
    ) -> None:
        low.emit(f"{self.name}_backward", reads, {"dx": dx}, {"accumulate": accumulate})


class GluOp(_ActivationLike):
    """Gated linear unit: the first half of the last dimension times the sigmoid of the second."""

    name = "glu"

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        cols = shapes[0][-1]
        assert cols is not None
        return (*shapes[0][:-1], cols // 2)

    def forward(self, low: Lowering, node: Node) -> None:
        low.emit("glu", {"x": low.value(node.inputs[0])}, {"y": low.value(node.output)})

    def emit_backward(
        self, low: Lowering, node: Node, reads: dict[str, Buffer], dx: Buffer, accumulate: bool
    ) -> None:
        reads = {"x": low.value(node.inputs[0]), "dy": reads["dy"]}
        low.emit("glu_backward", reads, {"dx": dx}, {"accumulate": accumulate})
