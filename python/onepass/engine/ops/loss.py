"""Losses of the compiled list as operations, for losses that are made of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onepass.engine.graph import Shape
from onepass.engine.ops.op import Op

if TYPE_CHECKING:
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering


class LossOp(Op):
    """One number for each row of targets and predictions; targets have no gradient.

    Parameters
    ----------
    formula : name in the compiled list
    hyper : its hyper-parameters in order
    """

    def __init__(self, formula: str, hyper: Sequence[float]) -> None:
        self.name = formula
        self.hyper = list(hyper)

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        target, prediction = shapes
        if target != prediction or len(target) < 2 or target[0] is not None:
            raise ValueError(
                f"{self.name}: y_true and y_pred must be batches of rows of one shape, got "
                f"{target} and {prediction}"
            )
        return (*prediction[:-1], 1)

    def _attributes(self) -> dict[str, Any]:
        return {"loss": self.name, "hyper": self.hyper, "mean": False, "factor": 1.0}

    def forward(self, low: Lowering, node: Node) -> None:
        target, prediction = map(low.value, node.inputs)
        reads = {"target": target, "prediction": prediction}
        low.emit("loss", reads, {"values": low.value(node.output)}, self._attributes())

    def backward(self, low: Lowering, node: Node) -> None:
        target, prediction = node.inputs
        if low.needs_gradient(target):
            raise ValueError(
                f"{self.name}: y_true depends on weights, but only y_pred has a gradient here"
            )
        # The rows' weights in the gradient of a sum are what each row counts for.
        reads = {"target": low.value(target), "prediction": low.value(prediction)}
        reads["weights"] = low.gradient(node.output)[0]
        gradient, accumulate = low.gradient_to_write(prediction)
        own = low.like("d_loss", gradient) if accumulate else gradient  # the kernel does not add
        low.emit("loss", reads, {"gradient": own}, self._attributes())
        if accumulate:
            low.add(own, gradient)
