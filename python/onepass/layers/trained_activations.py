"""Activations whose parameters are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass import constraints, initializers, ops, regularizers
from onepass.engine import arithmetic
from onepass.engine.graph import Shape
from onepass.engine.storage import Variable
from onepass.layers.layer import Layer


class PReLU(Layer):
    """``x`` where positive, ``alpha * x`` elsewhere, with an ``alpha`` for each unit.

    He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015.

    Parameters
    ----------
    alpha_initializer : str or Initializer, default "zeros"
    alpha_regularizer : str, dict or Regularizer, optional
    alpha_constraint : str, dict or Constraint, optional
    shared_axes : int or sequence of int, optional
        Axes (the batch is 0) along which units share their ``alpha``.
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    alpha : Variable, the shape of a sample with 1 for shared axes

    Raises
    ------
    ValueError
        If a name is unknown or, when built, a shared axis does not exist.
    """

    alpha: Variable

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        shared = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if shared is None else list(shared)

    def build(self, input_shape: Shape) -> None:
        shape = [dim or 1 for dim in input_shape[1:]]
        for axis in self.shared_axes or ():
            shape[arithmetic.axis_of(axis, (None, *shape), "PReLU: shared_axes") - 1] = 1
        self.alpha = self.add_weight(
            shape,
            self.alpha_initializer,
            "alpha",
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def call(self, inputs: Any) -> Any:
        return arithmetic.combine("prelu", inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }


class Swish(Layer):
    """``x * sigmoid(beta * x)`` with a trained ``beta`` for each unit. Not in Keras.

    Ramachandran, Zoph and Le, Searching for Activation Functions, 2017.

    Parameters
    ----------
    beta_initializer : str or Initializer, default "ones"
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    beta : Variable, as many as the input has columns
    """

    beta: Variable

    def __init__(self, beta_initializer: Any = "ones", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.beta_initializer = initializers.get(beta_initializer)

    def build(self, input_shape: Shape) -> None:
        self.beta = self.add_weight((input_shape[-1] or 1,), self.beta_initializer, "beta")

    def call(self, inputs: Any) -> Any:
        return inputs * ops.sigmoid(inputs * self.beta)

    def get_config(self) -> dict[str, Any]:
        initializer = initializers.serialize(self.beta_initializer)
        return {**super().get_config(), "beta_initializer": initializer}
