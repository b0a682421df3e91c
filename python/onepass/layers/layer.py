"""The base of all layers: names, weights, building, recording calls."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

from onepass import config, constraints, initializers, regularizers
from onepass._lookup import unexpected
from onepass._names import to_snake_case
from onepass.engine.changes import Plans, structure_changed, trained_changed
from onepass.engine.graph import (
    LayerCall,
    Shape,
    SymbolicTensor,
    Trace,
    current_trace,
    is_recording,
    record,
    recording,
    recording_for,
    tracing,
)
from onepass.engine.ops import ActivityPenaltyOp, IdentityOp, as_tensor
from onepass.engine.storage import Variable, materialize
from onepass.engine.structure import flatten, map_structure, pack_like
from onepass.layers.inventory import OURS, may_hold_layers
from onepass.layers.moving import move
from onepass.layers.shapes import sample_shape
from onepass.layers.weights import HasWeights, unique

_counts: Counter[str] = Counter()


def _layers_in(value: Any) -> Iterator[Layer]:
    if isinstance(value, Layer):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _layers_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _layers_in(item)


def unique_name(base: str) -> str:
    """Return ``base``, ``base_1``, ``base_2`` … in the order of calls."""
    number = _counts[base]
    _counts[base] += 1
    return base if number == 0 else f"{base}_{number}"


def clear_names() -> None:
    """Begin counting names anew."""
    _counts.clear()


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
    activity_regularizer : str, dict, Regularizer or function, optional
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
            own = set(inspect.signature(Layer).parameters) - {"unknown"}
            raise unexpected(type(self), argument, own)
        if dtype not in (None, "float32", "float64"):
            raise ValueError(
                f"{type(self).__name__}: dtype must be 'float32' or 'float64', got {dtype!r}"
            )
        self.name = name if name is not None else unique_name(to_snake_case(type(self).__name__))
        self.dtype = dtype or config.floatx()
        self._trainable = bool(trainable)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self._building = False
        self.input_shape_argument = None if input_shape is None else sample_shape(input_shape)
        self._first_call: LayerCall | None = None
        self.eager_plans = Plans()  # for calls on arrays
        self.eager_draws = 0
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
        if isinstance(variable.constraint, constraints.Native):
            variable.constraint.arguments(size)  # raises where it does not fit
        self._variables.append(variable)
        trained_changed()
        return variable

    @property
    def variables(self) -> list[Variable]:
        """All weights, trainable or not, in order of creation."""
        own = list(self._variables)
        return unique(own + [v for layer in self.sublayers() for v in layer.variables])

    @property
    def trainable_variables(self) -> list[Variable]:
        """Weights that training changes."""
        if not self.trainable:
            return []
        own = [v for v in self._variables if v.trainable]
        return unique(own + [v for layer in self.sublayers() for v in layer.trainable_variables])

    @property
    def own_variables(self) -> list[Variable]:
        """The weights of this layer itself, not of those inside."""
        return list(self._variables)

    def forget(self, weights: int) -> None:
        """Take back a build: keep only so many first weights, and no call."""
        del self._variables[weights:]
        trained_changed()
        self._first_call = None

    def own_trained(self) -> list[Variable]:
        """Return the weights of this layer itself, not of those inside, that training changes."""
        return [v for v in self._variables if v.trainable] if self.trainable else []

    def sublayers(self) -> Iterator[Layer]:
        """Layers kept as attributes, or in lists, tuples and dicts that are; each once."""
        found: dict[Layer, None] = {}
        for value in vars(self).values():
            if isinstance(value, Layer):
                found[value] = None
            elif isinstance(value, (list, tuple, dict)):
                found.update(dict.fromkeys(_layers_in(value)))
        return iter(found)

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        if "_variables" not in vars(self):
            hint = f"; {kind}.__init__ must call super().__init__() before anything else"
        elif not vars(self).get("built", True) and name[0] != "_":
            hint = "; it is not built yet, and has no weights"
        else:
            hint = ""
        raise AttributeError(f"{kind!r} object has no attribute {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        before = vars(self).get(name)
        super().__setattr__(name, value)
        if (may_hold_layers(value) or may_hold_layers(before)) and name not in OURS:
            structure_changed()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        structure_changed()

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets the layers inside, too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if bool(value) != self._trainable:
            self._trainable = bool(value)
            trained_changed()
        for layer in self.sublayers():
            layer.trainable = value

    def structure(self) -> tuple[tuple[Layer, bool], ...]:
        """Return this layer and all inside with their ``trainable``: on them plans depend."""
        inner = [pair for layer in self.sublayers() for pair in layer.structure()]
        return ((self, self._trainable), *inner)

    def to(self, device: str) -> Self:
        """Let the weights lie on a device, where the layer is then computed.

        What a model's optimizers keep follows them.

        Parameters
        ----------
        device : {"cpu", "cuda"}

        Returns
        -------
        self

        Raises
        ------
        ValueError, RuntimeError
            If there is no such device, or there are no weights yet, or ``fit`` trains the model.
        MemoryError
            If it has no room for the weights; they stay where they are.
        """
        self.check_movable()
        move(self, device)
        return self

    def check_movable(self) -> None:
        """Raise ValueError or RuntimeError where the weights cannot be moved now."""
        self.require_built()
        if not self.built and not self.variables:
            raise ValueError(f"to: layer {self.name!r} is not built, so it has no weights to move")

    # -- building and calling --------------------------------------------------------------------

    def build(self, input_shape: Shape) -> None:
        """Create weights for inputs of this shape (batch included)."""
        self.built = True

    def lacks_weights(self) -> bool:
        """Whether it, or a layer inside, may get weights that are not there yet."""
        makes_some = type(self).build is not Layer.build
        inside = any(layer.lacks_weights() for layer in self.sublayers())
        return not self.built and (makes_some or inside)

    def check_built_for(self, input_shape: Any) -> None:
        """Raise ValueError where a layer that is built cannot be built for this shape."""

    def call(self, inputs: Any) -> Any:
        """Apply the layer to a symbolic tensor, or a structure of them.

        A ``call`` that takes ``training`` is told whether the model is being trained.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override call()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Record the layer on symbolic tensors, or compute it on arrays at once.

        Parameters
        ----------
        *args, **kwargs
            What ``call`` takes: a tensor, or a structure of tensors. Within another layer's
            ``call`` weights alone count as tensors.

        Returns
        -------
        outputs : SymbolicTensor, or structure of them; arrays for arrays
        """
        given = flatten((args, kwargs))
        if is_recording() and not any(isinstance(value, SymbolicTensor) for value in given):
            args, kwargs, given = _weights_as_tensors(args, kwargs, given)
        if not any(isinstance(value, SymbolicTensor) for value in given):
            return self.call_on_arrays(*args, **kwargs)
        self._build_for(args)
        self._check_dtype(given)
        told, trace = self._told_of_training(kwargs)
        with tracing(trace), recording_for(self.name), recording():
            outputs = self._penalized(self.call(*args, **told))
        return self._recorded_call(LayerCall(self, args, kwargs), outputs, given)

    def call_on_arrays(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the layer on arrays, as ``__call__`` does."""
        from onepass.engine.eager import apply

        return apply(self, *args, **kwargs)

    def _build_for(self, args: tuple[Any, ...]) -> None:
        if self.built:
            return
        for value in flatten(args[:1]):
            if not isinstance(value, SymbolicTensor):
                raise TypeError(
                    f"layer {self.name!r}: all inputs must be symbolic tensors or all arrays, "
                    f"got {type(value).__name__} among symbolic tensors"
                )
        # Models that are made here are their user's, whatever plan is recorded meanwhile.
        with tracing(Trace()), recording(False):
            self.build(map_structure(lambda tensor: tensor.shape, args[0]))

    def _check_dtype(self, given: list[Any]) -> None:
        for value in given if self._variables else ():
            if isinstance(value, SymbolicTensor) and value.dtype != self.dtype:
                raise TypeError(
                    f"layer {self.name!r} computes in {self.dtype}, its input is {value.dtype}; "
                    "give both the same dtype= or use config.set_floatx"
                )

    def _told_of_training(self, kwargs: dict[str, Any]) -> tuple[dict[str, Any], Trace]:
        """Return the arguments with ``training``, if ``call`` takes it, and how to go on inside."""
        trace = current_trace()
        others = {name: value for name, value in kwargs.items() if name != "training"}
        training = kwargs.get("training")
        if training is None:
            training = trace.training
        elif training != trace.training:
            trace = replace(trace, training=bool(training))
        return {**others, "training": training} if takes_training(self) else others, trace

    def _recorded_call(self, call: LayerCall, outputs: Any, given: list[Any]) -> Any:
        """Make the outputs this call's own, and keep the layer's first call."""
        inputs = {id(value) for value in given}
        leaves = flatten(outputs)
        for i, leaf in enumerate(leaves):
            if not isinstance(leaf, SymbolicTensor):
                raise TypeError(
                    f"layer {self.name!r}: call() must return symbolic tensors, got "
                    f"{type(leaf).__name__}"
                )
            if id(leaf) in inputs:
                leaves[i] = record(IdentityOp(), [leaf])
            leaves[i].name, leaves[i].made_by = self.name, call
        call.outputs = pack_like(outputs, leaves)
        if not current_trace().for_plan:
            self.remember_call(call)
        return call.outputs

    def remember_call(self, call: LayerCall) -> None:
        """Keep a call as the one that ``input`` and ``output`` show, if there is none yet."""
        if self._first_call is None:
            self._first_call = call

    def forget_call(self, call: LayerCall | None) -> None:
        """Show this call no more: its model was recorded anew."""
        if self._first_call is call:
            self._first_call = None

    @property
    def first_call(self) -> LayerCall | None:
        """The call that ``input`` and ``output`` show."""
        return self._first_call

    @property
    def input(self) -> Any:
        """The symbolic input of the layer's first call, or the structure of them."""
        args = self._called().args
        return args[0] if len(args) == 1 else args

    @property
    def output(self) -> Any:
        """The symbolic output of the layer's first call, or the structure of them."""
        return self._called().outputs

    @property
    def output_shape(self) -> Any:
        """Shape of the output of the first call, or a structure of shapes."""
        return map_structure(lambda tensor: tensor.shape, self._called().outputs)

    def _called(self) -> LayerCall:
        if self._first_call is None:
            raise AttributeError(f"layer {self.name!r} was not called yet: it has no inputs")
        return self._first_call

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_first_call": None, "_inventory": None, "eager_plans": Plans()}

    def _penalized(self, output: Any) -> Any:
        penalty = self.activity_regularizer
        if penalty is None or not any(getattr(penalty, "factors", (1.0,))):
            return output
        return map_structure(lambda tensor: record(ActivityPenaltyOp(penalty), [tensor]), output)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _complete(vars(cls)["build"])  # type: ignore[method-assign]

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


