"""Arithmetic with broadcasting, its gradients, sums, rows of a table and the functions of ops."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation

Array = NDArray[np.float64]


def _half_where_equal(above: Array, equal: Array) -> Array:
    return np.where(equal, 0.5, np.where(above, 1.0, 0.0))


def _slopes_of_power(a: Array, b: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        of_a = np.where(b == 0, 0.0, b * np.power(a, b - 1))
        of_b = np.where(a == 0, 0.0, np.power(a, b) * np.log(a))
    return of_a, of_b


def _flat(a: Array, b: Array) -> tuple[Array, Array]:
    return np.zeros_like(a), np.zeros_like(b)


VALUES: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "prelu": lambda a, b: np.where(a > 0, a, a * b),
    "less": lambda a, b: (a < b).astype(float),
    "less_equal": lambda a, b: (a <= b).astype(float),
    "equal": lambda a, b: (a == b).astype(float),
    "not_equal": lambda a, b: (a != b).astype(float),
    "keep_where": lambda a, b: np.where(b != 0, a, 0.0),
    "keep_unless": lambda a, b: np.where(b != 0, 0.0, a),
}
SLOPES: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "add": lambda a, b: (np.ones_like(a), np.ones_like(b)),
    "subtract": lambda a, b: (np.ones_like(a), -np.ones_like(b)),
    "multiply": lambda a, b: (b, a),
    "divide": lambda a, b: (1 / b, -a / b / b),
    "maximum": lambda a, b: (_half_where_equal(a > b, a == b), _half_where_equal(b > a, a == b)),
    "minimum": lambda a, b: (_half_where_equal(a < b, a == b), _half_where_equal(b < a, a == b)),
    "power": _slopes_of_power,
    "prelu": lambda a, b: (np.where(a > 0, 1.0, b), np.where(a > 0, 0.0, a)),
    **dict.fromkeys(("less", "less_equal", "equal", "not_equal"), _flat),
    "keep_where": lambda a, b: ((b != 0).astype(float), np.zeros_like(b)),
    "keep_unless": lambda a, b: ((b == 0).astype(float), np.zeros_like(b)),
}


def summed_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum over whatever an array of this shape would be broadcast over."""
    result = x.sum(axis=tuple(range(x.ndim - len(shape))))
    axes = tuple(i for i, dim in enumerate(shape) if dim == 1 and result.shape[i] != 1)
    return result.sum(axis=axes, keepdims=True)


def combine_backward(a: Array, b: Array, dy: Array, op: str) -> tuple[Array, Array]:
    wide_a, wide_b = np.broadcast_arrays(a, b)
    of_a, of_b = SLOPES[op](wide_a, wide_b)
    return summed_to(dy * of_a, a.shape), summed_to(dy * of_b, b.shape)


def embedding_backward(index: NDArray[np.integer], dy: Array, rows: int) -> Array:
    dtable = np.zeros((rows, dy.shape[-1]))
    np.add.at(dtable, index, dy)
    return dtable


# Elementwise functions that are no activations, with the interval in which they are defined.
FUNCTIONS = {
    "absolute": Activation(np.abs, np.sign),
    "square": Activation(np.square, lambda x: 2 * x),
    "sqrt": Activation(np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "log": Activation(np.log, lambda x: 1 / x),
    "log1p": Activation(np.log1p, lambda x: 1 / (1 + x)),
    "expm1": Activation(np.expm1, np.exp),
}
DEFINED_FROM = {"sqrt": 0.0, "log": 0.0, "log1p": -1.0}
