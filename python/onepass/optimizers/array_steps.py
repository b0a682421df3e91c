"""Steps on plain arrays: what an optimizer does without a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from onepass import _core
from onepass._formulas import Rule
from onepass.optimizers._arrays import Array, Memory, checked_parameters, is_plain, state_of


class StepResult(NamedTuple):
    """What a step reports.

    ``global_norm`` is the norm of all gradients before clipping, or None when neither ``clipnorm``
    nor ``global_clipnorm`` needed it; ``skipped`` says that no parameter changed.
    """

    global_norm: float | None
    skipped: bool


_STEPPED = StepResult(None, False)  # the one result of all steps without norms


class ArraySteps(ABC):
    """`build` and `apply`. The optimizer says the rule, the learning rate and the settings."""

    _reports_norm: bool
    clipnorm: object
    global_clipnorm: object
    _learning_rate: float | Callable[..., float]
    _iterations: int
    _bound: bool
    _native: _core.Optimizer | None
    _parameters: list[Array]
    _states: list[Array]
    _decayed: list[bool]

    @property
    @abstractmethod
    def rule(self) -> Rule:
        """The compiled update rule; ``rule.states`` arrays are kept for each parameter."""

    @abstractmethod
    def _learning_rate_at(self, step: int) -> float:
        """Return the learning rate of the step behind so many others."""

    @abstractmethod
    def create_native(self, float64: bool) -> _core.Optimizer:
        """Return a new native optimizer of these settings."""

    @abstractmethod
    def _excluded(self, parameters: list[Array]) -> set[int]:
        """Return the indices of parameters that do not decay."""

    def build(self, arrays: Sequence[Array]) -> None:
        """Bind the optimizer to arrays, which `apply` then updates in place.

        Parameters
        ----------
        arrays : list or tuple of NumPy arrays
            All float32 or all float64, of any shape; writeable, C-contiguous, not overlapping.

        Raises
        ------
        TypeError, ValueError
            If an array cannot be updated in place, or the optimizer was built before for others.

        Notes
        -----
        The arrays are kept, not copied: they must not be resized. States start at zero.
        """
        parameters = checked_parameters(arrays)
        if self._bound:
            if self._native is not None and _same(parameters, self._parameters):
                return
            raise ValueError(
                f"this {type(self).__name__} is already built for other parameters; "
                "make a new optimizer for these"
            )
        self._decayed = [i not in self._excluded(parameters) for i in range(len(parameters))]
        states = [state_of(p) for p in parameters for _ in range(self.rule.states)]
        self._bind(parameters, states)

    def _bind(self, parameters: list[Array], states: list[Array]) -> None:
        """Make the native optimizer of these arrays."""
        slots = self.rule.states
        named = [(f"parameters[{i}]", p) for i, p in enumerate(parameters)]
        named += [(f"the state of parameters[{i // slots}]", s) for i, s in enumerate(states)]
        self._memory = Memory(named)
        native = self.create_native(bool(parameters) and parameters[0].dtype == np.float64)
        for i, p in enumerate(parameters):
            native.add(p, states[i * slots : (i + 1) * slots], self._decayed[i])
        self._native = native
        self._reports_norm = self.clipnorm is not None or self.global_clipnorm is not None
        self._parameters = parameters
        self._states = states

    def apply(self, grads: Iterable[Array]) -> StepResult:
        """Do one step on the arrays given to `build`, in place.

        Parameters
        ----------
        grads : iterable of NumPy arrays
            One a parameter, in order, of its shape and dtype. They are not written to; one that is
            not C-contiguous is copied first.

        Returns
        -------
        result : StepResult

        Raises
        ------
        TypeError, ValueError
            If a gradient does not fit its parameter or overlaps one; then nothing has changed.
        """
        native = self._native
        known = self._learning_rate
        # A callable is asked once.
        rate = self._learning_rate_at(self._iterations) if callable(known) else known
        if native is None or not native.try_apply(grads, rate, self._iterations + 1):
            self._apply_checked(list(grads), rate)
        self._iterations += 1
        return StepResult(self._global_norm(), False) if self._reports_norm else _STEPPED

    def _apply_checked(self, grads: list[Array], rate: float) -> None:
        """Do a step with gradients that are out of the ordinary, or say what is wrong."""
        if self._native is None:
            raise ValueError(
                f"{type(self).__name__}.apply needs parameters: call build(arrays) first"
            )
        gradients = self._usable(grads)
        self._native.apply(gradients, rate, self._iterations + 1)

    def _usable(self, grads: list[Array]) -> list[Array]:
        """Return gradients that a sweep can read; their shapes and dtypes are checked natively."""
        usable = []
        for i, g in enumerate(grads):
            if not isinstance(g, np.ndarray):
                raise TypeError(f"gradients[{i}] must be a NumPy array, got {type(g).__name__}")
            if not is_plain(g):
                g = g.copy(order="C")
            owner = self._memory.owner(g)
            if owner is not None:
                raise ValueError(f"gradients[{i}] overlaps {owner} in memory")
            usable.append(g)
        return usable

    def _global_norm(self) -> float:
        return self._native.global_norm if self._native is not None and self._parameters else 0.0


def _same(a: list[Array], b: list[Array]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
