"""What a model is trained for: optimizer, loss and metrics, and the plans made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from onepass import config, optimizers
from onepass.callbacks import History
from onepass.engine.binding import BoundOptimizer
from onepass.engine.changes import Plans
from onepass.engine.objective import Objective
from onepass.engine.plan import Mode, Plan, build_plan
from onepass.engine.recording import Graph
from onepass.engine.replay import epoch_draw, single_draw
from onepass.layers.inventory import Inventory, inventory_of
from onepass.layers.layer import Layer
from onepass.models.objectives import (
    check_loss_weights,
    check_metrics,
    losses_of,
    objectives_of,
)

if TYPE_CHECKING:
    from onepass import _core
    from onepass.engine.feeding import Samples
    from onepass.optimizers import Optimizer

NO_LOSS = "model {0!r} has no loss: call compile(optimizer, loss) first"


@dataclass(frozen=True)
class Predictor:
    """The way of a plan that predicts from an array to an array, and what that plan depends on."""

    native: _core.Predictor
    inventory: Inventory


class Compiled(Layer):
    """What a model is trained for, and its plans. The model itself says what it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.optimizer: Optimizer | None = None
        self.loss: Any = None  # a loss, or a structure of losses and None
        self.stop_training = False
        self.history: History | None = None
        self.training_samples: Samples | None = None  # arrays, while `fit` trains on them
        self._loss_weights: Any = None
        self._metrics: Any = None
        self._weighted_metrics: Any = None
        self._objectives: tuple[Graph, list[Objective]] | None = None  # and what they are of
        self._bound: BoundOptimizer | None = None
        self._all_bound: dict[Optimizer, BoundOptimizer] = {}  # of earlier compilations, too
        self._epochs = self._calls = 0  # that dropout has drawn masks for
        self._plans = Plans()
        self._fitting = False
        self._predictor: Predictor | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Plans are recorded anew.
        return {
            **super().__getstate__(),
            "_plans": Plans(),
            "_fitting": False,
            "_predictor": None,
            "_objectives": None,
            "history": None,
            "training_samples": None,
        }

    # -- what models say --------------------------------------------------------------------------

    def graph(self) -> Graph:
        """Return the recorded inputs and outputs; the model must be built."""
        raise NotImplementedError

    def prepare_for(self, shapes: Callable[[], Any]) -> None:
        """Build the model, if that was not done yet, for these shapes of batches."""
        raise NotImplementedError

    def record(self, training: bool) -> Graph:
        """Record the model anew, for a plan that trains or one that does not."""
        raise NotImplementedError

    # -- compiling -------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: str | Optimizer = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str or Loss, or list or dict of them by output
            None for an output that is not trained.
        loss_weights : float, or list or dict by output, optional
            Factors of the losses.
        metrics : list of str, Metric or Loss, optional
            Reported, with all samples counting alike. With several outputs a list with an item for
            each, or a dict by the outputs' names; items are metrics or lists of them.
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
        if optimizer is None:
            raise ValueError("compile: optimizer must be a name or an Optimizer, got None")
        new_optimizer = optimizers.get(optimizer)
        new_loss = losses_of(loss)
        for given, name in ((metrics, "metrics"), (weighted_metrics, "weighted_metrics")):
            check_metrics(given, name)
        check_loss_weights(loss_weights)
        if run_eagerly:
            raise ValueError("compile: run_eagerly=True is not possible, models are recorded")
        if self.built and new_loss is not None:  # while nothing is changed
            objectives_of(self.graph(), new_loss, loss_weights, metrics, weighted_metrics)
        self._bound = self._all_bound.setdefault(new_optimizer, BoundOptimizer(new_optimizer))
        self.optimizer, self.loss, self._loss_weights = new_optimizer, new_loss, loss_weights
        self._metrics, self._weighted_metrics = metrics, weighted_metrics
        self.forget_plans()

    def check_movable(self) -> None:
        if self._fitting:
            raise RuntimeError(f"to: model {self.name!r} cannot move while fit trains it")
        super().check_movable()

    def forget_plans(self) -> None:
        """Record anew at the next call: the layers or what they are trained for have changed."""
        self._predictor = self._objectives = None
        self._plans.clear()

    def finalize_weights(self) -> None:
        """Make the trained weights their moving averages, where the optimizer keeps these."""
        if self._bound is not None:
            self._bound.finalize(self.trainable_variables)

    def next_draw(self, *, epoch: bool) -> int:
        """Return the number of the next draw of masks: of an epoch of ``fit``, or of one call."""
        if epoch:
            self._epochs += 1
            return epoch_draw(self._epochs)
        self._calls += 1
        return single_draw(self._calls)

    def objectives(self) -> list[Objective]:
        """Return what each output is trained for and measured by."""
        if self.loss is None:
            raise ValueError(NO_LOSS.format(self.name))
        graph = self.graph()
        if self._objectives is None or self._objectives[0] is not graph:
            given = (self.loss, self._loss_weights, self._metrics, self._weighted_metrics)
            self._objectives = graph, objectives_of(graph, *given)
        return self._objectives[1]

    @property
    def metrics_names(self) -> list[str]:
        """Names of what ``evaluate`` returns, in its order; none before the model is compiled."""
        if self.loss is None or not self.built:
            return []
        return [readout.name for readout in self.plan_for("evaluate").readouts]

    def direction_of(self, name: str) -> Literal["up", "down"] | None:
        """Return which way the loss or metric of this name in the logs gets better, if known."""
        for objective in self.objectives():
            if name in ("loss", f"{objective.name}_loss"):
                return "down"
            for metric in (*objective.metrics, *objective.weighted_metrics):
                if name in (metric.name, f"{objective.name}_{metric.name}"):
                    return metric._direction
        return None

    def plan_for(self, mode: Mode, weighted: tuple[bool, ...] = ()) -> Plan:
        """Return the plan of a mode, recorded when it is first needed.

        Parameters
        ----------
        mode : what a step does
        weighted : for each output, whether batches bring sample weights; () for none
        """
        inventory = inventory_of(self)
        learns = mode in ("train", "evaluate")
        ids = inventory.trained_ids if learns else ()
        weights = weighted if any(weighted) else ()
        key = (mode, weights, inventory.structure, ids, config.device())
        plans = self._plans.current()
        if key not in plans:
            objectives = self.objectives() if learns else []
            plans[key] = build_plan(
                mode,
                self.record(training=mode in ("train", "sample")),
                objectives=objectives,
                weighted=weighted,
                trained=inventory.trained if learns else [],
                optimizer=None if self._bound is None else self._bound.native,
            )
        if mode == "predict":
            native = plans[key].predictor
            self._predictor = None if native is None else Predictor(native, inventory)
        plan: Plan = plans[key]
        return plan
