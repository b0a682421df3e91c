"""What ``fit`` shows while it runs. The only file that imports tqdm."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np


class Progress:
    """Shows epochs on standard output; its caller reports each thing that happens.

    Parameters
    ----------
    verbose : {0, 1, 2}
        0 shows nothing, 1 a bar that moves, 2 a line an epoch.
    """

    def __init__(self, verbose: int) -> None:
        if verbose not in (0, 1, 2):
            raise ValueError(f"verbose must be 0, 1 or 2, got {verbose!r}")
        self._verbose = int(verbose)
        self._title = ""
        self._steps: int | None = None
        self._done = 0
        self._bar: Any = None

    @property
    def live(self) -> bool:
        """Whether reports within an epoch are shown."""
        return self._verbose == 1

    def epoch_begin(self, epoch: int, epochs: int, steps: int | None) -> None:
        """Announce an epoch, counted from 0, of so many steps; None is an unknown number."""
        self.close()
        self._title = f"Epoch {epoch + 1}/{epochs}"
        self._steps = steps
        self._done = 0
        if self._verbose == 1:
            if epochs > 1:
                print(self._title, file=sys.stdout, flush=True)
            self._bar = _new_bar(steps)

    def advance(self, done_steps: int, logs: Mapping[str, float]) -> None:
        """Show that so many steps of the epoch are done, and the means up to now."""
        if self._bar is not None:
            self._bar.set_postfix_str(_metrics(logs), refresh=False)
            self._bar.update(done_steps - self._done)
        self._done = done_steps

    def epoch_end(self, logs: Mapping[str, float], seconds: float) -> None:
        """Show the epoch's result and the time that it took."""
        steps = self._done if self._steps is None else self._steps
        if self._bar is not None:
            self.advance(steps, logs)
            self._bar.refresh()
            self.close()
        if self._verbose == 2:
            parts = [self._title, f"{seconds:.2f}s", f"{_duration(seconds / max(1, steps))}/step"]
            print(" - ".join([*parts, *filter(None, [_metrics(logs)])]), flush=True)

    def close(self) -> None:
        """Leave the display in order, also in the middle of an epoch. May be called twice."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


def _new_bar(steps: int | None) -> Any:
    base: Any = importlib.import_module("tqdm").tqdm

    class Bar(base):  # type: ignore[misc]
        monitor_interval = 0  # no monitoring thread, which would not survive a fork

    return Bar(total=steps, unit="step", file=sys.stdout, dynamic_ncols=True)


def _metrics(logs: Mapping[str, Any]) -> str:
    return " - ".join(f"{name}: {_value(value)}" for name, value in logs.items())


def _value(value: Any) -> str:
    if np.ndim(value):
        return "[" + " ".join(_value(v) for v in value) + "]"
    small = 0.0 < abs(value) <= 1e-3
    return f"{value:.4e}" if small else f"{value:.4f}"


def _duration(seconds: float) -> str:
    if seconds >= 1.0:
        return f"{seconds:.0f}s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms"
    return f"{seconds * 1e6:.0f}us"
