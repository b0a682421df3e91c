"""RAdam."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    Convention,
    Hyper,
    flag,
    fraction,
    number,
)
from onepass.optimizers.optimizer import LearningRate, Optimizer


class RAdam(Optimizer):
    """RAdam: Adam whose first steps, while its denominator is not to be trusted, go without it.

    Keras does not have it: formula and defaults are torch's in both conventions. At step t, counted
    from 1, with m and v starting at zero and ``lr`` the learning rate::

        m = beta_1 m + (1 - beta_1) g
        v = beta_2 v + (1 - beta_2) g^2
        r0 = 2 / (1 - beta_2) - 1,   r = r0 - 2 t beta_2^t / (1 - beta_2^t)
        r > 5  p -= lr / (1 - beta_1^t) c sqrt(1 - beta_2^t) m / (sqrt(v) + epsilon)
               with c = sqrt((r - 4) (r - 2) r0 / ((r0 - 4) (r0 - 2) r))
        else   p -= lr / (1 - beta_1^t) m

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
        A callable receives the number of steps done so far, from 0.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float >= 0, default 1e-8
    epsilon_inside_sqrt : bool, default False
        True: ``sqrt(v + epsilon)``.
    decoupled_weight_decay : bool, default False
        True: ``weight_decay`` means in the convention "torch" what it means in "keras".
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "radam"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, Algorithm 2.
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()
    epsilon = Hyper[float]()
    epsilon_inside_sqrt = Hyper[bool]()
    decoupled_weight_decay = Hyper[bool]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "radam",
        epsilon_inside_sqrt: bool = False,
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
        self.epsilon = number("epsilon", epsilon)
        self.epsilon_inside_sqrt = flag("epsilon_inside_sqrt", epsilon_inside_sqrt)
        self.decoupled_weight_decay = flag("decoupled_weight_decay", decoupled_weight_decay)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["radam"]

    @property
    def _decoupled_decay(self) -> bool:
        return self.decoupled_weight_decay or super()._decoupled_decay
