"""The training loop: epochs, shuffling, validation, callbacks in Keras's order, progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onepass import _random
from onepass.callbacks import CallbackList
from onepass.engine.feeding import Feed, Samples
from onepass.engine.plan import Plan
from onepass.engine.replay import Integers, Pass, batches

if TYPE_CHECKING:
    from onepass.callbacks.progress import Progress
    from onepass.models.trainer import Trainer

Logs = dict[str, float]


@dataclass(frozen=True)
class Validation:
    """What is evaluated behind an epoch, and how often."""

    samples: Samples
    batch_size: int
    steps: int | None
    every: int


@dataclass
class FitLoop:
    """One call of ``fit``."""

    model: Trainer
    plan: Plan
    feed: Feed
    batch_size: int
    steps_per_epoch: int | None
    shuffle: bool
    validation: Validation | None
    callbacks: CallbackList
    progress: Progress

    def __post_init__(self) -> None:
        self._stream = self._batches_for_ever()

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
        self.callbacks.on_train_end(logs)

    def _epoch(self, epoch: int, epochs: int) -> Logs:
        started = time.perf_counter()
        order, steps = self._next_steps()
        self.callbacks.on_epoch_begin(epoch)
        self.progress.epoch_begin(epoch, epochs, len(steps))
        logs = dict(sorted(self._train(order, steps).items()))  # in Keras's order
        seconds = time.perf_counter() - started
        if self.validation is not None and (epoch + 1) % self.validation.every == 0:
            results = self._validate(self.validation)
            logs.update({f"val_{name}": value for name, value in sorted(results.items())})
        self.progress.epoch_end(logs, seconds)
        self.callbacks.on_epoch_end(epoch, logs)
        return logs

    def _next_steps(self) -> tuple[Integers | None, Integers]:
        """Return order and table of an epoch: a pass over the samples, or ``steps_per_epoch``.

        In the latter case epochs go on where the last one stopped, and a new pass begins (in a new
        order) whenever the samples run out.
        """
        if self.steps_per_epoch is None:
            return self._new_order(), batches(self.feed.samples, self.batch_size)
        rows = [next(self._stream) for _ in range(self.steps_per_epoch)]
        table = np.zeros((len(rows), 3), np.int64)
        table[:, 1] = [len(batch) for batch in rows]
        table[1:, 0] = np.cumsum(table[:-1, 1])
        return np.concatenate(rows), table

    def _new_order(self) -> Integers | None:
        return _random.generator().permutation(self.feed.samples) if self.shuffle else None

    def _batches_for_ever(self) -> Iterator[Integers]:
        while True:
            order = self._new_order()
            if order is None:
                order = np.arange(self.feed.samples)
            for start in range(0, self.feed.samples, self.batch_size):
                yield order[start : start + self.batch_size]

    def _train(self, order: Integers | None, steps: Integers) -> Logs:
        draw = self.model.next_draw(epoch=True)
        work = Pass(self.plan, self.feed, steps, order, draw=draw)
        show = self._shower(work)
        if not self.callbacks.needs_batches("train"):
            work.run(self.model.optimizer, show)
            return work.logs()
        for step in range(len(steps)):
            self.callbacks.on_train_batch_begin(step)
            work.run(self.model.optimizer, show, limit=step + 1)
            self.callbacks.on_train_batch_end(step, work.logs())
            if self.model.stop_training:
                break
        return work.logs()

    def _shower(self, work: Pass) -> Callable[[], None] | None:
        if not self.progress.live:
            return None
        return lambda: self.progress.advance(work.done, work.logs())

    def _validate(self, validation: Validation) -> Logs:
        return evaluate(
            self.model,
            validation.samples,
            validation.batch_size,
            validation.steps,
            self.callbacks,
        )


def evaluate(
    model: Trainer,
    samples: Samples,
    batch_size: int,
    steps: int | None,
    callbacks: CallbackList,
    show: Callable[[Pass], None] | None = None,
) -> Logs:
    """Loss and metrics over samples, with the test hooks."""
    plan = model.plan_for("evaluate", samples.weighted)
    table = batches(len(samples), batch_size, steps)
    work = Pass(plan, samples.feed, table, draw=model.next_draw(epoch=False))
    callbacks.on_test_begin()
    after = None if show is None else lambda: show(work)
    if callbacks.needs_batches("test"):
        for step in range(len(work.steps)):
            callbacks.on_test_batch_begin(step)
            work.run(after=after, limit=step + 1)
            callbacks.on_test_batch_end(step, work.logs())
    else:
        work.run(after=after)
    logs = work.logs()
    callbacks.on_test_end(logs)
    return logs
