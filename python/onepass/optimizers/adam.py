"""Adam, and Adam with decoupled weight decay."""

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

_EPSILON = ByConvention(1e-7, torch=1e-8)
_WEIGHT_DECAY = ByConvention(0.004, torch=0.01)


class Adam(Optimizer):
    """Adam: steps of about the learning rate in the direction of an averaged gradient.

    At step t, counted from 1, with m and v starting at zero and ``lr`` the learning rate::

        m = beta_1 m + (1 - beta_1) g
        v = beta_2 v + (1 - beta_2) g^2
        p -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + e)

    with ``e = epsilon`` (keras, the paper's "epsilon hat") or ``epsilon sqrt(1 - beta_2^t)``
    (torch, the paper's Algorithm 1). AMSGrad has in place of v the largest v so far.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
        A callable receives the number of steps done so far, from 0.
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
    epsilon : float >= 0, default 1e-7 (torch: 1e-8)
    amsgrad : bool, default False
    weight_decay : float >= 0 or None, default None
        keras: ``p -= lr * weight_decay * p`` before the rule; torch: ``g += weight_decay * p``.
    clipnorm : float > 0 or None, default None
        Largest norm of each parameter's gradient.
    clipvalue : float > 0 or None, default None
        Largest magnitude of each element of a gradient.
    global_clipnorm : float > 0 or None, default None
        Largest norm of all gradients together. At most one of the three clips may be given.
    name : str, default "adam"
    epsilon_inside_sqrt : bool, default False
        True: ``sqrt(v + epsilon)`` (keras) or ``sqrt(v + epsilon (1 - beta_2^t))`` (torch) in place
        of ``sqrt(v) + e``.
    convention : {"keras", "torch"}, default "keras"
        Whose formula, defaults and meaning of ``weight_decay``.
    **around
        Averages, accumulation and other things around the rule: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    Notes
    -----
    With ``epsilon=0`` a parameter whose gradients were all zero becomes NaN, 0/0.

    References
    ----------
    Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, Algorithm 1 and section 2.
    Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018 (AMSGrad).
    """

    beta_1 = Hyper[float]()
    beta_2 = Hyper[float]()
    epsilon = Hyper[float]()
    amsgrad = Hyper[bool]()
    epsilon_inside_sqrt = Hyper[bool]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = _EPSILON,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "adam",
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
        self.beta_1 = fraction("beta_1", beta_1)
        self.beta_2 = fraction("beta_2", beta_2)
        self.epsilon = number("epsilon", self._default(epsilon))
        self.amsgrad = flag("amsgrad", amsgrad)
        self.epsilon_inside_sqrt = flag("epsilon_inside_sqrt", epsilon_inside_sqrt)

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["amsgrad" if self.amsgrad else "adam"]


class AdamW(Adam):
    """Adam with decoupled weight decay: ``p -= lr * weight_decay * p`` before Adam's step.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
    weight_decay : float >= 0, default 0.004 (torch: 0.01)
        Decoupled in both conventions.
    beta_1, beta_2, epsilon, amsgrad, epsilon_inside_sqrt
        As in :class:`Adam`.
    clipnorm, clipvalue, global_clipnorm, convention
        As in :class:`Adam`.
    name : str, default "adamw"
    **around
        Averages, accumulation and other things around the rule: see `Optimizer`.

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, Algorithm 2.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = _WEIGHT_DECAY,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = _EPSILON,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "adamw",
        epsilon_inside_sqrt: bool = False,
        convention: Convention = "keras",
        **around: Unpack[Around],
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            number("weight_decay", self._default(weight_decay, convention)),
            clipnorm,
            clipvalue,
            global_clipnorm,
            name=name,
            epsilon_inside_sqrt=epsilon_inside_sqrt,
            convention=convention,
            **around,
        )

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["amsgrad" if self.amsgrad else "adamw"]

    @property
    def _decoupled_decay(self) -> bool:
        return True
