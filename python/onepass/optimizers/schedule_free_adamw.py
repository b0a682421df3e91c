"""AdamW without a schedule of learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from onepass import _checks
from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    Convention,
    Hyper,
    flag,
    fraction,
    number,
)
from onepass.optimizers._arrays import Array
from onepass.optimizers.optimizer import LearningRate, Optimizer


class ScheduleFreeAdamW(Optimizer):
    """Schedule-free AdamW: averaging in place of a learning rate that falls.

    At step t, counted from 1, with z starting at the parameter, v at zero and
    ``lr = learning_rate min(t / warmup_steps, 1)``::

        v = beta_2 v + (1 - beta_2) g^2
        w = z - lr g / (sqrt(v / (1 - beta_2^t)) + epsilon)
        x = (p - (1 - beta_1) z) / beta_1,   x = (1 - 1/t) x + w / t
        p = (1 - beta_1) w + beta_1 x,       z = w

    As in Keras parameters hold p, where gradients are taken, in training and in evaluation; x, the
    average, is ``(p - (1 - beta_1) z) / beta_1``.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.0025
        A callable receives the number of steps done so far, from 0.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float >= 0, default 1e-8
    warmup_steps : int >= 0, default 0
    epsilon_inside_sqrt : bool, default False
        True: ``sqrt(v / (1 - beta_2^t) + epsilon)``.
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "schedule_free_adamw"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    ``weight_decay`` is decoupled in both conventions: ``p -= learning_rate * weight_decay * p``
    before the rule, without the warm-up.

    References
    ----------
    Defazio et al., The Road Less Scheduled, 2024, Algorithm 1.
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()
    epsilon = Hyper[float]()
    warmup_steps = Hyper[int]()
    epsilon_inside_sqrt = Hyper[bool]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "schedule_free_adamw",
        epsilon_inside_sqrt: bool = False,
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
        self.warmup_steps = _checks.integer(warmup_steps, "warmup_steps", 0)
        self.epsilon_inside_sqrt = flag("epsilon_inside_sqrt", epsilon_inside_sqrt)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["schedule_free_adamw"]

    @property
    def _decoupled_decay(self) -> bool:
        return True

    def start_states(self, p: Array, states: Sequence[Array]) -> None:
        """Start z at the parameter."""
        z, _ = states
        z[...] = p
