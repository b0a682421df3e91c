"""A loss of embeddings, by the pairs of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onepass import _checks, _core, kernels
from onepass.losses.loss import Loss

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.lowering import Lowering


class Circle(Loss):
    """Circle loss of labels and embeddings, which should have length 1 (``UnitNormalization``).

    With d the distance ``max(1 - cosine, 0)`` of two embeddings, m the margin and the logits
    ``p = gamma (m + d) (d - m)`` of each pair of a label and
    ``q = gamma max(1 + m - d, 0) (1 - m - d)`` of each pair of two labels, a row's loss is
    ``softplus(log sum exp p + log sum exp q)`` over its pairs: 0 for a row without pairs of both
    kinds. The mean is over those rows whose loss is above 0, as in Keras. Sun et al., Circle Loss:
    A Unified Perspective of Pair Similarity Optimization, 2020.

    Targets are labels, any whole numbers of 32 bits: one a sample. A plan holds the similarities of
    all pairs of a batch, as many numbers as the square of its rows.

    Parameters
    ----------
    gamma : at least 0: largest scale of a similarity
    margin : finite; pairs of two labels further apart than ``1 - margin`` count less, and so do
        those of one label that are closer than ``margin``
    remove_diagonal : whether a row is no pair with itself
    """

    sparse = True
    any_label = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.gamma = _checks.number(gamma, f"{name}: gamma", 0.0)
        self.margin = _checks.number(margin, f"{name}: margin")
        self.remove_diagonal = _checks.boolean(remove_diagonal, f"{name}: remove_diagonal")

    def emit(
        self,
        low: Lowering,
        reads: dict[str, Buffer],
        writes: dict[str, Buffer],
        *,
        mean: bool,
        factor: float,
    ) -> None:
        if reads["prediction"].rows_per_sample != 1:
            raise ValueError(
                f"{self.name}: y_pred must have shape (n, columns), one embedding a sample, got "
                "more dimensions"
            )
        areas = {
            "similarities": low.square("similarities"),
            "per_row": low.rows("circle_rows", _core.circle_numbers),
        }
        attributes = {
            "gamma": self.gamma,
            "margin": self.margin,
            "remove_diagonal": self.remove_diagonal,
            "mean": mean,
            "factor": factor,
        }
        low.emit("circle", reads, {**writes, **areas}, attributes)

    def _values(self, target: Any, prediction: Any) -> Any:
        return values_of(target, prediction, None, None, **self._options())

    def _rows_of_mean(self, values: Any) -> int:
        return max(1, int(np.count_nonzero(values > 0)))

    def _options(self) -> dict[str, Any]:
        return {
            "gamma": self.gamma,
            "margin": self.margin,
            "remove_diagonal": self.remove_diagonal,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options()}


def values_of(
    labels: Any, embeddings: Any, ref_labels: Any, ref_embeddings: Any, **options: Any
) -> Any:
    """Return the loss of each row; labels may be whole numbers of any type."""
    if ref_labels is not None:
        ref_labels = _whole(ref_labels, "ref_labels")
    if ref_embeddings is not None:
        ref_embeddings = np.asarray(ref_embeddings).astype(embeddings.dtype, copy=False)
    return kernels.circle(
        _whole(labels, "y_true"),
        embeddings,
        ref_labels=ref_labels,
        ref_embeddings=ref_embeddings,
        **options,
    )[0]


def _whole(labels: Any, name: str) -> Any:
    array = np.asarray(labels)
    if array.dtype.kind == "f":
        if not np.array_equal(array, np.floor(array)):
            raise ValueError(f"{name} must hold whole numbers, got fractions or NaN")
        return array.astype(np.int64)
    return array
