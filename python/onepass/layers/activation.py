"""An activation as a layer of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onepass import activations
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
