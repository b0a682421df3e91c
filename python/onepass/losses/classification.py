"""Losses of classes: cross-entropies, of probabilities and logits, and losses of margins."""

from __future__ import annotations

from typing import Any

from onepass._checks import number
from onepass.losses.loss import Loss


class _Crossentropy(Loss):
    def __init__(
        self, from_logits: bool, label_smoothing: float, reduction: str | None, name: str
    ) -> None:
        super().__init__(reduction, name, from_logits, label_smoothing=label_smoothing)

    def get_config(self) -> dict[str, Any]:
        config = {"from_logits": self.from_logits, **super().get_config()}
        if self.sparse:
            del config["label_smoothing"]
        return config


class BinaryCrossentropy(_Crossentropy):
    """Mean over a row of ``-(y log p + (1 - y) log(1 - p))``.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / 2``
    """

    _from_probabilities = "binary_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)


class BinaryFocalCrossentropy(Loss):
    """Mean over a row of ``w u**gamma c``: binary cross-entropy ``c`` that dwells on mistakes.

    ``u = y (1 - p) + (1 - y) p`` is the probability given to the wrong class; ``w`` is
    ``y alpha + (1 - y) (1 - alpha)`` with class balancing and 1 without. Lin et al., Focal Loss for
    Dense Object Detection, 2017.

    Parameters
    ----------
    apply_class_balancing : whether ``alpha`` counts
    alpha : from 0 to 1: weight of class 1; that of class 0 is ``1 - alpha``
    gamma : at least 0: how little right answers count; with 0 as much as in the cross-entropy
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / 2``
    axis : -1, the only one
    """

    _from_probabilities = "binary_focal_crossentropy"

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
    ) -> None:
        if not isinstance(apply_class_balancing, bool):
            kind = type(apply_class_balancing).__name__
            raise TypeError(f"{name}: apply_class_balancing must be a bool, got {kind}")
        if axis != -1:
            raise ValueError(f"{name}: axis must be -1, got {axis!r}")
        self.apply_class_balancing = apply_class_balancing
        self.alpha = number(alpha, f"{name}: alpha", 0.0, 1.0)
        weights = (self.alpha, 1.0 - self.alpha) if apply_class_balancing else (1.0, 1.0)
        super().__init__(
            reduction,
            name,
            from_logits,
            positive_weight=weights[0],
            negative_weight=weights[1],
            gamma=gamma,
            label_smoothing=label_smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["positive_weight"], config["negative_weight"]
        own = {"apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha}
        return {**own, "from_logits": self.from_logits, **config}


class CategoricalCrossentropy(_Crossentropy):
    """``-sum_j y_j log p_j`` with one-hot or probability targets.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / classes``
    """

    _from_probabilities = "categorical_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)


class SparseCategoricalCrossentropy(_Crossentropy):
    """``-log p_y`` with class indices as targets.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    """

    sparse = True
    _from_probabilities = "categorical_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(from_logits, 0.0, reduction, name)


class KLDivergence(Loss):
    """Sum over a row of ``y_true log(y_true / y_pred)``, both clipped to [1e-7, 1].

    Kullback and Leibler, On Information and Sufficiency, 1951.
    """

    _from_probabilities = "kl_divergence"

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "kl_divergence"
    ) -> None:
        super().__init__(reduction, name)


class Hinge(Loss):
    """Mean over a row of ``max(1 - y_true y_pred, 0)``.

    Labels are -1 and 1, or 0 and 1: 0 counts as -1. Keras does so only where all labels of a batch
    are 0 or 1.
    """

    _from_probabilities = "hinge"

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "hinge") -> None:
        super().__init__(reduction, name)


class SquaredHinge(Loss):
    """Mean over a row of ``max(1 - y_true y_pred, 0)**2``.

    Labels are -1 and 1, or 0 and 1: 0 counts as -1. Keras does so only where all labels of a batch
    are 0 or 1.
    """

    _from_probabilities = "squared_hinge"

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "squared_hinge"
    ) -> None:
        super().__init__(reduction, name)


class CategoricalHinge(Loss):
    """``max(1 + max((1 - y_true) y_pred) - sum(y_true y_pred), 0)`` over a row; one-hot targets."""

    _from_probabilities = "categorical_hinge"

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "categorical_hinge"
    ) -> None:
        super().__init__(reduction, name)


class Perceptron(Loss):
    """Mean over a row of ``max(-y_true y_pred, 0)``: with ``SGD`` the perceptron's learning rule.

    The slope at ``y_pred = 0`` is that of a mistake, so that weights of 0 are a start. Not in
    Keras. Rosenblatt, The Perceptron, 1958.

    Labels are -1 and 1, or 0 and 1: 0 counts as -1.
    """

    _from_probabilities = "perceptron"

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "perceptron"
    ) -> None:
        super().__init__(reduction, name)
