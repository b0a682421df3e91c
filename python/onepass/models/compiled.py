"""What a model is trained for: optimizer, loss and metrics, and the plans made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onepass import losses, optimizers
from onepass import metrics as metrics_module
from onepass._checks import number
from onepass.callbacks import History
from onepass.engine.binding import BoundOptimizer
from onepass.engine.objective import Objective
from onepass.engine.plan import Mode, Plan, build_plan

if TYPE_CHECKING:
    from onepass import _core
    from onepass.engine.graph import SymbolicTensor
    from onepass.engine.storage import Variable
    from onepass.losses import Loss
    from onepass.metrics import Metric
    from onepass.optimizers import Optimizer

_CALLS = 1 << 31  # draws from here on are those of single calls
NO_LOSS = "model {0!r} has no loss: call compile(optimizer, loss) first"


class Compiled:
    """What a model is trained for, and its plans. The model itself says what it is."""

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
        self._epochs = self._calls = 0  # that dropout has drawn masks for
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._predictor: _core.Predictor | None = None  # of the plan that predicts

    def __getstate__(self) -> dict[str, Any]:
        # Plans are recorded anew.
        return {**vars(self), "_plans": {}, "_predictor": None, "history": None}

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
        self._predictor = None
        self._plans.clear()

    def next_draw(self, *, epoch: bool) -> int:
        """Return the number of the next draw of masks: of an epoch of ``fit``, or of one call."""
        if epoch:
            self._epochs += 1
            return self._epochs % _CALLS
        self._calls += 1
        return _CALLS + self._calls % _CALLS

    def _objective(self, y: SymbolicTensor) -> Objective:
        if self.loss is None:
            raise ValueError(NO_LOSS.format(self.name))
        loss, cols = self.loss, y.shape[-1] or 0
        plain = [metrics_module.of_output(m, loss, cols) for m in self._metrics]
        weighted = [metrics_module.of_output(m, loss, cols) for m in self._weighted_metrics]
        return Objective(loss, plain, weighted, self._loss_weight)

    def plan_for(self, mode: Mode, weighted: bool = False) -> Plan:
        """Return the plan of a mode, recorded when it is first needed."""
        trained = self.trainable_variables if mode == "train" else []
        key = (mode, weighted, *(id(variable) for variable in trained))
        if key not in self._plans:
            x, y = self.graph()
            objective = self._objective(y) if mode in ("train", "evaluate") else None
            self._plans[key] = build_plan(
                mode,
                x,
                y,
                objective=objective,
                weighted=weighted,
                trained=trained,
                optimizer=None if self._bound is None else self._bound.native,
            )
            if mode == "predict":
                self._predictor = self._plans[key].predictor
        return self._plans[key]


def _listed(given: Any, name: str) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, (str, metrics_module.Metric, losses.Loss)):
        raise TypeError(f"{name} must be a list, got {given!r}; write {name}=[{given!r}]")
    return list(given)
