"""Training and serving of a model: compile, fit, evaluate, predict, single batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass import losses, optimizers
from onepass import metrics as metrics_module
from onepass._checks import number
from onepass.callbacks import CallbackList, History
from onepass.callbacks.progress import Progress
from onepass.engine.binding import BoundOptimizer
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
from onepass.engine.objective import Objective
from onepass.engine.plan import Mode, Plan, build_plan
from onepass.engine.replay import Pass, batches
from onepass.models.arguments import batch_rows, fraction, optional_whole, verbosity, whole

if TYPE_CHECKING:
    from onepass.engine.graph import SymbolicTensor
    from onepass.engine.storage import Floats, Variable
    from onepass.losses import Loss
    from onepass.metrics import Metric
    from onepass.optimizers import Optimizer

_NO_LOSS = "model {0!r} has no loss: call compile(optimizer, loss) first"
_PREDICT_ROWS = 512  # of one step, unless the caller says; results do not depend on it


class Trainer:
    """What a model does with data. The model itself says what it is: graph and variables."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.optimizer: Optimizer | None = None
        self.loss: Loss | None = None
        self.stop_training = False
        self.history: History | None = None
        self._metrics: Sequence[str | Metric | Loss] = ()
        self._weighted_metrics: Sequence[str | Metric | Loss] = ()
        self._loss_weight = 1.0
        self._bound: BoundOptimizer | None = None
        self._plans: dict[tuple[Any, ...], Plan] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_plans": {}, "history": None}  # plans are recorded anew

    # -- what models say --------------------------------------------------------------------------

    @property
    def trainable_variables(self) -> list[Variable]:
        """Weights that ``fit`` changes."""
        raise NotImplementedError

    def graph(self) -> tuple[SymbolicTensor, SymbolicTensor]:
        """Return the recorded input and output; the model must be built."""
        raise NotImplementedError

    def build_for(self, sample_shape: tuple[int, ...]) -> None:
        """Build for samples of this shape if that was not done yet."""
        raise NotImplementedError

    @property
    def built(self) -> bool:
        """Whether all weights exist."""
        raise NotImplementedError

    # -- compiling -------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: str | Loss | None = None,
        loss_weights: float | None = None,
        metrics: Sequence[str | Metric | Loss] | None = None,
        weighted_metrics: Sequence[str | Metric | Loss] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
        loss_weights : float, optional
            Factor of the loss.
        metrics : sequence of str, Metric or Loss, optional
            Reported, with all samples counting alike.
        weighted_metrics : the same, weighted by the sample weights
        run_eagerly : bool
            Only False: a model is always recorded.
        steps_per_execution, jit_compile, auto_scale_loss
            Keras's, without effect: plans run many steps natively anyway, in float32 or float64.

        Raises
        ------
        TypeError, ValueError
            If a name is unknown; nothing is changed then.
        """
        new_optimizer = optimizers.get(optimizer)
        new_loss = None if loss is None else losses.get(loss)
        plain, weighted = _listed(metrics, "metrics"), _listed(weighted_metrics, "weighted_metrics")
        if new_loss is not None and new_loss.reduction in ("none", None):
            raise ValueError("compile: training needs a loss with a reduction, got reduction=None")
        factor = 1.0 if loss_weights is None else number(loss_weights, "loss_weights")
        if run_eagerly:
            raise ValueError("compile: run_eagerly=True is not possible, models are recorded")
        for metric in [*plain, *weighted]:
            metrics_module.check(metric)
        if self._bound is None or self._bound.optimizer is not new_optimizer:
            self._bound = BoundOptimizer(new_optimizer)
        self.optimizer, self.loss, self._loss_weight = new_optimizer, new_loss, factor
        self._metrics, self._weighted_metrics = plain, weighted
        self.forget_plans()

    def forget_plans(self) -> None:
        """Record anew at the next call: the layers or what they are trained for have changed."""
        self._plans.clear()

    def _objective(self, y: SymbolicTensor) -> Objective:
        if self.loss is None:
            raise ValueError(_NO_LOSS.format(self.name))
        loss, cols = self.loss, y.shape[-1] or 0
        plain = [metrics_module.get(m, loss, cols) for m in self._metrics]
        weighted = [metrics_module.get(m, loss, cols) for m in self._weighted_metrics]
        return Objective(loss, plain, weighted, self._loss_weight)

    def plan_for(self, mode: Mode, weighted: bool = False) -> Plan:
        """Return the plan of a mode, recorded when it is first needed."""
        trained = self.trainable_variables if mode == "train" else []
        key = (mode, weighted, *(id(variable) for variable in trained))
        if key not in self._plans:
            x, y = self.graph()
            objective = None if mode == "predict" else self._objective(y)
            self._plans[key] = build_plan(
                mode,
                x,
                y,
                objective=objective,
                weighted=weighted,
                trained=trained,
                optimizer=None if self._bound is None else self._bound.native,
            )
        return self._plans[key]

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
            raise ValueError(_NO_LOSS.format(self.name))
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
        feed = self._feed(x, y, sample_weight)
        split = fraction(validation_split, "validation_split")
        validation_feed = None
        if validation_data is not None:
            validation_feed = self._validation_feed(validation_data)
        elif split:
            kept = int(feed.samples * (1 - split))
            validation_feed, feed = feed.rows(kept, feed.samples), feed.rows(0, kept)
        if feed.samples == 0 or (validation_feed is not None and validation_feed.samples == 0):
            raise ValueError(
                f"validation_split={split} leaves one side without samples: {len(x)} are too few"
            )
        if class_weight is not None:  # of the training samples only
            feed = class_weighted(feed, class_weight, self.graph()[1])
        rows = batch_rows(batch_size, per_epoch, feed.samples)
        validation = None
        every = whole(validation_freq, "validation_freq", 1)
        if validation_feed is not None:
            limit = optional_whole(validation_steps, "validation_steps", 1)
            asked = batch_size if validation_batch_size is None else validation_batch_size
            validation_rows = batch_rows(asked, limit, validation_feed.samples)
            validation = Validation(validation_feed, validation_rows, limit, every)
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
        progress = Progress(verbosity(verbose, 0))
        limit = optional_whole(steps, "steps", 1)
        batch_rows(batch_size, None, 1)
        samples = self._input(x)
        rows = batch_rows(batch_size, limit, len(samples), _PREDICT_ROWS)
        output = self.graph()[1]
        table = batches(len(samples), rows, limit)
        n = int(table[:, 1].sum())
        result = np.empty((n, *(dim or 0 for dim in output.shape[1:])), output.dtype)
        flat = result.reshape(-1, result.shape[-1]) if result.size else result
        feed = Feed([(samples, 1.0)], len(samples))
        work = Pass(self.plan_for("predict"), feed, table, outputs=[flat])
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


def _listed(given: Any, name: str) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, (str, metrics_module.Metric, losses.Loss)):
        raise TypeError(f"{name} must be a list, got {given!r}; write {name}=[{given!r}]")
    return list(given)


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
