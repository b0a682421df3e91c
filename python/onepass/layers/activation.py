"""Activations as layers of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from onepass import _checks, activations
from onepass.layers.layer import Layer


class Activation(Layer):
    """Apply an activation to every element (softmax: to the last dimension).

    Parameters
    ----------
    activation : str or callable
    **kwargs
        See ``Layer``.
    """

    def __init__(self, activation: str | Callable[[Any], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activation": activations.serialize(self.activation),
        }


class ReLU(Layer):
    """``activations.relu`` with all of its arguments.

    Parameters
    ----------
    max_value : float >= 0, optional
        Largest value; default none.
    negative_slope : float >= 0, default 0
        What lies below the threshold counts times this.
    threshold : float >= 0, default 0
        Up to it the value is ``negative_slope * (x - threshold)``.
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If one of the three is not a number or below 0.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _checks.number(max_value, "max_value", 0.0)
        self.negative_slope = _checks.number(negative_slope, "negative_slope", 0.0)
        self.threshold = _checks.number(threshold, "threshold", 0.0)

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(Layer):
    """``x`` where positive, ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    negative_slope : float >= 0, default 0.3
        Also by its old name, ``alpha``, with a warning. (The function's default is 0.2.)
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If the slope is not a number or below 0.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            message = "LeakyReLU: alpha is the old name of negative_slope"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        super().__init__(**kwargs)
        self.negative_slope = _checks.number(negative_slope, "negative_slope", 0.0)

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(Layer):
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Parameters
    ----------
    alpha : float > 0, default 1
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If ``alpha`` is not a number or not above 0.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = _checks.positive(alpha, "alpha")

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` over one dimension, so far the last.

    Parameters
    ----------
    axis : int, default -1
        The last dimension; others are refused when the layer is called.
    **kwargs
        See ``Layer``.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        return activations.softmax(inputs, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
