"""Muon."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Unpack

from onepass import _core
from onepass._checks import scalar
from onepass._formulas import RULES, Rule, hyper_values
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

_WEIGHT_DECAY = ByConvention(0.004, torch=0.1)
_ADAM_WEIGHT_DECAY = ByConvention(0.004, torch=0.01)  # torch's AdamW
_EPSILON = ByConvention(1e-7, torch=1e-8)
_RMS_RATE = ByConvention(0.2, torch=-1.0)  # None
_MOST_STEPS = 100  # below it in torch
_MATRICES, _OTHERS = 0, 1  # groups


class Muon(Optimizer):
    """Muon: momentum whose matrices are made nearly orthogonal; AdamW for what is no matrix.

    Of a matrix, with m starting at zero, ``lr`` the learning rate and |u| the Frobenius norm::

        m = momentum m + g
        u = g + momentum m   with nesterov, else   u = m
        x = u / (|u| + norm_epsilon)
        ns_steps times, with A = x x^T:   x = muon_a x + (muon_b A + muon_c A A) x
        p -= lr rms_rate sqrt(max(rows, columns)) x

    The iteration, Newton and Schulz's, brings all singular values of u near 1. torch: ``m =
    momentum m + (1 - momentum) g``, ``u = (1 - momentum) g + momentum m`` with nesterov, |u| is at
    least norm_epsilon, and without rms_rate the step is ``lr sqrt(max(1, rows / columns)) x``.

    Parameters
    ----------
    learning_rate : float >= 0 or callable, default 0.001
        A callable receives the number of steps done so far, from 0.
    adam_beta_1, adam_beta_2 : float in [0, 1), default 0.9 and 0.999
        Of AdamW's running means.
    adam_weight_decay : float >= 0 or None, default 0.004 (torch: 0.01)
        Decay of what AdamW steps: ``p -= lr * adam_weight_decay * p``.
    epsilon : float >= 0, default 1e-7 (torch: 1e-8)
        Of AdamW.
    weight_decay : float >= 0 or None, default 0.004 (torch: 0.1)
        Decay of what Muon steps, decoupled in both conventions.
    clipnorm, clipvalue, global_clipnorm, convention, **around
        As in :class:`~onepass.optimizers.Adam`.
    name : str, default "muon"
    exclude_layers : list of str, optional
        Regular expressions: a model's matrix in whose name (``"dense/kernel"``) one of them is
        found is stepped by AdamW. Plain arrays have no names.
    exclude_embeddings : bool, default True
        Whether matrices with "embedding" in their names are, too.
    muon_a, muon_b, muon_c : float, default 3.4445, -4.775 and 2.0315
    adam_lr_ratio : float >= 0, default 1
        AdamW's learning rate is ``adam_lr_ratio * lr``.
    momentum : float in [0, 1], default 0.95
    ns_steps : int >= 0, default 5
        torch: below 100.
    nesterov : bool, default True
    rms_rate : float >= 0 or None, default 0.2 (torch: None)
        None leaves ``rms_rate sqrt(max(rows, columns))`` out. torch's ``adjust_lr_fn`` is
        "original" at None and "match_rms_adamw" at 0.2.
    norm_epsilon : float >= 0, default 1e-7

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or out of its range; `build` for ``exclude_layers``.

    Notes
    -----
    `variables` are m of a matrix, m and v of AdamW of anything else. Products are computed in the
    parameters' type, or float32; torch computes them in bfloat16. They differ in rounding between
    instruction sets, not between numbers of threads. A step takes about ``ns_steps * (2 k^2 n +
    k^3)`` multiply-adds for a matrix of k and n >= k rows and columns.

    References
    ----------
    Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; Liu et al., Muon
    is Scalable for LLM Training, 2025, section 2.2.
    """

    adam_beta_1 = Hyper[float]()
    adam_beta_2 = Hyper[float]()
    adam_weight_decay = Hyper[float | None]()
    epsilon = Hyper[float]()
    exclude_layers = Hyper[list[str]]()
    exclude_embeddings = Hyper[bool]()
    muon_a = Hyper[float]()
    muon_b = Hyper[float]()
    muon_c = Hyper[float]()
    adam_lr_ratio = Hyper[float]()
    momentum = Hyper[float]()
    ns_steps = Hyper[int]()
    nesterov = Hyper[bool]()
    rms_rate = Hyper[float | None]()
    norm_epsilon = Hyper[float]()

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = _ADAM_WEIGHT_DECAY,
        epsilon: float = _EPSILON,
        weight_decay: float | None = _WEIGHT_DECAY,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        *,
        name: str = "muon",
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = _RMS_RATE,
        norm_epsilon: float = 1e-7,
        convention: Convention = "keras",
        **around: Unpack[Around],
    ) -> None:
        super().__init__(
            learning_rate,
            None if weight_decay is None else self._default(weight_decay, convention),
            clipnorm,
            clipvalue,
            global_clipnorm,
            name=name,
            convention=convention,
            **around,
        )
        self.adam_beta_1 = fraction("adam_beta_1", adam_beta_1)
        self.adam_beta_2 = fraction("adam_beta_2", adam_beta_2)
        self.adam_weight_decay = (
            None
            if adam_weight_decay is None
            else number("adam_weight_decay", self._default(adam_weight_decay))
        )
        self.epsilon = number("epsilon", self._default(epsilon))
        self.exclude_layers = _expressions(exclude_layers)
        self.exclude_embeddings = flag("exclude_embeddings", exclude_embeddings)
        self.muon_a = number("muon_a", muon_a, low=-math.inf, without_low=True)
        self.muon_b = number("muon_b", muon_b, low=-math.inf, without_low=True)
        self.muon_c = number("muon_c", muon_c, low=-math.inf, without_low=True)
        self.adam_lr_ratio = number("adam_lr_ratio", adam_lr_ratio)
        self.momentum = number("momentum", momentum, high=1.0)
        self.ns_steps = self._checked_steps(ns_steps)
        self.nesterov = flag("nesterov", nesterov)
        self.rms_rate = self._checked_rms_rate(rms_rate)
        self.norm_epsilon = number("norm_epsilon", norm_epsilon)

    def _checked_steps(self, value: object) -> int:
        value = scalar(value)
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"ns_steps must be a whole number, got {value!r}")
        steps = int(value)
        if steps < 0:
            raise ValueError(f"ns_steps must be >= 0, got {steps}")
        if self.convention == "torch" and steps >= _MOST_STEPS:
            raise ValueError(f"ns_steps must be below {_MOST_STEPS}, got {steps}")
        return steps

    def _checked_rms_rate(self, value: float | None) -> float | None:
        if value is None or (isinstance(value, ByConvention) and self.convention == "torch"):
            return None
        return number("rms_rate", value)

    @property
    def rule(self) -> Rule:
        """The update rule of matrices."""
        return RULES["muon"]

    @property
    def _decoupled_decay(self) -> bool:
        return True

    def _options(self) -> Mapping[str, float]:
        none = {"rms_rate": -1.0} if self.rms_rate is None else {}
        return {name: none.get(name, getattr(self, name)) for name in self.rule.options}

    def group_of(self, shape: tuple[int, ...], name: str | None = None) -> int:
        """Return 0 for what Muon steps, 1 for what AdamW steps."""
        if name is None and self.exclude_layers:
            raise ValueError(
                "exclude_layers cannot exclude plain arrays, they have no names: step them with an "
                "AdamW of their own"
            )
        if len(shape) != 2:
            return _OTHERS
        if name is None:
            return _MATRICES
        embedding = self.exclude_embeddings and "embedding" in name.lower()
        excluded = any(re.search(expression, name) for expression in self.exclude_layers)
        return _OTHERS if embedding or excluded else _MATRICES

    def state_shapes(self, shape: tuple[int, ...], group: int = 0) -> list[tuple[int, ...]]:
        """Return the shapes of m, and of AdamW's v."""
        return [shape] * (1 if group == _MATRICES else RULES["adamw"].states)

    def create_native(self, float64: bool, device: str = "cpu") -> _core.Optimizer:
        """Return a new native optimizer of these settings, with a group for Muon and for AdamW."""
        native = super().create_native(float64, device)
        rule = RULES["adamw"]
        options = {
            "beta_1": self.adam_beta_1,
            "beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "epsilon_inside_sqrt": 0.0,
        }
        native.add_group(
            rule.id,
            self.convention == "torch",
            hyper_values(rule.options, options, "AdamW"),
            self.adam_weight_decay or 0.0,
            True,
            rate_ratio=self.adam_lr_ratio,
        )
        return native


def _expressions(given: Sequence[str] | None) -> list[str]:
    """Return checked regular expressions."""
    if isinstance(given, str) or not all(isinstance(one, str) for one in given or ()):
        raise TypeError(f"exclude_layers must be a list of strings, got {given!r}")
    for one in given or ():
        try:
            re.compile(one)
        except re.error as error:
            raise ValueError(f"exclude_layers: {one!r} is no regular expression: {error}") from None
    return list(given or ())
