"""Shares of right answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onepass import _checks
from onepass.metrics.means import MeanOfRows

if TYPE_CHECKING:
    from onepass.engine.calls import Buffer
    from onepass.engine.lowering import Lowering
    from onepass.engine.objective import ObjectiveBuffers


class _Accuracy(MeanOfRows):
    _direction = "up"
    kind = ""
    threshold = 0.5
    k = 1

    def __init__(self, name: str, dtype: str | None) -> None:
        super().__init__(dtype, name)

    def lower_rows(self, low: Lowering, at: ObjectiveBuffers, values: Buffer) -> None:
        low.emit(
            "row_accuracy",
            {"target": at.target, "prediction": at.prediction},
            {"values": values},
            {"kind": self.kind, "threshold": self.threshold, "k": self.k},
        )


class Accuracy(_Accuracy):
    """Share of outputs that equal the target."""

    kind = "equal"
    elementwise = True

    def __init__(self, name: str = "accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)


class BinaryAccuracy(_Accuracy):
    """Share of outputs on the right side of a threshold: targets are 1 above it, 0 elsewhere.

    Parameters
    ----------
    name : str
    dtype : {"float32", "float64"}, optional
    threshold : float
        Any number: 0 for logits.
    """

    kind = "binary"
    elementwise = True

    def __init__(
        self,
        name: str = "binary_accuracy",
        dtype: str | None = None,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(name, dtype)
        self.threshold = _checks.number(threshold, "BinaryAccuracy: threshold")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}


class CategoricalAccuracy(_Accuracy):
    """Share of rows whose largest output is the one-hot target's class."""

    kind = "categorical"

    def __init__(self, name: str = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)


class SparseCategoricalAccuracy(_Accuracy):
    """Share of rows whose largest output is the target's class index."""

    kind = "sparse_categorical"
    reads_index = True

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(name, dtype)


class TopKCategoricalAccuracy(_Accuracy):
    """Share of rows in which fewer than k outputs exceed that of the one-hot target's class.

    Parameters
    ----------
    k : int, default 5
    name : str
    dtype : {"float32", "float64"}, optional
    """

    kind = "top_k_categorical"

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: str | None = None
    ) -> None:
        super().__init__(name, dtype)
        self.k = _checks.integer(k, f"{type(self).__name__}: k", 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}


class SparseTopKCategoricalAccuracy(_Accuracy):
    """Share of rows in which fewer than k outputs exceed that of the target's class index.

    Parameters
    ----------
    k : int, default 5
    name : str
    dtype : {"float32", "float64"}, optional
    from_sorted_ids : bool
        Only False.
    """

    kind = "sparse_top_k_categorical"
    reads_index = True

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        if from_sorted_ids:
            raise ValueError(f"{type(self).__name__}: from_sorted_ids=True is not there")
        self.k = _checks.integer(k, f"{type(self).__name__}: k", 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}
