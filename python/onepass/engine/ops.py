"""The operations a graph is made of: their shapes and the kernel calls they lower to.

Each op writes plain calls, one kernel for one thing; fusion is the business of ``rewrites``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from onepass import _core
from onepass._formulas import ACTIVATIONS, hyper_values
from onepass.engine.graph import Shape
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
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
    """An elementwise activation of the compiled list."""

    def __init__(self, name: str, hyper: Mapping[str, float]) -> None:
        self.name = name
        self.formula = ACTIVATIONS[name]
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


class ReshapeOp(Op):
    """The same numbers under another sample shape: no kernel, one memory."""

    name = "reshape"

    def __init__(self, sample_shape: tuple[int, ...]) -> None:
        self.sample_shape = sample_shape

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (shapes[0][0], *self.sample_shape)

    def shares_memory(self, training: bool) -> bool:
        return True

    def forward(self, low: Lowering, node: Node) -> None:
        pass

    def backward(self, low: Lowering, node: Node) -> None:
        pass


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
