"""Layers that normalize: by the batch's statistics or by those of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass import constraints, initializers, regularizers
from onepass._checks import number
from onepass.engine.graph import Shape, SymbolicTensor, record
from onepass.engine.ops import BatchNormOp, Op, RowNormOp
from onepass.engine.storage import Variable
from onepass.layers.layer import Layer
from onepass.layers.shapes import check_columns


def record_by_columns(op: Op, inputs: SymbolicTensor, name: str) -> SymbolicTensor:
    """Record an operation of a layer whose variables have a number for each column.

    Raises
    ------
    ValueError
        If the inputs have other columns.
    """
    for variable in op.variables():
        check_columns(name, variable.shape[0], inputs.shape)
    return record(op, [inputs])


class _Normalization(Layer):
    """Over the last dimension, with a factor and an offset a column where wanted."""

    gamma: Variable | None = None
    beta: Variable | None = None

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
        if any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise TypeError(f"{type(self).__name__}: axis must be an int, got {axis!r}")
        self.axis = axis

    def build(self, input_shape: Shape) -> None:
        self._check_axis(input_shape)
        columns = input_shape[-1]
        if len(input_shape) < 2 or columns is None:
            raise ValueError(
                f"layer {self.name!r}: {type(self).__name__} needs inputs of shape "
                f"(batch, ..., columns), got {input_shape}"
            )
        self._add_weights(columns)

    def _add_weights(self, columns: int) -> None:
        """Create what there is of gamma, beta and others."""

    def _check_axis(self, shape: Shape) -> None:
        axes = list(self.axis) if isinstance(self.axis, (list, tuple)) else [self.axis]
        if axes != [-1] and axes != [len(shape) - 1]:
            raise ValueError(
                f"layer {self.name!r}: axis must be the last one, -1 or {len(shape) - 1} for "
                f"inputs of shape {shape}, got {self.axis!r}"
            )

    def _record(self, op: Op, inputs: SymbolicTensor) -> SymbolicTensor:
        self._check_axis(inputs.shape)
        return record_by_columns(op, inputs, self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class _Affine(_Normalization):
    """With Keras's arguments for gamma and beta."""

    def __init__(
        self,
        axis: int | Sequence[int],
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(axis, **kwargs)
        self.epsilon = number(epsilon, "epsilon", 0.0)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def _add_weights(self, columns: int) -> None:
        if self.scale:
            self.gamma = self.add_weight(
                (columns,),
                self.gamma_initializer,
                "gamma",
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                (columns,),
                self.beta_initializer,
                "beta",
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }


class BatchNormalization(_Affine):
    """``gamma (x - mean) / sqrt(variance + epsilon) + beta``, column by column.

    In training mean and variance are those of the batch, and the moving ones follow them:
    ``moving = momentum moving + (1 - momentum) batch``. Elsewhere, and in a layer whose
    ``trainable`` is False, they are the moving ones. ``model(x, training=True)`` takes the batch's
    and leaves the moving ones as they are. A batch of one row has the variance 0: y is beta. The
    mean is kept in two parts, so that 1e4 +- 0.01 is right in float32. Ioffe and Szegedy, Batch
    Normalization, 2015.

    Parameters
    ----------
    axis : int, default -1
        So far the last dimension only.
    momentum : float in [0, 1], default 0.99
    epsilon : float >= 0, default 1e-3
    center, scale : bool, default True
        Whether there are ``beta`` and ``gamma``.
    beta_initializer, gamma_initializer : str or Initializer, default "zeros", "ones"
    moving_mean_initializer : str or Initializer, default "zeros"
    moving_variance_initializer : str or Initializer, default "ones"
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
    renorm, renorm_clipping, renorm_momentum, synchronized
        Keras's; only their defaults.
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    gamma, beta : Variable (columns,) or None
    moving_mean, moving_variance : Variable (columns,), not trainable

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or ``axis`` is not the last one.
    """

    moving_mean: Variable
    moving_variance: Variable

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        if renorm or renorm_clipping is not None:
            raise ValueError("BatchNormalization: renorm is not supported, leave it at False")
        if synchronized:
            raise ValueError("BatchNormalization: synchronized is not supported, leave it at False")
        super().__init__(
            axis,
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        self.momentum = number(momentum, "momentum", 0.0, 1.0)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def _add_weights(self, columns: int) -> None:
        super()._add_weights(columns)
        moving = ("moving_mean", "moving_variance")
        self.moving_mean, self.moving_variance = (
            self.add_weight((columns,), getattr(self, f"{name}_initializer"), name, trainable=False)
            for name in moving
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        op = BatchNormOp(
            self.gamma,
            self.beta,
            self.moving_mean,
            self.moving_variance,
            epsilon=self.epsilon,
            momentum=self.momentum,
            training=training if self.trainable else False,
        )
        return self._record(op, inputs)

    def get_config(self) -> dict[str, Any]:
        moving = ("moving_mean_initializer", "moving_variance_initializer")
        return {
            **super().get_config(),
            "momentum": self.momentum,
            **{name: initializers.serialize(getattr(self, name)) for name in moving},
        }


class LayerNormalization(_Affine):
    """``gamma (x - mean) / sqrt(variance + epsilon) + beta``, mean and variance of each row.

    Ba, Kiros and Hinton, Layer Normalization, 2016.

    Parameters
    ----------
    axis : int or list of int, default -1
        So far the last dimension only.
    epsilon : float >= 0, default 1e-3
    center, scale : bool, default True
        Whether there are ``beta`` and ``gamma``.
    beta_initializer, gamma_initializer : str or Initializer, default "zeros", "ones"
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    gamma, beta : Variable (columns,) or None

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or ``axis`` is not the last one.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis,
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )

    def call(self, inputs: Any) -> Any:
        return self._record(RowNormOp("layer", self.gamma, self.beta, epsilon=self.epsilon), inputs)


class RMSNormalization(_Normalization):
    """``scale x / sqrt(mean of squares + epsilon)``, row by row.

    Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

    Parameters
    ----------
    axis : int, default -1
        So far the last dimension only.
    epsilon : float >= 0, default 1e-6
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    scale : Variable (columns,), ones at first

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or ``axis`` is not the last one.
    """

    scale: Variable

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(axis, **kwargs)
        self.epsilon = number(epsilon, "epsilon", 0.0)

    def _add_weights(self, columns: int) -> None:
        self.scale = self.add_weight((columns,), "ones", "scale")

    def call(self, inputs: Any) -> Any:
        return self._record(RowNormOp("rms", self.scale, epsilon=self.epsilon), inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


class UnitNormalization(_Normalization):
    """``x / norm(x)``, row by row, the norm being Euclidean and counting as at least 1e-12.

    Parameters
    ----------
    axis : int or list of int, default -1
        So far the last dimension only.
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If ``axis`` is no int, or not the last one.
    """

    def _add_weights(self, columns: int) -> None:
        """There are none."""

    def call(self, inputs: Any) -> Any:
        return self._record(RowNormOp("unit"), inputs)
