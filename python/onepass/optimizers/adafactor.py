"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
from onepass.optimizers.optimizer import LearningRate, Optimizer

_LEARNING_RATE = ByConvention(0.001, torch=0.01)
_EPSILON_1 = ByConvention(1e-30, torch=-1.0)  # the type's


class Adafactor(Optimizer):
    """Adafactor: gradients divided by roots of running means that take little memory.

    Of the squared gradients of a matrix, or of the last two dimensions of a tensor, only the means
    of rows (r) and columns (c) are kept. At step t, counted from 1, with the states starting at
    zero, ``lr`` the learning rate and rms the root mean square over a tensor::

        rho = min(lr, 1 / sqrt(t)),   b = 1 - t^beta_2_decay
        r = b r + (1 - b) row means of (g^2 + epsilon_1),   c the same of columns
        v = r c / mean(r);   of a vector  v = b v + (1 - b) (g^2 + epsilon_1)
        u = g / sqrt(v)
        p -= max(epsilon_2, rms(p)) rho / max(1, rms(u) / clip_threshold) u

    torch: nothing is added to g^2, mean(r) is at least epsilon_1 and v at least ``epsilon_1^2``.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001 (torch: 0.01)
        A callable receives the number of steps done so far, from 0.
    beta_2_decay : float <= 0, default -0.8
    epsilon_1 : float >= 0 or None, default 1e-30 (torch: None)
        None, in the convention "torch" only, is the epsilon of the parameters' type.
    epsilon_2 : float >= 0, default 0.001
    clip_threshold : float > 0, default 1
    relative_step : bool, default True
        Of no effect, as in Keras, whose formula bounds the learning rate by ``1 / sqrt(t)`` anyway.
    weight_decay : float >= 0 or None, default None
        Decoupled in both conventions: ``p -= lr * weight_decay * p`` before the rule.
    clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "adafactor"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    `variables` are r and c of a matrix, v and an empty array of a vector. Where a row and a column
    of gradients are zero, u is: in float32 Keras divides 0 by 0. A step reads gradients four times
    and parameters twice.

    References
    ----------
    Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018,
    Algorithms 4 and 5.
    """

    beta_2_decay = Hyper[float]()
    epsilon_1 = Hyper[float | None]()
    epsilon_2 = Hyper[float]()
    clip_threshold = Hyper[float]()
    relative_step = Hyper[bool]()

    def __init__(
        self,
        learning_rate: LearningRate = _LEARNING_RATE,
        beta_2_decay: float = -0.8,
        epsilon_1: float | None = _EPSILON_1,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "adafactor",
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
        self.beta_2_decay = number(
            "beta_2_decay", beta_2_decay, low=-math.inf, high=0.0, without_low=True
        )
        self.epsilon_1 = self._checked_epsilon_1(epsilon_1)
        self.epsilon_2 = number("epsilon_2", epsilon_2)
        self.clip_threshold = number("clip_threshold", clip_threshold, without_low=True)
        self.relative_step = flag("relative_step", relative_step)

    def _checked_epsilon_1(self, value: float | None) -> float | None:
        if isinstance(value, ByConvention):
            return None if self.convention == "torch" else float(value)
        if value is None:
            if self.convention != "torch":
                raise TypeError("epsilon_1 may be None with convention='torch' only")
            return None
        return number("epsilon_1", value)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["adafactor"]

    @property
    def _decoupled_decay(self) -> bool:
        return True

    def _options(self) -> Mapping[str, float]:
        return {
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": -1.0 if self.epsilon_1 is None else self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
        }

    def state_shapes(self, shape: tuple[int, ...], group: int = 0) -> list[tuple[int, ...]]:
        """Return the shapes of r and c, or of v and of nothing."""
        if len(shape) < 2:
            return [shape, (0,)]
        return [shape[:-1], (*shape[:-2], shape[-1])]
