"""Adadelta."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    ByConvention,
    Convention,
    Hyper,
    fraction,
    number,
)
from onepass.optimizers.optimizer import LearningRate, Optimizer

_LEARNING_RATE = ByConvention(0.001, torch=1.0)
_RHO = ByConvention(0.95, torch=0.9)
_EPSILON = ByConvention(1e-7, torch=1e-6)


class Adadelta(Optimizer):
    """Adadelta: steps as large as those before, in the units of the parameters.

    With v and s starting at zero and ``lr`` the learning rate::

        v = rho v + (1 - rho) g^2
        d = sqrt(s + epsilon) g / sqrt(v + epsilon)
        s = rho s + (1 - rho) d^2
        p -= lr d

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001 (torch: 1)
        A callable receives the number of steps done so far, from 0.
    rho : float in [0, 1), default 0.95 (torch: 0.9)
    epsilon : float >= 0, default 1e-7 (torch: 1e-6)
        With 0 nothing ever moves: s starts at 0.
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "adadelta"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012, Algorithm 1.
    """

    rho = Hyper[float]()
    epsilon = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = _LEARNING_RATE,
        rho: float = _RHO,
        epsilon: float = _EPSILON,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "adadelta",
        convention: Convention = "keras",
        **around: Unpack[Around],
    ) -> None:
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
        self.rho = fraction("rho", self._default(rho))
        self.epsilon = number("epsilon", self._default(epsilon))

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["adadelta"]
