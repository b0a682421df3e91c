"""Learning rates that stay, or fall by a power, a fraction, steps or a polynomial."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from onepass.optimizers._arguments import flag, number
from onepass.optimizers.schedules.schedule import Floats, Formula, duration


class Constant(Formula):
    """The same learning rate at every step.

    Parameters
    ----------
    learning_rate : float >= 0
    name : str or None, default "Constant"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.
    """

    _arguments = ("learning_rate", "name")

    def __init__(self, learning_rate: float, name: str | None = "Constant") -> None:
        super().__init__(name)
        self.learning_rate = number("learning_rate", learning_rate)

    def formula(self, steps: Floats) -> Floats:
        return np.full(steps.shape, self.learning_rate)


class _Decay(Formula):
    """What the decays by a rate share: how many periods have passed."""

    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool,
        name: str | None,
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = duration("decay_steps", decay_steps)
        self.decay_rate = number("decay_rate", decay_rate)
        self.staircase = flag("staircase", staircase)

    def _periods(self, steps: Floats) -> Floats:
        periods = steps / self.decay_steps
        return np.floor(periods) if self.staircase else periods


class ExponentialDecay(_Decay):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float >= 0
    decay_steps : number > 0
    decay_rate : float >= 0
    staircase : bool, default False
        Whether ``step / decay_steps`` is rounded down.
    name : str or None, default "ExponentialDecay"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = "ExponentialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def formula(self, steps: Floats) -> Floats:
        return self.initial_learning_rate * np.power(self.decay_rate, self._periods(steps))


class InverseTimeDecay(_Decay):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float >= 0
    decay_steps : number > 0
    decay_rate : float >= 0
    staircase : bool, default False
        Whether ``step / decay_steps`` is rounded down.
    name : str or None, default "InverseTimeDecay"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def formula(self, steps: Floats) -> Floats:
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._periods(steps))


class PiecewiseConstantDecay(Formula):
    """``values[i]`` where i of the boundaries are below the step.

    So ``values[0]`` holds up to and with ``step = boundaries[0]``.

    Parameters
    ----------
    boundaries : sequence of numbers, ascending
    values : sequence of float >= 0
        One more than boundaries.
    name : str or None, default "PiecewiseConstant"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.
    """

    _arguments = ("boundaries", "values", "name")

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str | None = "PiecewiseConstant",
    ) -> None:
        super().__init__(name)
        self.boundaries = tuple(
            duration(name, value, zero=True) for name, value in _items("boundaries", boundaries)
        )
        self.values = tuple(number(name, value) for name, value in _items("values", values))
        if len(self.boundaries) != len(self.values) - 1:
            raise ValueError(
                "values must be one more than boundaries, got "
                f"{len(self.values)} values and {len(self.boundaries)} boundaries"
            )
        if any(a >= b for a, b in pairwise(self.boundaries)):
            raise ValueError(f"boundaries must ascend, got {list(self.boundaries)}")

    def formula(self, steps: Floats) -> Floats:
        return np.array(self.values)[np.searchsorted(self.boundaries, steps)]

    def get_config(self) -> dict[str, Any]:
        boundaries, values = list(self.boundaries), list(self.values)
        return {**super().get_config(), "boundaries": boundaries, "values": values}


class PolynomialDecay(Formula):
    """``(initial_learning_rate - end_learning_rate) * (1 - p) ** power + end_learning_rate``.

    p is ``step / decay_steps`` up to 1; with ``cycle`` the steps over the first multiple of
    ``decay_steps`` that is not below them, so that the rate rises again behind each multiple.

    Parameters
    ----------
    initial_learning_rate : float >= 0
    decay_steps : number > 0
    end_learning_rate : float >= 0, default 0.0001
    power : float >= 0, default 1
    cycle : bool, default False
    name : str or None, default "PolynomialDecay"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.
    """

    _arguments = (
        *("initial_learning_rate", "decay_steps", "end_learning_rate"),
        *("power", "cycle", "name"),
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = "PolynomialDecay",
    ) -> None:
        super().__init__(name)
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = duration("decay_steps", decay_steps)
        self.end_learning_rate = number("end_learning_rate", end_learning_rate)
        self.power = number("power", power)
        self.cycle = flag("cycle", cycle)

    def formula(self, steps: Floats) -> Floats:
        periods = np.maximum(np.ceil(steps / self.decay_steps), 1.0) if self.cycle else 1.0
        left = 1.0 - np.minimum(steps / (self.decay_steps * periods), 1.0)
        fall = self.initial_learning_rate - self.end_learning_rate
        return np.asarray(fall * left**self.power + self.end_learning_rate)


def _items(name: str, values: object) -> list[tuple[str, object]]:
    """Return the items of a list with their names."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a list of numbers, got {values!r}")
    return [(f"{name}[{i}]", value) for i, value in enumerate(values)]
