"""Stochastic gradient descent, plain or with momentum."""

from __future__ import annotations

from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import Around, ByConvention, Convention, Hyper, flag, number
from onepass.optimizers.optimizer import LearningRate, Optimizer

_LEARNING_RATE = ByConvention(0.01, torch=1e-3)


class SGD(Optimizer):
    """Gradient descent: ``p -= learning_rate * g``, with classical or Nesterov momentum.

    With ``momentum > 0``, m starting at zero, ``lr`` the learning rate and d the dampening::

        keras     m = momentum m - lr g                         p += m
                  nesterov:                                     p += momentum m - lr g
        torch     m = g at the first step, then momentum m + (1 - d) g
                                                                p -= lr m
                  nesterov:                                     p -= lr (g + momentum m)

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.01 (torch: 0.001)
        A callable receives the number of steps done so far, from 0.
    momentum : float in [0, 1], default 0
    nesterov : bool, default False
        In the convention "torch" it needs momentum and no dampening.
    weight_decay : float >= 0 or None, default None
        keras: ``p -= lr * weight_decay * p`` before the rule; torch: ``g += weight_decay * p``.
    clipnorm : float > 0 or None, default None
        Largest norm of each parameter's gradient.
    clipvalue : float > 0 or None, default None
        Largest magnitude of each element of a gradient.
    global_clipnorm : float > 0 or None, default None
        Largest norm of all gradients together. At most one of the three clips may be given.
    name : str, default "SGD"
    dampening : float in [0, 1], default 0
        Of the convention "torch" only, and only with momentum.
    convention : {"keras", "torch"}, default "keras"
        Whose formula, defaults and meaning of ``weight_decay``.
    **around
        Averages, accumulation and other things around the rule: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Polyak, Some methods of speeding up the convergence of iteration methods, 1964.
    Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum in deep
    learning, 2013, equations 1 to 4.
    """

    momentum = Hyper[float]()
    nesterov = Hyper[bool]()
    dampening = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = _LEARNING_RATE,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "SGD",
        dampening: float = 0.0,
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
        self.nesterov = flag("nesterov", nesterov)
        self.dampening = number("dampening", dampening, high=1.0)
        self._check_combination()

    def _check_combination(self) -> None:
        if self.dampening and self.convention != "torch":
            raise ValueError(
                f"dampening needs convention='torch', got dampening={self.dampening} with "
                f"convention={self.convention!r}"
            )
        if self.dampening and not self.momentum:
            raise ValueError(f"dampening needs momentum, got dampening={self.dampening} without")
        if self.nesterov and self.convention == "torch" and (self.dampening or not self.momentum):
            raise ValueError(
                "nesterov in the convention 'torch' needs momentum > 0 and dampening = 0, got "
                f"momentum={self.momentum} and dampening={self.dampening}"
            )

    @property
    def rule(self) -> Rule:
        """The update rule: without momentum there is no state to keep."""
        if not self.momentum:
            return RULES["sgd"]
        return RULES["nesterov" if self.nesterov else "momentum"]
