"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onepass import activations, constraints, initializers, regularizers
from onepass.engine.graph import Shape, record
from onepass.engine.ops import DenseOp
from onepass.engine.storage import Variable
from onepass.layers.layer import Layer
from onepass.layers.shapes import check_columns


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
    kernel_regularizer, bias_regularizer, activity_regularizer : optional
        Names, configurations, regularizers or functions made of ``onepass.ops``: penalties on the
        weights and on the output, which are added to the loss.
    kernel_constraint, bias_constraint : str, dict, Constraint or function, optional
        What holds again behind each update.
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
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)):
            raise TypeError(f"Dense: units must be an int, got {type(units).__name__}")
        if units < 1:
            raise ValueError(f"Dense: units must be at least 1, got {units}")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        columns = input_shape[-1]
        if len(input_shape) < 2 or columns is None:
            raise ValueError(
                f"layer {self.name!r}: Dense needs inputs of shape (batch, ..., columns), "
                f"got {input_shape}"
            )
        self.kernel = self.add_weight(
            (columns, self.units),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Any) -> Any:
        check_columns(self.name, self.kernel.shape[0], inputs.shape)
        return self.activation(record(DenseOp(self.kernel, self.bias), [inputs]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
