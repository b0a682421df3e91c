"""An optimizer bound to a model's variables: their states live here, whatever is frozen or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass import _core
from onepass.engine.storage import Floats, Variable, allocate, compact, reallocated
from onepass.optimizers import Optimizer


class BoundOptimizer:
    """Keeps what an optimizer keeps for each variable and makes native optimizers for sets of them.

    For each variable these are the rule's states, then the sum of gradients, where a step takes
    several calls, and the moving average, where there is one.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._kept: dict[Variable, list[Floats]] = {}
        self._devices: dict[Variable, str] = {}  # on which that lies

    def native(self, variables: Sequence[Variable]) -> _core.Optimizer:
        """Return a native optimizer of these variables, going on from their states."""
        self.optimizer.claim(self)
        float64 = any(variable.dtype == "float64" for variable in variables)
        devices = {variable.device for variable in variables}
        native = self.optimizer.create_native(float64, devices.pop() if devices else "cpu")
        native.set_unscale(1.0)  # a model does not scale its loss
        for variable in variables:
            kept = self._kept_for(variable)
            group = self.optimizer.group_of(variable.shape, variable.name)
            states = len(self.optimizer.state_shapes(variable.shape, group))
            native.add(
                variable.array,
                kept[:states],
                self.optimizer.decays(variable.name, variable),
                kept[states] if self._sums else None,
                kept[-1] if self.optimizer.use_ema else None,
                group,
            )
        native.set_gradients([variable.gradient for variable in variables])
        return native

    @property
    def _sums(self) -> bool:
        return bool(self.optimizer.gradient_accumulation_steps)

    def _kept_for(self, variable: Variable) -> list[Floats]:
        if variable in self._kept and self._devices[variable] != variable.device:  # it has moved
            self._kept[variable] = reallocated(self._kept[variable], variable.device)
        if variable not in self._kept:
            group = self.optimizer.group_of(variable.shape, variable.name)
            shapes = self.optimizer.state_shapes(variable.shape, group)
            states = len(shapes)
            shapes += [variable.shape] * (self._sums + self.optimizer.use_ema)
            kept = allocate(shapes, variable.dtype, variable.device)
            self.optimizer.start_states(variable.array, kept[:states])
            if self.optimizer.use_ema:
                kept[-1][...] = variable.array
            self._kept[variable] = kept
        self._devices[variable] = variable.device
        return self._kept[variable]

    @property
    def averages(self) -> list[Floats]:
        """Moving averages of the variables, in their order, where the optimizer keeps these."""
        return [kept[-1] for kept in self._kept.values() if self.optimizer.use_ema]

    def finalize(self, variables: Sequence[Variable] | None = None) -> None:
        """Make variables, or all, their moving averages, where the optimizer keeps these."""
        if not self.optimizer.use_ema or not self.optimizer.calls:
            return
        for variable in self._kept if variables is None else variables:
            if variable in self._kept:
                variable.array[...] = self._kept[variable][-1]

    @property
    def states(self) -> list[Floats]:
        """All that is kept, variable by variable."""
        return [array for arrays in self._kept.values() for array in arrays]

    @property
    def state_size(self) -> int:
        """Elements of all states."""
        return sum(state.size for state in self.states)

    def __getstate__(self) -> dict[str, Any]:
        pairs = [(v, [compact(array) for array in arrays]) for v, arrays in self._kept.items()]
        return {"optimizer": self.optimizer, "kept": pairs}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.optimizer = saved["optimizer"]
        self._kept = {v: reallocated(arrays) for v, arrays in saved["kept"]}
        self._devices = dict.fromkeys(self._kept, "cpu")
