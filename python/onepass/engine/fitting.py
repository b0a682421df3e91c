"""The training loop: epochs, validation, callbacks in Keras's order, progress."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from onepass.callbacks import CallbackList
from onepass.engine.batching import Batches
from onepass.engine.replay import Pass

if TYPE_CHECKING:
    from onepass.callbacks.progress import Progress
    from onepass.models.compiled import Compiled

Logs = dict[str, float]
Show = Callable[[int, Logs], None]  # steps done, logs so far


@dataclass(frozen=True)
class Validation:
    """What is evaluated behind an epoch, and how often."""

    batches: Batches
    every: int


@dataclass
class FitLoop:
    """One call of ``fit``."""

    model: Compiled
    batches: Batches
    validation: Validation | None
    callbacks: CallbackList
    progress: Progress

    def run(self, initial_epoch: int, epochs: int) -> None:
        """Train from one epoch to another."""
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        logs: Logs = {}
        try:
            for epoch in range(initial_epoch, epochs):
                logs = self._epoch(epoch, epochs)
                if self.model.stop_training:
                    break
        finally:
            self.progress.close()
        if epochs > initial_epoch:
            self.model.finalize_weights()
        self.callbacks.on_train_end(logs)

    def _epoch(self, epoch: int, epochs: int) -> Logs:
        started = time.perf_counter()
        self.callbacks.on_epoch_begin(epoch)
        self.progress.epoch_begin(epoch, epochs, self.batches.steps)
        logs = dict(sorted(self._train().items()))  # in Keras's order
        if not logs:
            warnings.warn(f"no batches are left for epoch {epoch + 1}: training ends", stacklevel=4)
            self.model.stop_training = True
            return logs
        seconds = time.perf_counter() - started
        if self.validation is not None and (epoch + 1) % self.validation.every == 0:
            results = evaluate(self.validation.batches, self.callbacks)
            logs.update({f"val_{name}": value for name, value in sorted(results.items())})
        self.progress.epoch_end(logs, seconds)
        self.callbacks.on_epoch_end(epoch, logs)
        return logs

    def _train(self) -> Logs:
        show = self.progress.advance if self.progress.live else None
        return _run(self.batches.passes(), self.callbacks, "train", self.model, show)


def evaluate(batches: Batches, callbacks: CallbackList, show: Show | None = None) -> Logs:
    """Loss and metrics over batches, with the test hooks."""
    callbacks.on_test_begin()
    logs = _run(batches.passes(), callbacks, "test", None, show)
    callbacks.on_test_end(logs)
    return logs


def _run(
    passes: Iterator[Pass],
    callbacks: CallbackList,
    mode: Literal["train", "test"],
    trained: Compiled | None,
    show: Show | None,
) -> Logs:
    """Do passes one after another, their sums going on, and return the logs at the end."""
    optimizer = None if trained is None else trained.optimizer
    begin, end = callbacks.batch_hooks(mode)
    logs: Logs = {}
    sums = None
    before = 0  # steps of earlier passes
    for work in passes:
        if sums is None:
            work.plan.reset()
        sums = work.sums = work.sums if sums is None else sums

        def after(work: Pass = work, before: int = before) -> None:
            if show is not None:
                show(before + work.done, work.logs())

        told = after if show is not None else None
        if not callbacks.needs_batches(mode):
            work.run(optimizer, told)
        else:
            for step in range(len(work.steps)):
                begin(before + step)
                work.run(optimizer, told, limit=step + 1)
                end(before + step, work.logs())
                if trained is not None and trained.stop_training:
                    return work.logs()
        before += work.done
        logs = work.logs()
    return logs
