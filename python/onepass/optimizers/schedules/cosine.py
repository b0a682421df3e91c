"""Learning rates that fall like a cosine, once or again and again."""

from __future__ import annotations

import math

import numpy as np

from onepass.optimizers._arguments import number
from onepass.optimizers.schedules.schedule import Floats, Formula, duration, falling_cosine

# A step counts as a restart also where rounding puts it just before: as a part of a period.
_ROUNDING = 1e-9


class CosineDecay(Formula):
    """A cosine from a rate to ``alpha`` times it, after a linear warm-up to that rate.

    Without ``warmup_target``, p being ``step / decay_steps`` up to 1::

        initial_learning_rate * ((1 - alpha) * (1 + cos(pi p)) / 2 + alpha)

    With it, the rate first rises from ``initial_learning_rate`` to ``warmup_target`` within
    ``warmup_steps``, then falls from there in the same way within ``decay_steps``.

    Parameters
    ----------
    initial_learning_rate : float >= 0
    decay_steps : number > 0
        Without those of the warm-up.
    alpha : float >= 0, default 0
    name : str or None, default "CosineDecay"
    warmup_target : float >= 0 or None, default None
        None is no warm-up, whatever ``warmup_steps``.
    warmup_steps : number >= 0, default 0

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017 (warm-up).
    """

    _arguments = (
        *("initial_learning_rate", "decay_steps", "alpha", "name"),
        *("warmup_target", "warmup_steps"),
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str | None = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = duration("decay_steps", decay_steps)
        self.alpha = number("alpha", alpha)
        self.warmup_target = (
            None if warmup_target is None else number("warmup_target", warmup_target)
        )
        self.warmup_steps = duration("warmup_steps", warmup_steps, zero=True)

    def formula(self, steps: Floats) -> Floats:
        start, peak, before = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if peak is None:
            return start * self._share(steps)
        return np.where(
            steps < before,
            start + (peak - start) * (steps / before) if before else peak,
            peak * self._share(steps - before),
        )

    def _share(self, steps: Floats) -> Floats:
        wave = falling_cosine(np.minimum(steps, self.decay_steps) / self.decay_steps)
        return (1.0 - self.alpha) * wave + self.alpha


class CosineDecayRestarts(Formula):
    """A cosine that falls to ``alpha`` times the initial rate and restarts, in longer periods.

    Period i, counted from 0, is ``first_decay_steps * t_mul ** i`` steps long. In it, p being the
    part of it that has passed::

        initial_learning_rate * ((1 - alpha) * m_mul ** i * (1 + cos(pi p)) / 2 + alpha)

    Parameters
    ----------
    initial_learning_rate : float >= 0
    first_decay_steps : number > 0
    t_mul : float >= 1, default 2
    m_mul : float >= 0, default 1
    alpha : float >= 0, default 0
    name : str or None, default "SGDRDecay"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    """

    _arguments = (
        *("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul"),
        *("alpha", "name"),
    )

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str | None = "SGDRDecay",
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = duration("first_decay_steps", first_decay_steps)
        self.t_mul = number("t_mul", t_mul, low=1.0)
        self.m_mul = number("m_mul", m_mul)
        self.alpha = number("alpha", alpha)

    def formula(self, steps: Floats) -> Floats:
        period, passed = self._place(steps / self.first_decay_steps)
        wave = np.power(self.m_mul, period) * falling_cosine(passed)
        return self.initial_learning_rate * ((1.0 - self.alpha) * wave + self.alpha)

    def _place(self, firsts: Floats) -> tuple[Floats, Floats]:
        """Return the number of the period, and how much of it has passed.

        ``firsts`` is the time since the beginning, in first periods.
        """
        t, more = self.t_mul, self.t_mul - 1.0
        if more == 0.0:
            period = np.floor(firsts + _ROUNDING)
            return period, np.maximum(firsts - period, 0.0)
        period = np.floor(np.log1p(firsts * more) / math.log(t) + _ROUNDING)
        length = np.power(t, period)
        return period, np.maximum((firsts - (length - 1.0) / more) / length, 0.0)
