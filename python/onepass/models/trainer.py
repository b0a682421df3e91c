"""Training and serving of a model: compile, fit, evaluate, predict, single batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass.callbacks import CallbackList, History
from onepass.callbacks.progress import Progress
from onepass.engine.feeding import (
    Feed,
    class_weighted,
    dense_target,
    index_target,
    input_array,
    same_length,
    sample_weights,
    samples_of,
)
from onepass.engine.fitting import FitLoop, Validation, evaluate
from onepass.engine.plan import Mode
from onepass.engine.replay import Integers, Pass, batches
from onepass.models.arguments import batch_rows, fraction, optional_whole, verbosity, whole
from onepass.models.compiled import NO_LOSS, Compiled

if TYPE_CHECKING:
    from onepass.engine.storage import Floats

_AUTO = "auto"
_PREDICT_ROWS = 512  # of one step, unless the caller says; results do not depend on it


class Trainer(Compiled):
    """What a model does with data."""

    # -- data ------------------------------------------------------------------------------------

    def _feed(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        prefix: str = "",
    ) -> Feed:
        if y is None:
            raise ValueError(f"{prefix}y is missing: this model needs targets")
        if self.loss is None:
            raise ValueError(NO_LOSS.format(self.name))
        if not self.built:  # build for good only if the data can be right
            same_length(**{f"{prefix}x": samples_of(x, prefix + "x"), f"{prefix}y": samples_of(y)})
        inputs = self._input(x, prefix + "x")
        _, output = self.graph()
        check = index_target if self.loss.sparse else dense_target
        targets = check(y, output, prefix + "y")
        weights = sample_weights(targets, sample_weight, output)
        arrays = {f"{prefix}x": inputs, f"{prefix}y": targets, "sample_weight": weights}
        samples = same_length(**arrays)
        if samples == 0:
            raise ValueError(f"{prefix}x holds no samples")
        sources = [(array, 1.0) for array in (inputs, targets, weights) if array is not None]
        return Feed(sources, samples)

    def _input(self, x: Any, name: str = "x") -> Any:
        if not self.built:
            self.build_for(samples_of(x, name).shape[1:] or (1,))
        return input_array(x, self.graph()[0], name)

    # -- training --------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x : (n, ...) array
            float32, float64 and uint8 are read in place, other numbers converted once.
        y : (n, ...) array
            Rows like the output, or class indices for a sparse loss.
        batch_size : int, optional
            Default 32, or so many that ``steps_per_epoch`` batches hold all samples.
        epochs : int, default 1
            Number of the last epoch, counted from ``initial_epoch``.
        verbose : {"auto", 0, 1, 2}
            Nothing; a live bar an epoch ("auto"); a line an epoch.
        callbacks : list of Callback, optional
        validation_split : float in [0, 1)
            Share of the last samples, before shuffling, kept for validation.
        validation_data : (x, y) or (x, y, sample_weight), optional
        shuffle : bool
            Draw a new order of the samples each epoch.
        class_weight : dict of class index to float, optional
            Multiplied into the sample weights.
        sample_weight : (n,) array, optional
        initial_epoch : int
        steps_per_epoch : int, optional
            Batches of an epoch; epochs then go on where the last one stopped.
        validation_steps : int, optional
            Batches to validate on.
        validation_batch_size : int, default ``batch_size``
        validation_freq : int, default 1
            Validate every so many epochs.

        Returns
        -------
        history : History
            ``history.history`` holds a list per logged name.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, before anything was changed.

        Notes
        -----
        Same seed, same weights: the result does not depend on the number of threads. Ctrl-C ends
        training within about 0.1 s and leaves the weights of the last whole step.
        """
        epochs, first = whole(epochs, "epochs", 0), whole(initial_epoch, "initial_epoch", 0)
        batch_rows(batch_size, None, 1)
        per_epoch = optional_whole(steps_per_epoch, "steps_per_epoch", 1)
        shown = verbosity(verbose, 1)
        split = fraction(validation_split, "validation_split")
        feed, held_out = self._training_data(x, y, sample_weight, split, validation_data)
        if class_weight is not None:  # of the training samples only
            feed = class_weighted(feed, class_weight, self.graph()[1])
        rows = batch_rows(batch_size, per_epoch, feed.samples)
        validation = None
        every = whole(validation_freq, "validation_freq", 1)
        if held_out is not None:
            limit = optional_whole(validation_steps, "validation_steps", 1)
            asked = batch_size if validation_batch_size is None else validation_batch_size
            held_out_rows = batch_rows(asked, limit, held_out.samples)
            validation = Validation(held_out, held_out_rows, limit, every)
        plan = self.plan_for("train", feed.weighted)
        if validation is not None:
            self.plan_for("evaluate", validation.feed.weighted)
        history = History()
        steps = per_epoch or len(batches(feed.samples, rows))
        params = {"verbose": shown, "epochs": epochs, "steps": steps}
        hooks = CallbackList(_with(callbacks, history), model=self, params=params)
        self.history = history
        FitLoop(
            self, plan, feed, rows, per_epoch, bool(shuffle), validation, hooks, Progress(shown)
        ).run(first, epochs)
        return history

    def _training_data(
        self, x: Any, y: Any, sample_weight: Any, split: float, validation_data: Any
    ) -> tuple[Feed, Feed | None]:
        """Return what to train on and what to validate on."""
        feed = self._feed(x, y, sample_weight)
        if validation_data is not None:
            return feed, self._validation_feed(validation_data)
        if not split:
            return feed, None
        kept = int(feed.samples * (1 - split))
        if kept in (0, feed.samples):
            raise ValueError(
                f"validation_split={split} leaves one side without samples: {len(x)} are too few"
            )
        return feed.rows(0, kept), feed.rows(kept, feed.samples)

    def _validation_feed(self, data: Sequence[Any]) -> Feed:
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                "validation_data must be (x, y) or (x, y, sample_weight), got "
                f"{type(data).__name__}"
                + (f" of length {len(data)}" if isinstance(data, (tuple, list)) else "")
            )
        x, y, weight = (*data, None)[:3]
        return self._feed(x, y, weight, prefix="validation ")

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return loss and metrics on data.

        Returns
        -------
        result : float, or list of the loss and each metric, or dict by name if ``return_dict``
        """
        batch_rows(batch_size, None, 1)
        limit = optional_whole(steps, "steps", 1)
        shown = verbosity(verbose, 0)
        feed = self._feed(x, y, sample_weight)
        rows = batch_rows(batch_size, limit, feed.samples)
        self.plan_for("evaluate", feed.weighted)
        hooks = CallbackList(callbacks, model=self)
        progress = Progress(shown)
        progress.epoch_begin(0, 1, len(batches(feed.samples, rows, limit)))

        def show(work: Pass) -> None:
            progress.advance(work.done, work.logs())

        try:
            logs = evaluate(self, feed, rows, limit, hooks, show if progress.live else None)
        finally:
            progress.close()
        return _result(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Floats:
        """Return the outputs for samples.

        Parameters
        ----------
        x : (n, ...) array
        batch_size : int, optional
            Rows computed at a time; the result does not depend on it.
        verbose : {"auto", 0, 1, 2}
            "auto" shows nothing.

        Returns
        -------
        y : (n, ...) array of the model's float type
        """
        predictor = self._predictor  # once: another thread may compile meanwhile
        if (
            predictor is not None
            and batch_size is steps is callbacks is None
            and (verbose is _AUTO or (type(verbose) is int and verbose == 0))
        ):
            predicted = predictor.predict(x)
            if predicted is not None:
                return predicted
        progress = Progress(verbosity(verbose, 0))
        limit = optional_whole(steps, "steps", 1)
        batch_rows(batch_size, None, 1)
        samples = self._input(x)
        rows = batch_rows(batch_size, limit, len(samples), _PREDICT_ROWS)
        work, result = self._outputs("predict", samples, batches(len(samples), rows, limit))
        table = work.steps
        hooks = CallbackList(callbacks, model=self)
        hooks.on_predict_begin()
        progress.epoch_begin(0, 1, len(table))
        try:
            if hooks.needs_batches("predict"):
                for step in range(len(table)):
                    hooks.on_predict_batch_begin(step)
                    work.run(limit=step + 1)
                    first, count = (int(v) for v in table[step, :2])
                    hooks.on_predict_batch_end(step, {"outputs": result[first : first + count]})
            else:
                work.run(after=lambda: progress.advance(work.done, {}))
        finally:
            progress.close()
        hooks.on_predict_end()
        return result

    def sample(self, x: Any) -> Floats:
        """Return the outputs for samples with layers behaving as in training.

        Dropout draws new masks at every call; batch normalization takes the statistics of all
        samples as of one batch. Weights stay as they are.
        """
        samples = self._input(x)
        rows = len(samples) if self.plan_for("sample").couples_rows else _PREDICT_ROWS
        work, result = self._outputs("sample", samples, batches(len(samples), max(1, rows)))
        work.draw = self.next_draw(epoch=False)
        work.run()
        return result

    def _outputs(self, mode: Mode, samples: Any, steps: Integers) -> tuple[Pass, Floats]:
        """Return a pass that computes outputs, and the array that receives them."""
        output = self.graph()[1]
        n = int(steps[:, 1].sum())
        result = np.empty((n, *(dim or 0 for dim in output.shape[1:])), output.dtype)
        flat = result.reshape(-1, result.shape[-1]) if result.size else result
        feed = Feed([(samples, 1.0)], len(samples))
        return Pass(self.plan_for(mode), feed, steps, outputs=[flat]), result

    # -- single batches --------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Do one training step on one batch.

        Returns
        -------
        result : as ``evaluate``
            Of this batch, before the step.
        """
        feed = self._feed(x, y, sample_weight)
        if class_weight is not None:
            feed = class_weighted(feed, class_weight, self.graph()[1])
        work = self._single_batch("train", feed)
        work.draw = self.next_draw(epoch=False)
        work.run(self.optimizer)
        return _result(work.logs(), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return loss and metrics of one batch."""
        work = self._single_batch("evaluate", self._feed(x, y, sample_weight))
        work.run()
        return _result(work.logs(), return_dict)

    def predict_on_batch(self, x: Any) -> Floats:
        """Return the outputs for one batch."""
        return self.predict(x)

    def _single_batch(self, mode: Mode, feed: Feed) -> Pass:
        return Pass(self.plan_for(mode, feed.weighted), feed, batches(feed.samples, feed.samples))


def _with(callbacks: Any, history: History) -> list[Any]:
    if callbacks is None:
        return [history]
    given = callbacks if isinstance(callbacks, Iterable) else [callbacks]
    return [*given, history]


def _result(logs: dict[str, float], return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
