"""Training and serving of a model: compile, fit, evaluate, predict, single batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from onepass.callbacks import CallbackList, History
from onepass.callbacks.progress import Progress
from onepass.engine.batching import (
    ArrayBatches,
    Batches,
    Items,
    StreamBatches,
    is_stream,
    unpacked,
)
from onepass.engine.feeding import Array, Feed, Samples, same_length
from onepass.engine.fitting import FitLoop, Validation, evaluate
from onepass.engine.plan import Mode
from onepass.engine.replay import Integers, Pass, as_output_rows, batches, empty_output
from onepass.engine.structure import flatten, map_structure, pack_like
from onepass.models.arguments import (
    alone,
    batch_rows,
    fraction,
    optional_whole,
    verbosity,
    whole,
)
from onepass.models.building import undone_on_error
from onepass.models.checked_data import CheckedData

_AUTO = "auto"
_PREDICT_ROWS = 512  # of one step, unless the caller says; results do not depend on it


class Trainer(CheckedData):
    """What a model does with data."""

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
        validation_data: Any = None,
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
        x : (n, ...) array, or list, tuple or dict of arrays, one for each input
            float32, float64 and uint8 are read in place, other numbers converted once. Or what
            brings batches (x, y) or (x, y, sample_weight): a generator, which goes on from epoch to
            epoch, or what can be iterated again, such as a torch ``DataLoader``.
        y : (n, ...) array, or list, tuple or dict of arrays, one for each output
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
        validation_data : (x, y) or (x, y, sample_weight), or what brings such batches, optional
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
        every = whole(validation_freq, "validation_freq", 1)
        limit = optional_whole(validation_steps, "validation_steps", 1)
        samples: Samples | None = None
        held_out: Samples | None = None
        training: Batches
        validation: Batches | None = None
        with undone_on_error(self):  # built for good only if all is right
            if is_stream(x):
                alone(x, y=y, sample_weight=sample_weight, batch_size=batch_size)
                alone(x, validation_split=split or None)
                training = self._stream("train", x, per_epoch, class_weight)
            else:
                samples = self.checked_samples(x, y, sample_weight)
                if validation_data is None and split:
                    samples, held_out = _split(samples, split)
                if class_weight is not None:  # of the training samples only
                    samples = self.class_weighted(samples, class_weight)
                rows = batch_rows(batch_size, per_epoch, len(samples))
                training = ArrayBatches(self, "train", samples, rows, per_epoch, bool(shuffle))
            asked = batch_size if validation_batch_size is None else validation_batch_size
            if validation_data is not None:
                validation = self._validation(validation_data, asked, limit)
            elif held_out is not None:
                rows = batch_rows(asked, limit, len(held_out))
                validation = ArrayBatches(self, "evaluate", held_out, rows, limit)
        history = History()
        params = {"verbose": shown, "epochs": epochs, "steps": training.steps}
        hooks = CallbackList(_with(callbacks, history), model=self, params=params)
        self.history = history
        evaluated = None if validation is None else Validation(validation, every)
        self.training_samples, self._fitting = samples, True
        try:
            FitLoop(self, training, evaluated, hooks, Progress(shown)).run(first, epochs)
        finally:
            self.training_samples, self._fitting = None, False
        return history

    def _stream(
        self,
        mode: Mode,
        stream: Any,
        limit: int | None,
        class_weight: Mapping[int, float] | None = None,
    ) -> StreamBatches:
        batches = StreamBatches(self, mode, stream, limit, class_weight)
        if not self.built:
            x, y, weight = unpacked(batches.items.first())
            self.checked_samples(x, y, weight, "batch ")
        return batches

    def _validation(self, data: Any, batch_size: int | None, limit: int | None) -> Batches:
        if is_stream(data):
            return self._stream("evaluate", data, limit)
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                "validation_data must be (x, y) or (x, y, sample_weight), got "
                f"{type(data).__name__}"
                + (f" of length {len(data)}" if isinstance(data, (tuple, list)) else "")
            )
        x, y, weight = (*data, None)[:3]
        samples = self.checked_samples(x, y, weight, prefix="validation ")
        rows = batch_rows(batch_size, limit, len(samples))
        return ArrayBatches(self, "evaluate", samples, rows, limit)

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
        data: Batches
        if is_stream(x):
            alone(x, y=y, sample_weight=sample_weight, batch_size=batch_size)
            data = self._stream("evaluate", x, limit)
        else:
            samples = self.checked_samples(x, y, sample_weight)
            rows = batch_rows(batch_size, limit, len(samples))
            data = ArrayBatches(self, "evaluate", samples, rows, limit)
        hooks = CallbackList(callbacks, model=self)
        progress = Progress(shown)
        progress.epoch_begin(0, 1, data.steps)
        try:
            logs = evaluate(data, hooks, progress.advance if progress.live else None)
        finally:
            progress.close()
        return self._result(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
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
            With several outputs the structure that they form, such as a list.
        """
        predictor = self._predictor  # once: another thread may compile meanwhile
        if (
            predictor is not None
            and predictor.inventory.holds()
            and batch_size is steps is callbacks is None
            and (verbose is _AUTO or (type(verbose) is int and verbose == 0))
        ):
            predicted = predictor.native.predict(x)
            if predicted is not None:
                return predicted
        progress = Progress(verbosity(verbose, 0))
        limit = optional_whole(steps, "steps", 1)
        batch_rows(batch_size, None, 1)
        if is_stream(x):
            alone(x, batch_size=batch_size)
            parts = [self.predict(unpacked(item)[0]) for item in Items(x, limit).of_epoch()]
            if not parts:
                raise ValueError("predict: the data brought no batch")
            leaves = zip(*map(flatten, parts), strict=True)
            return pack_like(parts[0], [np.concatenate(arrays) for arrays in leaves])
        inputs = self.input_arrays(x)
        count = same_length(**{f"x[{i}]": array for i, array in enumerate(inputs)})
        rows = batch_rows(batch_size, limit, count, _PREDICT_ROWS)
        work, result = self._outputs("predict", inputs, batches(count, rows, limit))
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
                    outputs = map_structure(itemgetter(slice(first, first + count)), result)
                    hooks.on_predict_batch_end(step, {"outputs": outputs})
            else:
                work.run(after=lambda: progress.advance(work.done, {}))
        finally:
            progress.close()
        hooks.on_predict_end()
        return result

    def sample(self, x: Any) -> Any:
        """Return the outputs for samples with layers behaving as in training.

        Dropout draws new masks at every call; batch normalization takes the statistics of all
        samples as of one batch. Weights stay as they are.
        """
        inputs = self.input_arrays(x)
        count = same_length(**{f"x[{i}]": array for i, array in enumerate(inputs)})
        rows = count if self.plan_for("sample").couples_rows else _PREDICT_ROWS
        work, result = self._outputs("sample", inputs, batches(count, max(1, rows)))
        work.run()
        return result

    def _outputs(self, mode: Mode, inputs: list[Array], steps: Integers) -> tuple[Pass, Any]:
        """Return a pass that computes outputs, and the arrays that receive them."""
        graph = self.graph()
        n = int(steps[:, 1].sum())
        results = [empty_output(tensor, n) for tensor in graph.output_list]
        feed = Feed([(array, 1.0) for array in inputs], len(inputs[0]))
        work = Pass(
            self.plan_for(mode),
            feed,
            steps,
            outputs=[as_output_rows(result) for result in results],
            draw=self.next_draw(epoch=False),
        )
        return work, pack_like(graph.outputs, results)

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
        samples = self.checked_samples(x, y, sample_weight)
        if class_weight is not None:
            samples = self.class_weighted(samples, class_weight)
        work = self._single_batch("train", samples)
        work.run(self.optimizer)
        return self._result(work.logs(), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return loss and metrics of one batch."""
        work = self._single_batch("evaluate", self.checked_samples(x, y, sample_weight))
        work.run()
        return self._result(work.logs(), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch."""
        return self.predict(x)

    def _single_batch(self, mode: Mode, samples: Samples) -> Pass:
        count = len(samples)
        plan = self.plan_for(mode, samples.weighted)
        plan.reset()
        draw = self.next_draw(epoch=False)
        return Pass(plan, samples.feed, batches(count, count), draw=draw)

    def _result(self, logs: dict[str, float], return_dict: bool) -> Any:
        """Return logs as Keras does: a dict, or their values, the loss first."""
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values


def _split(samples: Samples, split: float) -> tuple[Samples, Samples]:
    """Return what to train on, and the last samples, to validate on."""
    count = len(samples)
    kept = int(count * (1 - split))
    if kept in (0, count):
        raise ValueError(
            f"validation_split={split} leaves one side without samples: {count} are too few"
        )
    return samples.rows(0, kept), samples.rows(kept, count)


def _with(callbacks: Any, history: History) -> list[Any]:
    if callbacks is None:
        return [history]
    given = callbacks if isinstance(callbacks, Iterable) else [callbacks]
    return [*given, history]
