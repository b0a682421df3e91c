"""The base class of callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Logs = dict[str, Any]


class Callback:
    """Base class: override the hooks of interest and pass an instance to ``fit``.

    ``logs`` holds the loss and metrics by name, those of validation with the prefix ``val_``; it is
    empty at the beginning of something. ``batch`` and ``epoch`` count from 0. A hook that no
    callback overrides costs nothing; one at every batch makes ``fit`` return to Python after each
    step.

    Attributes
    ----------
    params : mapping or None
        What ``fit``, ``evaluate`` or ``predict`` was called with: verbose, epochs, steps.
    model : the model, or None before it is set
    """

    def __init__(self) -> None:
        self.params: Mapping[str, Any] | None = None
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model that this callback watches."""
        return self._model

    def set_params(self, params: Mapping[str, Any] | None) -> None:
        """Receive what the model was called with."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model."""
        self._model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Run before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Run after the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Run before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Run after an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a training step."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a training step, with the means of the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a training step: an older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a training step: an older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Run before an evaluation or a validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Run after an evaluation or a validation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch is evaluated."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch was evaluated."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Run before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Run after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch is predicted."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch was predicted."""
