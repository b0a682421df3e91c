"""Functions on symbolic tensors that operators, ``onepass.ops`` and layers are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any, cast

import numpy as np

from onepass.engine.graph import Shape, SymbolicTensor, is_recording, record
from onepass.engine.ops import (
    ActivationOp,
    CombineOp,
    ConcatenateOp,
    DenseOp,
    FirstAxisSumOp,
    HostOp,
    MatmulOp,
    ReshapeOp,
    SliceOp,
    SumOp,
    TransposeOp,
    WeightOp,
    as_tensor,
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


def operation(name: str, a: Any, b: Any) -> Any:
    """Return an operation: recorded with a tensor, or where weights are, else an array at once."""
    if isinstance(a, SymbolicTensor) or isinstance(b, SymbolicTensor):
        return combine(name, a, b)
    if is_recording() and isinstance(a, Variable):
        return combine(name, as_tensor(a), b)
    if is_recording() and isinstance(b, Variable):
        return combine(name, a, as_tensor(b))
    # Plain numbers take on the weight's type.
    values = [np.asarray(x) if isinstance(x, Variable) else x for x in (a, b)]
    return getattr(np, name)(*values)


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


def truth(x: Any) -> Any:
    """Return 1 for every number but 0."""
    if isinstance(x, SymbolicTensor):
        op = None if x.node is None else x.node.op
        if isinstance(op, CombineOp) and op.name in _COMPARISONS:
            return x
        return combine("not_equal", x, 0.0)
    if isinstance(x, Variable):
        return combine("not_equal", WeightOp(x).tensor(), 0.0)
    return np.asarray(x) != 0


_COMPARISONS = {"less", "less_equal", "equal", "not_equal"}


def both(a: Any, b: Any) -> SymbolicTensor:
    """Return 1 where neither operand is 0."""
    return combine("multiply", truth(a), truth(b))


def either(a: Any, b: Any) -> SymbolicTensor:
    """Return 1 where not both operands are 0."""
    return combine("maximum", truth(a), truth(b))


def where(condition: Any, a: Any, b: Any) -> SymbolicTensor:
    """Return a where the condition is not 0, else b; the other one may be NaN there."""
    if isinstance(condition, Variable):
        condition = WeightOp(condition).tensor()
    if not isinstance(condition, SymbolicTensor):
        tensor = a if isinstance(a, SymbolicTensor) else b
        condition = combine("maximum", zeros_like(tensor), truth(condition))
    return combine("add", combine("keep_where", a, condition), combine("keep_unless", b, condition))


def zeros_like(x: SymbolicTensor) -> SymbolicTensor:
    """Return zeros in the shape of a tensor."""
    return combine("keep_where", x, 0.0)


def elementwise(name: str, x: SymbolicTensor, **hyper: float) -> SymbolicTensor:
    """Record an activation or function of the compiled lists."""
    return record(ActivationOp(name, hyper), [x])


def power(x: Any, exponent: Any) -> Any:
    """Return ``x ** exponent``, as `operation`; squares and roots are functions of their own."""
    x = as_tensor(x)
    if isinstance(exponent, (int, float)) and isinstance(x, SymbolicTensor):
        simple = {2: "square", 0.5: "sqrt", 1: "linear"}.get(exponent)
        if simple is not None:
            return x if simple == "linear" else elementwise(simple, x)
    return operation("power", x, exponent)


def matmul(x: Any, w: Any) -> SymbolicTensor:
    """Return the product of a tensor with a matrix, or of two matrices that no batch is in.

    With a batch the matrix is a weight, a tensor made of weights or, within a ``call``, an array:
    between layers an array may be what was made of a weight, and would not follow it.
    """
    if not (isinstance(x, SymbolicTensor) and x.has_batch):
        x, w = as_tensor(x), as_tensor(w)
        if _is_matrix(x) and _is_matrix(w):
            return _matrix_product(x, w)
    batch = isinstance(x, SymbolicTensor) and x.has_batch
    shape: Shape = getattr(w, "shape", ())
    named = isinstance(w, Variable) or (isinstance(w, SymbolicTensor) and not w.has_batch)
    array = isinstance(w, np.ndarray) and is_recording()
    if not (batch and (named or array) and len(shape) == 2):
        raise TypeError(
            "matmul: in a model only a tensor times a matrix is possible, a weight or what is made "
            f"of weights, or within a layer's call an array; got {_kind(x)} times {_kind(w)}"
        )
    if x.ndim < 2 or x.shape[-1] != shape[0]:
        raise ValueError(f"matmul: shapes {x.shape} and {shape} do not fit together")
    if named and w.dtype != x.dtype:
        raise TypeError(f"matmul: the matrix {w.name!r} is {w.dtype}, the tensor {x.dtype}")
    return _times_matrix(x, w)


def _times_matrix(x: SymbolicTensor, w: Any) -> SymbolicTensor:
    """Record ``x w``; a weight, and a transpose, is read where it lies."""
    units = w.shape[1]
    if isinstance(w, Variable):
        return record(DenseOp(w, None), [x])
    transposed = _made_by(w, TransposeOp) is not None
    if transposed:
        w = w.node.inputs[0]
    weight = _made_by(w, WeightOp)
    if weight is not None:
        return record(MatmulOp(weight.variable, units, transposed), [x])
    if isinstance(w, SymbolicTensor):
        return record(MatmulOp(None, units, transposed), [x, w])
    return record(MatmulOp(_fixed(w, x.dtype, "matmul"), units), [x])


def _made_by(tensor: Any, kind: type[Any]) -> Any:
    """Return the operation that makes a tensor if it is of this kind, else None."""
    node = tensor.node if isinstance(tensor, SymbolicTensor) else None
    return node.op if node is not None and isinstance(node.op, kind) else None


def _is_matrix(value: Any) -> bool:
    return isinstance(value, SymbolicTensor) and value.ndim == 2 and not value.has_batch


def _matrix_product(a: SymbolicTensor, b: SymbolicTensor) -> SymbolicTensor:
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit together")
    shape = (a.shape[0], b.shape[1])
    # For the penalties of weights, once a step: NumPy is fast enough.
    op = HostOp("matmul", np.matmul, lambda x, _, dy: (dy @ x[1].T, x[0].T @ dy), shape)
    return record(op, [a, b])


def transpose(x: SymbolicTensor) -> SymbolicTensor:
    """Return the transpose of a matrix that no batch is in."""
    if not _is_matrix(x):
        raise ValueError(
            "transpose: in a model only a matrix without a batch, a weight or what is made of "
            f"weights, can be transposed, got a tensor of shape {x.shape}"
        )
    return record(TransposeOp(x.shape), [x])


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + ("" if shape is None else f" of shape {shape}")


_summing: ContextVar[bool] = ContextVar("summing", default=False)


@contextmanager
def batch_sums() -> Iterator[None]:
    """Allow sums over the batch meanwhile: in what is one number of a batch."""
    token = _summing.set(True)
    try:
        yield
    finally:
        _summing.reset(token)


def axis_of(axis: int, shape: Shape, owner: str) -> int:
    """Return an axis of a tensor of this shape counted from 0, which is not the batch.

    Raises
    ------
    TypeError, ValueError
        If it is no int, does not exist or is the batch.
    """
    ndim = len(shape)
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{owner}: axis must be an int, got {axis!r}")
    if not -ndim <= axis < ndim:
        raise ValueError(f"{owner}: axis {axis} does not exist, there are {ndim} dimensions")
    if shape[axis] is None:
        raise ValueError(
            f"{owner}: axis {axis} is the batch, whose samples are independent in a model; "
            "name another axis, such as axis=-1"
        )
    return int(axis) % ndim


def total(
    name: str, x: SymbolicTensor, axis: int | Sequence[int] | None, keepdims: bool
) -> SymbolicTensor:
    """Return the sum (or, by ``name``, the mean) over one or several axes.

    Not over the batch, but within ``batch_sums``.
    """
    if axis is None and x.has_batch and not _summing.get():
        raise ValueError(
            f"{name}: axis=None would include the batch, whose samples are independent in a model; "
            "name the axes, such as axis=-1"
        )
    if axis is None:
        axis = tuple(range(x.ndim))
    given = axis if isinstance(axis, (tuple, list)) else [axis]
    # Within `batch_sums` the batch is an axis like others.
    known = tuple(dim or 1 for dim in x.shape) if _summing.get() else x.shape
    axes = sorted({axis_of(cast(int, one), known, name) for one in given}, reverse=True)
    result, first = x, 0 in axes
    for one in [one for one in axes if one]:  # the last first: its sums are of neighbours
        scale = 1.0 if name == "sum" else 1.0 / (x.shape[one] or 1)
        result = record(SumOp(one, scale), [result])
    if first:
        result = _first_axis_total(result, name == "mean")
    kept = [1 if i in axes else dim for i, dim in enumerate(x.shape)]
    if not keepdims:
        kept = [dim for i, dim in enumerate(x.shape) if i not in axes]
    return reshape(result, kept[result.has_batch :])


def _first_axis_total(x: SymbolicTensor, mean: bool) -> SymbolicTensor:
    """Return the sum or mean over the first axis, the others in one."""
    if x.ndim == 1 and not x.has_batch:  # neighbours
        scale = 1.0 / (x.shape[0] or 1) if mean else 1.0
        return record(SumOp(1, scale), [reshape(x, (1, *x.shape))])
    size = prod(dim or 1 for dim in x.shape[1:])
    matrix = reshape(x, (size,) if x.has_batch else (x.shape[0], size))
    return record(FirstAxisSumOp(mean), [matrix])


def reshape(x: SymbolicTensor, sample_shape: Sequence[int | None]) -> SymbolicTensor:
    """Return the same numbers with samples of another shape; one -1 is what remains.

    Without a batch, ``sample_shape`` is all of the shape.

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
        what = f"samples of {x.shape}" if x.has_batch else f"a tensor of shape {x.shape}"
        raise ValueError(f"reshape: {what} cannot take the shape {(*sample_shape,)}")
    if tuple(shape) == x.sample_shape:
        return x
    return record(ReshapeOp(tuple(shape)), [x])


