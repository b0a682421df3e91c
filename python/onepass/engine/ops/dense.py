"""Products of a batch with a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onepass import _core
from onepass.engine.graph import Shape
from onepass.engine.ops.combine import Fixed, buffer_of, operand_gradient
from onepass.engine.ops.op import Op
from onepass.engine.storage import Variable

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node, SymbolicTensor
    from onepass.engine.lowering import Lowering


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
        x, y = low.value(node.inputs[0]), low.value(node.output)
        bias = None if self.bias is None else low.parameter(self.bias)
        _emit_product(low, x, low.parameter(self.kernel), y, bias)

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
            _emit_by_transpose(low, dz, low.parameter(self.kernel), dx, accumulate)


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
        w = buffer_of(low, self._source(node))
        if self.transposed:
            _emit_by_transpose(low, x, w, y)
        else:
            _emit_product(low, x, w, y)

    def backward(self, low: Lowering, node: Node) -> None:
        x = node.inputs[0]
        dy, _ = low.gradient(node.output)
        target = operand_gradient(low, self._source(node))
        if target is not None:
            dw, accumulate = target
            rows = low.value(x)
            reads = {"x": dy, "dz": rows} if self.transposed else {"x": rows, "dz": dy}
            low.emit("dense_backward_weights", reads, {"dw": dw}, {"accumulate": accumulate})
        if not low.needs_gradient(x):
            return
        dx, accumulate = low.gradient_to_write(x)
        w = buffer_of(low, self._source(node))
        if not self.transposed:
            _emit_by_transpose(low, dy, w, dx, accumulate)
        elif accumulate:
            part = low.like("part", dx)
            _emit_product(low, dy, w, part)
            low.copy(part, dx, accumulate=True)
        else:
            _emit_product(low, dy, w, dx)

    def _source(self, node: Node) -> SymbolicTensor | Fixed:
        return node.inputs[1] if self.fixed is None else self.fixed


def _emit_product(
    low: Lowering, x: Buffer, w: Buffer, y: Buffer, bias: Buffer | None = None
) -> None:
    reads = {"x": x, "w": w} if bias is None else {"x": x, "w": w, "b": bias}
    writes = {"y": y}
    if _core.half_depth(x.cols):
        writes["partial"] = low.like("partial", y)
    low.emit("dense_forward", reads, writes, {"activation": "linear", "hyper": []})


def _emit_by_transpose(
    low: Lowering, dz: Buffer, w: Buffer, dx: Buffer, accumulate: bool = False
) -> None:
    attributes = {"activation": "linear", "hyper": [], "accumulate": accumulate}
    low.emit("dense_backward_input", {"dz": dz, "w": w}, {"dx": dx}, attributes)
