"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onepass import activations, initializers
from onepass.engine.graph import Shape, record
from onepass.engine.ops import DenseOp
from onepass.engine.storage import Variable
from onepass.layers.layer import Layer

_NOT_YET = (
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
)


class Dense(Layer):
    """``activation(x w + b)`` over the last dimension.

    Parameters
    ----------
    units : int
        Columns of the output, at least 1.
    activation : str or callable, optional
        Default linear.
    use_bias : bool, default True
    kernel_initializer : str or Initializer, default "glorot_uniform"
    bias_initializer : str or Initializer, default "zeros"
    kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint
        Only None: they are not supported yet.
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    kernel : Variable (inputs, units)
    bias : Variable (units,) or None

    Raises
    ------
    TypeError, ValueError
        If ``units`` is not a positive int, or a name is unknown.
    """

    kernel: Variable

    def __init__(
        self,
        units: int,
        activation: str | Callable[[Any], Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: None = None,
        bias_regularizer: None = None,
        activity_regularizer: None = None,
        kernel_constraint: None = None,
        bias_constraint: None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name in _NOT_YET:
            if locals()[name] is not None:
                raise ValueError(f"Dense: {name} is not supported yet, leave it at None")
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)):
            raise TypeError(f"Dense: units must be an int, got {type(units).__name__}")
        if units < 1:
            raise ValueError(f"Dense: units must be at least 1, got {units}")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        columns = input_shape[-1]
        if len(input_shape) < 2 or columns is None:
            raise ValueError(
                f"layer {self.name!r}: Dense needs inputs of shape (batch, ..., columns), "
                f"got {input_shape}"
            )
        self.kernel = self.add_weight((columns, self.units), self.kernel_initializer, "kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, "bias")

    def call(self, inputs: Any) -> Any:
        if inputs.shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"layer {self.name!r} was built for {self.kernel.shape[0]} columns, "
                f"got inputs of shape {inputs.shape}"
            )
        return self.activation(record(DenseOp(self.kernel, self.bias), [inputs]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }
