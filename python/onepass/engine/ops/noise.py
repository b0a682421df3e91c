"""Noise that is drawn in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass.engine.graph import Shape
from onepass.engine.ops.activation import ActivationOp
from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering

_STEP, _WORD = 0x9E3779B9, 1 << 32


class NoiseOp(Op):
    """Disturbs its input where it is active; nothing at all elsewhere.

    Parameters
    ----------
    key : two words below 2**32 that set this layer's noise apart from others'
    training : None, or whether noise is drawn whatever the plan is for
    call : number of the layer's call in the graph; each draws for itself
    """

    def __init__(self, key: tuple[int, int], training: bool | None = None, call: int = 0) -> None:
        self.key = key[0], key[1] ^ call * _STEP % _WORD
        self.training = training

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        (shape,) = shapes
        # Noise is drawn for each sample, by its place in the epoch.
        if shape[:1] != (None,) and self.training is not False:
            raise TypeError(
                f"{self.name}: only a batch of samples is disturbed, got a tensor of shape "
                f"{shape}, which is made of weights alone"
            )
        return shape

    def active(self, training: bool) -> bool:
        """Whether noise is drawn in a plan that is, or is not, for training."""
        return training if self.training is None else self.training

    def shares_memory(self, training: bool) -> bool:
        return not self.active(training)

    def forward(self, low: Lowering, node: Node) -> None:
        if self.active(low.training):
            self.emit(low, low.value(node.inputs[0]), low.value(node.output))

    def backward(self, low: Lowering, node: Node) -> None:
        (x,) = node.inputs
        if self.active(low.training) and low.needs_gradient(x):
            dx, accumulate = low.gradient_to_write(x)
            self.emit_backward(low, node, low.gradient(node.output)[0], dx, accumulate)

    def emit(self, low: Lowering, x: Buffer, y: Buffer) -> None:
        """Emit the call that disturbs ``x``."""
        raise NotImplementedError

    def emit_backward(
        self, low: Lowering, node: Node, dy: Buffer, dx: Buffer, accumulate: bool
    ) -> None:
        """Emit the call that writes ``dx``."""
        raise NotImplementedError


class DropoutOp(NoiseOp):
    """Zeros elements at random, or with ``alpha`` sets them to where selu saturates.

    Parameters
    ----------
    rate : share of the elements that is dropped, in (0, 1]
    """

    name = "dropout"

    def __init__(
        self,
        rate: float,
        key: tuple[int, int],
        training: bool | None = None,
        call: int = 0,
        alpha: bool = False,
    ) -> None:
        super().__init__(key, training, call)
        self.rate = rate
        self.alpha = alpha

    def emit(self, low: Lowering, x: Buffer, y: Buffer) -> None:
        self._emit(low, x, y, gradient=False, accumulate=False)

    def emit_backward(
        self, low: Lowering, node: Node, dy: Buffer, dx: Buffer, accumulate: bool
    ) -> None:
        self._emit(low, dy, dx, gradient=True, accumulate=accumulate)

    def _emit(
        self, low: Lowering, x: Buffer, y: Buffer, *, gradient: bool, accumulate: bool
    ) -> None:
        attributes = {
            "rate": self.rate,
            "alpha": self.alpha,
            "gradient": gradient,
            "key": self.key,
            "accumulate": accumulate,
        }
        low.emit("dropout", {"x": x}, {"y": y}, attributes)


class RandomReluOp(NoiseOp):
    """Leaky ReLU with random slopes, and with their mean where nothing is drawn.

    Parameters
    ----------
    lower, upper : limits of the slopes, ``0 <= lower <= upper``
    """

    name = "rrelu"

    def __init__(
        self,
        lower: float,
        upper: float,
        key: tuple[int, int],
        training: bool | None = None,
        call: int = 0,
    ) -> None:
        super().__init__(key, training, call)
        self.lower, self.upper = lower, upper
        self._mean = ActivationOp("leaky_relu", {"negative_slope": (lower + upper) / 2})

    def shares_memory(self, training: bool) -> bool:
        return False

    def forward(self, low: Lowering, node: Node) -> None:
        if self.active(low.training):
            super().forward(low, node)
        else:
            self._mean.forward(low, node)

    def backward(self, low: Lowering, node: Node) -> None:
        if self.active(low.training):
            super().backward(low, node)
        else:
            self._mean.backward(low, node)

    def emit(self, low: Lowering, x: Buffer, y: Buffer) -> None:
        self._emit(low, {"x": x}, y, False)

    def emit_backward(
        self, low: Lowering, node: Node, dy: Buffer, dx: Buffer, accumulate: bool
    ) -> None:
        self._emit(low, {"x": dy, "value": low.value(node.output)}, dx, accumulate)

    def _emit(self, low: Lowering, reads: dict[str, Buffer], y: Buffer, accumulate: bool) -> None:
        attributes = {
            "lower": self.lower,
            "upper": self.upper,
            "key": self.key,
            "accumulate": accumulate,
        }
        low.emit("rrelu", reads, {"y": y}, attributes)


class GaussianOp(NoiseOp):
    """Adds normal noise of mean 0, or multiplies by normal noise of mean 1.

    Parameters
    ----------
    stddev : of the noise
    multiplies : whether it is a factor
    """

    name = "gaussian"

    def __init__(
        self,
        stddev: float,
        multiplies: bool,
        key: tuple[int, int],
        training: bool | None = None,
        call: int = 0,
    ) -> None:
        super().__init__(key, training, call)
        self.stddev = stddev
        self.multiplies = multiplies

    def emit(self, low: Lowering, x: Buffer, y: Buffer) -> None:
        self._emit(low, x, y, False)

    def emit_backward(
        self, low: Lowering, node: Node, dy: Buffer, dx: Buffer, accumulate: bool
    ) -> None:
        if self.multiplies:
            self._emit(low, dy, dx, accumulate)
            return
        # What is added has no gradient: a copy, which fusion makes the product's behind it.
        attributes = {"activation": "linear", "hyper": [], "accumulate": accumulate}
        reads = {"y": low.value(node.output), "dy": dy}
        low.emit("activation_backward", reads, {"dx": dx}, attributes)

    def _emit(self, low: Lowering, x: Buffer, y: Buffer, accumulate: bool) -> None:
        attributes = {
            "stddev": self.stddev,
            "multiplies": self.multiplies,
            "key": self.key,
            "accumulate": accumulate,
        }
        low.emit("gaussian", {"x": x}, {"y": y}, attributes)
