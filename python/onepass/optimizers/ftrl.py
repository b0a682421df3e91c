"""FTRL-proximal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    Convention,
    Hyper,
    number,
)
from onepass.optimizers._arrays import Array
from onepass.optimizers.optimizer import LearningRate, Optimizer


class Ftrl(Optimizer):
    """FTRL: follows the regularised leader; with an L1 penalty weights become exactly 0.

    With n starting at ``initial_accumulator_value``, z at zero, ``lr`` the learning rate and
    ``a = -learning_rate_power``::

        k = n + g^2
        z = z + g + 2 l2_shrinkage p - (k^a - n^a) / lr p
        n = k
        p = (clip(z, -l1, l1) - z) / (n^a / lr + 2 l2 + beta / lr)

    and p = 0 where z is within l1. Parameters start anew from z: their initial values count for the
    first step only. A step with ``lr = 0`` does nothing.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
        A callable receives the number of steps done so far, from 0.
    learning_rate_power : float <= 0, default -0.5
    initial_accumulator_value : float >= 0, default 0.1
    l1_regularization_strength, l2_regularization_strength : float >= 0, default 0
    l2_shrinkage_regularization_strength : float >= 0, default 0
    beta : float >= 0, default 0
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "ftrl"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    McMahan et al., Ad Click Prediction: a View from the Trenches, 2013, Algorithm 1.
    """

    learning_rate_power = Hyper[float]()
    initial_accumulator_value = Hyper[float]()
    l1_regularization_strength = Hyper[float]()
    l2_regularization_strength = Hyper[float]()
    l2_shrinkage_regularization_strength = Hyper[float]()
    beta = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "ftrl",
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
        self.learning_rate_power = number(
            "learning_rate_power", learning_rate_power, low=-math.inf, high=0.0, without_low=True
        )
        self.initial_accumulator_value = number(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.l1_regularization_strength = number(
            "l1_regularization_strength", l1_regularization_strength
        )
        self.l2_regularization_strength = number(
            "l2_regularization_strength", l2_regularization_strength
        )
        self.l2_shrinkage_regularization_strength = number(
            "l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength
        )
        self.beta = number("beta", beta)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["ftrl" if self.learning_rate_power == -0.5 else "ftrl_power"]

    def start_states(self, p: Array, states: Sequence[Array]) -> None:
        """Start the sum of squares."""
        accumulator, _ = states
        accumulator[...] = self.initial_accumulator_value
