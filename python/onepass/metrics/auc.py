"""Areas under curves of two shares over the thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onepass import _checks
from onepass.metrics.confusion import _EPSILON, Counts, _AtThresholds, _is_even
from onepass.metrics.metric import ratio

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.lowering import Lowering
    from onepass.engine.objective import ObjectiveBuffers
    from onepass.engine.storage import Floats

_CURVES = ("ROC", "PR", "PRGAIN")
_METHODS = ("interpolation", "majoring", "minoring")


class AUC(_AtThresholds):
    """Area under a curve that thresholds trace: ROC, precision over recall, or their gains.

    Fawcett, An Introduction to ROC Analysis, 2006; interpolation of precision and recall: Davis and
    Goadrich, The Relationship Between Precision-Recall and ROC Curves, 2006.

    Parameters
    ----------
    num_thresholds : int, default 200
        At least 2; even ones, of which the first is just below 0 and the last just above 1.
    curve : {"ROC", "PR", "PRGAIN"}
        True over false positive rate; precision over recall; their gains (Flach and Kull, 2015).
    summation_method : {"interpolation", "majoring", "minoring"}
        Heights of the steps: between those of both ends, the larger, the smaller.
    name : str, optional
    dtype : {"float32", "float64"}, optional
    thresholds : sequence of floats in [0, 1], optional
        Instead of even ones; the two ends are added.
    multi_label : bool
        Take the mean of the areas of the columns, rather than all elements together.
    num_labels : int, optional
        Columns; only with ``multi_label``, and not needed.
    label_weights : sequence of floats, optional
        One a column: of its area in the mean, or of its elements.
    from_logits : bool
        Whether outputs are logits, whose sigmoid then counts.
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = _checks.choice(getattr(curve, "value", curve).upper(), "curve", _CURVES)
        method = getattr(summation_method, "value", summation_method)
        self.summation_method = _checks.choice(method.lower(), "summation_method", _METHODS)
        self._init_from_thresholds = thresholds is not None
        if thresholds is None:
            self.num_thresholds = _checks.integer(num_thresholds, "num_thresholds", 2)
            steps = self.num_thresholds - 1
            inner, even = [i / steps for i in range(1, steps)], True
        else:
            inner = sorted(_checks.number(t, "thresholds", 0.0, 1.0) for t in thresholds)
            self.num_thresholds = len(inner) + 2
            even = _is_even([0.0, *inner, 1.0])
        if num_labels and not multi_label:
            raise ValueError("num_labels is needed only when multi_label is True")
        self.multi_label = bool(multi_label)
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else _weights(label_weights)
        self.from_logits = bool(from_logits)
        self.by_column = self.multi_label or self.label_weights is not None
        self.least = 1 if even else 0  # every number is above the first threshold
        super().__init__([-_EPSILON, *inner, 1.0 + _EPSILON], even, name, dtype)

    def lower(self, low: Lowering, at: ObjectiveBuffers, sums: int) -> None:
        cols = at.prediction.cols
        for name, count in (
            ("num_labels", self.num_labels),
            ("label_weights", None if self.label_weights is None else len(self.label_weights)),
        ):
            if count and count != cols:
                raise ValueError(
                    f"metric {self.name!r}: {name} is for {count} columns, the prediction has "
                    f"{cols}"
                )
        super().lower(low, at, sums)

    def _prediction_of(self, low: Lowering, prediction: Buffer) -> Buffer:
        if not self.from_logits:
            return prediction
        sigmoid = low.like(f"{self.name}_sigmoid", prediction)
        attributes = {"activation": "sigmoid", "hyper": []}
        low.emit("activation_forward", {"x": prediction}, {"y": sigmoid}, attributes)
        return sigmoid

    def result_of(self, sums: Floats) -> Any:
        counts = self.counts_of(sums)
        if self.by_column and not self.multi_label:
            weights = self.label_weights
            counts = Counts(
                *((c * weights).sum(-1) for c in (counts.tp, counts.fp, counts.tn, counts.fn))
            )
        area = self._area(counts)
        if not self.multi_label:
            return area
        if self.label_weights is None:
            return np.mean(area)
        return ratio(np.sum(area * self.label_weights), np.sum(self.label_weights))

    def _area(self, counts: Counts) -> Any:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated_pr(counts)
        x, y = self._curve(counts)
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2.0
        elif self.summation_method == "minoring":
            heights = np.minimum(y[:-1], y[1:])
        else:
            heights = np.maximum(y[:-1], y[1:])
        return np.sum((x[:-1] - x[1:]) * heights, axis=0)

    def _curve(self, counts: Counts) -> tuple[Floats, Floats]:
        if self.curve == "ROC":
            return np.asarray(ratio(counts.fp, counts.fp + counts.tn)), counts.recall
        if self.curve == "PR":
            return counts.recall, counts.precision
        scale = ratio(counts.tp + counts.fn, counts.tn + counts.fp)
        none = counts.tp == 0.0
        recall = np.where(none, 0.0, 1.0 - scale * ratio(counts.fn, counts.tp))
        precision = np.where(none, 1.0, 1.0 - scale * ratio(counts.fp, counts.tp))
        return np.maximum(recall, 0.0), precision

    def get_config(self) -> dict[str, Any]:
        weights = self.label_weights
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else weights.tolist(),
            "from_logits": self.from_logits,
        }
        if self._init_from_thresholds:
            config["thresholds"] = self.thresholds[1:-1]
        return config


def _weights(given: Any) -> Floats:
    array = np.asarray(given, np.float64)
    if array.ndim != 1 or not (array >= 0.0).all():
        raise ValueError(f"label_weights must be numbers from 0 up, one a column, got {given!r}")
    return array


def _interpolated_pr(counts: Counts) -> Any:
    """Return the area where true positives, not the precision, change evenly between thresholds."""
    gained = counts.tp[:-1] - counts.tp[1:]
    predicted = counts.tp + counts.fp
    before, after = predicted[:-1], predicted[1:]
    slope = ratio(gained, np.maximum(before - after, 0.0))
    intercept = counts.tp[1:] - slope * after
    both = (before > 0.0) & (after > 0.0)
    growth = np.log(np.where(both, ratio(before, np.maximum(after, 0.0)), 1.0))
    total = np.maximum(counts.tp[1:] + counts.fn[1:], 0.0)
    return np.sum(ratio(slope * (gained + intercept * growth), total), axis=0)