def takes_training(layer: Layer) -> bool:
    """Whether a layer's ``call`` has an argument ``training``."""
    return _has_training(type(layer).call)


@functools.cache
def _has_training(call: Callable[..., Any]) -> bool:
    return "training" in inspect.signature(call).parameters


def _complete(build: Callable[[Any, Any], None]) -> Callable[..., None]:
    """Let ``build`` run once, give its weights values, and leave nothing behind when it fails."""

    @functools.wraps(build)
    def complete(self: Layer, input_shape: Any = None) -> None:
        if self.built:
            self.check_built_for(input_shape)
            return
        if self._building:  # super().build() within build()
            build(self, input_shape)
            return
        self._building = True
        before = len(self._variables)
        try:
            build(self, input_shape)
            materialize(self._variables)
        except BaseException:
            del self._variables[before:]
            trained_changed()
            self.built = False
            raise
        finally:
            self._building = False
        self.built = True

    return complete


Layer.build = _complete(Layer.build)  # type: ignore[method-assign]


def _weights_as_tensors(
    args: tuple[Any, ...], kwargs: dict[str, Any], given: list[Any]
) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]]:
    """Return arguments in which weights, if there are any, are tensors; their leaves."""
    if not any(isinstance(value, Variable) for value in given):
        return args, kwargs, given
    args, kwargs = map_structure(as_tensor, (args, kwargs))
    return args, kwargs, flatten((args, kwargs))
