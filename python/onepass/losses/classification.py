"""Losses of classes: cross-entropies, of probabilities and logits, and losses of margins."""

from __future__ import annotations

from typing import Any

from onepass._checks import number
from onepass.losses.loss import Loss


def _last_axis(axis: int, name: str) -> None:
    if isinstance(axis, bool) or axis != -1:
        raise ValueError(f"{name}: axis must be -1, got {axis!r}")


class _Crossentropy(Loss):
    """Cross-entropies of probabilities or logits along the last axis."""

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, **super().get_config(), "axis": -1}


class BinaryCrossentropy(_Crossentropy):
    """Mean over a row of ``-(y log p + (1 - y) log(1 - p))``.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / 2``
    axis : -1, the only one
    """

    _from_probabilities = "binary_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: str | None = None,
    ) -> None:
        _last_axis(axis, name)
        super().__init__(name, reduction, dtype, from_logits, label_smoothing=label_smoothing)


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
        dtype: str | None = None,
    ) -> None:
        if not isinstance(apply_class_balancing, bool):
            kind = type(apply_class_balancing).__name__
            raise TypeError(f"{name}: apply_class_balancing must be a bool, got {kind}")
        _last_axis(axis, name)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = number(alpha, f"{name}: alpha", 0.0, 1.0)
        weights = (self.alpha, 1.0 - self.alpha) if apply_class_balancing else (1.0, 1.0)
        super().__init__(
            name,
            reduction,
            dtype,
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
        return {**own, "from_logits": self.from_logits, **config, "axis": -1}


class CategoricalCrossentropy(_Crossentropy):
    """``-sum_j y_j log p_j`` with one-hot or probability targets.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / classes``
    axis : -1, the only one
    """

    _from_probabilities = "categorical_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        _last_axis(axis, name)
        super().__init__(name, reduction, dtype, from_logits, label_smoothing=label_smoothing)


class CategoricalFocalCrossentropy(Loss):
    """``-sum_j alpha (1 - p_j)**gamma y_j log p_j``: a cross-entropy that dwells on mistakes.

    Lin et al., Focal Loss for Dense Object Detection, 2017.

    Parameters
    ----------
    alpha : at least 0: factor of all classes
    gamma : at least 0: how little right answers count; with 0 as much as in the cross-entropy
    from_logits : whether ``y_pred`` holds logits, not probabilities
    label_smoothing : in [0, 1]: targets move to ``y (1 - s) + s / classes``
    axis : -1, the only one
    """

    _from_probabilities = "categorical_focal_crossentropy"

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        _last_axis(axis, name)
        self.alpha = number(alpha, f"{name}: alpha", 0.0)
        super().__init__(
            name,
            reduction,
            dtype,
            from_logits,
            class_weight=self.alpha,
            gamma=gamma,
            label_smoothing=label_smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        own = {"alpha": config.pop("class_weight"), "from_logits": self.from_logits}
        return {**own, **config, "axis": -1}


class CategoricalGeneralizedCrossEntropy(Loss):
    """``(1 - p**q) / q`` with p the probability of the target, a class index.

    Between the cross-entropy (q near 0) and the absolute error (q near 1), which wrong labels
    disturb less. Its slope counts p as at least 1e-7. Zhang and Sabuncu, Generalized Cross Entropy
    Loss for Training Deep Neural Networks with Noisy Labels, 2018.

    Parameters
    ----------
    q : between 0 and 1
    """

    sparse = True
    _from_probabilities = "categorical_generalized_crossentropy"

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: str | None = None,
    ) -> None:
        if not 0.0 < number(q, f"{name}: q") < 1.0:
            raise ValueError(f"{name}: q must be between 0 and 1, got {q}")
        super().__init__(name, reduction, dtype, q=q)


class SparseCategoricalCrossentropy(_Crossentropy):
    """``-log p_y`` with class indices as targets.

    Parameters
    ----------
    from_logits : whether ``y_pred`` holds logits, not probabilities
    ignore_class : None, the only one
    axis : -1, the only one
    """

    sparse = True
    _from_probabilities = "categorical_crossentropy"

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        _last_axis(axis, name)
        if ignore_class is not None:
            raise ValueError(f"{name}: ignore_class must be None, got {ignore_class!r}")
        super().__init__(name, reduction, dtype, from_logits, label_smoothing=0.0)

    def get_config(self) -> dict[str, Any]:
        own = {"from_logits": self.from_logits, "ignore_class": None}
        return {**own, "reduction": self.reduction, "name": self.name}


class KLDivergence(Loss):
    """Sum over a row of ``y_true log(y_true / y_pred)``, both clipped to [1e-7, 1].

    Kullback and Leibler, On Information and Sufficiency, 1951.
    """

    _from_probabilities = "kl_divergence"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kl_divergence",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Hinge(Loss):
    """Mean over a row of ``max(1 - y_true y_pred, 0)``.

    Labels are -1 and 1, or 0 and 1: 0 counts as -1. Keras does so only where all labels of a batch
    are 0 or 1.
    """

    _from_probabilities = "hinge"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class SquaredHinge(Loss):
    """Mean over a row of ``max(1 - y_true y_pred, 0)**2``.

    Labels are -1 and 1, or 0 and 1: 0 counts as -1. Keras does so only where all labels of a batch
    are 0 or 1.
    """

    _from_probabilities = "squared_hinge"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "squared_hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class CategoricalHinge(Loss):
    """``max(1 + max((1 - y_true) y_pred) - sum(y_true y_pred), 0)`` over a row; one-hot targets."""

    _from_probabilities = "categorical_hinge"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Perceptron(Loss):
    """Mean over a row of ``max(-y_true y_pred, 0)``: with ``SGD`` the perceptron's learning rule.

    The slope at ``y_pred = 0`` is that of a mistake, so that weights of 0 are a start. Not in
    Keras. Rosenblatt, The Perceptron, 1958.

    Labels are -1 and 1, or 0 and 1: 0 counts as -1.
    """

    _from_probabilities = "perceptron"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "perceptron",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
