"""Adamax."""

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

_LEARNING_RATE = ByConvention(0.001, torch=0.002)
_EPSILON = ByConvention(1e-7, torch=1e-8)


class Adamax(Optimizer):
    """Adamax: Adam with the largest magnitude of the gradients in place of their root mean square.

    At step t, counted from 1, with m and u starting at zero and ``lr`` the learning rate::

        m = beta_1 m + (1 - beta_1) g
        keras  u = max(beta_2 u, |g|)                  torch  u = max(beta_2 u, |g| + epsilon)
               p -= lr / (1 - beta_1^t) m / (u + epsilon)     p -= lr / (1 - beta_1^t) m / u

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001 (torch: 0.002)
        A callable receives the number of steps done so far, from 0.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float >= 0, default 1e-7 (torch: 1e-8)
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "adamax"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, Algorithm 2.
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()
    epsilon = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = _LEARNING_RATE,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = _EPSILON,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "adamax",
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
        self.beta_1 = fraction("beta_1", beta_1)
        self.beta_2 = fraction("beta_2", beta_2)
        self.epsilon = number("epsilon", self._default(epsilon))

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["adamax"]
