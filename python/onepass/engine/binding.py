"""An optimizer bound to a model's variables: their states live here, whatever is frozen or not."""

from __future__ import annotations

from collections.abc import Sequence

from onepass import _core
from onepass.engine.storage import Floats, Variable, allocate
from onepass.optimizers import Optimizer


class BoundOptimizer:
    """Keeps an optimizer's states by variable and makes native optimizers for sets of them."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._states: dict[int, tuple[Variable, list[Floats]]] = {}

    def native(self, variables: Sequence[Variable], dtype: str) -> _core.Optimizer:
        """Return a native optimizer of these variables, going on from their states."""
        native = self.optimizer.create_native(dtype == "float64")
        for variable in variables:
            native.add(
                variable.array,
                self._states_of(variable),
                self.optimizer.decays(variable.name, variable),
            )
        native.set_gradients([variable.gradient for variable in variables])
        return native

    def _states_of(self, variable: Variable) -> list[Floats]:
        if id(variable) not in self._states:
            shapes = [variable.shape] * self.optimizer.rule.states
            self._states[id(variable)] = (variable, allocate(shapes, variable.dtype))
        return self._states[id(variable)][1]

    @property
    def state_size(self) -> int:
        """Elements of all states."""
        return sum(state.size for _, states in self._states.values() for state in states)
