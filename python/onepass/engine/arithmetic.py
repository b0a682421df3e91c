"""Functions on symbolic tensors that operators, ``onepass.ops`` and layers are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from onepass.engine.graph import Shape, SymbolicTensor, record
from onepass.engine.ops import (
    ActivationOp,
    CombineOp,
    ConcatenateOp,
    DenseOp,
    ReshapeOp,
    SliceOp,
    SumOp,
)
from onepass.engine.ops.combine import Fixed
from onepass.engine.storage import Variable


def combine(name: str, a: Any, b: Any) -> SymbolicTensor:
    """Record an operation of two operands: tensors, variables, numbers or arrays.

    Numbers and arrays are copied and converted to the tensors' type.

    Raises
    ------
    TypeError
        If an operand holds no real numbers or a variable is of another type.
    ValueError
        If the shapes cannot be broadcast together.
    """
    tensors = [operand for operand in (a, b) if isinstance(operand, SymbolicTensor)]
    dtype = tensors[0].dtype
    return record(CombineOp(name, (_fixed(a, dtype, name), _fixed(b, dtype, name))), tensors)


def _fixed(operand: Any, dtype: str, name: str) -> Fixed | None:
    if isinstance(operand, SymbolicTensor):
        return None
    if isinstance(operand, Variable):
        if operand.dtype != dtype:
            raise TypeError(
                f"{name}: the variable {operand.name!r} is {operand.dtype}, the tensor {dtype}"
            )
        return operand
    array = np.asarray(operand)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name}: expected a tensor, a weight, a number or an array of real numbers, got "
            f"{type(operand).__name__}"
        )
    return np.array(array, dtype, order="C")


def elementwise(name: str, x: SymbolicTensor, **hyper: float) -> SymbolicTensor:
    """Record an activation or function of the compiled lists."""
    return record(ActivationOp(name, hyper), [x])


def power(x: Any, exponent: Any) -> SymbolicTensor:
    """Return ``x ** exponent``; squares and roots are functions of their own."""
    if isinstance(exponent, (int, float)) and isinstance(x, SymbolicTensor):
        simple = {2: "square", 0.5: "sqrt", 1: "linear"}.get(exponent)
        if simple is not None:
            return x if simple == "linear" else elementwise(simple, x)
    return combine("power", x, exponent)


def matmul(x: Any, w: Any) -> SymbolicTensor:
    """Return the product of a tensor with a weight of two dimensions."""
    if not isinstance(x, SymbolicTensor) or not isinstance(w, Variable) or len(w.shape) != 2:
        raise TypeError(
            "matmul: in a model only a tensor times a weight of two dimensions is possible, got "
            f"{_kind(x)} times {_kind(w)}"
        )
    if x.ndim < 2 or x.shape[-1] != w.shape[0]:
        raise ValueError(f"matmul: shapes {x.shape} and {w.shape} do not fit together")
    if w.dtype != x.dtype:
        raise TypeError(f"matmul: the variable {w.name!r} is {w.dtype}, the tensor {x.dtype}")
    return record(DenseOp(w, None), [x])


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + ("" if shape is None else f" of shape {shape}")


def axis_of(axis: int, ndim: int, owner: str) -> int:
    """Return an axis counted from 0, which is not the batch.

    Raises
    ------
    TypeError, ValueError
        If it is no int, does not exist or is the batch.
    """
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{owner}: axis must be an int, got {axis!r}")
    if not -ndim <= axis < ndim:
        raise ValueError(f"{owner}: axis {axis} does not exist, there are {ndim} dimensions")
    if axis % ndim == 0:
        raise ValueError(
            f"{owner}: axis {axis} is the batch, whose samples are independent in a model; "
            "name another axis, such as axis=-1"
        )
    return int(axis) % ndim


def total(
    name: str, x: SymbolicTensor, axis: int | Sequence[int] | None, keepdims: bool
) -> SymbolicTensor:
    """Return the sum (or, by ``name``, the mean) over one or several axes, not the batch."""
    if axis is None:
        raise ValueError(
            f"{name}: axis=None would include the batch, whose samples are independent in a model; "
            "name the axes, such as axis=-1"
        )
    given = axis if isinstance(axis, (tuple, list)) else [axis]
    axes = sorted({axis_of(cast(int, one), x.ndim, name) for one in given}, reverse=True)
    result = x
    for one in axes:  # the last first: its sums are of neighbours
        scale = 1.0 if name == "sum" else 1.0 / (x.shape[one] or 1)
        result = record(SumOp(one, scale), [result])
    if keepdims:
        return result
    return reshape(result, [dim for i, dim in enumerate(x.shape) if i and i not in axes])


def reshape(x: SymbolicTensor, sample_shape: Sequence[int | None]) -> SymbolicTensor:
    """Return the same numbers with samples of another shape; one -1 is what remains.

    Raises
    ------
    ValueError
        If a sample has another number of elements.
    """
    shape = [-1 if dim is None else int(dim) for dim in sample_shape]
    rest = int(np.prod([dim for dim in shape if dim != -1], dtype=np.int64))
    if shape.count(-1) == 1 and rest and x.sample_size % rest == 0:
        shape[shape.index(-1)] = x.sample_size // rest
    if min(shape, default=1) < 1 or np.prod(shape, dtype=np.int64) != x.sample_size:
        raise ValueError(f"reshape: samples of {x.shape} cannot take the shape {(*sample_shape,)}")
    if tuple(shape) == x.shape[1:]:
        return x
    return record(ReshapeOp(tuple(shape)), [x])


def _rows_from(x: SymbolicTensor, axis: int) -> SymbolicTensor:
    """Return the tensor with this axis and all behind it in one."""
    return reshape(x, (*x.shape[1:axis], _size(x.shape[axis:])))


def _size(shape: Shape) -> int:
    return int(np.prod([dim or 1 for dim in shape], dtype=np.int64))


def concatenate(tensors: Sequence[SymbolicTensor], axis: int) -> SymbolicTensor:
    """Return tensors one behind the other along an axis that is not the batch.

    Raises
    ------
    ValueError
        If another axis differs.
    """
    first = tensors[0]
    axis = axis_of(axis, first.ndim, "concatenate")
    others = {(*tensor.shape[:axis], *tensor.shape[axis + 1 :]) for tensor in tensors}
    if len(others) > 1 or len({tensor.ndim for tensor in tensors}) > 1:
        shown = " and ".join(str(tensor.shape) for tensor in tensors)
        raise ValueError(f"concatenate: shapes {shown} differ in more than axis {axis}")
    if len(tensors) == 1:
        return first
    joined = record(ConcatenateOp(), [_rows_from(tensor, axis) for tensor in tensors])
    total = sum(tensor.shape[axis] or 0 for tensor in tensors)
    return reshape(joined, (*first.shape[1:axis], total, *first.shape[axis + 1 :]))


def item(x: SymbolicTensor, key: Any) -> SymbolicTensor:
    """Return ``x[key]``: whole numbers, slices of step 1 and ``None`` behind the batch.

    Raises
    ------
    TypeError
        If a part of the key is something else.
    IndexError
        If the batch is indexed, or a place does not exist.
    """
    keys = _expanded(key, x.ndim)
    if not (isinstance(keys[0], slice) and keys[0] == slice(None)):
        raise IndexError(f"the batch of a symbolic tensor cannot be indexed, got {key!r}")
    result, shape, axis = x, [], 1
    for part in keys[1:]:
        if part is None:
            shape.append(1)
            continue
        first, count = _band_of(part, x.shape[axis] or 0, axis)
        result = _band(result, axis, first, count)
        if isinstance(part, slice):
            shape.append(count)
        axis += 1
    return reshape(result, shape)


def _expanded(key: Any, ndim: int) -> list[Any]:
    """Return one entry for each axis, and those that are None."""
    keys = list(key) if isinstance(key, tuple) else [key]
    missing = ndim - sum(part is not None and part is not Ellipsis for part in keys)
    if missing < 0:
        raise IndexError(f"too many indices for a tensor of {ndim} dimensions: {key!r}")
    places = [i for i, part in enumerate(keys) if part is Ellipsis]
    at = places[0] if places else len(keys)
    if len(places) > 1:
        raise IndexError(f"an index can hold only one ellipsis, got {key!r}")
    return [*keys[:at], *[slice(None)] * missing, *keys[at + 1 :]]


def _band_of(part: Any, size: int, axis: int) -> tuple[int, int]:
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        if step != 1 or stop <= start:
            raise IndexError(
                f"a symbolic tensor can be sliced in steps of 1, and not to nothing: got {part} "
                f"for axis {axis} of size {size}"
            )
        return start, stop - start
    if isinstance(part, bool) or not isinstance(part, (int, np.integer)):
        raise TypeError(
            "a symbolic tensor can be indexed by whole numbers, slices, None and ..., got "
            f"{type(part).__name__}"
        )
    if not -size <= part < size:
        raise IndexError(f"index {part} does not exist in axis {axis} of size {size}")
    return int(part) % size, 1


def _band(x: SymbolicTensor, axis: int, first: int, count: int) -> SymbolicTensor:
    """Return ``count`` places of an axis, from number ``first`` on."""
    if count == x.shape[axis]:
        return x
    behind = _size(x.shape[axis + 1 :])
    taken = record(SliceOp(first * behind, count * behind), [_rows_from(x, axis)])
    return reshape(taken, (*x.shape[1:axis], count, *x.shape[axis + 1 :]))
