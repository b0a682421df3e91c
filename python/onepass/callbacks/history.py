"""The record that ``fit`` returns."""

from __future__ import annotations

from typing import Any

from onepass.callbacks.callback import Callback, Logs


class History(Callback):
    """Keeps the logs of every epoch.

    Attributes
    ----------
    history : dict of lists
        One list a loss or metric, those of validation with the prefix ``val_``.
    epoch : list of int
        The epochs that the lists are about, from 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the epoch's logs, and leave the record with the model."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self
