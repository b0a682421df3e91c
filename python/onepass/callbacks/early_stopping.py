"""The callback that ends training when it gets no further."""

from __future__ import annotations

from typing import Any

from onepass._checks import integer, number
from onepass.callbacks.callback import Logs
from onepass.callbacks.monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """End training when a number in the logs has stopped improving.

    Parameters
    ----------
    monitor : str, default "val_loss"
    min_delta : float, default 0
        A change must be larger to count as an improvement; its sign is dropped.
    patience : int >= 0, default 0
        Epochs in a row without improvement after which training ends; 0 is as 1.
    verbose : int, default 0
        Above 0 the end is printed, and whose weights are restored.
    mode : {"auto", "min", "max"}, default "auto"
        Whether smaller or larger is better; "auto" asks the model's metrics.
    baseline : float, optional
        Only epochs that are better than this one, too, let training go on.
    restore_best_weights : bool, default False
        Whether the model gets the weights of its best epoch in the end.
    start_from_epoch : int >= 0, default 0
        Epochs at the beginning that do not count.

    Attributes
    ----------
    best : float or None
        The best value so far.
    best_epoch, stopped_epoch : int
        Counted from 0; ``stopped_epoch`` is 0 where training was not ended.
    best_weights : list of arrays or None
    wait : int
        Epochs without improvement so far.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    Whatever `fit` did before, each training begins anew. NaN is no improvement;
    Keras takes it for one in the first epoch, and then nothing is better. Without any improvement
    the weights that are restored are those of the first epoch that counts.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = integer(patience, "patience", 0)
        self.verbose = verbose
        self.baseline = None if baseline is None else number(baseline, "baseline")
        if not isinstance(restore_best_weights, bool):
            raise TypeError(
                f"restore_best_weights must be True or False, got {restore_best_weights!r}"
            )
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = integer(start_from_epoch, "start_from_epoch", 0)
        self._begin()

    def _begin(self) -> None:
        self.best = None
        self.best_weights: list[Any] | None = None
        self.wait = self.stopped_epoch = self.best_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.monitored({} if logs is None else logs)
        if value is None or epoch < self.start_from_epoch:
            return
        better = self.improves(value)
        if better:
            self.best = value
        if better or (self.restore_best_weights and self.best_weights is None):
            self._keep(epoch)
        self.wait += 1
        if better and (self.baseline is None or self.is_better(value, self.baseline)):
            self.wait = 0
        elif not better and self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is None:
            return
        if self.verbose > 0:
            print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
        self.model.set_weights(self.best_weights)