def _rows_from(x: SymbolicTensor, axis: int) -> SymbolicTensor:
    """Return the tensor with this axis and all behind it in one."""
    return reshape(x, (*x.shape[x.has_batch : axis], _size(x.shape[axis:])))


def _size(shape: Shape) -> int:
    return prod(dim or 1 for dim in shape)


def concatenate(tensors: Sequence[SymbolicTensor], axis: int) -> SymbolicTensor:
    """Return tensors one behind the other along an axis that is not the batch.

    Raises
    ------
    ValueError
        If another axis differs.
    """
    first = tensors[0]
    axis = axis_of(axis, first.shape, "concatenate")
    others = {(*tensor.shape[:axis], *tensor.shape[axis + 1 :]) for tensor in tensors}
    if len(others) > 1 or len({tensor.ndim for tensor in tensors}) > 1:
        shown = " and ".join(str(tensor.shape) for tensor in tensors)
        raise ValueError(f"concatenate: shapes {shown} differ in more than axis {axis}")
    if len(tensors) == 1:
        return first
    joined = record(ConcatenateOp(), [_rows_from(tensor, axis) for tensor in tensors])
    total = sum(tensor.shape[axis] or 0 for tensor in tensors)
    return reshape(joined, (*first.shape[first.has_batch : axis], total, *first.shape[axis + 1 :]))


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
    if x.has_batch and not (isinstance(keys[0], slice) and keys[0] == slice(None)):
        raise IndexError(f"the batch of a symbolic tensor cannot be indexed, got {key!r}")
    result, shape, axis = x, [], int(x.has_batch)
    for part in keys[x.has_batch :]:
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
    return reshape(taken, (*x.shape[x.has_batch : axis], count, *x.shape[axis + 1 :]))
