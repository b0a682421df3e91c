"""Where batches come from: arrays that are there, or a stream that brings one after another."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from onepass import _random
from onepass.engine.feeding import Samples
from onepass.engine.replay import Integers, Pass, batches

if TYPE_CHECKING:
    from onepass.engine.plan import Mode
    from onepass.models.checked_data import CheckedData


class Batches(Protocol):
    """Epochs of passes over a plan."""

    @property
    def steps(self) -> int | None:
        """Steps of an epoch; None while they are unknown."""

    def passes(self) -> Iterator[Pass]:
        """Yield what makes an epoch: one pass of many steps, or many of one."""


class ArrayBatches:
    """Batches of arrays.

    Parameters
    ----------
    model : whose plans are used
    mode : "train" or "evaluate"
    samples : checked arrays
    batch_size : rows of a batch
    limit : steps of an epoch, if not all. In training epochs then go on where the last one
        stopped, and a new round (in a new order) begins whenever the samples run out
    shuffle : whether each round has a new order
    """

    def __init__(
        self,
        model: CheckedData,
        mode: Mode,
        samples: Samples,
        batch_size: int,
        limit: int | None = None,
        shuffle: bool = False,
    ) -> None:
        self.model, self.mode, self.samples = model, mode, samples
        self.batch_size, self.limit, self.shuffle = batch_size, limit, shuffle
        self._plan = model.plan_for(mode, samples.weighted)
        # Read again in each epoch of training.
        self._feed = (samples.on(self._plan.device) if mode == "train" else samples).feed
        self._rounds = self._batches_for_ever()

    @property
    def steps(self) -> int | None:
        """Steps of an epoch."""
        if self.mode == "train" and self.limit is not None:
            return self.limit
        return len(batches(len(self.samples), self.batch_size, self.limit))

    def passes(self) -> Iterator[Pass]:
        """Yield the one pass of an epoch."""
        training = self.mode == "train"
        order, steps = self._next_steps() if training else (None, self._in_order())
        draw = self.model.next_draw(epoch=training)
        yield Pass(self._plan, self._feed, steps, order, draw=draw)

    def _in_order(self) -> Integers:
        return batches(len(self.samples), self.batch_size, self.limit)

    def _next_steps(self) -> tuple[Integers | None, Integers]:
        """Return order and table of an epoch."""
        if self.limit is None:
            return self._new_order(), self._in_order()
        rows = [next(self._rounds) for _ in range(self.limit)]
        table = np.zeros((len(rows), 3), np.int64)
        table[:, 1] = [len(batch) for batch in rows]
        table[1:, 0] = np.cumsum(table[:-1, 1])
        return np.concatenate(rows), table

    def _new_order(self) -> Integers | None:
        return _random.generator().permutation(len(self.samples)) if self.shuffle else None

    def _batches_for_ever(self) -> Iterator[Integers]:
        while True:
            order = self._new_order()
            if order is None:
                order = np.arange(len(self.samples))
            for start in range(0, len(self.samples), self.batch_size):
                yield order[start : start + self.batch_size]


class StreamBatches:
    """Batches that an iterable brings: (x, y) or (x, y, sample_weight).

    Parameters
    ----------
    model : whose plans are used
    mode : "train" or "evaluate"
    stream : a generator or other iterator goes on from epoch to epoch; what can be iterated again
        (a torch ``DataLoader``, a data set that knows its length and its items) begins anew
    limit : steps of an epoch; None for all that an iteration brings
    class_weight : multiplied into the weights
    """

    def __init__(
        self,
        model: CheckedData,
        mode: Mode,
        stream: Any,
        limit: int | None = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.model, self.mode, self.class_weight = model, mode, class_weight
        self.items = Items(stream, limit)

    @property
    def steps(self) -> int | None:
        """Steps of an epoch, if the stream knows."""
        return self.items.steps

    def passes(self) -> Iterator[Pass]:
        """Yield a pass of one step for each batch."""
        for item in self.items.of_epoch():
            x, y, weight = unpacked(item)
            samples = self.model.checked_samples(x, y, weight, "batch ")
            if self.class_weight is not None:
                samples = self.model.class_weighted(samples, self.class_weight)
            plan = self.model.plan_for(self.mode, samples.weighted)
            steps = batches(len(samples), len(samples))
            draw = self.model.next_draw(epoch=False)  # each batch begins at place 0
            yield Pass(plan, samples.feed, steps, draw=draw)


class Items:
    """What a stream brings, epoch by epoch."""

    def __init__(self, stream: Any, limit: int | None) -> None:
        self.stream, self.limit = stream, limit
        self._ahead = iter(stream) if hasattr(stream, "__next__") else None
        self._going: Iterator[Any] | None = self._ahead

    @property
    def steps(self) -> int | None:
        """Items of an epoch, if known."""
        if self.limit is not None:
            return self.limit
        try:
            return len(self.stream)
        except TypeError:
            return None

    def first(self) -> Any:
        """Return the first item, which the first epoch brings again.

        Raises
        ------
        ValueError
            If there is none.
        """
        iterator = self._again() if self._going is None else self._going
        try:
            item = next(iterator)
        except StopIteration:
            raise ValueError("the data brought no batch") from None
        if self._ahead is not None:

            def chained(rest: Iterator[Any] = iterator) -> Iterator[Any]:
                yield item
                yield from rest

            self._ahead = self._going = chained()
        return item

    def of_epoch(self) -> Iterator[Any]:
        """Yield the items of one epoch; warns where they run out before."""
        if self.limit is None:
            yield from self._ahead if self._ahead is not None else self._again()
            if hasattr(self.stream, "on_epoch_end"):
                self.stream.on_epoch_end()
            return
        for step in range(self.limit):
            item = self._next()
            if item is _NOTHING:
                warnings.warn(f"the data ran out after {step} of {self.limit} steps", stacklevel=2)
                return
            yield item

    def _next(self) -> Any:
        """Return the next item; where an iteration has ended, that of another if possible."""
        if self._going is None:
            self._going = self._again()
        item = next(self._going, _NOTHING)
        if item is _NOTHING and self._ahead is None:
            self._going = self._again()
            item = next(self._going, _NOTHING)
        return item

    def _again(self) -> Iterator[Any]:
        if hasattr(self.stream, "__iter__"):
            return iter(self.stream)
        return (self.stream[i] for i in range(len(self.stream)))


_NOTHING = object()


def is_stream(data: Any) -> bool:
    """Whether data brings batches instead of holding samples."""
    if isinstance(data, (str, bytes, list, tuple, Mapping)):
        return False
    if hasattr(data, "__array__") or hasattr(data, "shape"):
        return False
    indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return isinstance(data, Iterable) or indexed


def unpacked(item: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of a stream's item, None for what it does not hold.

    Raises
    ------
    ValueError
        If the item holds more than three things.
    """
    if not isinstance(item, (tuple, list)):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise ValueError(f"a batch must be (x, y) or (x, y, sample_weight), got {len(item)} items")
    x, y, weight = (*item, None, None)[:3]
    return x, y, weight
