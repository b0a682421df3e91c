"""Activation functions, for layers (by name or object), on arrays and on symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from onepass import _checks, kernels
from onepass.engine.graph import SymbolicTensor, record
from onepass.engine.ops import ActivationOp, SoftmaxOp

__all__ = ["gelu", "get", "leaky_relu", "linear", "relu", "serialize", "sigmoid", "softmax", "tanh"]

Activation = Callable[[Any], Any]
_SLOPE = _checks.HYPER_RANGES["negative_slope"].default


def _apply(name: str, x: Any, **hyper: Any) -> Any:
    if isinstance(x, SymbolicTensor):
        return x if name == "linear" else record(ActivationOp(name, hyper), [x])
    return kernels.activation_forward(_floats(x), name, **hyper)


def _floats(x: Any) -> Any:
    array = np.asarray(x)
    return array.astype(np.float32) if array.dtype.kind in "iub" else array


def linear(x: Any) -> Any:
    """Return ``x`` unchanged."""
    return _apply("linear", x)


def relu(x: Any) -> Any:
    """Return ``max(x, 0)``; NaN stays NaN, the derivative at 0 is 0."""
    return _apply("relu", x)


def leaky_relu(x: Any, negative_slope: float = _SLOPE) -> Any:
    """Return ``x`` where positive, ``negative_slope * x`` elsewhere (negative_slope >= 0)."""
    if not negative_slope >= 0:
        raise ValueError(f"leaky_relu: negative_slope must be >= 0, got {negative_slope!r}")
    return _apply("leaky_relu", x, negative_slope=negative_slope)


def sigmoid(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))``."""
    return _apply("sigmoid", x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of ``x``."""
    return _apply("tanh", x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Return ``x Phi(x)``, Phi the normal distribution; approximate: Phi by means of tanh."""
    return _apply("gelu_tanh" if approximate else "gelu", x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return ``exp(x) / sum(exp(x))`` over the last dimension.

    Raises
    ------
    ValueError
        If ``axis`` is not the last dimension of a symbolic tensor.
    """
    if isinstance(x, SymbolicTensor):
        if axis not in (-1, x.ndim - 1):
            raise ValueError(f"softmax: axis must be the last one in a model, got {axis}")
        return record(SoftmaxOp(), [x])
    array = _floats(x)
    if axis in (-1, array.ndim - 1):
        return kernels.softmax(array)
    return np.moveaxis(kernels.softmax(np.moveaxis(array, axis, -1)), -1, axis)


_BY_NAME: dict[str, Activation] = {
    function.__name__: function
    for function in (gelu, leaky_relu, linear, relu, sigmoid, softmax, tanh)
}


def get(identifier: str | Activation | None) -> Activation:
    """Return the activation of this name, or the given callable; ``None`` means linear.

    Raises
    ------
    ValueError
        If no activation has this name.
    TypeError
        If ``identifier`` is neither a name nor callable.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise ValueError(f"unknown activation {identifier!r}; known: {sorted(_BY_NAME)}")
        return _BY_NAME[identifier]
    if callable(identifier):
        return identifier
    raise TypeError(
        f"activation must be a name, a callable or None, got {type(identifier).__name__}"
    )


def serialize(activation: Activation) -> str:
    """Return the name under which ``get`` finds an activation."""
    return cast(str, getattr(activation, "__name__", type(activation).__name__))
