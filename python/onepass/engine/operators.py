"""Python's operators on symbolic tensors, each of which records an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from onepass.engine.graph import SymbolicTensor


class NotRecordedError(TypeError):
    """Raised where Python or NumPy asks a tensor for values that it has not got yet."""


def _call(function: str, *arguments: Any) -> SymbolicTensor:
    from onepass.engine import arithmetic  # which is built on symbolic tensors

    result: SymbolicTensor = getattr(arithmetic, function)(*arguments)
    return result


def _combine(name: str, a: Any, b: Any) -> SymbolicTensor:
    return _call("combine", name, a, b)


class Operators:
    """``+ - * / ** @ < & | ~`` with tensors, weights, numbers and arrays, and indexing."""

    __array_priority__ = 1000  # array + tensor is the tensor's business

    def __add__(self, other: Any) -> SymbolicTensor:
        return _combine("add", self, other)

    def __radd__(self, other: Any) -> SymbolicTensor:
        return _combine("add", other, self)

    def __sub__(self, other: Any) -> SymbolicTensor:
        return _combine("subtract", self, other)

    def __rsub__(self, other: Any) -> SymbolicTensor:
        return _combine("subtract", other, self)

    def __mul__(self, other: Any) -> SymbolicTensor:
        return _combine("multiply", self, other)

    def __rmul__(self, other: Any) -> SymbolicTensor:
        return _combine("multiply", other, self)

    def __truediv__(self, other: Any) -> SymbolicTensor:
        return _combine("divide", self, other)

    def __rtruediv__(self, other: Any) -> SymbolicTensor:
        return _combine("divide", other, self)

    def __pow__(self, other: Any) -> SymbolicTensor:
        return _call("power", self, other)

    def __rpow__(self, other: Any) -> SymbolicTensor:
        return _combine("power", other, self)

    def __matmul__(self, other: Any) -> SymbolicTensor:
        return _call("matmul", self, other)

    def __neg__(self) -> SymbolicTensor:
        return _combine("multiply", self, -1.0)

    def __pos__(self) -> Any:
        return self

    # Comparisons are 1 where they hold, else 0. ``==`` and ``!=`` are Python's own, of objects.

    def __lt__(self, other: Any) -> SymbolicTensor:
        return _combine("less", self, other)

    def __le__(self, other: Any) -> SymbolicTensor:
        return _combine("less_equal", self, other)

    def __gt__(self, other: Any) -> SymbolicTensor:
        return _combine("less", other, self)

    def __ge__(self, other: Any) -> SymbolicTensor:
        return _combine("less_equal", other, self)

    def __and__(self, other: Any) -> SymbolicTensor:
        return _call("both", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> SymbolicTensor:
        return _call("either", self, other)

    __ror__ = __or__

    def __invert__(self) -> SymbolicTensor:
        return _combine("equal", self, 0.0)

    def __abs__(self) -> SymbolicTensor:
        return _call("elementwise", "absolute", self)

    def __getitem__(self, key: Any) -> SymbolicTensor:
        return _call("item", self, key)

    # Without these Python would index until an IndexError.

    def __iter__(self) -> NoReturn:
        raise TypeError("a symbolic tensor cannot be iterated over: its batch has no size yet")

    def __len__(self) -> NoReturn:
        raise TypeError("a symbolic tensor has no length: its batch has no size yet")
