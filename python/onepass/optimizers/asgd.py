"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import Around, Convention, Hyper, number
from onepass.optimizers._arrays import Array
from onepass.optimizers.optimizer import LearningRate, Optimizer


class ASGD(Optimizer):
    """ASGD: gradient descent with a falling rate, and the average of the parameters beside it.

    Keras does not have it: formula and defaults are torch's in both conventions. At step t, counted
    from 1, with eta starting at the learning rate ``lr`` and a at zero::

        p = (1 - lambd eta) p - eta g
        a = a + (p - a) / max(1, t - 1 - t0),   at the first step a = p
        eta = lr / (1 + lambd lr t)^alpha

    So a step takes the rate of the one before it. a, the average, is the first of `variables` of
    each parameter.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.01
        A callable receives the number of steps done so far, from 0.
    lambd : float >= 0, default 1e-4
        Decay of the parameters and of the rate.
    alpha : float >= 0, default 0.75
    t0 : float >= 0, default 1e6
        Steps before the average begins; until then it is the parameter.
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "asgd"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.
    """

    lambd = Hyper[float]()
    alpha = Hyper[float]()
    t0 = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "asgd",
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
        self.lambd = number("lambd", lambd)
        self.alpha = number("alpha", alpha)
        self.t0 = number("t0", t0)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["asgd"]

    def start_states(self, p: Array, states: Sequence[Array]) -> None:
        """Start eta."""
        _, eta = states
        eta[...] = self.learning_rate
