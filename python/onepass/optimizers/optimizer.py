"""What all optimizers share: arguments, learning rate, weight decay list, steps on arrays.

A model's engine calls `create_native`, `decays` and `step_learning_rates`; without a model, `build`
and `apply` do the same for NumPy arrays.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, Unpack

import numpy as np

from onepass import _core
from onepass._checks import scalar
from onepass._formulas import Rule, hyper_values
from onepass.optimizers import _torch_tensors
from onepass.optimizers._arguments import (
    AROUND,
    Around,
    ByConvention,
    Convention,
    Hyper,
    clip,
    number,
    one_convention,
)
from onepass.optimizers._arguments import around as checked_around
from onepass.optimizers._arrays import Array
from onepass.optimizers._owner import HasStates
from onepass.optimizers._places import Host, place_of
from onepass.optimizers.array_steps import ArraySteps
from onepass.optimizers.rate import LearningRates
from onepass.optimizers.schedules.registry import deserialize, serialize

LearningRate = float | Callable[..., float]


class Optimizer(LearningRates, ArraySteps):
    """Base class of the optimizers.

    A subclass names a compiled rule and its options; everything around the rule happens here.

    Parameters
    ----------
    learning_rate : float >= 0, LearningRateSchedule or other callable
    weight_decay : float >= 0 or None, default None
    clipnorm, clipvalue, global_clipnorm : float > 0 or None, default None
        At most one of them.
    name : str or None
        None is the class's name.
    convention : {"keras", "torch"}, default "keras"
    use_ema : bool, default False
        Whether a moving average of each parameter is kept (``averages``). After a step,
        ``average = ema_momentum * average + (1 - ema_momentum) * p``; it begins as the parameters
        are after the first step. `finalize_variable_values`, which ``fit`` calls at its end, makes
        the parameters their averages.
    ema_momentum : float in [0, 1], default 0.99
    ema_overwrite_frequency : int >= 1 or None, default None
        Every so many steps the parameters become their averages.
    loss_scale_factor : float > 0 or None, default None
        What the loss was multiplied by: gradients are divided by it first. In a model it changes
        nothing, as in Keras, which multiplies the model's loss by it.
    gradient_accumulation_steps : int >= 2 or None, default None
        The gradients of so many calls are averaged; only the last one does a step.
    skip_nonfinite : bool, default False
        Whether a step with a gradient that is NaN or infinite is left out and not counted.
    zero_grads : bool, default False
        Whether gradients are set to 0 behind a call, in the same pass.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.
    """

    name = Hyper[str]()
    use_ema = Hyper[bool]()
    ema_momentum = Hyper[float]()
    ema_overwrite_frequency = Hyper[int | None]()
    loss_scale_factor = Hyper[float | None]()
    gradient_accumulation_steps = Hyper[int | None]()
    skip_nonfinite = Hyper[bool]()
    zero_grads = Hyper[bool]()
    weight_decay = Hyper[float | None]()
    clipnorm = Hyper[float | None]()
    clipvalue = Hyper[float | None]()
    global_clipnorm = Hyper[float | None]()
    convention = Hyper[Convention]()

    def __init__(
        self,
        learning_rate: LearningRate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str | None = None,
        convention: Convention = "keras",
        **around: Unpack[Around],
    ) -> None:
        for key, value in checked_around(type(self), around).items():
            setattr(self, key, value)
        self.convention = one_convention(convention)
        self.name = type(self).__name__ if name is None else name
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a string, got {name!r}")
        self.weight_decay = None if weight_decay is None else number("weight_decay", weight_decay)
        self.clipnorm = clip("clipnorm", clipnorm)
        self.clipvalue = clip("clipvalue", clipvalue)
        self.global_clipnorm = clip("global_clipnorm", global_clipnorm)
        clips = {
            key: value
            for key in ("clipnorm", "clipvalue", "global_clipnorm")
            if (value := getattr(self, key)) is not None
        }
        if len(clips) > 1:
            raise ValueError(
                f"at most one of clipnorm, clipvalue and global_clipnorm may be given, got {clips}"
            )
        self.learning_rate = (
            learning_rate
            if callable(learning_rate)
            else number("learning_rate", self._default(learning_rate))
        )
        self._calls = 0
        self._calls_a_step = self.gradient_accumulation_steps or 1
        self._not_decayed: list[object] = []
        self._not_decayed_names: list[re.Pattern[str]] = []
        self._native: _core.Optimizer | None = None
        self._direct: _core.Optimizer | None = None
        self._ready: _torch_tensors.Ready | None = None
        self._bound = False
        self._place = Host()
        self._owner: HasStates | None = None
        self._given: list[Any] = []
        self._parameters: list[Array] = []
        self._decayed: list[bool] = []
        self._groups: list[int] = []
        self._states: list[Array] = []
        self._sums: list[Array] = []
        self._averages: list[Array] = []

    # What a subclass says about its rule.

    @property
    @abstractmethod
    def rule(self) -> Rule:
        """The compiled update rule; ``rule.states`` arrays are kept for each parameter."""

    def _options(self) -> Mapping[str, float]:
        """Return the values of ``rule.options``: here attributes of the same names."""
        return {name: float(getattr(self, name)) for name in self.rule.options}

    def state_shapes(self, shape: tuple[int, ...], group: int = 0) -> list[tuple[int, ...]]:
        """Return the shapes of the states of a parameter of this shape: mostly its own."""
        return [shape] * self.rule.states

    def start_states(self, p: Array, states: Sequence[Array]) -> None:
        """Write what a parameter's new states, which are zero, start at instead."""

    @property
    def states_start_at_zero(self) -> bool:
        """Whether `start_states` has nothing to write."""
        return type(self).start_states is Optimizer.start_states

    @property
    def _decoupled_decay(self) -> bool:
        return self.convention == "keras"

    def _default(self, value: float, convention: str | None = None) -> float:
        """Return what was given, or the default of the convention in use."""
        if not isinstance(value, ByConvention):
            return value
        return value.torch if (convention or self.convention) == "torch" else float(value)

    def _set_rate(self, value: LearningRate) -> None:
        self._check_rate(value)
        super()._set_rate(value)
        self._pass_rate_on()

    # Step count.

    @property
    def iterations(self) -> int:
        """Number of steps done so far."""
        self._catch_up()
        return self._calls // self._calls_a_step

    @iterations.setter
    def iterations(self, value: object) -> None:
        value = scalar(value)
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"iterations must be an integer, got {value!r}")
        if value < 0:
            raise ValueError(f"iterations must be >= 0, got {value}")
        self._catch_up()
        if self._native is not None:  # no tensor can have missed more
            self._native.missed = [min(steps, int(value)) for steps in self._native.missed]
        self._calls = int(value) * self._calls_a_step
        if self._native is not None:
            self._native.set_steps_done(self._calls)

    @property
    def calls(self) -> int:
        """Number of gradients taken so far: `iterations`, unless several make a step."""
        self._catch_up()
        return self._calls

    # Weight decay list.

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[object] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Leave parameters out of weight decay. Call it before the optimizer is built.

        Parameters
        ----------
        var_list : iterable, optional
            A model's variables; for plain arrays the arrays themselves or their indices.
        var_names : iterable of str, optional
            Regular expressions: a variable in whose name one of them is found is left out. Plain
            arrays have no names.

        Raises
        ------
        ValueError
            After the optimizer was built.

        Notes
        -----
        A second call replaces what the first one said.
        """
        if self._bound:
            raise ValueError(
                "exclude_from_weight_decay must be called before the optimizer is built"
            )
        if isinstance(var_names, str):
            raise TypeError(f"var_names must be a list of strings, got the string {var_names!r}")
        self._not_decayed = list(var_list or ())
        self._not_decayed_names = [re.compile(name) for name in var_names or ()]

    def decays(self, name: str, variable: object = None) -> bool:
        """Whether weight decay applies to the variable of this name (and this identity)."""
        if any(excluded is variable for excluded in self._not_decayed):
            return variable is None
        return not any(pattern.search(name) for pattern in self._not_decayed_names)

    def _excluded(self, parameters: list[Any]) -> set[int]:
        if self._not_decayed_names:
            raise ValueError(
                "var_names cannot exclude plain arrays, they have no names: use var_list"
            )
        excluded = set()
        for item in self._not_decayed:
            if isinstance(item, int | np.integer) and 0 <= item < len(parameters):
                excluded.add(int(item))
                continue
            found = [i for i, p in enumerate(parameters) if p is item]
            if not found:
                what = "an array" if isinstance(item, np.ndarray) else repr(item)
                raise ValueError(
                    f"exclude_from_weight_decay names {what}, which is not one of the "
                    f"{len(parameters)} parameters or their indices"
                )
            excluded.update(found)
        return excluded

    # Native side.

    def create_native(self, float64: bool, device: str = "cpu") -> _core.Optimizer:
        """Return a new native optimizer of these settings; from now on they are fixed."""
        self._bound = True
        native = _core.Optimizer(
            float64,
            clip_value=self.clipvalue or 0.0,
            clip_norm=self.clipnorm or 0.0,
            global_clip_norm=self.global_clipnorm or 0.0,
            unscale=1.0 / (self.loss_scale_factor or 1.0),
            needs_finite=self.skip_nonfinite,
            clears_gradients=self.zero_grads,
            calls_a_step=self._calls_a_step,
            average_keep=self.ema_momentum,
            average_replaces=self.ema_overwrite_frequency or 0,
            device=device,
        )
        native.add_group(*self.native_rule())
        return native

    def native_rule(self) -> tuple[int, bool, list[float], float, bool]:
        """Return the rule with its options and decay, as a group of a native optimizer takes it."""
        options = hyper_values(self.rule.options, self._options(), type(self).__name__)
        torch = self.convention == "torch"
        return self.rule.id, torch, options, self.weight_decay or 0.0, self._decoupled_decay

    @property
    def built(self) -> bool:
        """Whether the optimizer has been bound to arrays or to a model."""
        return self._bound

    @property
    def variables(self) -> list[Array]:
        """The state arrays, parameter by parameter: for Adam m and v of the first, and so on."""
        return list(self._states if self._owner is None else self._owner.states)

    @property
    def averages(self) -> list[Array]:
        """The moving averages of the parameters, in their order; empty without ``use_ema``."""
        return super().averages if self._owner is None else self._owner.averages

    def finalize_variable_values(self, var_list: Sequence[Any] | None = None) -> None:
        """With ``use_ema``, make the parameters their moving averages.

        Parameters
        ----------
        var_list : list of arrays, or of a model's variables, optional
            Of the optimizer's parameters; by default all.
        """
        if self._owner is None:
            super().finalize_variable_values(var_list)
        else:
            self._owner.finalize(var_list)

    def claim(self, owner: HasStates) -> None:
        """Tie the optimizer to the model whose states it steps.

        Raises
        ------
        ValueError
            If another model or list of arrays has it.
        """
        if self._owner is not owner and self._bound:
            raise ValueError(
                f"this {type(self).__name__} already belongs to other parameters; make a new one"
            )
        self._owner = owner

    # Configuration.

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments.

        A schedule is returned as its configuration, another callable as it is.
        """
        config = self._arguments()
        if self.schedule is not None:
            config["learning_rate"] = serialize(self.schedule)
        return config

    def _arguments(self) -> dict[str, Any]:
        names = dict.fromkeys(
            name
            for cls in type(self).__mro__
            for name, value in vars(cls).items()
            if isinstance(value, Hyper)
        )
        return {
            "learning_rate": self._learning_rate,
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """Make an optimizer from what `get_config` returned.

        Parameters
        ----------
        config : mapping
        custom_objects : mapping, optional
            Classes of schedules of one's own by their names.
        """
        rate = config.get("learning_rate")
        if isinstance(rate, Mapping):
            config = {**config, "learning_rate": deserialize(rate, custom_objects)}
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        native = self._native
        self._catch_up()
        state = {**vars(self), "_missed": native.missed if native else []}
        state |= {"_native": None, "_direct": None, "_ready": None, "_parameters": []}
        for name in ("_memory", "_place"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        missed = state.pop("_missed")
        vars(self).update(state, _place=Host())
        if self._owner is None and self._bound:  # built on arrays, whose copies it now holds
            self._place = place_of(self._given)
            self._bind()
            if self._native is not None:
                self._native.missed = missed

    def __repr__(self) -> str:
        usual = {**AROUND, "name": self.name}
        given = (
            f"{k}={v!r}"
            for k, v in self._arguments().items()
            if v is not None and not (k in usual and v == usual[k])
        )
        return f"{type(self).__name__}({', '.join(given)})"
