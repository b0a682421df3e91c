"""Lion."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    Convention,
    Hyper,
    fraction,
    number,
)
from onepass.optimizers.optimizer import LearningRate, Optimizer


class Lion(Optimizer):
    """Lion: steps of the learning rate in the sign of an averaged gradient.

    With m starting at zero, ``lr`` the learning rate and the sign of 0 being 0::

        p -= lr sign(beta_1 m + (1 - beta_1) g)
        m = beta_2 m + (1 - beta_2) g

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
        A callable receives the number of steps done so far, from 0.
    beta_1 : float in (0, 1], default 0.9
    beta_2 : float in [0, 1), default 0.99
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "lion"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, Algorithm 2.
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "lion",
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
        self.beta_1 = number("beta_1", beta_1, high=1.0, without_low=True)
        self.beta_2 = fraction("beta_2", beta_2)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["lion"]
