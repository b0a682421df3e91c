"""Lamb."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import Around, Convention, Hyper, fraction, number
from onepass.optimizers.optimizer import LearningRate, Optimizer


class Lamb(Optimizer):
    """Lamb: Adam's direction, each tensor's step as long as a fixed part of its norm.

    For large batches. At step t, counted from 1, with m and v starting at zero, ``lr`` the learning
    rate and norms over all elements of a tensor::

        m = beta_1 m + (1 - beta_1) g
        v = beta_2 v + (1 - beta_2) g^2
        u = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)
        p -= lr |p| / |u| u

    The quotient of norms is 1 where one of them is 0 or NaN.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
        A callable receives the number of steps done so far, from 0.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float >= 0, default 1e-7
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`. Keras's formula in both conventions.
    name : str, default "lamb"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    A step reads parameters, gradients and states twice.

    References
    ----------
    You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes, 2020,
    Algorithm 2.
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()
    epsilon = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "lamb",
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

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["lamb"]
