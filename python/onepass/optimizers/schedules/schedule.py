"""What all learning rate schedules share, and tables of those that are formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from onepass._checks import scalar
from onepass.optimizers._arguments import number

Floats = npt.NDArray[np.float64]

_BLOCK = 512  # steps whose rates are computed at once
_WHOLE = (int, np.integer)  # a union made at each call would take longer than the call


class LearningRateSchedule:
    """Base class: a subclass defines ``__call__(step)``, which returns a learning rate.

    An optimizer calls it with the number of steps done so far, from 0: the rate of the first step
    is that of ``step=0``. In ``fit`` coming steps are asked for some time ahead.

    Examples
    --------
    >>> import onepass
    >>> class Harmonic(onepass.optimizers.schedules.LearningRateSchedule):
    ...     def __init__(self, start):
    ...         self.start = start
    ...     def __call__(self, step):
    ...         return self.start / (step + 1)
    ...     def get_config(self):
    ...         return {"start": self.start}
    >>> optimizer = onepass.optimizers.SGD(Harmonic(0.5))
    >>> optimizer.iterations = 4
    >>> print(optimizer.learning_rate)
    0.1
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate after so many steps."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step)")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        raise NotImplementedError(
            f"{type(self).__name__} must define get_config() to be turned into a configuration"
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a schedule from what ``get_config`` returned."""
        return cls(**config)


class Formula(LearningRateSchedule):
    """A schedule whose rates are computed many steps at once. Its arguments are read-only.

    A subclass says its arguments and the formula over an array of steps. Whole steps are computed
    in blocks that always begin at the same ones: rounding never depends on who asks for which.
    """

    _arguments: ClassVar[tuple[str, ...]] = ()
    _ahead = True  # whether rates may be computed before they are asked for
    # The block computed last: its first step, the step behind it, rates, whether all are valid.
    _block: tuple[int, int, Floats, bool] = (0, 0, np.empty(0), True)

    def __init__(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string, got {name!r}")
        self.name = name

    def formula(self, steps: Floats) -> Floats:
        """Return the rates after so many steps, in double."""
        raise NotImplementedError

    def __call__(self, step: Any) -> Any:
        """Return the learning rate after so many steps.

        Parameters
        ----------
        step : number or array of numbers

        Returns
        -------
        rate : float, or float64 array of the shape of ``step``
        """
        if self._ahead and isinstance(step, _WHOLE) and step >= 0:
            begin, _, rates, _ = self._block_with(int(step))
            return rates.item(step - begin)
        with np.errstate(all="ignore"):  # an optimizer checks the rates that it uses
            rates = self.formula(np.asarray(step, np.float64))
        return rates if rates.ndim else float(rates)

    @property
    def tabulated(self) -> bool:
        """Whether ``rates`` says what calls would: not if a subclass has a call of its own."""
        return self._ahead and type(self).__call__ is Formula.__call__

    def rates(self, first: int, n: int) -> Floats:
        """Return the learning rates after ``first``, ``first + 1``, ... steps.

        Raises
        ------
        ValueError
            If one of these is negative or not finite.
        """
        parts = [np.empty(0)]
        end = first + n
        while first < end:
            begin, behind, rates, valid = self._block_with(first)
            part = rates[first - begin : end - begin]
            if not valid:
                for step, rate in enumerate(part.tolist(), first):
                    checked_rate(rate, step)
            parts.append(part)
            first = behind
        return np.concatenate(parts)

    def _block_with(self, step: int) -> tuple[int, int, Floats, bool]:
        block = self._block
        if not block[0] <= step < block[1]:
            begin = step - step % _BLOCK
            with np.errstate(all="ignore"):
                rates = self.formula(np.arange(begin, begin + _BLOCK, dtype=np.float64))
            block = begin, begin + _BLOCK, rates, bool(np.all((rates >= 0.0) & (rates < np.inf)))
            vars(self)["_block"] = block
        return block

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in self._arguments}

    def __setattr__(self, name: str, value: object) -> None:
        if name in vars(self):
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot change after construction: rates are "
                "computed ahead; make a new schedule"
            )
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_block"}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._arguments)
        return f"{type(self).__name__}({arguments})"


def checked_rate(rate: float, step: int) -> float:
    """Return a learning rate that a step can use; ``step`` counts those before it."""
    if not 0.0 <= rate < math.inf:
        raise ValueError(f"learning_rate at step {step} must be finite and >= 0, got {rate}")
    return rate


def duration(name: str, value: object, *, zero: bool = False) -> float:
    """Return a positive number of steps; a whole number stays one."""
    value = scalar(value)
    length = number(name, value, without_low=not zero)
    return int(value) if isinstance(value, Integral) else length


def falling_cosine(fraction: Floats) -> Floats:
    """Return half a wave of the cosine, from 1 at 0 to 0 at 1."""
    return np.asarray(0.5 * (1.0 + np.cos(math.pi * fraction)))
