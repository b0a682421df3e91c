"""Adagrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    ByConvention,
    Convention,
    Hyper,
    flag,
    number,
)
from onepass.optimizers._arrays import Array
from onepass.optimizers.optimizer import LearningRate, Optimizer

_LEARNING_RATE = ByConvention(0.001, torch=0.01)
_START = ByConvention(0.1, torch=0.0)
_EPSILON = ByConvention(1e-7, torch=1e-10)


class Adagrad(Optimizer):
    """Adagrad: gradients divided by the root of the sum of all their squares.

    With a starting at ``initial_accumulator_value`` and ``lr`` the learning rate::

        a = a + g^2
        keras  p -= lr g / sqrt(a + epsilon)
        torch  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(a) + epsilon)

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001 (torch: 0.01)
        A callable receives the number of steps done so far, from 0.
    initial_accumulator_value : float >= 0, default 0.1 (torch: 0)
    epsilon : float >= 0, default 1e-7 (torch: 1e-10)
    epsilon_inside_sqrt : bool, default False
        True: ``sqrt(a + epsilon)`` in the convention "torch" too; in "keras" it always is.
    lr_decay : float >= 0, default 0
        Of the convention "torch" only.
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "adagrad"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization, 2011.
    """

    initial_accumulator_value = Hyper[float]()
    epsilon = Hyper[float]()
    epsilon_inside_sqrt = Hyper[bool]()
    lr_decay = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = _LEARNING_RATE,
        initial_accumulator_value: float = _START,
        epsilon: float = _EPSILON,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "adagrad",
        epsilon_inside_sqrt: bool = False,
        lr_decay: float = 0.0,
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
        self.initial_accumulator_value = number(
            "initial_accumulator_value", self._default(initial_accumulator_value)
        )
        self.epsilon = number("epsilon", self._default(epsilon))
        self.epsilon_inside_sqrt = flag("epsilon_inside_sqrt", epsilon_inside_sqrt)
        self.lr_decay = number("lr_decay", lr_decay)
        if self.lr_decay and self.convention != "torch":
            raise ValueError(
                f"lr_decay needs convention='torch', got lr_decay={self.lr_decay} with "
                f"convention={self.convention!r}"
            )

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["adagrad"]

    def start_states(self, p: Array, states: Sequence[Array]) -> None:
        """Start the sum of squares."""
        (accumulator,) = states
        accumulator[...] = self.initial_accumulator_value
