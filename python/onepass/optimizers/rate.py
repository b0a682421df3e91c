"""The learning rate as a number that knows its optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onepass.optimizers.optimizer import Optimizer


class CurrentRate(float):
    """What ``optimizer.learning_rate`` returns: a float that later changes leave as it is."""

    __slots__ = ("_optimizer",)
    _optimizer: Optimizer

    def __new__(cls, value: float, optimizer: Optimizer) -> CurrentRate:
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
