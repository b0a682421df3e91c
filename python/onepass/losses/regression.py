"""Losses of numbers: distances from target to prediction, and counts."""

from __future__ import annotations

from typing import Any

from onepass._checks import number
from onepass.losses.loss import Loss


class MeanSquaredError(Loss):
    """Mean over a row of ``(y_pred - y_true)**2``."""

    _from_probabilities = "mean_squared_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsoluteError(Loss):
    """Mean over a row of ``|y_pred - y_true|``; the slope is 0 where they are equal."""

    _from_probabilities = "mean_absolute_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsolutePercentageError(Loss):
    """Mean over a row of ``100 |y_pred - y_true| / max(|y_true|, 1e-7)``."""

    _from_probabilities = "mean_absolute_percentage_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanSquaredLogarithmicError(Loss):
    """Mean over a row of ``(log(1 + y_pred) - log(1 + y_true))**2``.

    What is below 1e-7 counts as 1e-7: the slope is 0 there.
    """

    _from_probabilities = "mean_squared_logarithmic_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Huber(Loss):
    """Mean over a row of ``e**2 / 2`` up to ``delta`` and of ``delta |e| - delta**2 / 2`` beyond.

    ``e = y_pred - y_true``. Huber, Robust Estimation of a Location Parameter, 1964.

    Parameters
    ----------
    delta : float, at least 0
        Where the parabola becomes a line; the slope is never larger.
    """

    _from_probabilities = "huber"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype, delta=delta)


class LogCosh(Loss):
    """Mean over a row of ``log(cosh(y_pred - y_true))``; never overflows, exact near 0."""

    _from_probabilities = "log_cosh"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "log_cosh",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Quantile(Loss):
    """Mean over a row of ``max(gamma e, (gamma - 1) e)`` with ``e = y_true - y_pred``.

    Also known as pinball loss: the best prediction is the quantile ``gamma`` of the targets. Not in
    Keras. Koenker and Bassett, Regression Quantiles, 1978.

    Parameters
    ----------
    gamma : float from 0 to 1
        The quantile to predict; at 0.5, the median, the loss is half of the mean absolute error.
    """

    _from_probabilities = "quantile"

    def __init__(
        self,
        gamma: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "quantile",
        dtype: str | None = None,
    ) -> None:
        number(gamma, f"{name}: gamma", 0.0, 1.0)
        super().__init__(name, reduction, dtype, quantile=gamma)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {"gamma": config.pop("quantile"), **config}


class Poisson(Loss):
    """Mean over a row of ``y_pred - y_true log(y_pred + 1e-7)``.

    For counts as targets and their expected numbers, which must not be negative, as predictions.
    """

    _from_probabilities = "poisson"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "poisson",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class CosineSimilarity(Loss):
    """``-sum(y_true y_pred) / (|y_true| |y_pred|)`` over a row: -1 for rows of one direction.

    Lengths below 1e-7 count as 1e-7: a row of zeros is similar to none.

    Parameters
    ----------
    axis : -1, the only one
    """

    _from_probabilities = "cosine_similarity"

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: str | None = None,
    ) -> None:
        if axis != -1:
            raise ValueError(f"{name}: axis must be -1, got {axis!r}")
        super().__init__(name, reduction, dtype)
