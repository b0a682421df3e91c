"""Training and serving of a model: compile, fit, evaluate, predict, single batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from onepass.callbacks import CallbackList, History
from onepass.callbacks.progress import Progress
from onepass.engine.feeding import (
    Array,
    Feed,
    Samples,
    arranged,
    dense_target,
    index_target,
    input_array,
    same_length,
    sample_weights,
    samples_of,
)
from onepass.engine.fitting import FitLoop, Validation, evaluate
from onepass.engine.plan import Mode
from onepass.engine.replay import Integers, Pass, as_output_rows, batches, empty_output
from onepass.engine.structure import flatten, is_nested, map_structure, pack_like
from onepass.models.arguments import batch_rows, fraction, optional_whole, verbosity, whole
from onepass.models.compiled import NO_LOSS, Compiled
from onepass.models.objectives import output_names, per_output

_AUTO = "auto"
_PREDICT_ROWS = 512  # of one step, unless the caller says; results do not depend on it


class Trainer(Compiled):
    """What a model does with data."""

    # -- data ------------------------------------------------------------------------------------

    def _samples(self, x: Any, y: Any, sample_weight: Any = None, prefix: str = "") -> Samples:
        """Check data to train or evaluate on; build the model if that was not done yet."""
        if y is None:
            raise ValueError(f"{prefix}y is missing: this model needs targets")
        if self.loss is None:
            raise ValueError(NO_LOSS.format(self.name))
        if not self.built:  # build for good only if the data can be right
            first = [samples_of(flatten(data)[0]) for data in (x, y) if is_nested(data)]
            if not first:
                lengths = {f"{prefix}x": samples_of(x, prefix + "x"), f"{prefix}y": samples_of(y)}
                same_length(**lengths)
        inputs = self._input_arrays(x, prefix + "x")
        targets = self._targets(y, prefix + "y")
        weights = self._weights(sample_weight, targets)
        names = output_names(self.graph())
        arrays = {f"{prefix}x": inputs[0]}
        if len(inputs) > 1:
            arrays = {f"{prefix}x[{i}]": array for i, array in enumerate(inputs)}
        for kind, given in ((f"{prefix}y", targets), ("sample_weight", weights)):
            for name, array in zip(names, given, strict=True):
                if array is not None:
                    arrays[kind if len(names) == 1 else f"{kind}[{name!r}]"] = array
        if same_length(**arrays) == 0:
            raise ValueError(f"{prefix}x holds no samples")
        return Samples(inputs, targets, weights)

    def _input_arrays(self, x: Any, name: str = "x") -> list[Array]:
        """Return an array for each input, building the model for them if need be."""
        if not self.built:
            self.build(_shapes_of(x, name))
        inputs = self.graph().inputs
        tensors = flatten(inputs)
        if len(tensors) == 1 and not isinstance(x, Mapping):
            return [input_array(x, tensors[0], name)]
        names = [tensor.name for tensor in tensors]
        arrays = arranged(x, inputs, names, name)
        labels = [f"{name}[{i}]" for i in range(len(arrays))]
        return [
            input_array(array, tensor, label)
            for array, tensor, label in zip(arrays, tensors, labels, strict=True)
        ]

    def _targets(self, y: Any, name: str) -> list[Array | None]:
        graph, objectives = self.graph(), self.objectives()
        names = [objective.name for objective in objectives]
        if len(names) > 1:
            y = arranged(y, graph.outputs, names, name)
            labels = [f"{name}[{own!r}]" for own in names]
        else:
            y, labels = [y.get(names[0]) if isinstance(y, Mapping) else y], [name]
        targets: list[Array | None] = []
        for given, tensor, objective, label in zip(
            y, graph.output_list, objectives, labels, strict=True
        ):
            check = index_target if objective.sparse else dense_target
            targets.append(check(given, tensor, label) if objective.has_target else None)
        return targets

    def _weights(self, sample_weight: Any, targets: list[Array | None]) -> list[Array | None]:
        tensors = self.graph().output_list
        names = output_names(self.graph())
        given = [sample_weight] * len(names)
        if len(names) > 1 and isinstance(sample_weight, (list, tuple, Mapping)):
            given = per_output(sample_weight, names, "sample_weight")
        return [
            None if target is None else sample_weights(target, weight, tensor)
            for target, weight, tensor in zip(targets, given, tensors, strict=True)
        ]

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
        samples, held_out = self._training_data(x, y, sample_weight, split, validation_data)
        if class_weight is not None:  # of the training samples only
            samples = samples.class_weighted(class_weight, self.graph().output_list)
        rows = batch_rows(batch_size, per_epoch, len(samples))
        validation = None
        every = whole(validation_freq, "validation_freq", 1)
        if held_out is not None:
            limit = optional_whole(validation_steps, "validation_steps", 1)
            asked = batch_size if validation_batch_size is None else validation_batch_size
            held_out_rows = batch_rows(asked, limit, len(held_out))
            validation = Validation(held_out, held_out_rows, limit, every)
        plan = self.plan_for("train", samples.weighted)
        if validation is not None:
            self.plan_for("evaluate", validation.samples.weighted)
        history = History()
        steps = per_epoch or len(batches(len(samples), rows))
        params = {"verbose": shown, "epochs": epochs, "steps": steps}
        hooks = CallbackList(_with(callbacks, history), model=self, params=params)
        self.history = history
        FitLoop(
            self,
            plan,
            samples.feed,
            rows,
            per_epoch,
            bool(shuffle),
            validation,
            hooks,
            Progress(shown),
        ).run(first, epochs)
        return history

    def _training_data(
        self, x: Any, y: Any, sample_weight: Any, split: float, validation_data: Any
    ) -> tuple[Samples, Samples | None]:
        """Return what to train on and what to validate on."""
        samples = self._samples(x, y, sample_weight)
        if validation_data is not None:
            return samples, self._validation_samples(validation_data)
        if not split:
            return samples, None
        count = len(samples)
        kept = int(count * (1 - split))
        if kept in (0, count):
            raise ValueError(
                f"validation_split={split} leaves one side without samples: {count} are too few"
            )
        return samples.rows(0, kept), samples.rows(kept, count)

    def _validation_samples(self, data: Sequence[Any]) -> Samples:
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                "validation_data must be (x, y) or (x, y, sample_weight), got "
                f"{type(data).__name__}"
                + (f" of length {len(data)}" if isinstance(data, (tuple, list)) else "")
            )
        x, y, weight = (*data, None)[:3]
        return self._samples(x, y, weight, prefix="validation ")

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
        samples = self._samples(x, y, sample_weight)
        rows = batch_rows(batch_size, limit, len(samples))
        self.plan_for("evaluate", samples.weighted)
        hooks = CallbackList(callbacks, model=self)
        progress = Progress(shown)
        progress.epoch_begin(0, 1, len(batches(len(samples), rows, limit)))

        def show(work: Pass) -> None:
            progress.advance(work.done, work.logs())

        try:
            logs = evaluate(self, samples, rows, limit, hooks, show if progress.live else None)
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
            and batch_size is steps is callbacks is None
            and (verbose is _AUTO or (type(verbose) is int and verbose == 0))
        ):
            predicted = predictor.predict(x)
            if predicted is not None:
                return predicted
        progress = Progress(verbosity(verbose, 0))
        limit = optional_whole(steps, "steps", 1)
        batch_rows(batch_size, None, 1)
        inputs = self._input_arrays(x)
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

        Dropout draws new masks at every call; weights stay as they are.
        """
        inputs = self._input_arrays(x)
        count = same_length(**{f"x[{i}]": array for i, array in enumerate(inputs)})
        work, result = self._outputs("sample", inputs, batches(count, _PREDICT_ROWS))
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
        samples = self._samples(x, y, sample_weight)
        if class_weight is not None:
            samples = samples.class_weighted(class_weight, self.graph().output_list)
        work = self._single_batch("train", samples)
        work.run(self.optimizer)
        return self._result(work.logs(), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return loss and metrics of one batch."""
        work = self._single_batch("evaluate", self._samples(x, y, sample_weight))
        work.run()
        return self._result(work.logs(), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch."""
        return self.predict(x)

    def _single_batch(self, mode: Mode, samples: Samples) -> Pass:
        count = len(samples)
        plan = self.plan_for(mode, samples.weighted)
        draw = self.next_draw(epoch=False)
        return Pass(plan, samples.feed, batches(count, count), draw=draw)

    def _result(self, logs: dict[str, float], return_dict: bool) -> Any:
        """Return logs as Keras does: a dict, or their values, the loss first."""
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values


def _shapes_of(x: Any, name: str) -> Any:
    """Return the shape of a batch, or a structure of shapes, that a model is built for."""
    if isinstance(x, Mapping) or (is_nested(x) and all(np.ndim(item) > 0 for item in x)):
        arrays = map_structure(lambda item: samples_of(item, name), x)
        if isinstance(x, Mapping) or any(hasattr(item, "shape") for item in x):
            return map_structure(_batch_shape, arrays)
    return _batch_shape(samples_of(x, name))


def _batch_shape(array: Array) -> tuple[int | None, ...]:
    return (None, *(array.shape[1:] or (1,)))


def _with(callbacks: Any, history: History) -> list[Any]:
    if callbacks is None:
        return [history]
    given = callbacks if isinstance(callbacks, Iterable) else [callbacks]
    return [*given, history]
