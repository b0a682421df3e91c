"""Learning rates that rise first: in one cycle, or linearly in front of another schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np

from onepass import _checks
from onepass.optimizers._arguments import flag, number
from onepass.optimizers.schedules.registry import deserialize, serialize
from onepass.optimizers.schedules.schedule import (
    Floats,
    Formula,
    LearningRateSchedule,
    duration,
    falling_cosine,
)


class OneCycle(Formula):
    """One rise to ``max_lr`` and one fall far below where it began; as torch's ``OneCycleLR``.

    The rate rises from ``max_lr / div_factor`` up to step ``pct_start * total_steps - 1``. Then it
    falls to ``max_lr / div_factor / final_div_factor`` at the last step, ``total_steps - 1``, where
    it stays; with ``three_phase`` it falls as it rose, and only then further down.

    Parameters
    ----------
    max_lr : float >= 0
    total_steps : int >= 1
    pct_start : float in [0, 1], default 0.3
        The part of the steps in which the rate rises.
    anneal_strategy : {"cos", "linear"}, default "cos"
    div_factor : float > 0, default 25
    final_div_factor : float > 0, default 10000
    three_phase : bool, default False
    name : str or None, default "OneCycle"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    Momentum is left alone.

    References
    ----------
    Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates, 2018.
    """

    _arguments = (
        *("max_lr", "total_steps", "pct_start", "anneal_strategy"),
        *("div_factor", "final_div_factor", "three_phase", "name"),
    )

    def __init__(
        self,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        name: str | None = "OneCycle",
    ) -> None:
        super().__init__(name)
        self.max_lr = number("max_lr", max_lr)
        self.total_steps = _checks.integer(total_steps, "total_steps", 1)
        self.pct_start = number("pct_start", pct_start, high=1.0)
        self.anneal_strategy = _checks.choice(anneal_strategy, "anneal_strategy", ("cos", "linear"))
        self.div_factor = number("div_factor", div_factor, without_low=True)
        self.final_div_factor = number("final_div_factor", final_div_factor, without_low=True)
        self.three_phase = flag("three_phase", three_phase)

    def formula(self, steps: Floats) -> Floats:
        rising, last = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        first = self.max_lr / self.div_factor
        # Where each phase begins, and its rate there.
        begins, rates = [0.0, rising], [first, self.max_lr]
        if self.three_phase:
            begins.append(2.0 * rising)
            rates.append(first)
        begins.append(last)
        rates.append(first / self.final_div_factor)
        steps = np.minimum(steps, last)
        phase = np.searchsorted(begins[1:-1], steps)
        begin, end = np.take(begins, phase), np.take(begins, phase + 1)
        passed = np.where(end > begin, (steps - begin) / (end - begin), 1.0)
        return self._between(np.take(rates, phase), np.take(rates, phase + 1), passed)

    def _between(self, start: Floats, end: Floats, passed: Floats) -> Floats:
        if self.anneal_strategy == "cos":
            return end + (start - end) * falling_cosine(passed)
        return (end - start) * passed + start


class LinearWarmup(Formula):
    """A linear rise from ``start`` to the first rate of a schedule, which then follows.

    Parameters
    ----------
    target : float >= 0 or LearningRateSchedule
        The schedule's steps count from the end of the warm-up.
    warmup_steps : number >= 0
        ``target`` is reached after so many steps.
    start : float >= 0, default 0
    name : str or None, default "LinearWarmup"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017, section 2.2.

    Examples
    --------
    >>> from onepass.optimizers import schedules
    >>> rate = schedules.LinearWarmup(schedules.ExponentialDecay(0.8, 1, 0.5), warmup_steps=4)
    >>> [round(rate(step), 6) for step in range(7)]
    [0.0, 0.2, 0.4, 0.6, 0.8, 0.4, 0.2]
    """

    _arguments = ("target", "warmup_steps", "start", "name")

    def __init__(
        self,
        target: float | LearningRateSchedule,
        warmup_steps: float,
        start: float = 0.0,
        name: str | None = "LinearWarmup",
    ) -> None:
        super().__init__(name)
        if isinstance(target, LearningRateSchedule):
            self.target: float | LearningRateSchedule = target
            self._ahead = isinstance(target, Formula) and target.tabulated
        elif isinstance(target, type) or callable(target):
            raise TypeError(f"target must be a number or a LearningRateSchedule, got {target!r}")
        else:
            self.target = number("target", target)
        self.warmup_steps = duration("warmup_steps", warmup_steps, zero=True)
        self.start = number("start", start)

    def formula(self, steps: Floats) -> Floats:
        before = self.warmup_steps
        after = self._target_rates(np.maximum(steps - before, 0.0))
        if not before:
            return after
        return np.where(steps < before, self.start + (after - self.start) * (steps / before), after)

    def _target_rates(self, steps: Floats) -> Floats:
        target = self.target
        if not isinstance(target, LearningRateSchedule):
            return np.full(steps.shape, target)
        if self._ahead and isinstance(target, Formula):
            return target.formula(steps)
        rates = [float(target(int(s) if s.is_integer() else s)) for s in steps.ravel().tolist()]
        return np.array(rates).reshape(steps.shape)

    def get_config(self) -> dict[str, Any]:
        target = self.target
        nested = serialize(target) if isinstance(target, LearningRateSchedule) else target
        return {**super().get_config(), "target": nested}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        target = config.get("target")
        if isinstance(target, Mapping):
            config = {**config, "target": deserialize(target)}
        return cls(**config)
