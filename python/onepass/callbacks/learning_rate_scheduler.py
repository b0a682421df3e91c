"""The callback that sets the learning rate of each epoch."""

from __future__ import annotations

from collections.abc import Callable

from onepass._checks import number
from onepass.callbacks.callback import Callback, Logs
from onepass.optimizers._arguments import accepts


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    The logs of the epoch, and so the history, have it as ``learning_rate``.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, rate)``, or ``schedule(epoch)`` where it takes no more, with the epoch
        counted from 0 and the present learning rate; returns the new one.
    verbose : int, default 0
        Above 0 the rate is printed.

    Raises
    ------
    TypeError, ValueError
        If what ``schedule`` returns is no finite number >= 0; a TypeError also when the optimizer
        has a schedule of its own.

    Examples
    --------
    >>> import numpy as np, onepass
    >>> model = onepass.Sequential([onepass.Input([4]), onepass.layers.Dense(1)])
    >>> model.compile(onepass.optimizers.SGD(0.5), "mse")
    >>> halve = onepass.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    >>> x = np.ones((8, 4))
    >>> model.fit(x, x[:, 0], epochs=3, verbose=0, callbacks=[halve]).history["learning_rate"]
    [0.25, 0.125, 0.0625]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"schedule must be a callable, got {type(schedule).__name__}")
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = accepts(schedule, 0, 0.0, unknown=False)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        given = (epoch, float(optimizer.learning_rate)) if self._takes_rate else (epoch,)
        returned = self.schedule(*given)
        rate = number(returned, f"learning rate that schedule returned for epoch {epoch}", 0.0)
        optimizer.learning_rate = rate
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
