"""Gradient descent with a learned learning rate."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import Around, ByConvention, Convention
from onepass.optimizers.hypergradient import HypergradientOptimizer
from onepass.optimizers.optimizer import LearningRate

_RATE = ByConvention(0.01, torch=1e-3)


class SGDHD(HypergradientOptimizer):
    """SGD-HD: gradient descent whose learning rate grows while gradients keep their direction.

    With ``lr`` starting at the learning rate, g' the gradient of the step before (0 at the first)
    and sums over all elements of all parameters::

        lr = lr + hypergradient_learning_rate sum(g g')
        p -= lr g

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.01 (torch: 0.001)
        A callable receives the number of steps done so far, from 0; what has been learned is added
        to what it returns.
    hypergradient_learning_rate : float >= 0, default 1e-6
        0 is plain gradient descent. The best one depends on the square of the gradients' size.
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`. g is the gradient behind all of them; a decay that
        is not part of it takes the learned rate, but teaches it nothing.
    name : str, default "sgdhd"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    ``learning_rate`` reads as the rate of the last step. Setting it makes it that number: what has
    been learned is forgotten. As the formula has it, the rate may become negative, and a gradient
    that is not finite spoils it, unless ``skip_nonfinite`` leaves that step out. A parameter that
    had no gradient at the step before is compared with its last one.

    A step reads gradients and states twice.

    References
    ----------
    Baydin, Cornish, Martinez Rubio, Schmidt and Wood, Online Learning Rate Adaptation with
    Hypergradient Descent, 2018, Algorithm 4.
    """

    def __init__(
        self,
        learning_rate: LearningRate = _RATE,
        hypergradient_learning_rate: float = 1e-6,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "sgdhd",
        convention: Convention = "keras",
        **around: Unpack[Around],
    ) -> None:
        super().__init__(
            learning_rate,
            hypergradient_learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name=name,
            convention=convention,
            **around,
        )

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["sgd_hd"]
