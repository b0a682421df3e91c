"""The callback that lowers the learning rate when training gets no further."""

from __future__ import annotations

from onepass._checks import integer, number
from onepass.callbacks.callback import Logs
from onepass.callbacks.monitor import MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by a factor when a number in the logs has stopped improving.

    The logs of the epoch, and so the history, have the rate as ``learning_rate``: the one that
    the epoch was trained with.

    Parameters
    ----------
    monitor : str, default "val_loss"
    factor : float in [0, 1), default 0.1
    patience : int >= 0, default 10
        Epochs in a row without improvement after which the rate is reduced.
    verbose : int, default 0
        Above 0 a reduction is printed.
    mode : {"auto", "min", "max"}, default "auto"
        Whether smaller or larger is better; "auto" asks the model's metrics.
    min_delta : float, default 0.0001
        A change must be larger to count as an improvement.
    cooldown : int >= 0, default 0
        Epochs after a reduction that do not count.
    min_lr : float >= 0, default 0
        The rate is never reduced below it.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range; a TypeError when training begins
        and the optimizer has a schedule.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.factor = number(factor, "factor", 0.0)
        if self.factor >= 1.0:
            raise ValueError(f"factor must be below 1, got {factor}")
        self.patience = integer(patience, "patience", 0)
        self.verbose = verbose
        self.cooldown = integer(cooldown, "cooldown", 0)
        self.min_lr = number(min_lr, "min_lr", 0.0)
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        schedule = self.model.optimizer.schedule
        if schedule is not None:
            raise TypeError(
                "ReduceLROnPlateau cannot set the learning rate of an optimizer that follows "
                f"{schedule!r}"
            )
        self.best = None
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the last reduction was so recent that nothing is counted yet."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        value = self.monitored(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(value):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        optimizer = self.model.optimizer
        before = float(optimizer.learning_rate)
        if before <= self.min_lr:
            return False
        rate = max(before * self.factor, self.min_lr)
        optimizer.learning_rate = rate
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}.")
        return True
