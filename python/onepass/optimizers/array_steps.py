"""Steps on plain arrays: what an optimizer does without a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from onepass import _core
from onepass._formulas import Rule
from onepass.optimizers import _torch_tensors
from onepass.optimizers._arguments import Convention, number
from onepass.optimizers._arrays import (
    Array,
    Memory,
    as_stored,
    checked_parameters,
    computes_in_double,
    is_number,
    is_plain,
)
from onepass.optimizers._gpu_steps import STEPPED, GpuSteps, StepResult
from onepass.optimizers._places import OnGpu, place_of
from onepass.optimizers._torch_tensors import is_tensor
from onepass.optimizers.saved_state import FORMAT, LISTS, checked_state


class ArraySteps(GpuSteps):
    """`build` and `apply`. The optimizer says the rule, the learning rate and the settings."""

    clipnorm: object
    global_clipnorm: object
    use_ema: bool
    skip_nonfinite: bool
    _calls_a_step: int
    convention: Convention
    _bound: bool
    _direct: _core.Optimizer | None  # the same, where nothing is a tensor of torch
    _ready: _torch_tensors.Ready | None  # where all are tensors
    _states: list[Array]
    _sums: list[Array]
    _averages: list[Array]
    _decayed: list[bool]
    _groups: list[int]

    @property
    @abstractmethod
    def rule(self) -> Rule:
        """The compiled update rule; ``rule.states`` arrays are kept for each parameter."""

    def group_of(self, shape: tuple[int, ...], name: str | None = None) -> int:
        """Return the group of the native optimizer that steps a parameter; arrays have no name."""
        return 0

    @abstractmethod
    def state_shapes(self, shape: tuple[int, ...], group: int = 0) -> list[tuple[int, ...]]:
        """Return the shapes of a parameter's states."""

    @property
    @abstractmethod
    def states_start_at_zero(self) -> bool:
        """Whether `start_states` has nothing to write."""

    @abstractmethod
    def start_states(self, p: Array, states: Sequence[Array]) -> None:
        """Write what a parameter's new states start at, where that is not zero."""

    @abstractmethod
    def create_native(self, float64: bool, device: str = "cpu") -> _core.Optimizer:
        """Return a new native optimizer of these settings."""

    @abstractmethod
    def _excluded(self, parameters: list[Any]) -> set[int]:
        """Return the indices of parameters that do not decay."""

    def build(self, arrays: Sequence[Array]) -> None:
        """Bind the optimizer to arrays, which `apply` then updates in place.

        Parameters
        ----------
        arrays : list or tuple of NumPy arrays, of torch's tensors or of CuPy's arrays
            Of any shape; writeable, C-contiguous, not overlapping; on the CPU, or all on the GPU
            and of one library, from whose memory pool states then come. All float64; or each
            float32, float16 or bfloat16 (of torch or ml_dtypes): then steps are computed, and
            states kept, in float32.

        Raises
        ------
        TypeError, ValueError
            If an array cannot be updated in place, or the optimizer was built before for others.
        RuntimeError
            If arrays are on a GPU that onepass cannot use: it says what is missing.

        Notes
        -----
        The arrays are kept, not copied: they must not be resized or moved. States start at zero,
        unless the optimizer says otherwise.
        """
        parameters = checked_parameters(arrays)
        if self._bound:
            if self._native is not None and _same(arrays, self._given):
                return
            raise ValueError(
                f"this {type(self).__name__} is already built for other parameters; "
                "make a new optimizer for these"
            )
        given = list(arrays)
        self._groups = [self.group_of(p.shape) for p in parameters]
        self._decayed = [i not in self._excluded(given) for i in range(len(given))]
        self._given = given
        place = self._place = place_of(given)
        self._states = place.zeros(
            [
                (p, shape)
                for p, group in zip(parameters, self._groups, strict=True)
                for shape in self.state_shapes(p.shape, group)
            ]
        )
        alike = [(p, p.shape) for p in parameters]
        self._sums = place.zeros(alike) if self._calls_a_step > 1 else []
        self._averages = place.zeros(alike) if self.use_ema else []
        for i, own in enumerate(self._states_by_parameter(parameters)):
            if not self.states_start_at_zero:
                place.start(given[i], own, self.start_states)
            if self.use_ema:
                place.copy_values(given[i], self._averages[i])
        self._bind()

    def _states_by_parameter(self, parameters: Sequence[Array]) -> list[list[Array]]:
        rest = iter(self._states)
        return [
            list(islice(rest, len(self.state_shapes(p.shape, group))))
            for p, group in zip(parameters, self._groups, strict=True)
        ]

    def _bind(self) -> None:
        """Make the native optimizer of the arrays."""
        parameters = self._parameters = checked_parameters(self._given)
        as_array = self._place.as_array
        states = [[as_array(s) for s in own] for own in self._states_by_parameter(parameters)]
        sums, averages = map(as_array, self._sums), map(as_array, self._averages)
        self._bind_to(parameters, states, list(sums), list(averages))

    def _bind_to(
        self,
        parameters: list[Array],
        states: list[list[Array]],
        sums: list[Array],
        averages: list[Array],
    ) -> None:
        named = [(f"parameters[{i}]", p) for i, p in enumerate(parameters)]
        named += [(f"the state of parameters[{i}]", s) for i, own in enumerate(states) for s in own]
        named += [(f"the sum of gradients[{i}]", s) for i, s in enumerate(sums)]
        named += [(f"averages[{i}]", a) for i, a in enumerate(averages)]
        self._memory = Memory(named)
        native = self.create_native(computes_in_double(parameters), self._place.device)
        for i, p in enumerate(parameters):
            native.add(
                as_stored(p),
                states[i],
                self._decayed[i],
                sums[i] if sums else None,
                averages[i] if averages else None,
                self._groups[i],
            )
        self._native = native
        on_gpu = isinstance(self._place, OnGpu)
        self._direct = None if on_gpu or any(map(is_tensor, self._given)) else native
        only_tensors = not on_gpu and self._direct is None and all(map(is_tensor, self._given))
        self._ready = _torch_tensors.Ready(self._given) if only_tensors else None
        self._stepped = False
        self._reports = bool(self.clipnorm or self.global_clipnorm or self.skip_nonfinite)

    @property
    def averages(self) -> list[Array]:
        """The moving averages of the parameters, in their order; empty without ``use_ema``."""
        return list(self._averages)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state as plain arrays, which are copies, and numbers.

        With it, and the arrays themselves, another optimizer of the same arguments goes on exactly
        as this one would: see `load_state_dict`.

        Raises
        ------
        ValueError
            If the optimizer was not built on arrays.
        """
        return {
            key: [self._place.copy(array) for array in value] if key in LISTS else value
            for key, value in self._own_state().items()
        }

    def _own_state(self) -> dict[str, Any]:
        if self._native is None:
            raise ValueError(f"{type(self).__name__} has no arrays: call build(arrays) first")
        self._catch_up()
        known = self._learning_rate
        return {
            "format": FORMAT,
            "rule": self.rule.name,
            "convention": self.convention,
            "calls": self._calls,
            "learning_rate": None if callable(known) else float(known),
            "missed": self._native.missed,
            "states": self._states,
            "sums": self._sums,
            "averages": self._averages,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` returned, of parameters of the same shapes.

        Parameters
        ----------
        state : dict

        Raises
        ------
        TypeError, ValueError
            If it is of another rule, version, number or shape of parameters; nothing has changed
            then.
        """
        own = self._own_state()
        arrays = {key: [self._place.as_array(a) for a in own[key]] for key in LISTS}
        checked_state(state, own | arrays, type(self).__name__)
        assert self._native is not None
        rate = None
        if state["learning_rate"] is not None and not callable(self._learning_rate):
            rate = number("the state's learning_rate", state["learning_rate"])
        # First what may fail: another thread may be at a step.
        self._native.missed = [int(steps) for steps in state["missed"]]
        if rate is not None:
            self._learning_rate = rate
            self._pass_rate_on()
        for key in LISTS:
            for mine, given in zip(own[key], state[key], strict=True):
                self._place.write(mine, given)
        self._calls = int(state["calls"])
        self._native.set_steps_done(self._calls)

    def finalize_variable_values(self, var_list: Sequence[Array] | None = None) -> None:
        """With ``use_ema``, make the parameters their moving averages.

        Parameters
        ----------
        var_list : list of arrays, optional
            Of the optimizer's parameters; by default all.
        """
        self._catch_up()
        for p, average in zip(self._given, self._averages, strict=False):
            if self._calls and (var_list is None or any(p is v for v in var_list)):
                self._place.assign(p, average)

    def apply(self, grads: Iterable[Array | None]) -> StepResult:
        """Do one step on the arrays given to `build`, in place.

        Parameters
        ----------
        grads : iterable of NumPy arrays, torch's tensors or CuPy's arrays
            One a parameter, in order, of its shape and on its side, in any floating-point type.
            They are not written to, unless ``zero_grads`` says so; one that is not C-contiguous is
            copied first. None leaves its parameter alone.

        Returns
        -------
        result : StepResult

        Raises
        ------
        TypeError, ValueError
            If a gradient does not fit its parameter or overlaps one, or if a parameter has moved;
            then nothing has changed.

        Notes
        -----
        Of tensors the version counters advance, so that autograd refuses a graph of older values.

        On a GPU the step is put on the current stream of the arrays' library and nobody waits for
        it, so the result has no norm: `global_norm` waits and says it. ``skip_nonfinite``, and the
        rules that look at whole tensors (Lamb, Lars, Adafactor, Muon and those that learn their
        rate), wait for sums; and a step waits for earlier ones where other parameters have a
        gradient than before.

        Where that stream is captured in a CUDA graph, nothing is done yet: each launch of the graph
        does the next step, at the learning rate that was set by then on the stream of the launch,
        which must be a number. The optimizer must live as long as the graph.
        """
        native = self._direct
        if native is None and isinstance(self._place, OnGpu):
            return self._apply_on_gpu(list(grads), self._place)
        known = self._learning_rate
        # A callable is asked once.
        rate = self._learning_rate_at(self._calls) if callable(known) else known
        if native is None or not native.try_apply(grads, rate, self._calls + 1):
            self._apply_checked(list(grads), rate)
        self._calls += 1
        return self._result() if self._reports else STEPPED

    def _apply_checked(self, grads: list[Array | None], rate: float) -> None:
        """Do a step with gradients that are out of the ordinary, or say what is wrong."""
        if self._native is None:
            raise ValueError(
                f"{type(self).__name__}.apply needs parameters: call build(arrays) first"
            )
        ready = self._ready.gradients(grads, self._memory.owner_of) if self._ready else None
        if ready is not None:
            self._native.apply_addresses(*ready, [rate], self._calls + 1)
        else:
            gradients = self._usable(grads)
            self._check_tensors()
            self._native.apply(gradients, rate, self._calls + 1)
        self._note_writes(grads)

    def _note_writes(self, grads: list[Any]) -> None:
        written = [
            p for p, g in zip(self._given, grads, strict=True) if g is not None and is_tensor(p)
        ]
        if self.zero_grads:
            written += filter(is_tensor, grads)
        if written:
            _torch_tensors.note_writes(written)

    def _check_tensors(self) -> None:
        for i, (p, a) in enumerate(zip(self._given, self._parameters, strict=True)):
            if p is not a and not _torch_tensors.lies_over(a, p):
                raise ValueError(f"parameters[{i}] was moved, resized or converted since build()")

    def _usable(self, grads: list[Array | None]) -> list[Array | None]:
        """Return gradients that a sweep can read; their shapes and dtypes are checked natively."""
        if grads and all(g is None for g in grads):
            raise ValueError("gradients holds None alone: no parameter would change")
        usable = [None if g is None else self._usable_one(i, g) for i, g in enumerate(grads)]
        if self.zero_grads:  # else the first sweep would clear what another reads
            Memory([(f"gradients[{i}]", g) for i, g in enumerate(usable) if g is not None])
        return usable

    def _usable_one(self, i: int, g: Any) -> Array:
        if isinstance(g, np.generic) and not self.zero_grads:  # what a sum over an array returns
            g = np.asarray(g)
        if is_tensor(g):
            g = _torch_tensors.gradient_array(g, f"gradients[{i}]", self.zero_grads)
        elif not isinstance(g, np.ndarray):
            raise TypeError(f"gradients[{i}] must be a NumPy array, got {type(g).__name__}")
        elif not is_number(g):
            raise TypeError(
                f"gradients[{i}] must be float32, float64, float16 or bfloat16, got {g.dtype}"
            )
        if not is_plain(g):
            if self.zero_grads:
                raise ValueError(f"gradients[{i}] must be C-contiguous for zero_grads=True")
            g = g.copy(order="C")
        owner = self._memory.owner(g)
        if owner is not None:
            raise ValueError(f"gradients[{i}] overlaps {owner} in memory")
        return as_stored(g)

    def _result(self) -> StepResult:
        """Return the norm and whether the call was skipped, which is then not counted."""
        assert self._native is not None
        self._stepped = True
        if not self._parameters:
            return StepResult(0.0, False)
        skipped = self._native.skipped
        if skipped:  # gradients are added up from the beginning again
            self._calls -= (self._calls - 1) % self._calls_a_step + 1
        if self._waits(skipped) or (isinstance(self._place, OnGpu) and not skipped):
            return StepResult(None, skipped)
        return StepResult(self._native.global_norm, skipped)

    @property
    def global_norm(self) -> float | None:
        """The norm of all gradients at the last step, or None; on a GPU it waits for the step."""
        if self._captured:
            self._refuse_within_capture("asked for a norm")
            if self._reports and self._native is not None and self._native.graph_stepped:
                return self._native.global_norm
        if self._native is None or not self._stepped or self._waits(self._native.skipped):
            return None
        return self._native.global_norm

    def _waits(self, skipped: bool) -> bool:
        return not skipped and self._calls % self._calls_a_step != 0


def _same(a: Sequence[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
