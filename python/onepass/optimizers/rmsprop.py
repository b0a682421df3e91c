"""RMSprop, centered or not, with momentum or without."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    ByConvention,
    Convention,
    Hyper,
    flag,
    fraction,
    number,
)
from onepass.optimizers.optimizer import LearningRate, Optimizer

_LEARNING_RATE = ByConvention(0.001, torch=0.01)
_RHO = ByConvention(0.9, torch=0.99)
_EPSILON = ByConvention(1e-7, torch=1e-8)


class RMSprop(Optimizer):
    """RMSprop: gradients divided by the root of a running mean of their squares.

    With v (and a, b) starting at zero and ``lr`` the learning rate::

        v = rho v + (1 - rho) g^2
        centered:  a = rho a + (1 - rho) g, and below v - a^2, at least 0, in place of v
        keras  d = lr g / sqrt(v + epsilon)       torch  d = g / (sqrt(v) + epsilon)
        momentum:  b = momentum b + d, and below b in place of d
        keras  p -= d                             torch  p -= lr d

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001 (torch: 0.01)
        A callable receives the number of steps done so far, from 0.
    rho : float in [0, 1), default 0.9 (torch: 0.99)
        Torch's ``alpha``.
    momentum : float in [0, 1], default 0
    epsilon : float >= 0, default 1e-7 (torch: 1e-8)
    centered : bool, default False
    epsilon_inside_sqrt : bool, default False
        True: ``sqrt(v + epsilon)`` in the convention "torch" too; in "keras" it always is.
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "rmsprop"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Hinton, Neural Networks for Machine Learning, lecture 6e, 2012.
    Graves, Generating Sequences With Recurrent Neural Networks, 2013, equations 38 to 41.
    """

    rho = Hyper[float]()
    momentum = Hyper[float]()
    epsilon = Hyper[float]()
    centered = Hyper[bool]()
    epsilon_inside_sqrt = Hyper[bool]()

    def __init__(
        self,
        learning_rate: LearningRate = _LEARNING_RATE,
        rho: float = _RHO,
        momentum: float = 0.0,
        epsilon: float = _EPSILON,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "rmsprop",
        epsilon_inside_sqrt: bool = False,
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
        self.rho = fraction("rho", self._default(rho))
        self.momentum = number("momentum", momentum, high=1.0)
        self.epsilon = number("epsilon", self._default(epsilon))
        self.centered = flag("centered", centered)
        self.epsilon_inside_sqrt = flag("epsilon_inside_sqrt", epsilon_inside_sqrt)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        name = "rmsprop_centered" if self.centered else "rmsprop"
        return RULES[f"{name}_momentum" if self.momentum else name]
