"""Rprop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from onepass._formulas import RULES, Rule
from onepass.optimizers._arguments import (
    Around,
    Convention,
    Hyper,
    pair,
)
from onepass.optimizers._arrays import Array
from onepass.optimizers.optimizer import LearningRate, Optimizer


class Rprop(Optimizer):
    """Rprop: each weight has its step, which grows while the gradient keeps its sign.

    Keras does not have it: formula and defaults are torch's in both conventions. For whole batches:
    the noise of small ones changes signs. With s starting at the learning rate, b at zero and
    the sign of 0 being 0::

        g b > 0  s = min(s etas[1], step_sizes[1])
        g b < 0  s = max(s etas[0], step_sizes[0]),   g = 0
        p -= sign(g) s,   b = g

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.01
        The first step size. Once the states are there, that is from `build` or the first step of a
        model on, it counts for ``weight_decay`` only.
    etas : tuple of two floats, 0 < etas[0] < 1 < etas[1], default (0.5, 1.2)
    step_sizes : tuple of two floats, 0 <= smallest <= largest, default (1e-6, 50)
    weight_decay, clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "rprop"

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range.

    References
    ----------
    Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP
    Algorithm, 1993; Igel and Huesken, Improving the Rprop Learning Algorithm, 2000 (iRprop-).
    """

    etas = Hyper[tuple[float, float]]()
    step_sizes = Hyper[tuple[float, float]]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "rprop",
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
        self.etas = pair("etas", etas)
        self.step_sizes = pair("step_sizes", step_sizes)
        if not 0.0 < self.etas[0] < 1.0 < self.etas[1]:
            raise ValueError(f"etas must be 0 < etas[0] < 1 < etas[1], got {etas!r}")
        if self.step_sizes[0] > self.step_sizes[1]:
            raise ValueError(f"step_sizes must be smallest <= largest, got {step_sizes!r}")

    @property
    def rule(self) -> Rule:
        """The update rule."""
        return RULES["rprop"]

    def _options(self) -> Mapping[str, float]:
        names = ("eta_minus", "eta_plus", "smallest", "largest")
        return dict(zip(names, (*self.etas, *self.step_sizes), strict=True))

    def start_states(self, p: Array, states: Sequence[Array]) -> None:
        """Start the step sizes."""
        _, size = states
        size[...] = self.learning_rate
