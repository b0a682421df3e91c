"""Nadam."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    ByConvention,
    Convention,
    Hyper,
    flag,
    fraction,
    number,
)
from onepass.optimizers.optimizer import LearningRate, Optimizer

_LEARNING_RATE = ByConvention(0.001, torch=0.002)
_EPSILON = ByConvention(1e-7, torch=1e-8)
_MOMENTUM_DECAY = ByConvention(1.0, torch=0.004)


class Nadam(Optimizer):
    """Nadam: Adam with Nesterov's momentum, which grows from ``beta_1 / 2`` to ``beta_1``.

    At step t, counted from 1, with m and v starting at zero and ``lr`` the learning rate::

        m = beta_1 m + (1 - beta_1) g
        v = beta_2 v + (1 - beta_2) g^2
        u(t) = beta_1 (1 - 0.96^(t momentum_decay) / 2),   U(t) = u(1) u(2) ... u(t)
        d = u(t+1) / (1 - U(t+1)) m + (1 - u(t)) / (1 - U(t)) g
        p -= lr d / (sqrt(v / (1 - beta_2^t)) + epsilon)

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001 (torch: 0.002)
        A callable receives the number of steps done so far, from 0.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float >= 0, default 1e-7 (torch: 1e-8)
    epsilon_inside_sqrt : bool, default False
        True: ``sqrt(v / (1 - beta_2^t) + epsilon)``.
    momentum_decay : float >= 0, default 1 (torch: 0.004)
        Keras has only 1.
    decoupled_weight_decay : bool, default False
        True: ``weight_decay`` means in the convention "torch" what it means in "keras".
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "nadam"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Dozat, Incorporating Nesterov Momentum into Adam, 2016.
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()
    epsilon = Hyper[float]()
    epsilon_inside_sqrt = Hyper[bool]()
    momentum_decay = Hyper[float]()
    decoupled_weight_decay = Hyper[bool]()

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
        name: str = "nadam",
        epsilon_inside_sqrt: bool = False,
        momentum_decay: float = _MOMENTUM_DECAY,
        decoupled_weight_decay: bool = False,
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
        self.epsilon_inside_sqrt = flag("epsilon_inside_sqrt", epsilon_inside_sqrt)
        self.momentum_decay = number("momentum_decay", self._default(momentum_decay))
        self.decoupled_weight_decay = flag("decoupled_weight_decay", decoupled_weight_decay)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["nadam"]

    @property
    def _decoupled_decay(self) -> bool:
        return self.decoupled_weight_decay or super()._decoupled_decay
