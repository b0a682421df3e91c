"""Counts of right and wrong answers at thresholds, and what is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onepass import _checks
from onepass.metrics.metric import Metric, ratio

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.lowering import Lowering
    from onepass.engine.objective import ObjectiveBuffers
    from onepass.engine.storage import Floats

_EPSILON = 1e-7
_LOWEST = -1e10  # what Keras takes for the threshold of Precision and Recall of the top k


def _is_even(thresholds: Sequence[float]) -> bool:
    """Whether Keras takes these thresholds for even ones."""
    if len(thresholds) < 3:
        return False
    even = np.arange(len(thresholds), dtype=np.float32) / (len(thresholds) - 1)
    return bool(np.allclose(thresholds, even, atol=_EPSILON))


def _thresholds(given: Any, default: float) -> list[float]:
    """Return thresholds as given: a number or a sequence of numbers in [0, 1]."""
    if given is None:
        return [default]
    values = list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
    if not values:
        raise ValueError("thresholds must hold at least one number, got none")
    return [_checks.number(value, "thresholds", 0.0, 1.0) for value in values]


@dataclass(frozen=True)
class Counts:
    """Weights of true and false positives and negatives, (thresholds,) or (thresholds, cols)."""

    tp: Floats
    fp: Floats
    tn: Floats
    fn: Floats

    @property
    def precision(self) -> Floats:
        """Share of what is predicted that is true."""
        return np.asarray(ratio(self.tp, self.tp + self.fp))

    @property
    def recall(self) -> Floats:
        """Share of what is true that is predicted."""
        return np.asarray(ratio(self.tp, self.tp + self.fn))

    @property
    def specificity(self) -> Floats:
        """Share of what is false that is not predicted."""
        return np.asarray(ratio(self.tn, self.tn + self.fp))


class _AtThresholds(Metric):
    """A metric of the counts at some thresholds.

    A prediction counts as positive where it exceeds the threshold, NaN nowhere. Even thresholds
    are compared as Keras does, ``p (n - 1) > i``.
    """

    elementwise = True
    by_column = False
    least = 0

    def __init__(
        self,
        thresholds: list[float],
        even: bool,
        name: str | None,
        dtype: str | None,
        top_k: int | None = None,
        class_id: int | None = None,
    ) -> None:
        super().__init__(dtype, name)
        self.thresholds = thresholds
        self._even = even
        self.top_k = None if top_k is None else _checks.integer(top_k, "top_k", 1)
        self.class_id = None if class_id is None else _checks.integer(class_id, "class_id", 0)

    def state_size_for(self, cols: int) -> int:
        return 2 * (len(self.thresholds) + 1) * (cols if self.by_column else 1)

    def lower(self, low: Lowering, at: ObjectiveBuffers, sums: int) -> None:
        first, last = self._columns(at.prediction.cols)
        reads = {"target": at.target, "prediction": self._prediction_of(low, at.prediction)}
        if at.weights is not None:
            reads["weights"] = at.weights
        attributes = {
            "thresholds": [] if self._even else sorted(self.thresholds),
            "n_thresholds": len(self.thresholds),
            "least": self.least,
            "top_k": self.top_k or 0,
            "first": first,
            "last": last,
            "by_column": self.by_column,
            "at": sums,
        }
        low.emit("confusion_counts", reads, {}, attributes)

    def _columns(self, cols: int) -> tuple[int, int]:
        if self.class_id is None:
            return 0, cols
        if self.class_id >= cols:
            raise ValueError(
                f"metric {self.name!r}: class_id must be below the {cols} columns of the "
                f"prediction, got {self.class_id}"
            )
        return self.class_id, self.class_id + 1

    def _prediction_of(self, low: Lowering, prediction: Buffer) -> Buffer:
        return prediction

    def counts_of(self, sums: Floats) -> Counts:
        """Return the counts at the thresholds in the order given."""
        buckets = sums.reshape(-1, 2, len(self.thresholds) + 1)
        above = buckets[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]
        below = buckets.cumsum(-1)[..., :-1]
        if not self._even:
            place = np.argsort(np.argsort(self.thresholds, kind="stable"), kind="stable")
            above, below = above[..., place], below[..., place]
        # (cols, 2, thresholds) to one array of (thresholds, cols) each
        (tp, fp), (fn, tn) = np.moveaxis(above, 0, -1), np.moveaxis(below, 0, -1)
        if not self.by_column:
            tp, fp, fn, tn = (counts[..., 0] for counts in (tp, fp, fn, tn))
        return Counts(tp, fp, tn, fn)


class _Listed(_AtThresholds):
    """One number for each threshold that the caller lists."""

    def __init__(
        self,
        thresholds: Any,
        name: str | None,
        dtype: str | None,
        top_k: int | None = None,
        class_id: int | None = None,
    ) -> None:
        values = _thresholds(thresholds, 0.5 if top_k is None else _LOWEST)
        self._given = thresholds
        super().__init__(values, _is_even(values), name, dtype, top_k, class_id)

    def value_of(self, counts: Counts) -> Floats:
        """Return the number at each threshold."""
        raise NotImplementedError

    def result_of(self, sums: Floats) -> Any:
        values = self.value_of(self.counts_of(sums))
        return values[0] if len(values) == 1 else values

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self._given}


class _Count(_Listed):
    """Weight of the elements of one kind.

    Parameters
    ----------
    thresholds : float or sequence of floats in [0, 1], default 0.5
        An output counts as positive above it; 0 for logits.
    name : str, optional
    dtype : {"float32", "float64"}, optional
    """

    def __init__(
        self, thresholds: Any = None, name: str | None = None, dtype: str | None = None
    ) -> None:
        super().__init__(thresholds, name, dtype)


class TruePositives(_Count):
    """Weight of true elements that are predicted.

    Parameters
    ----------
    thresholds : float or sequence of floats in [0, 1], default 0.5
        An output counts as positive above it; 0 for logits.
    name : str, optional
    dtype : {"float32", "float64"}, optional
    """

    def value_of(self, counts: Counts) -> Floats:
        return counts.tp


class FalsePositives(_Count):
    """Weight of false elements that are predicted. Parameters as ``TruePositives``."""

    def value_of(self, counts: Counts) -> Floats:
        return counts.fp


class TrueNegatives(_Count):
    """Weight of false elements that are not predicted. Parameters as ``TruePositives``."""

    def value_of(self, counts: Counts) -> Floats:
        return counts.tn


class FalseNegatives(_Count):
    """Weight of true elements that are not predicted. Parameters as ``TruePositives``."""

    def value_of(self, counts: Counts) -> Floats:
        return counts.fn


class _PositiveShare(_Listed):
    _direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(thresholds, name, dtype, top_k, class_id)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Precision(_PositiveShare):
    """Share of what is predicted that is true; 0 where nothing is.

    Parameters
    ----------
    thresholds : float or sequence of floats in [0, 1], optional
        An output counts as predicted above it; by default above 0.5, or with ``top_k`` always.
    top_k : int, optional
        Only the k largest outputs of a row count as predicted.
    class_id : int, optional
        Only this column counts.
    name : str, optional
    dtype : {"float32", "float64"}, optional
    """

    def value_of(self, counts: Counts) -> Floats:
        return counts.precision


class Recall(_PositiveShare):
    """Share of what is true that is predicted; 0 where nothing is. Parameters as ``Precision``."""

    def value_of(self, counts: Counts) -> Floats:
        return counts.recall


class _BestUnderConstraint(_AtThresholds):
    """The largest value of one share at thresholds where another is large enough."""

    _direction = "up"
    limit_name = ""

    def __init__(
        self,
        limit: float,
        num_thresholds: int,
        class_id: int | None,
        name: str | None,
        dtype: str | None,
    ) -> None:
        self.limit = _checks.number(limit, f"{type(self).__name__}: {self.limit_name}", 0.0, 1.0)
        n = self.num_thresholds = _checks.integer(num_thresholds, "num_thresholds", 1)
        thresholds = [0.5] if n == 1 else [i / (n - 1) for i in range(n)]
        super().__init__(thresholds, n > 1, name, dtype, class_id=class_id)

    def shares(self, counts: Counts) -> tuple[Floats, Floats]:
        """Return what is limited, and what shall be large."""
        raise NotImplementedError

    def result_of(self, sums: Floats) -> Any:
        constrained, dependent = self.shares(self.counts_of(sums))
        return np.max(np.where(constrained >= self.limit, dependent, 0.0), initial=0.0)

    def get_config(self) -> dict[str, Any]:
        own = {"num_thresholds": self.num_thresholds, self.limit_name: self.limit}
        return {**super().get_config(), "class_id": self.class_id, **own}


class SensitivityAtSpecificity(_BestUnderConstraint):
    """Largest sensitivity (recall) at thresholds with at least some specificity.

    Parameters
    ----------
    specificity : float from 0 to 1
    num_thresholds : int, default 200
        Even ones from 0 to 1; a single one is 0.5.
    class_id : int, optional
        Only this column counts.
    name : str, optional
    dtype : {"float32", "float64"}, optional
    """

    limit_name = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def shares(self, counts: Counts) -> tuple[Floats, Floats]:
        return counts.specificity, counts.recall


class SpecificityAtSensitivity(_BestUnderConstraint):
    """Largest specificity at thresholds with at least some sensitivity (recall).

    Parameters as ``SensitivityAtSpecificity``.
    """

    limit_name = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def shares(self, counts: Counts) -> tuple[Floats, Floats]:
        return counts.recall, counts.specificity


class PrecisionAtRecall(_BestUnderConstraint):
    """Largest precision at thresholds with at least some recall.

    Parameters as ``SensitivityAtSpecificity``.
    """

    limit_name = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def shares(self, counts: Counts) -> tuple[Floats, Floats]:
        return counts.recall, counts.precision


class RecallAtPrecision(_BestUnderConstraint):
    """Largest recall at thresholds with at least some precision.

    Parameters as ``SensitivityAtSpecificity``.
    """

    limit_name = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def shares(self, counts: Counts) -> tuple[Floats, Floats]:
        return counts.precision, counts.recall
