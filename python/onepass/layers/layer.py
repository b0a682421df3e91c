"""The base of all layers: names, weights, building, recording calls."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from onepass import config, constraints, initializers, regularizers
from onepass.engine.graph import Shape, SymbolicTensor, record, recording_for
from onepass.engine.ops import ActivityPenaltyOp
from onepass.engine.storage import Variable, materialize
from onepass.layers.weights import HasWeights, unique

_counts: Counter[str] = Counter()


def unique_name(base: str) -> str:
    """Return ``base``, ``base_1``, ``base_2`` … in the order of calls."""
    number = _counts[base]
    _counts[base] += 1
    return base if number == 0 else f"{base}_{number}"


def clear_names() -> None:
    """Begin counting names anew."""
    _counts.clear()


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Layer(HasWeights):
    """A step of a model: describes its weights and records its operations.

    Subclasses override ``build`` (create weights with ``add_weight``) and ``call`` (apply
    operations or other layers to symbolic tensors).

    Parameters
    ----------
    name : str, optional
        Unique in its model; by default the class's name with a number.
    dtype : {"float32", "float64"}, optional
        Float type of weights and computation; default ``config.floatx()``.
    trainable : bool, default True
        Whether training changes the weights; takes effect at the next call.
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a ``Sequential``.
    activity_regularizer : str, dict or Regularizer, optional
        Its penalty on the layer's output, divided by the batch's samples, is added to the loss.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int] | None = None,
        activity_regularizer: Any = None,
        **unknown: Any,
    ) -> None:
        for argument in unknown:
            raise TypeError(f"{type(self).__name__}() got an unexpected argument {argument!r}")
        if dtype not in (None, "float32", "float64"):
            raise ValueError(
                f"{type(self).__name__}: dtype must be 'float32' or 'float64', got {dtype!r}"
            )
        self.name = name if name is not None else unique_name(_snake_case(type(self).__name__))
        self.dtype = dtype or config.floatx()
        self.trainable = trainable
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self._building = False
        self.input_shape_argument = None if input_shape is None else sample_shape(input_shape)
        self.output_shape: Shape | None = None
        self._variables: list[Variable] = []

    # -- weights ---------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Sequence[int],
        initializer: str | Callable[..., Any] | None = None,
        name: str = "weight",
        trainable: bool = True,
        *,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Variable:
        """Create a weight; it has values once the layer is built.

        A regularizer adds a penalty on it to the loss, a constraint is enforced behind each update.
        """
        size = tuple(int(dim) for dim in shape)
        variable = Variable(
            f"{self.name}/{name}",
            size,
            self.dtype,
            initializers.get(initializer or "glorot_uniform"),
            trainable,
            regularizers.get(regularizer),
            constraints.get(constraint),
        )
        if variable.constraint is not None:
            variable.constraint.arguments(size)  # raises where it does not fit
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> list[Variable]:
        """All weights, trainable or not, in order of creation."""
        own = list(self._variables)
        return unique(own + [v for layer in self._sublayers() for v in layer.variables])

    @property
    def trainable_variables(self) -> list[Variable]:
        """Weights that training changes."""
        if not self.trainable:
            return []
        own = [v for v in self._variables if v.trainable]
        return unique(own + [v for layer in self._sublayers() for v in layer.trainable_variables])

    def _sublayers(self) -> Iterator[Layer]:
        """Layers kept as attributes or in lists that are."""
        for value in vars(self).values():
            if isinstance(value, Layer):
                yield value
            elif isinstance(value, (list, tuple)):
                for item in value:
                    if isinstance(item, Layer):
                        yield item

    # -- building and calling --------------------------------------------------------------------

    def build(self, input_shape: Shape) -> None:
        """Create weights for inputs of this shape (batch included)."""
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Apply the layer to a symbolic tensor."""
        raise NotImplementedError(f"{type(self).__name__} does not override call()")

    def __call__(self, inputs: Any) -> Any:
        if not isinstance(inputs, SymbolicTensor):
            raise TypeError(
                f"layer {self.name!r} must be called on a symbolic tensor such as Input(shape), "
                f"got {type(inputs).__name__}; put it into a model to apply it to arrays"
            )
        if not self.built:
            self.build(inputs.shape)
        with recording_for(self.name):
            output = self._penalized(self.call(inputs))
        self.output_shape = output.shape
        if output is not inputs:
            output.name = self.name
        return output

    def _penalized(self, output: Any) -> Any:
        if self.activity_regularizer is None or not any(self.activity_regularizer.factors):
            return output
        return record(ActivityPenaltyOp(self.activity_regularizer.factors), [output])

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _complete(vars(cls)["build"])  # type: ignore[assignment, method-assign]

    # -- configuration ---------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {"name": self.name, "dtype": self.dtype, "trainable": self.trainable}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make a layer from what ``get_config`` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r} built={self.built}>"


def _complete(build: Callable[[Any, Shape], None]) -> Callable[[Any, Shape], None]:
    """Let ``build`` run once, give its weights values, and leave nothing behind when it fails."""

    @functools.wraps(build)
    def complete(self: Layer, input_shape: Shape) -> None:
        if self.built:
            return
        if self._building:  # super().build() within build()
            build(self, input_shape)
            return
        self._building = True
        try:
            build(self, input_shape)
            materialize(self._variables)
        except BaseException:
            self._variables.clear()
            self.built = False
            raise
        finally:
            self._building = False
        self.built = True

    return complete


def sample_shape(shape: Any) -> tuple[int, ...]:
    """Check the shape of one sample.

    Raises
    ------
    TypeError
        If it is not a sequence of whole numbers.
    ValueError
        If a dimension is not positive.
    """
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        shape = (shape,)
    try:
        given = tuple(shape)
    except TypeError:
        raise TypeError(f"shape must be a sequence of ints, got {type(shape).__name__}") from None
    for dim in given:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
            raise TypeError(f"shape must hold ints only, got {given!r}")
        if dim < 1:
            raise ValueError(f"shape must hold positive dimensions only, got {given!r}")
    return tuple(int(dim) for dim in given)
