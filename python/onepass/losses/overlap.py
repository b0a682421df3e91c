"""Losses of overlapping sets, such as the pixels of an object and those predicted."""

from __future__ import annotations

from typing import Any

from onepass._checks import number
from onepass.losses.loss import Loss


class _Overlap(Loss):
    """A Tversky loss of a whole batch, or of each row.

    The batch's value is a single one, that weights multiply and that no reduction changes.
    """

    def __init__(
        self,
        missed: float,
        false_alarms: float,
        epsilon: float,
        reduction: str | None,
        name: str,
        axis: int | None,
        dtype: str | None,
    ) -> None:
        if isinstance(axis, bool) or axis not in (None, -1):
            raise ValueError(f"{name}: axis must be None (the whole batch) or -1, got {axis!r}")
        if axis is None and reduction == "sum":
            raise ValueError(
                f"{name}: reduction must be 'sum_over_batch_size' or None where axis is None: one "
                "value of the whole batch has no sum"
            )
        self.axis = axis
        self.whole_batch = axis is None
        self._from_probabilities = "tversky_of_batch" if self.whole_batch else "tversky"
        super().__init__(
            name, reduction, dtype, missed=missed, false_alarms=false_alarms, epsilon=epsilon
        )


class Dice(_Overlap):
    """``1 - 2 sum(y_true y_pred) / (sum(y_true) + sum(y_pred) + 1e-7)``.

    Sums are over the whole batch: one value, not one a sample. Milletari et al., V-Net: Fully
    Convolutional Neural Networks for Volumetric Medical Image Segmentation, 2016.

    Parameters
    ----------
    axis : None for the whole batch, -1 for a value a row
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: int | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(0.5, 0.5, 0.5e-7, reduction, name, axis, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"reduction": self.reduction, "name": self.name, "axis": self.axis}


class Tversky(_Overlap):
    """``1 - i / (i + alpha m + beta f + 1e-7)``: Dice's with mistakes of two kinds.

    ``i = sum(y_true y_pred)``, ``m = sum(y_true (1 - y_pred))`` what was missed and
    ``f = sum((1 - y_true) y_pred)`` the false alarms, over the whole batch: one value, not one a
    sample. Salehi et al., Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional
    Deep Networks, 2017.

    Parameters
    ----------
    alpha, beta : at least 0: what counts for missed ones and for false alarms
    axis : None for the whole batch, -1 for a value a row
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: int | None = None,
        dtype: str | None = None,
    ) -> None:
        self.alpha = number(alpha, f"{name}: alpha", 0.0)
        self.beta = number(beta, f"{name}: beta", 0.0)
        super().__init__(self.alpha, self.beta, 1e-7, reduction, name, axis, dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"alpha": self.alpha, "beta": self.beta}
        return {**own, "reduction": self.reduction, "name": self.name, "axis": self.axis}
