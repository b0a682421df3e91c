"""The product of a batch with a matrix that no batch is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass import _core
from onepass.engine.graph import Shape
from onepass.engine.ops.combine import Fixed
from onepass.engine.ops.op import Op
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node, SymbolicTensor
    from onepass.engine.lowering import Lowering

_LINEAR = {"activation": "linear", "hyper": []}


class MatmulOp(Op):
    """``y = x w``, or ``x w^T`` where ``transposed``, over the last dimension of ``x``.

    Parameters
    ----------
    fixed : the matrix, if it is a variable or constant array; else it is the second input
    units : columns of ``y``
    transposed : whether the matrix is read as its transpose, as in tied weights
    """

    name = "matmul"

    def __init__(self, fixed: Fixed | None, units: int, transposed: bool = False) -> None:
        self.fixed = fixed
        self.units = units
        self.transposed = transposed

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*shapes[0][:-1], self.units)

    def variables(self) -> list[Variable]:
        return [self.fixed] if isinstance(self.fixed, Variable) else []

    def forward(self, low: Lowering, node: Node) -> None:
        x, y = low.value(node.inputs[0]), low.value(node.output)
        if self.transposed:
            _by_transpose(low, x, self._matrix(low, node), y, accumulate=False)
        else:
            _by_matrix(low, x, self._matrix(low, node), y)

    def backward(self, low: Lowering, node: Node) -> None:
        x = node.inputs[0]
        dy, _ = low.gradient(node.output)
        target = self._matrix_gradient(low, node)
        if target is not None:
            dw, accumulate = target
            rows = low.value(x)
            reads = {"x": dy, "dz": rows} if self.transposed else {"x": rows, "dz": dy}
            low.emit("dense_backward_weights", reads, {"dw": dw}, {"accumulate": accumulate})
        if not low.needs_gradient(x):
            return
        dx, accumulate = low.gradient_to_write(x)
        w = self._matrix(low, node)
        if not self.transposed:
            _by_transpose(low, dy, w, dx, accumulate)
        elif accumulate:
            part = low.like("part", dx)
            _by_matrix(low, dy, w, part)
            low.copy(part, dx, accumulate=True)
        else:
            _by_matrix(low, dy, w, dx)

    def _matrix(self, low: Lowering, node: Node) -> Buffer:
        if self.fixed is None:
            return low.value(node.inputs[1])
        if isinstance(self.fixed, Variable):
            return low.parameter(self.fixed)
        return low.constant(self.fixed)

    def _matrix_gradient(self, low: Lowering, node: Node) -> tuple[Buffer, bool] | None:
        """Return where the matrix's gradient goes and whether it is added; None if unwanted."""
        if self.fixed is None:
            w: SymbolicTensor = node.inputs[1]
            return low.gradient_to_write(w) if low.needs_gradient(w) else None
        if isinstance(self.fixed, Variable) and low.is_trained(self.fixed):
            return low.parameter_gradient(self.fixed)
        return None


def _by_matrix(low: Lowering, x: Buffer, w: Buffer, y: Buffer) -> None:
    writes = {"y": y}
    if _core.half_depth(x.cols):
        writes["partial"] = low.like("partial", y)
    low.emit("dense_forward", {"x": x, "w": w}, writes, dict(_LINEAR))


def _by_transpose(low: Lowering, x: Buffer, w: Buffer, y: Buffer, accumulate: bool) -> None:
    attributes = {**_LINEAR, "accumulate": accumulate}
    low.emit("dense_backward_input", {"dz": x, "w": w}, {"dx": y}, attributes)
