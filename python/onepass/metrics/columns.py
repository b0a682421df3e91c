"""Metrics of sums that each column of the output has of its own."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass import _checks
from onepass.metrics.metric import Metric

if TYPE_CHECKING:
    from onepass.engine.lowering import Lowering
    from onepass.engine.objective import ObjectiveBuffers
    from onepass.engine.storage import Floats

_EPSILON = 1e-7


class _OfColumns(Metric):
    _direction = "up"
    kind = ""
    quantities = 0
    threshold: float | None = None

    def state_size_for(self, cols: int) -> int:
        return self.quantities * cols

    def lower(self, low: Lowering, at: ObjectiveBuffers, sums: int) -> None:
        reads = {"target": at.target, "prediction": at.prediction}
        if at.weights is not None:
            reads["weights"] = at.weights
        attributes = {
            "kind": self.kind,
            "largest": self.threshold is None,
            "threshold": self.threshold or 0.0,
            "at": sums,
        }
        low.emit("column_sums", reads, {}, attributes)


def _one_of(value: Any, name: str, known: tuple[str, ...]) -> str | None:
    return None if value is None else _checks.choice(value, name, known)


class FBetaScore(_OfColumns):
    """``(1 + beta**2) precision recall / (beta**2 precision + recall)`` of each column.

    van Rijsbergen, Information Retrieval, 1979. Predicted is what exceeds a threshold, or else the
    largest output of a row, if it is not 0.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        The columns' scores as an array; one score of all elements together; the mean of the
        columns' scores; the mean weighted by how often each column is true.
    beta : float above 0, default 1
        How much recall counts beside precision.
    threshold : float in (0, 1], optional
    name : str
    dtype : {"float32", "float64"}, optional
    """

    kind = "hits"
    quantities = 3

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(dtype, name)
        self.average = _one_of(average, f"{name}: average", ("micro", "macro", "weighted"))
        self.beta = _checks.positive(beta, f"{name}: beta")
        if threshold is not None:
            if _checks.number(threshold, f"{name}: threshold") > 1.0:
                raise ValueError(f"{name}: threshold must be at most 1, got {threshold}")
            threshold = _checks.positive(threshold, f"{name}: threshold")
        self.threshold = threshold

    def result_of(self, sums: Floats) -> Any:
        tp, predicted, true = sums.reshape(3, -1)
        counted = true
        if self.average == "micro":
            tp, predicted, true = tp.sum(), predicted.sum(), true.sum()
        precision, recall = tp / (predicted + _EPSILON), tp / (true + _EPSILON)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + _EPSILON) * (1.0 + square)
        if self.average == "weighted":
            return np.sum(score * (counted / (counted.sum() + _EPSILON)))
        return score if self.average is None else np.mean(score)

    def get_config(self) -> dict[str, Any]:
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """``FBetaScore`` with beta 1: ``2 precision recall / (precision + recall)``.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
    threshold : float in (0, 1], optional
    name : str
    dtype : {"float32", "float64"}, optional
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config


class R2Score(_OfColumns):
    """``1 - sum((y_true - y_pred)**2) / sum((y_true - mean y_true)**2)`` of each column.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}
        Mean of the columns' scores, weighted by their variance or not; None: an array.
    num_regressors : int, default 0
        Of the model: above 0 the score is adjusted for it.
    name : str
    dtype : {"float32", "float64"}, optional
    """

    kind = "errors"
    quantities = 5

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(dtype, name)
        known = ("uniform_average", "variance_weighted_average")
        self.class_aggregation = _one_of(class_aggregation, f"{name}: class_aggregation", known)
        self.num_regressors = _checks.integer(num_regressors, f"{name}: num_regressors", 0)

    def result_of(self, sums: Floats) -> Any:
        residual, total, squares, count, rows = sums.reshape(5, -1)
        with np.errstate(all="ignore"):
            spread = squares - total * (total / count)
            scores = 1.0 - residual / spread
            scores = np.where(np.isinf(scores), 0.0, scores)
            score: Any = scores
            if self.class_aggregation == "uniform_average":
                score = np.mean(scores)
            elif self.class_aggregation is not None:
                score = np.sum(spread * scores) / np.sum(spread)
        return self._adjusted(score, float(rows.sum()))

    def _adjusted(self, score: Any, elements: float) -> Any:
        if self.num_regressors == 0:
            return score
        if self.num_regressors >= elements - 1.0:
            warnings.warn(
                f"{self.name}: {self.num_regressors} regressors are too many for {elements:.0f} "
                "values: the score is not adjusted",
                stacklevel=2,
            )
            return score
        return 1.0 - (1.0 - score) * (elements - 1.0) / (elements - self.num_regressors - 1.0)

    def get_config(self) -> dict[str, Any]:
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}
