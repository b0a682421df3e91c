"""Python's operators on symbolic tensors, each of which records an operation."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Number
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from onepass.engine.graph import SymbolicTensor


class NotRecordedError(TypeError):
    """Raised where Python or NumPy asks a tensor for values that it has not got yet."""


def _call(function: str, *arguments: Any) -> SymbolicTensor:
    from onepass.engine import arithmetic  # which is built on symbolic tensors

    result: SymbolicTensor = getattr(arithmetic, function)(*arguments)
    return result


def _operation(name: str, a: Any, b: Any) -> Any:
    return _call("operation", name, a, b)


def _is_numeric(value: object) -> bool:
    return isinstance(value, (Operators, Number, np.ndarray, np.generic, list, tuple))


class Operators:
    """What tensors and weights have in common: ``+ - * / **`` and comparisons.

    These are 1 where they hold, else 0.
    """

    __array_priority__ = 1000  # array + tensor is the tensor's business, and a weight's

    def __add__(self, other: Any) -> Any:
        return _operation("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return _operation("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return _operation("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _operation("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return _operation("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _operation("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return _operation("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _operation("divide", other, self)

    def __pow__(self, other: Any) -> Any:
        return _call("power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return _call("power", other, self)

    def __neg__(self) -> Any:
        return _operation("multiply", self, -1.0)

    def __lt__(self, other: Any) -> Any:
        return _operation("less", self, other)

    def __le__(self, other: Any) -> Any:
        return _operation("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return _operation("less", other, self)

    def __ge__(self, other: Any) -> Any:
        return _operation("less_equal", other, self)


class TensorOperators(Operators):
    """With these all of ``+ - * / ** @ < == & | ~``, and indexing, each of which is recorded."""

    def __matmul__(self, other: Any) -> SymbolicTensor:
        return _call("matmul", self, other)

    def __pos__(self) -> Any:
        return self

    # What is no number equals no tensor.

    def __eq__(self, other: object) -> Any:
        return _operation("equal", self, other) if _is_numeric(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return _operation("not_equal", self, other) if _is_numeric(other) else NotImplemented

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> SymbolicTensor:
        return _call("both", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> SymbolicTensor:
        return _call("either", self, other)

    __ror__ = __or__

    def __invert__(self) -> Any:
        return _operation("equal", self, 0.0)

    def __abs__(self) -> SymbolicTensor:
        return _call("elementwise", "absolute", self)

    def __getitem__(self, key: Any) -> SymbolicTensor:
        return _call("item", self, key)

    # Without these Python would index until an IndexError.

    def __iter__(self) -> NoReturn:
        raise TypeError("a symbolic tensor cannot be iterated over: its batch has no size yet")

    def __len__(self) -> NoReturn:
        raise TypeError("a symbolic tensor has no length: its batch has no size yet")


class WeightOperators(Operators):
    """The same for weights: recorded while a model is, else arrays at once.

    Two weights are equal if they are the same one.
    """

    def __pos__(self) -> Any:
        return _operation("multiply", self, 1.0)

    def __abs__(self) -> Any:
        tensor = _as_tensor(self)
        return abs(np.asarray(self) if tensor is self else tensor)

    def __matmul__(self, other: Any) -> Any:
        tensor = _as_tensor(self)
        return np.asarray(self) @ np.asarray(other) if tensor is self else tensor @ other

    def __rmatmul__(self, other: Any) -> Any:
        tensor = _as_tensor(self)
        if tensor is self:
            return np.asarray(other) @ np.asarray(self)
        return _call("matmul", other, tensor)

    def __getitem__(self, key: Any) -> Any:
        tensor = _as_tensor(self)
        return np.asarray(self)[key] if tensor is self else tensor[key]

    def __bool__(self) -> bool:
        return True  # there is a weight, as in `if self.bias`

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        shape: tuple[int, ...] = getattr(self, "shape")  # noqa: B009
        if not shape:
            raise TypeError("a weight without dimensions has no length")
        return shape[0]

    def __eq__(self, other: object) -> Any:
        numbers = _is_numeric(other) and not isinstance(other, WeightOperators)
        return _operation("equal", self, other) if numbers else NotImplemented

    def __ne__(self, other: object) -> Any:
        numbers = _is_numeric(other) and not isinstance(other, WeightOperators)
        return _operation("not_equal", self, other) if numbers else NotImplemented

    __hash__ = object.__hash__


def _as_tensor(weight: Any) -> Any:
    from onepass.engine.ops.weight import as_tensor  # which is built on symbolic tensors

    return as_tensor(weight)
