"""Adam with a learned learning rate."""

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
from onepass.optimizers.hypergradient import HypergradientOptimizer
from onepass.optimizers.optimizer import LearningRate

_EPSILON = ByConvention(1e-7, torch=1e-8)


class AdamHD(HypergradientOptimizer):
    """Adam-HD: Adam whose learning rate grows while gradients agree with the step before.

    Adam's step is ``p -= lr u``. With ``lr`` starting at the learning rate, u' the direction of the
    step before (0 at the first) and the sum over all elements of all parameters, before the step::

        lr = lr + hypergradient_learning_rate sum(g u')

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
        A callable receives the number of steps done so far, from 0; what has been learned is added
        to what it returns.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float >= 0, default 1e-7 (torch: 1e-8)
    hypergradient_learning_rate : float >= 0, default 1e-8
        0 is Adam.
    weight_decay, clipnorm, clipvalue, global_clipnorm, epsilon_inside_sqrt, convention, **around
        As in :class:`~onepass.optimizers.Adam`. g is the gradient behind all of them; a decay that
        is not part of it takes the learned rate, but teaches it nothing.
    name : str, default "adamhd"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    ``learning_rate`` reads as the rate of the last step. Setting it makes it that number: what has
    been learned is forgotten. As the formula has it, the rate may become negative, and a gradient
    that is not finite spoils it, unless ``skip_nonfinite`` leaves that step out. A parameter that
    had no gradient at the step before is compared with its means of then.

    A step reads gradients and states twice.

    References
    ----------
    Baydin, Cornish, Martinez Rubio, Schmidt and Wood, Online Learning Rate Adaptation with
    Hypergradient Descent, 2018, Algorithm 6.
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()
    epsilon = Hyper[float]()
    epsilon_inside_sqrt = Hyper[bool]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = _EPSILON,
        hypergradient_learning_rate: float = 1e-8,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "adamhd",
        epsilon_inside_sqrt: bool = False,
        convention: Convention = "keras",
        **around: Unpack[Around],
    ) -> None:
        super().__init__(
            learning_rate,
            hypergradient_learning_rate,
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

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["adam_hd"]
