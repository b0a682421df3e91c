"""Functions on symbolic tensors and arrays, with Keras's names, for layers, losses and lambdas.

On symbolic tensors they are recorded with their gradients; on arrays they return arrays at once,
float32 where whole numbers are given. The samples of a batch are independent in a model: no
function sums up, joins or indexes its first axis. The weight that a regularizer is given has no
batch, and all of its axes are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onepass import activations, kernels
from onepass._comparisons import (
    any_symbolic,
    cast,
    equal,
    floats,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
    ones_like,
    recorded,
    where,
    zeros_like,
)
from onepass.activations import (
    celu,
    elu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    relu,
    relu6,
    selu,
    sigmoid,
    sign,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    squareplus,
    swish,
    tanh,
    tanh_shrink,
)
from onepass.engine import arithmetic
from onepass.engine.graph import SymbolicTensor
from onepass.engine.ops.weight import as_tensor

__all__ = [
    "abs",
    "absolute",
    "add",
    "cast",
    "celu",
    "clip",
    "concatenate",
    "divide",
    "elu",
    "equal",
    "exp",
    "expand_dims",
    "expm1",
    "gelu",
    "greater",
    "greater_equal",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log_sigmoid",
    "logical_and",
    "logical_not",
    "logical_or",
    "matmul",
    "maximum",
    "mean",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "ones_like",
    "power",
    "reciprocal",
    "relu",
    "relu6",
    "reshape",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sqrt",
    "square",
    "squareplus",
    "squeeze",
    "subtract",
    "sum",
    "swish",
    "tanh",
    "tanh_shrink",
    "transpose",
    "true_divide",
    "where",
    "zeros_like",
]


def _combine(name: str, x1: Any, x2: Any) -> Any:
    x1, x2 = recorded(x1, x2)
    if any_symbolic(x1, x2):
        return arithmetic.combine(name, x1, x2)
    a, b = np.broadcast_arrays(*floats(x1, x2))
    return kernels.combine(a, b, name)[()]


def _elementwise(name: str, x: Any) -> Any:
    x = as_tensor(x)
    if isinstance(x, SymbolicTensor):
        return arithmetic.elementwise(name, x)
    return kernels.activation_forward(floats(x)[0], name)


def add(x1: Any, x2: Any) -> Any:
    """Return ``x1 + x2``."""
    return _combine("add", x1, x2)


def subtract(x1: Any, x2: Any) -> Any:
    """Return ``x1 - x2``."""
    return _combine("subtract", x1, x2)


def multiply(x1: Any, x2: Any) -> Any:
    """Return ``x1 * x2``."""
    return _combine("multiply", x1, x2)


def divide(x1: Any, x2: Any) -> Any:
    """Return ``x1 / x2``."""
    return _combine("divide", x1, x2)


true_divide = divide


def maximum(x1: Any, x2: Any) -> Any:
    """Return the larger of each two; where they are equal each has half of the slope."""
    return _combine("maximum", x1, x2)


def minimum(x1: Any, x2: Any) -> Any:
    """Return the smaller of each two; where they are equal each has half of the slope."""
    return _combine("minimum", x1, x2)


def power(x1: Any, x2: Any) -> Any:
    """Return ``x1 ** x2``; NaN for fractional powers of negative numbers."""
    x1, x2 = recorded(x1, x2)
    if isinstance(x1, SymbolicTensor):
        return arithmetic.power(x1, x2)
    return _combine("power", x1, x2)


def negative(x: Any) -> Any:
    """Return ``-x``."""
    return _combine("multiply", x, -1.0)


def reciprocal(x: Any) -> Any:
    """Return ``1 / x``."""
    return _combine("divide", 1.0, x)


def absolute(x: Any) -> Any:
    """Return ``x`` without its sign; the slope at 0 is 0."""
    return _elementwise("absolute", x)


def abs(x: Any) -> Any:
    """Return ``absolute(x)``."""
    return absolute(x)


def square(x: Any) -> Any:
    """Return ``x ** 2``."""
    return _elementwise("square", x)


def sqrt(x: Any) -> Any:
    """Return the square root, NaN below 0; its slope at 0 is infinite."""
    return _elementwise("sqrt", x)


def exp(x: Any) -> Any:
    """Return ``e ** x``."""
    return _elementwise("exponential", x)


def expm1(x: Any) -> Any:
    """Return ``e ** x - 1``, exact near 0."""
    return _elementwise("expm1", x)


def log(x: Any) -> Any:
    """Return the natural logarithm: minus infinity at 0, NaN below."""
    return _elementwise("log", x)


def log1p(x: Any) -> Any:
    """Return ``log(1 + x)``, exact near 0."""
    return _elementwise("log1p", x)


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """Return ``minimum(maximum(x, x_min), x_max)``."""
    return minimum(maximum(x, x_min), x_max)


def gelu(x: Any, approximate: bool = True) -> Any:
    """Return ``activations.gelu``, by means of tanh unless told otherwise."""
    return activations.gelu(x, approximate)


def sum(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Any:
    """Return the sum over one or several axes.

    Parameters
    ----------
    x : array or symbolic tensor
    axis : int or sequence of int, optional
        None, all axes, is possible for arrays and weights; the batch of a tensor is refused.
    keepdims : bool
        Whether the axes stay, with size 1.

    Raises
    ------
    ValueError
        If an axis does not exist or is the batch.
    """
    return _total("sum", x, axis, keepdims)


def mean(x: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Any:
    """Return the mean over one or several axes; see `sum`."""
    return _total("mean", x, axis, keepdims)


def _total(name: str, x: Any, axis: int | Sequence[int] | None, keepdims: bool) -> Any:
    x = as_tensor(x)
    if isinstance(x, SymbolicTensor):
        return arithmetic.total(name, x, axis, keepdims)
    (array,) = floats(x)
    axes = range(array.ndim) if axis is None else axis
    places = np.lib.array_utils.normalize_axis_tuple(axes, array.ndim)
    kept = [i for i in range(array.ndim) if i not in places]
    shape = tuple(array.shape[i] for i in kept)
    rows = np.transpose(array, [*kept, *places]).reshape(*shape, -1)
    scale = 1.0 if name == "sum" else 1.0 / max(1, rows.shape[-1])
    result = kernels.scaled_sum(rows, scale, shape=(*shape, 1))[..., 0]
    return np.expand_dims(result, places) if keepdims else result[()]


def concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    """Return tensors one behind the other along an axis, for symbolic ones not the batch."""
    xs = list(map(as_tensor, xs))
    if not any_symbolic(*xs):
        return np.concatenate([np.asarray(x) for x in xs], axis)
    for x in xs:
        if not isinstance(x, SymbolicTensor):
            raise TypeError(
                f"concatenate: {type(x).__name__} among symbolic tensors; only tensors have a batch"
            )
    return arithmetic.concatenate(list(xs), axis)


def reshape(x: Any, newshape: Sequence[int | None]) -> Any:
    """Return the same numbers under another shape.

    Of a symbolic tensor the first dimension is the batch, -1 (or None); one of the others may be -1
    too and is what remains.
    """
    x = as_tensor(x)
    if not isinstance(x, SymbolicTensor):
        return np.reshape(np.asarray(x), [-1 if dim is None else dim for dim in newshape])
    if not x.has_batch:
        return arithmetic.reshape(x, newshape)
    if not newshape or newshape[0] not in (-1, None):
        raise ValueError(
            f"reshape: the first dimension of a symbolic tensor is the batch, -1; got {newshape}"
        )
    return arithmetic.reshape(x, newshape[1:])


def expand_dims(x: Any, axis: int) -> Any:
    """Return the tensor with a new axis of size 1."""
    x = as_tensor(x)
    if not isinstance(x, SymbolicTensor):
        return np.expand_dims(np.asarray(x), axis)
    at = arithmetic.axis_of(axis, (*x.shape, 1), "expand_dims")
    return arithmetic.reshape(x, (*x.shape[x.has_batch : at], 1, *x.shape[at:]))


def squeeze(x: Any, axis: int | None = None) -> Any:
    """Return the tensor without an axis of size 1, or without all of them."""
    x = as_tensor(x)
    if not isinstance(x, SymbolicTensor):
        return np.squeeze(np.asarray(x), axis)
    if axis is None:
        return arithmetic.reshape(x, [dim for dim in x.sample_shape if dim != 1])
    at = arithmetic.axis_of(axis, x.shape, "squeeze")
    if x.shape[at] != 1:
        raise ValueError(f"squeeze: axis {axis} of a tensor of shape {x.shape} is not 1")
    return arithmetic.reshape(x, (*x.shape[x.has_batch : at], *x.shape[at + 1 :]))


def matmul(x1: Any, x2: Any) -> Any:
    """Return the matrix product; of a symbolic tensor with a weight, an array or what weights make.

    Such a matrix has two dimensions. ``matmul(x, transpose(w))`` reads ``w`` where it lies: so
    layers share a weight both ways (tied weights).
    """
    x1, x2 = recorded(x1, x2)
    if any_symbolic(x1, x2):
        return arithmetic.matmul(x1, x2)
    return np.matmul(*floats(x1, x2))


def transpose(x: Any) -> Any:
    """Return the array with its axes in reverse order; of symbolic tensors only weights can be."""
    x = as_tensor(x)
    return arithmetic.transpose(x) if isinstance(x, SymbolicTensor) else np.transpose(x)
