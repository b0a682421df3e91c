"""Optimizers that learn their learning rate while they use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, Unpack

import numpy as np

from onepass import _core
from onepass.optimizers._arguments import Around, Convention, Hyper, number
from onepass.optimizers.optimizer import LearningRate, Optimizer


class HypergradientOptimizer(Optimizer):
    """Base class: what has been learned is added to the learning rate, a number or a schedule.

    Setting ``learning_rate`` forgets it.

    Parameters
    ----------
    learning_rate : float >= 0, LearningRateSchedule or other callable
        Without what is learned.
    hypergradient_learning_rate : float >= 0
    weight_decay, clipnorm, clipvalue, global_clipnorm, name, convention, **around
        As in `Optimizer`.
    """

    hypergradient_learning_rate = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate,
        hypergradient_learning_rate: float,
        weight_decay: float | None,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
        *,
        name: str,
        convention: Convention,
        **around: Unpack[Around],
    ) -> None:
        # Where native optimizers of several plans and sets of parameters read and write it.
        self._learned = np.zeros(1)
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name=name,
            convention=convention,
            **around,
        )
        self.hypergradient_learning_rate = number(
            "hypergradient_learning_rate", hypergradient_learning_rate
        )

    def _present_rate(self) -> float:
        return super()._present_rate() + float(self._learned[0])

    def _set_rate(self, value: float | Callable[..., float]) -> None:
        super()._set_rate(value)
        self._learned[0] = 0.0

    def create_native(self, float64: bool, device: str = "cpu") -> _core.Optimizer:
        """Return a new native optimizer, which goes on from what has been learned."""
        native = super().create_native(float64, device)
        native.keep_learned_rate(0, self._learned)
        return native

    def _own_state(self) -> dict[str, Any]:
        return super()._own_state() | {"learned_rate": float(self._learned[0])}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` returned, of parameters of the same shapes.

        Parameters
        ----------
        state : dict
            Its ``learned_rate`` is what is added to the learning rate.

        Raises
        ------
        TypeError, ValueError
            If it is of another rule, version, number or shape of parameters; nothing has changed
            then.
        """
        learned = state.get("learned_rate", 0.0) if isinstance(state, Mapping) else 0.0
        if not isinstance(learned, Real):
            raise TypeError(f"the state's learned_rate must be a number, got {learned!r}")
        super().load_state_dict(state)
        self._learned[0] = learned
