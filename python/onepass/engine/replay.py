"""Running plans: the table of steps, native calls of about 50 ms, and what happens between them.

Between two native calls Python looks after signals (Ctrl-C), progress and callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onepass.engine.feeding import Feed
from onepass.engine.graph import SymbolicTensor
from onepass.engine.plan import Plan
from onepass.engine.storage import Floats

if TYPE_CHECKING:
    from onepass.optimizers import Optimizer

_SECONDS = 0.05  # of one native call
_FIRST_STEPS = 16  # handed to the first native call; later ones get twice what the last one did

_SINGLE_CALLS = 1 << 31  # draws from here on are those of single calls, below it of epochs

Integers = NDArray[np.int64]


def epoch_draw(number: int) -> int:
    """Return the number of the masks of an epoch of ``fit``."""
    return number % _SINGLE_CALLS


def single_draw(number: int) -> int:
    """Return the number of the masks of a call outside of ``fit``."""
    return _SINGLE_CALLS + number % _SINGLE_CALLS


def batches(samples: int, batch_size: int, limit: int | None = None) -> Integers:
    """Table of steps over the samples: (steps, 3) of first position, rows and optimizer step 0."""
    if samples <= batch_size and limit is None and samples:  # single batches, often small ones
        return np.array([[0, samples, 0]], np.int64)
    first = np.arange(0, samples, batch_size, dtype=np.int64)
    rows = np.minimum(batch_size, samples - first)
    table = np.stack([first, rows, np.zeros_like(first)], axis=1)
    return table if limit is None else table[:limit]


def empty_output(tensor: SymbolicTensor, samples: int) -> Floats:
    """Return an array for what a plan computes for so many samples."""
    return np.empty((samples, *(dim or 0 for dim in tensor.shape[1:])), tensor.dtype)


def as_output_rows(array: Floats) -> Floats:
    """Return an output array as the matrix that a plan fills."""
    return array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1) if array.size else array


@dataclass
class Pass:
    """One pass of a plan over a feed.

    Attributes
    ----------
    plan, feed : what runs on what
    steps : (n, 3) int64, see ``batches``
    order : (samples,) int64 or None: the row at each position
    outputs : arrays that a predicting plan fills
    draw : number of dropout's masks, below 2**32
    sums : (n,) float64: what loss and metrics are read from
    progress : (1,) int64: steps done; right even if an exception struck
    """

    plan: Plan
    feed: Feed
    steps: Integers
    order: Integers | None = None
    outputs: Sequence[Any] = ()
    draw: int = 0

    def __post_init__(self) -> None:
        self.sums = self.plan.new_sums()
        self.progress = np.zeros(1, np.int64)

    @property
    def done(self) -> int:
        """Steps done so far."""
        return int(self.progress[0])

    def logs(self) -> dict[str, float]:
        """Loss and metrics so far."""
        logs: dict[str, Any] = {}
        for readout in self.plan.readouts:
            value = readout.of(self.sums)
            logs.update(value if isinstance(value, dict) else {readout.name: value})
        return logs

    def run(
        self,
        optimizer: Optimizer | None = None,
        after: Callable[[], None] | None = None,
        limit: int | None = None,
    ) -> None:
        """Do the remaining steps.

        Parameters
        ----------
        optimizer : its learning rates and counts of calls are used, and these go on
        after : called after each native call
        limit : stop once so many steps are done
        """
        end = len(self.steps) if limit is None else min(limit, len(self.steps))
        known = np.zeros(0)  # learning rates from step `done` on, each asked for once
        ahead = _FIRST_STEPS
        while (start := self.done) < end:
            wanted = min(ahead, end - start)
            coming = self.steps[start : start + wanted]
            if optimizer is not None:
                first_t = optimizer.calls + 1
                coming[:, 2] = np.arange(first_t, first_t + wanted)
                missing = max(0, wanted - len(known))
                more = optimizer.step_learning_rates(first_t + len(known), missing)
                known = np.concatenate([known, more])
            self.plan.native.run(  # counts the steps: after an interrupt, too, the count is right
                self.feed.sources,
                list(self.outputs),
                self.order,
                coming,
                known[:wanted] if optimizer is not None else np.zeros(wanted),
                self.sums,
                self.progress,
                optimizer,
                _SECONDS,
                self.draw,
            )
            done = self.done - start
            known = known[done:]
            ahead = max(_FIRST_STEPS, 2 * done)
            if after is not None:
                after()
