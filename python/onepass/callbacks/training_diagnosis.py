"""The callback that looks inside a model after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onepass._checks import integer
from onepass.callbacks.callback import Callback, Logs

if TYPE_CHECKING:
    from onepass.diagnosis import Report


class TrainingDiagnosis(Callback):
    """Report per layer and epoch what goes wrong in training, and say it in words.

    After an epoch a few samples go through the model once: norms of gradients and weights, how far
    the weights moved, dead units, saturated activations, numbers that are not finite. A warning
    appears the first time a known pattern does: vanishing or exploding gradients, upper layers that
    move while lower ones do not, dead units, a loss that is stuck.

    Parameters
    ----------
    data : (x, y) or (x, y, sample_weight), optional
        Samples to look at; by default the first 256 that ``fit`` was given. A stream of batches
        needs them given.
    every : int >= 1, default 1
        Look after every so many epochs.
    verbose : bool, default True
        Whether warnings are printed.

    Attributes
    ----------
    reports : list of Report
        ``print(callback.reports[-1])`` shows a table.
    warnings : list of (epoch, str)
        Each text once, with the number of the epoch, from 0, after which it first appeared.

    Raises
    ------
    ValueError
        When training begins on a stream without ``data``.

    Examples
    --------
    >>> import numpy as np, onepass
    >>> layers = [onepass.layers.Dense(8, "elu"), onepass.layers.Dense(1)]
    >>> model = onepass.Sequential([onepass.Input([4]), *layers])
    >>> model.compile("sgd", "mse")
    >>> diagnosis = onepass.callbacks.TrainingDiagnosis()
    >>> x = np.ones((64, 4))
    >>> _ = model.fit(x, x[:, 0], epochs=2, verbose=0, callbacks=[diagnosis])
    >>> [layer.name for layer in diagnosis.reports[-1].layers] == [l.name for l in layers]
    True
    """

    samples_shown = 256

    def __init__(self, data: Any = None, every: int = 1, verbose: bool = True) -> None:
        super().__init__()
        self.data = data
        self.every = integer(every, "every", 1)
        self.verbose = verbose
        self.reports: list[Report] = []
        self.warnings: list[tuple[int, str]] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        from onepass.diagnosis.report import snapshot

        self.reports, self.warnings = [], []
        if self.data is not None:
            x, y, weight = (*self.data, None)[:3]
            self._samples = self.model.checked_samples(x, y, weight)
        elif self.model.training_samples is None:
            raise ValueError(
                "TrainingDiagnosis: give data=(x, y), training on a stream shows no samples"
            )
        else:
            samples = self.model.training_samples
            self._samples = samples.rows(0, min(len(samples), self.samples_shown))
        self._before = snapshot(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        from onepass.diagnosis import warnings_of
        from onepass.diagnosis.report import report_of, snapshot

        self.reports.append(report_of(self.model, self._samples, self._before))
        self._before = snapshot(self.model)
        known = {_kind(text) for _, text in self.warnings}
        for text in warnings_of(self.reports):
            if _kind(text) not in known:
                self.warnings.append((epoch, text))
                if self.verbose:
                    print(f"TrainingDiagnosis, epoch {epoch + 1}: {text}", flush=True)


def _kind(text: str) -> str:
    """Return a warning without its numbers, which change from epoch to epoch."""
    return "".join(c for c in text.split(":")[0] if c.isalpha())
