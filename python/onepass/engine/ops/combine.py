"""Arithmetic of two operands, of which one at least is a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onepass._broadcast import misfit, repeat_of, result_shape
from onepass._formulas import BINARY
from onepass.engine.graph import Shape, SymbolicTensor
from onepass.engine.ops.op import Op
from onepass.engine.storage import Floats, Variable

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.graph import Node
    from onepass.engine.lowering import Lowering

Fixed = Variable | Floats  # an operand that does not come from the batch


class CombineOp(Op):
    """``a + b`` and the like, broadcast as in NumPy.

    Parameters
    ----------
    name : an operation of the compiled list
    fixed : for each operand a variable or constant array; None where it is a tensor
    """

    def __init__(self, name: str, fixed: tuple[Fixed | None, Fixed | None]) -> None:
        self.name = name
        self.fixed = fixed
        self.needs_operands = BINARY[name].needs_operands

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        given: list[Shape] = self._with_fixed(shapes, [getattr(f, "shape", ()) for f in self.fixed])
        names = [_name_of(fixed) for fixed in self.fixed]
        shape = result_shape(given, names, self.name)
        # Its batch would meet another axis.
        short = any(None in own and len(own) < len(shape) for own in shapes)
        if short or None in shape[1:]:
            raise misfit(given, names, self.name)
        for own, name in zip(given, names, strict=True):
            repeat_of(own, shape, name, self.name)
        return shape

    def variables(self) -> list[Variable]:
        return [fixed for fixed in self.fixed if isinstance(fixed, Variable)]

    def forward(self, low: Lowering, node: Node) -> None:
        writes = {"y": low.value(node.output)}
        low.emit("combine", self._operands(low, node), writes, self._attributes(node))

    def backward(self, low: Lowering, node: Node) -> None:
        reads = {"dy": low.gradient(node.output)[0]}
        if self.needs_operands:
            reads |= self._operands(low, node)
        attributes = self._attributes(node)
        for side, source in enumerate(self._sources(node)):
            target = operand_gradient(low, source)
            if target is not None:
                dx, accumulate = target
                own = {
                    "dx_repeat": attributes["b_repeat" if side else "a_repeat"],
                    "of_second": side == 1,
                    "accumulate": accumulate,
                }
                low.emit("combine_backward", reads, {"dx": dx}, {**attributes, **own})

    def _with_fixed(self, of_tensors: Sequence[Any], of_fixed: Sequence[Any]) -> list[Any]:
        """Return what belongs to the operands, in their order."""
        tensors = iter(of_tensors)
        return [
            next(tensors) if fixed is None else own
            for fixed, own in zip(self.fixed, of_fixed, strict=True)
        ]

    def _sources(self, node: Node) -> list[SymbolicTensor | Fixed]:
        return self._with_fixed(node.inputs, self.fixed)

    def _operands(self, low: Lowering, node: Node) -> dict[str, Buffer]:
        a, b = (buffer_of(low, source) for source in self._sources(node))
        return {"a": a, "b": b}

    def _attributes(self, node: Node) -> dict[str, Any]:
        a, b = (
            repeat_of(tuple(source.shape), node.output.shape, "", self.name)
            for source in self._sources(node)
        )
        return {"op": self.name, "a_repeat": a, "b_repeat": b}


def _name_of(fixed: Fixed | None) -> str:
    if fixed is None:
        return "a tensor"
    return f"the variable {fixed.name!r}" if isinstance(fixed, Variable) else "an array"


def buffer_of(low: Lowering, source: SymbolicTensor | Fixed) -> Buffer:
    """Return the buffer of an operand's values."""
    if isinstance(source, SymbolicTensor):
        return low.value(source)
    return low.parameter(source) if isinstance(source, Variable) else low.constant(source)


def operand_gradient(low: Lowering, source: SymbolicTensor | Fixed) -> tuple[Buffer, bool] | None:
    """Return where an operand's gradient goes and whether it is added; None if nobody wants it."""
    if isinstance(source, SymbolicTensor):
        return low.gradient_to_write(source) if low.needs_gradient(source) else None
    if isinstance(source, Variable) and low.is_trained(source):
        return low.parameter_gradient(source)
    return None
