"""Update rules in both conventions: ``Stepper`` carries parameters and states through steps.

"keras" follows Keras 3.15 ``update_step``, "torch" the single-tensor code of torch 2.13.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reference.reduce import clip_by_global_norm, clip_by_norm, clip_by_value

Array = NDArray[np.float64]
Convention = Literal["keras", "torch"]
State = dict[str, Array]


@dataclass(frozen=True)
class At:
    """One step of one tensor: t counts from 1."""

    learning_rate: float
    t: int
    convention: Convention


def sgd(p: Array, g: Array, state: State, at: At) -> Array:
    return p - at.learning_rate * g


def velocity(g: Array, state: State, at: At, momentum: float, dampening: float) -> Array:
    """Return the new velocity, which in Keras already holds the (negative) learning rate."""
    if at.convention == "keras":
        state["m"] = momentum * state.get("m", np.zeros_like(g)) - at.learning_rate * g
    elif at.t == 1:
        state["m"] = g.copy()
    else:
        state["m"] = momentum * state["m"] + (1.0 - dampening) * g
    return state["m"]


def momentum(p: Array, g: Array, state: State, at: At, momentum: float, dampening: float) -> Array:
    m = velocity(g, state, at, momentum, dampening)
    return p + m if at.convention == "keras" else p - at.learning_rate * m


def nesterov(p: Array, g: Array, state: State, at: At, momentum: float, dampening: float) -> Array:
    m = velocity(g, state, at, momentum, dampening)
    if at.convention == "keras":
        return p + momentum * m - at.learning_rate * g
    return p - at.learning_rate * (g + momentum * m)


def adam(
    p: Array, g: Array, state: State, at: At, beta_1: float, beta_2: float, epsilon: float
) -> Array:
    zero = np.zeros_like(g)
    m = state["m"] = beta_1 * state.get("m", zero) + (1.0 - beta_1) * g
    v = state["v"] = beta_2 * state.get("v", zero) + (1.0 - beta_2) * g**2
    m_hat = m / (1.0 - beta_1**at.t)
    correction_2 = np.sqrt(1.0 - beta_2**at.t)
    if at.convention == "keras":
        return p - at.learning_rate * correction_2 * m_hat / (np.sqrt(v) + epsilon)
    return p - at.learning_rate * m_hat / (np.sqrt(v) / correction_2 + epsilon)


RULES: dict[str, Callable[..., Array]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adam,  # the decay, which makes the difference, is the stepper's
}


def decay_is_decoupled(rule: str, convention: Convention) -> bool:
    return convention == "keras" or rule == "adamw"


@dataclass
class Stepper:
    """Some tensors that one rule updates; at most one of the three clips is given."""

    rule: str
    params: list[Array]
    convention: Convention = "keras"
    options: dict[str, float] = field(default_factory=dict)
    weight_decay: float = 0.0
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    t: int = 0

    def __post_init__(self) -> None:
        self.params = [np.array(p, np.float64) for p in self.params]
        self.states: list[State] = [{} for _ in self.params]

    def clipped(self, gradients: Sequence[Array]) -> list[Array]:
        if self.clipvalue is not None:
            return [clip_by_value(g, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [clip_by_norm(g, self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            return clip_by_global_norm(gradients, self.global_clipnorm)
        return list(gradients)

    def step(self, gradients: Sequence[Array], learning_rate: float) -> None:
        self.t += 1
        at = At(learning_rate, self.t, self.convention)
        clipped = self.clipped([np.asarray(g, np.float64) for g in gradients])
        for k, (p, g) in enumerate(zip(self.params, clipped, strict=True)):
            if decay_is_decoupled(self.rule, self.convention):
                decayed = p - learning_rate * self.weight_decay * p
            else:
                decayed = p
                g = g + self.weight_decay * p
            self.params[k] = RULES[self.rule](decayed, g, self.states[k], at, **self.options)
