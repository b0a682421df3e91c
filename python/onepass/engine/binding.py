"""An optimizer bound to a model's variables: their states live here, whatever is frozen or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass import _core
from onepass.engine.storage import Floats, Variable, allocate, compact, reallocated
from onepass.optimizers import Optimizer


class BoundOptimizer:
    """Keeps an optimizer's states by variable and makes native optimizers for sets of them."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._states: dict[Variable, list[Floats]] = {}

    def native(self, variables: Sequence[Variable]) -> _core.Optimizer:
        """Return a native optimizer of these variables, going on from their states."""
        self.optimizer.claim(self)
        float64 = any(variable.dtype == "float64" for variable in variables)
        native = self.optimizer.create_native(float64)
        for variable in variables:
            native.add(
                variable.array,
                self._states_of(variable),
                self.optimizer.decays(variable.name, variable),
            )
        native.set_gradients([variable.gradient for variable in variables])
        return native

    def _states_of(self, variable: Variable) -> list[Floats]:
        if variable not in self._states:
            shapes = [variable.shape] * self.optimizer.rule.states
            states = allocate(shapes, variable.dtype)
            self.optimizer.start_states(variable.array, states)
            self._states[variable] = states
        return self._states[variable]

    @property
    def states(self) -> list[Floats]:
        """All states, variable by variable."""
        return [state for states in self._states.values() for state in states]

    @property
    def state_size(self) -> int:
        """Elements of all states."""
        return sum(state.size for state in self.states)

    def __getstate__(self) -> dict[str, Any]:
        pairs = [(v, [compact(state) for state in states]) for v, states in self._states.items()]
        return {"optimizer": self.optimizer, "states": pairs}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.optimizer = saved["optimizer"]
        self._states = {v: reallocated(states) for v, states in saved["states"]}
