"""What callbacks share that watch one number of the logs."""

from __future__ import annotations

import warnings
from typing import Any

from onepass._checks import choice, number
from onepass.callbacks.callback import Callback, Logs


class MonitorCallback(Callback):
    """Base class: finds the number that is watched, and says whether it got better.

    Parameters
    ----------
    monitor : str
        Name in the logs.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; "auto" asks the model's metrics.
    baseline : float, optional
        The best value so far; None is none.
    min_delta : float
        What must change by no more than this has not got better; its sign is dropped.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or unknown.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0.0,
    ) -> None:
        super().__init__()
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a string, got {type(monitor).__name__}")
        self.monitor = monitor
        self.mode = choice(mode, "mode", ("auto", "min", "max"))
        self.best = None if baseline is None else number(baseline, "baseline")
        self.min_delta = abs(number(min_delta, "min_delta"))

    def monitored(self, logs: Logs) -> Any:
        """Return the number that is watched, or None with a warning where the logs lack it."""
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which is not there; "
                f"there are: {', '.join(logs)}",
                stacklevel=4,
            )
        return value

    def improves(self, value: float) -> bool:
        """Whether a value is better than the best one so far; NaN never is.

        Raises
        ------
        ValueError
            If the mode is "auto" and the model does not say what is better.
        """
        if self.best is not None:
            return self.is_better(value, self.best)
        self._larger_is_better()  # raises
        return value == value  # not NaN

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is better than another one by more than ``min_delta``; NaN never is.

        Raises
        ------
        ValueError
            As `improves`.
        """
        if self._larger_is_better():
            return bool(value - self.min_delta > than)
        return bool(value + self.min_delta < than)

    def _larger_is_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        direction = self.model.direction_of(name)
        if direction is None:
            raise ValueError(
                f"{type(self).__name__}: whether {self.monitor!r} should be large or small is not "
                "known; pass mode='max' or mode='min'"
            )
        return bool(direction == "up")
