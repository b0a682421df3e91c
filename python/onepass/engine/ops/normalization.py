"""Normalization by the batch's statistics, and by those of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from onepass import _core
from onepass.engine.ops.op import Op
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering

RowNorm = Literal["layer", "rms", "unit"]


class _Normalization(Op):
    """``gamma * normalized + beta``, either of which may be absent."""

    def __init__(self, gamma: Variable | None, beta: Variable | None) -> None:
        self.gamma = gamma
        self.beta = beta

    def variables(self) -> list[Variable]:
        return [variable for variable in (self.gamma, self.beta) if variable is not None]

    def _parameters(self, low: Lowering) -> dict[str, Buffer]:
        named = {"gamma": self.gamma, "beta": self.beta}
        return {role: low.parameter(v) for role, v in named.items() if v is not None}

    def _emit_backward(
        self, low: Lowering, node: Node, kernel: str, attributes: dict[str, Any]
    ) -> None:
        """Emit the call that writes whichever of dx, dgamma and dbeta is wanted."""
        (x,) = node.inputs
        reads = {
            "x": low.value(x),
            "dy": low.gradient(node.output)[0],
            "statistics": low.saved[node],
        }
        if self.gamma is not None:
            reads["gamma"] = low.parameter(self.gamma)
        writes: dict[str, Buffer] = {}
        added = {"accumulate": False, "accumulate_gamma": False, "accumulate_beta": False}
        for role, variable in (("gamma", self.gamma), ("beta", self.beta)):
            if variable is not None and low.is_trained(variable):
                gradient = low.parameter_gradient(variable)
                writes[f"d{role}"], added[f"accumulate_{role}"] = gradient
        if low.needs_gradient(x):
            writes["dx"], added["accumulate"] = low.gradient_to_write(x)
        if writes:
            low.emit(kernel, reads, writes, {**attributes, **added})


class BatchNormOp(_Normalization):
    """Normalization of each column by the batch's mean and variance, or by moving ones.

    Parameters
    ----------
    training : whether by the batch's; None: where layers behave as in training. The moving
        statistics follow those of training steps.
    """

    name = "batch_norm"

    def __init__(
        self,
        gamma: Variable | None,
        beta: Variable | None,
        moving_mean: Variable,
        moving_variance: Variable,
        *,
        epsilon: float,
        momentum: float,
        training: bool | None = None,
    ) -> None:
        super().__init__(gamma, beta)
        self.moving_mean = moving_mean
        self.moving_variance = moving_variance
        self.epsilon = epsilon
        self.momentum = momentum
        self.training = training

    def variables(self) -> list[Variable]:
        return [*super().variables(), self.moving_mean, self.moving_variance]

    def _by_batch(self, low: Lowering) -> bool:
        return low.training if self.training is None else self.training

    def forward(self, low: Lowering, node: Node) -> None:
        by_batch = self._by_batch(low)
        moving = {
            "moving_mean": low.parameter(self.moving_mean),
            "moving_variance": low.parameter(self.moving_variance),
        }
        reads = {"x": low.value(node.inputs[0]), **self._parameters(low)}
        writes = {"y": low.value(node.output)}
        if by_batch or low.needs_gradient(node.output):
            columns = writes["y"].cols
            low.saved[node] = low.table("statistics", _core.batch_statistics, columns)
            writes["statistics"] = low.saved[node]
        attributes = {"epsilon": self.epsilon, "activation": "linear", "hyper": []}
        if not by_batch:
            low.emit("batch_norm_inference", {**reads, **moving}, writes, attributes)
            return
        low.emit("batch_norm_forward", reads, writes, attributes)
        if low.learning:
            low.emit(
                "moving_statistics",
                {"statistics": low.saved[node]},
                {"mean": moving["moving_mean"], "variance": moving["moving_variance"]},
                {"momentum": self.momentum},
            )

    def backward(self, low: Lowering, node: Node) -> None:
        fixed = not self._by_batch(low)
        self._emit_backward(low, node, "batch_norm_backward", {"fixed": fixed})


class RowNormOp(_Normalization):
    """Normalization of each row: layer, root mean square or unit."""

    def __init__(
        self,
        norm: RowNorm,
        gamma: Variable | None = None,
        beta: Variable | None = None,
        *,
        epsilon: float = 0.0,
    ) -> None:
        super().__init__(gamma, beta)
        self.norm = norm
        self.name = f"{norm}_norm"
        self.epsilon = epsilon

    def forward(self, low: Lowering, node: Node) -> None:
        x, y = low.value(node.inputs[0]), low.value(node.output)
        statistics = low.rows("statistics", _core.row_statistics, y.rows_per_sample)
        low.saved[node] = statistics
        low.emit(
            "row_norm",
            {"x": x, **self._parameters(low)},
            {"y": y, "statistics": statistics},
            {"norm": self.norm, "epsilon": self.epsilon},
        )

    def backward(self, low: Lowering, node: Node) -> None:
        self._emit_backward(low, node, "row_norm_backward", {"norm": self.norm})
