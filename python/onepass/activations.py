"""Activation functions, for layers (by name or object), on arrays and on symbolic tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from onepass import _checks, _lookup, kernels
from onepass.engine.graph import SymbolicTensor, record
from onepass.engine.ops import ActivationOp, GluOp, RowOp
from onepass.engine.ops.weight import as_tensor

__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "heaviside",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "sign",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]

Activation = Callable[[Any], Any]
_DEFAULT = {name: span.default for name, span in _checks.HYPER_RANGES.items()}


def _apply(name: str, x: Any, **hyper: Any) -> Any:
    x = as_tensor(x)
    if isinstance(x, SymbolicTensor):
        if name == "linear":
            return x
        entry, numbers = _checks.activation_of(name, hyper)
        return record(ActivationOp(name, dict(zip(entry.hyper, numbers, strict=True))), [x])
    return kernels.activation_forward(_floats(x), name, **hyper)


def _floats(x: Any) -> Any:
    array = np.asarray(x)
    return array.astype(np.float32) if array.dtype.kind in "iub" else array


def linear(x: Any) -> Any:
    """Return ``x`` unchanged."""
    return _apply("linear", x)


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """Return ``max(x, 0)``; NaN stays NaN, the derivative at 0 is 0.

    Parameters
    ----------
    x : array or symbolic tensor
    negative_slope : float >= 0, default 0
        What lies below the threshold counts times this.
    max_value : float, optional
        Largest value.
    threshold : float, default 0
        With all three, the value is ``min(x, max_value)`` above the threshold and
        ``negative_slope * (x - threshold)`` up to it.
    """
    if max_value is None and threshold == 0:
        if negative_slope == 0:
            return _apply("relu", x)
        return _apply("leaky_relu", x, negative_slope=negative_slope)
    limit = math.inf if max_value is None else max_value
    numbers = {"negative_slope": negative_slope, "max_value": limit, "threshold": threshold}
    return _apply("relu_general", x, **numbers)


def relu6(x: Any) -> Any:
    """Return ``min(max(x, 0), 6)``."""
    return _apply("relu6", x)


def leaky_relu(x: Any, negative_slope: float = _DEFAULT["negative_slope"]) -> Any:
    """Return ``x`` where positive, ``negative_slope * x`` elsewhere (negative_slope >= 0)."""
    return _apply("leaky_relu", x, negative_slope=negative_slope)


def elu(x: Any, alpha: float = _DEFAULT["alpha"]) -> Any:
    """Return ``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere (alpha > 0)."""
    return _apply("elu", x, alpha=alpha)


def selu(x: Any) -> Any:
    """Return ``1.0507 * elu(x, 1.67326)``, which keeps mean 0 and variance 1."""
    return _apply("selu", x)


def celu(x: Any, alpha: float = _DEFAULT["alpha"]) -> Any:
    """Return ``x`` where positive, ``alpha * (exp(x / alpha) - 1)`` elsewhere (alpha > 0)."""
    return _apply("celu", x, alpha=alpha)


def silu(x: Any) -> Any:
    """Return ``x * sigmoid(x)``, also known as swish."""
    return _apply("silu", x)


def hard_silu(x: Any) -> Any:
    """Return ``x * hard_sigmoid(x)``, also known as hard_swish."""
    return _apply("hard_silu", x)


swish = silu
hard_swish = hard_silu


def mish(x: Any) -> Any:
    """Return ``x * tanh(softplus(x))``."""
    return _apply("mish", x)


def softplus(x: Any) -> Any:
    """Return ``log(1 + exp(x))``."""
    return _apply("softplus", x)


def squareplus(x: Any, b: float = _DEFAULT["smoothness"]) -> Any:
    """Return ``(x + sqrt(x ** 2 + b)) / 2`` (b >= 0)."""
    return _apply("squareplus", x, smoothness=_checks.number(b, "b", 0.0))


def softsign(x: Any) -> Any:
    """Return ``x / (1 + abs(x))``."""
    return _apply("softsign", x)


def exponential(x: Any) -> Any:
    """Return ``exp(x)``."""
    return _apply("exponential", x)


def hard_shrink(x: Any, threshold: float = _DEFAULT["threshold"]) -> Any:
    """Return ``x`` where ``abs(x) > threshold``, 0 elsewhere."""
    return _apply("hard_shrink", x, threshold=threshold)


def soft_shrink(x: Any, threshold: float = _DEFAULT["threshold"]) -> Any:
    """Return ``sign(x) * max(abs(x) - threshold, 0)``."""
    return _apply("soft_shrink", x, threshold=threshold)


def tanh_shrink(x: Any) -> Any:
    """Return ``x - tanh(x)``."""
    return _apply("tanh_shrink", x)


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """Return ``x`` where ``x > threshold``, ``default_value`` elsewhere."""
    return _apply("threshold", x, threshold=threshold, default_value=default_value)


def sparse_plus(x: Any) -> Any:
    """Return 0 up to -1, ``(x + 1) ** 2 / 4`` up to 1 and ``x`` from there on."""
    return _apply("sparse_plus", x)


def sparse_sigmoid(x: Any) -> Any:
    """Return 0 up to -1, ``(x + 1) / 2`` up to 1 and 1 from there on."""
    return _apply("sparse_sigmoid", x)


def hard_sigmoid(x: Any) -> Any:
    """Return 0 up to -3, ``x / 6 + 1 / 2`` up to 3 and 1 from there on."""
    return _apply("hard_sigmoid", x)


def hard_tanh(x: Any) -> Any:
    """Return ``min(max(x, -1), 1)``."""
    return _apply("hard_tanh", x)


def log_sigmoid(x: Any) -> Any:
    """Return ``log(sigmoid(x))``."""
    return _apply("log_sigmoid", x)


def heaviside(x: Any) -> Any:
    """Return 0 below 0 and 1 from 0 on; the derivative is 0, so nothing before it is trained."""
    return _apply("heaviside", x)


def sign(x: Any) -> Any:
    """Return -1, 0 or 1; the derivative is 0, so nothing before it is trained."""
    return _apply("sign", x)


def sigmoid(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))``."""
    return _apply("sigmoid", x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of ``x``."""
    return _apply("tanh", x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Return ``x Phi(x)``, Phi the normal distribution; approximate: Phi by means of tanh."""
    return _apply("gelu_tanh" if approximate else "gelu", x)


def _over_axis(name: str, x: Any, axis: int, record_last: Callable[[Any], Any]) -> Any:
    """Apply a function of the last dimension along any axis of an array."""
    x = as_tensor(x)
    if isinstance(x, SymbolicTensor):
        if axis not in (-1, x.ndim - 1):
            raise ValueError(f"{name}: axis must be the last one in a model, got {axis}")
        return record_last(x)
    array = _floats(x)
    kernel = getattr(kernels, name)
    if axis in (-1, array.ndim - 1):
        return kernel(array)
    return np.moveaxis(kernel(np.moveaxis(array, axis, -1)), -1, axis)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return ``exp(x) / sum(exp(x))`` over the last dimension.

    Raises
    ------
    ValueError
        If ``axis`` is not the last dimension of a symbolic tensor.
    """
    return _over_axis("softmax", x, axis, lambda x: record(RowOp("softmax"), [x]))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return ``x - log(sum(exp(x)))`` over the last dimension, the logarithm of `softmax`.

    Raises
    ------
    ValueError
        If ``axis`` is not the last dimension of a symbolic tensor.
    """
    return _over_axis("log_softmax", x, axis, lambda x: record(RowOp("log_softmax"), [x]))


def sparsemax(x: Any, axis: int = -1) -> Any:
    """Return ``max(x - t, 0)`` over the last dimension, with the t for which it sums to 1.

    Martins and Astudillo, From Softmax to Sparsemax, 2016.

    Raises
    ------
    ValueError
        If ``axis`` is not the last dimension of a symbolic tensor.
    """
    return _over_axis("sparsemax", x, axis, lambda x: record(RowOp("sparsemax"), [x]))


def glu(x: Any, axis: int = -1) -> Any:
    """Return the first half of the last dimension times the sigmoid of the second.

    Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017.

    Raises
    ------
    ValueError
        If ``axis`` is not the last dimension of a symbolic tensor, or has no halves.
    """
    if isinstance(x, SymbolicTensor) and (x.shape[-1] or 0) % 2:
        raise ValueError(f"glu: the last dimension must be even, got shape {x.shape}")
    return _over_axis("glu", x, axis, lambda x: record(GluOp(), [x]))


_NOT_ACTIVATIONS = ("get", "serialize")
_BY_NAME: dict[str, Activation] = {
    name: globals()[name] for name in __all__ if name not in _NOT_ACTIVATIONS
}


def get(identifier: str | Mapping[str, Any] | Activation | None) -> Activation:
    """Return the activation of this name, or the given callable; ``None`` means linear.

    A layer serves as an activation, too; ``{"class_name": ..., "config": ...}`` is one.

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
            raise _lookup.unknown("activation", identifier, _BY_NAME)
        return _BY_NAME[identifier]
    if isinstance(identifier, Mapping):
        return _layer_from(identifier)
    if callable(identifier):
        return identifier
    raise TypeError(
        f"activation must be a name, a callable or None, got {type(identifier).__name__}"
    )


def _layer_from(config: Mapping[str, Any]) -> Activation:
    from onepass import layers  # which are built on activations

    name = config.get("class_name")
    cls = getattr(layers, name, None) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"activation: no layer has the class_name {name!r}")
    return cast(Activation, cls.from_config(config.get("config", {})))


def serialize(activation: Activation) -> str | dict[str, Any]:
    """Return what ``get`` makes this activation from: a name, or a layer's configuration."""
    if hasattr(activation, "get_config"):
        return {"class_name": type(activation).__name__, "config": activation.get_config()}
    return cast(str, getattr(activation, "__name__", type(activation).__name__))
