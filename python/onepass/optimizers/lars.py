"""LARS."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import Around, Convention, Hyper, number
from onepass.optimizers.optimizer import LearningRate, Optimizer


class LARS(Optimizer):
    """LARS: gradient descent whose steps are a fixed part of each tensor's norm.

    For large batches. With m starting at zero, ``lr`` the learning rate, ``d = weight_decay`` and
    norms over all elements of a tensor::

        m = momentum m + lr trust_coefficient |p| / (|g| + d |p|) (g + d p)
        p -= m

    The factor beside ``lr`` is 1 where a norm is 0 or NaN.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 1
        A callable receives the number of steps done so far, from 0.
    momentum : float in [0, 1], default 0.9
    trust_coefficient : float >= 0, default 0.001
    weight_decay : float >= 0 or None, default None
        The formula's d in both conventions. `exclude_from_weight_decay` makes it 0.
    clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`. Both conventions are the same here.
    name : str, default "lars"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    Neither Keras nor torch has it. A step reads parameters and gradients twice.

    References
    ----------
    You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 2017, Algorithm 1.
    """

    momentum = Hyper[float]()
    trust_coefficient = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = 1.0,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "lars",
        convention: Convention = "keras",
        **around: Unpack[Around],
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name=name,
            convention=convention,
            **around,
        )
        self.momentum = number("momentum", momentum, high=1.0)
        self.trust_coefficient = number("trust_coefficient", trust_coefficient)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["lars"]

    @property
    def _decoupled_decay(self) -> bool:
        return False
