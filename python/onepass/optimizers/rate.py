"""The learning rate of an optimizer: a number, a schedule or another callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from onepass.optimizers._arguments import accepts, number
from onepass.optimizers.schedules.schedule import Formula, LearningRateSchedule, checked_rate


class CurrentRate(float):
    """What ``optimizer.learning_rate`` returns: a float that later changes leave as it is."""

    __slots__ = ("_optimizer",)
    _optimizer: LearningRates

    def __new__(cls, value: float, optimizer: LearningRates) -> CurrentRate:
        rate = super().__new__(cls, value)
        rate._optimizer = optimizer
        return rate

    def assign(self, value: Any) -> None:
        """Set the optimizer's learning rate, as ``optimizer.learning_rate = value`` does."""
        self._optimizer.learning_rate = value

    def numpy(self) -> npt.NDArray[np.float64]:
        """Return the number as an array without dimensions."""
        return np.array(float(self))

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)  # a copy is a plain number


class LearningRates:
    """The part of an optimizer that knows its learning rates."""

    _calls: int
    _learning_rate: float | Callable[..., float]
    _takes_step: bool  # a callable one

    @property
    def learning_rate(self) -> CurrentRate:
        """Learning rate of the next step. May be set to a number or a callable at any time.

        But a number does not replace a schedule: that raises a TypeError, as in Keras.
        ``learning_rate.assign(value)`` does the same as ``learning_rate = value``.
        """
        return CurrentRate(self._present_rate(), self)

    @learning_rate.setter
    def learning_rate(self, value: float | Callable[..., float]) -> None:
        self._set_rate(value)

    def _present_rate(self) -> float:
        return self._learning_rate_at(self._calls)

    def _set_rate(self, value: float | Callable[..., float]) -> None:
        if isinstance(value, type):
            raise TypeError(
                f"learning_rate is the class {value.__name__}; pass an instance of it, made with ()"
            )
        if callable(value):
            self._takes_step = accepts(value, 0)
            self._learning_rate = value
            return
        if "_learning_rate" in vars(self) and self.schedule is not None:
            raise TypeError(
                f"learning_rate follows {self.schedule!r}, so it cannot be set to {value!r}: "
                "make the optimizer with a number, or set it to another schedule"
            )
        self._learning_rate = number("learning_rate", value)

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The schedule that the learning rate follows, or None for a number or a callable."""
        rate = self._learning_rate
        return rate if isinstance(rate, LearningRateSchedule) else None

    def _learning_rate_at(self, step: int) -> float:
        if not callable(self._learning_rate):
            return self._learning_rate
        rate = self._learning_rate(step) if self._takes_step else self._learning_rate()
        return checked_rate(float(rate), step)

    def step_learning_rates(self, first_t: int, n: int) -> npt.NDArray[np.float64]:
        """Return the learning rates of `n` coming calls.

        Parameters
        ----------
        first_t : int >= 1
            The first call, counted from 1; a callable learning rate receives ``first_t - 1``.
        n : int >= 0

        Returns
        -------
        rates : (n,) float64
        """
        if not callable(self._learning_rate):
            return np.full(n, self._learning_rate)
        if isinstance(self._learning_rate, Formula) and self._learning_rate.tabulated:
            return self._learning_rate.rates(first_t - 1, n)
        rates = np.empty(n)
        before = self._calls
        try:
            for i in range(n):
                # A callable may look at `iterations` instead of taking the step.
                self._calls = first_t - 1 + i
                rates[i] = self._learning_rate_at(self._calls)
        finally:
            self._calls = before
        return rates
