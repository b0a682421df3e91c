"""Update rules in both conventions: ``Stepper`` carries parameters and states through steps.

"keras" follows Keras 3.15 ``update_step``, "torch" the single-tensor code of torch 2.13.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
    weight_decay: float = 0.0  # for rules that it is a part of


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


def mean(state: State, name: str, x: Array, beta: float) -> Array:
    """Return the new value of a running mean that began at zero."""
    state[name] = beta * state.get(name, np.zeros_like(x)) + (1.0 - beta) * x
    return state[name]


def over_root(x: Array, v: Array, epsilon: float, inside: bool) -> Array:
    """Return x over the root of v, with epsilon on one of the two sides of the root."""
    return x / np.sqrt(v + epsilon) if inside else x / (np.sqrt(v) + epsilon)


def adam(
    p: Array,
    g: Array,
    state: State,
    at: At,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    epsilon_inside_sqrt: float = 0.0,
    amsgrad: bool = False,
) -> Array:
    m, v = mean(state, "m", g, beta_1), mean(state, "v", g**2, beta_2)
    if amsgrad:
        v = state["largest"] = np.maximum(state.get("largest", v), v)
    m_hat = m / (1.0 - beta_1**at.t)
    correction = 1.0 - beta_2**at.t
    if at.convention == "keras":
        scaled = at.learning_rate * np.sqrt(correction) * m_hat
        return p - over_root(scaled, v, epsilon, bool(epsilon_inside_sqrt))
    scaled = at.learning_rate * m_hat
    return p - over_root(scaled, v / correction, epsilon, bool(epsilon_inside_sqrt))


def adamax(
    p: Array, g: Array, state: State, at: At, beta_1: float, beta_2: float, epsilon: float
) -> Array:
    m_hat = mean(state, "m", g, beta_1) / (1.0 - beta_1**at.t)
    before = beta_2 * state.get("u", np.zeros_like(g))
    if at.convention == "keras":
        state["u"] = np.maximum(before, np.abs(g))
        return p - at.learning_rate * m_hat / (state["u"] + epsilon)
    state["u"] = np.maximum(before, np.abs(g) + epsilon)
    return p - at.learning_rate * m_hat / state["u"]


def nadam(
    p: Array,
    g: Array,
    state: State,
    at: At,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    momentum_decay: float,
    epsilon_inside_sqrt: float = 0.0,
) -> Array:
    m, v = mean(state, "m", g, beta_1), mean(state, "v", g**2, beta_2)

    def momentum(t: int) -> float:
        return beta_1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay))

    now, coming = momentum(at.t), momentum(at.t + 1)
    product = np.prod([momentum(t) for t in range(1, at.t + 1)])
    looked_ahead = coming * m / (1.0 - product * coming) + (1.0 - now) * g / (1.0 - product)
    v_hat = v / (1.0 - beta_2**at.t)
    return p - at.learning_rate * over_root(looked_ahead, v_hat, epsilon, bool(epsilon_inside_sqrt))


def radam(
    p: Array,
    g: Array,
    state: State,
    at: At,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    epsilon_inside_sqrt: float = 0.0,
) -> Array:
    m, v = mean(state, "m", g, beta_1), mean(state, "v", g**2, beta_2)
    m_hat = m / (1.0 - beta_1**at.t)
    correction = 1.0 - beta_2**at.t
    limit = 2.0 / (1.0 - beta_2) - 1.0
    length = limit - 2.0 * at.t * beta_2**at.t / correction
    if length <= 5.0:
        return p - at.learning_rate * m_hat
    rectified = (length - 4.0) * (length - 2.0) * limit
    rectified /= (limit - 4.0) * (limit - 2.0) * length
    step = at.learning_rate * np.sqrt(rectified * correction)
    return p - step * over_root(m_hat, v, epsilon, bool(epsilon_inside_sqrt))


def schedule_free_adamw(
    p: Array,
    g: Array,
    state: State,
    at: At,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    epsilon_inside_sqrt: float = 0.0,
    warmup_steps: float = 0.0,
) -> Array:
    v_hat = mean(state, "v", g**2, beta_2) / (1.0 - beta_2**at.t)
    rate = at.learning_rate * min(at.t / warmup_steps if warmup_steps else 1.0, 1.0)
    average = (p - (1.0 - beta_1) * state["z"]) / beta_1
    state["z"] = state["z"] - rate * over_root(g, v_hat, epsilon, bool(epsilon_inside_sqrt))
    average = average + (state["z"] - average) / at.t
    return state["z"] + beta_1 * (average - state["z"])


def rmsprop(
    p: Array,
    g: Array,
    state: State,
    at: At,
    rho: float,
    epsilon: float,
    epsilon_inside_sqrt: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> Array:
    variance = mean(state, "v", g**2, rho)
    if centered:
        variance = variance - mean(state, "a", g, rho) ** 2
    inside = at.convention == "keras" or bool(epsilon_inside_sqrt)
    change = over_root(g, np.maximum(variance, 0.0), epsilon, inside)
    buffer = momentum * state.get("b", np.zeros_like(g))
    if at.convention == "keras":
        state["b"] = buffer + at.learning_rate * change
        return p - state["b"]
    state["b"] = buffer + change
    return p - at.learning_rate * state["b"]


def adagrad(
    p: Array,
    g: Array,
    state: State,
    at: At,
    epsilon: float,
    epsilon_inside_sqrt: float = 0.0,
    lr_decay: float = 0.0,
) -> Array:
    state["a"] = state.get("a", np.zeros_like(g)) + g**2
    rate = at.learning_rate / (1.0 + (at.t - 1) * lr_decay)
    inside = at.convention == "keras" or bool(epsilon_inside_sqrt)
    return p - rate * over_root(g, state["a"], epsilon, inside)


def adadelta(p: Array, g: Array, state: State, at: At, rho: float, epsilon: float) -> Array:
    v = mean(state, "v", g**2, rho)
    change = np.sqrt(state.get("s", np.zeros_like(g)) + epsilon) / np.sqrt(v + epsilon) * g
    mean(state, "s", change**2, rho)
    return p - at.learning_rate * change


def lion(p: Array, g: Array, state: State, at: At, beta_1: float, beta_2: float) -> Array:
    direction = np.sign(beta_1 * state.get("m", np.zeros_like(g)) + (1.0 - beta_1) * g)
    mean(state, "m", g, beta_2)
    return p - at.learning_rate * direction


def ftrl(
    p: Array,
    g: Array,
    state: State,
    at: At,
    l1_regularization_strength: float,
    l2_regularization_strength: float,
    l2_shrinkage_regularization_strength: float,
    beta: float,
    learning_rate_power: float = -0.5,
) -> Array:
    if at.learning_rate == 0.0:
        return p
    l1, power, rate = l1_regularization_strength, -learning_rate_power, at.learning_rate
    before = state.get("n", np.zeros_like(g))
    after = before + g**2
    sigma = (after**power - before**power) / rate
    z = state.get("z", np.zeros_like(g)) + g + 2.0 * l2_shrinkage_regularization_strength * p
    z = z - sigma * p
    state["n"], state["z"] = after, z
    quadratic = after**power / rate + 2.0 * l2_regularization_strength + beta / rate
    moved = (np.sign(z) * l1 - z) / np.where(quadratic == 0.0, 1.0, quadratic)
    return np.where(np.abs(z) <= l1, 0.0, moved)


def rprop(
    p: Array,
    g: Array,
    state: State,
    at: At,
    eta_minus: float,
    eta_plus: float,
    smallest: float,
    largest: float,
) -> Array:
    same = np.sign(g) * np.sign(state.get("before", np.zeros_like(g)))
    factor = np.select([same > 0.0, same < 0.0], [eta_plus, eta_minus], 1.0)
    state["size"] = np.clip(state["size"] * factor, smallest, largest)
    state["before"] = np.where(same < 0.0, 0.0, g)
    return p - np.sign(state["before"]) * state["size"]


def norm_quotient(p: Array, x: Array, more: float = 0.0) -> float:
    """Return |p| / (|x| + more), or 1 where a norm is not positive."""
    above, below = np.sqrt(np.sum(p**2)), np.sqrt(np.sum(x**2))
    return float(above / (below + more)) if above > 0.0 and below > 0.0 else 1.0


def lars(
    p: Array, g: Array, state: State, at: At, momentum: float, trust_coefficient: float
) -> Array:
    length = np.sqrt(np.sum(p**2))
    scaled = length > 0.0 and bool(np.sum(g**2) > 0.0)
    trust = trust_coefficient if scaled else 1.0
    rate = at.learning_rate * trust * norm_quotient(p, g, at.weight_decay * length)
    decayed = g + at.weight_decay * p
    state["m"] = momentum * state.get("m", np.zeros_like(g)) + rate * decayed
    return p - state["m"]


def lamb(
    p: Array, g: Array, state: State, at: At, beta_1: float, beta_2: float, epsilon: float
) -> Array:
    m_hat = mean(state, "m", g, beta_1) / (1.0 - beta_1**at.t)
    v_hat = mean(state, "v", g**2, beta_2) / (1.0 - beta_2**at.t)
    u = m_hat / (np.sqrt(v_hat) + epsilon)
    return p - at.learning_rate * norm_quotient(p, u) * u


def asgd(p: Array, g: Array, state: State, at: At, lambd: float, alpha: float, t0: float) -> Array:
    p = p * (1.0 - lambd * state["eta"]) - state["eta"] * g
    mu = 1.0 if at.t == 1 else 1.0 / max(1.0, at.t - 1 - t0)
    before = state.get("average", np.zeros_like(p))
    state["average"] = before + mu * (p - before)
    eta = at.learning_rate / (1.0 + lambd * at.learning_rate * at.t) ** alpha
    state["eta"] = np.full_like(p, eta)
    return p


def adafactor(
    p: Array,
    g: Array,
    state: State,
    at: At,
    beta_2_decay: float,
    epsilon_1: float,
    epsilon_2: float,
    clip_threshold: float,
) -> Array:
    """``r`` and ``c`` of a matrix; of a vector ``r`` is the mean itself and ``c`` empty."""
    torch, matrix = at.convention == "torch", g.ndim > 1
    column_shape = (*g.shape[:-2], g.shape[-1]) if matrix else (0,)
    state.setdefault("r", np.zeros(g.shape[:-1] if matrix else g.shape))
    state.setdefault("c", np.zeros(column_shape))
    if g.size == 0:
        return p
    take = at.t**beta_2_decay
    squares = g**2 + (0.0 if torch else epsilon_1)
    row_means = squares.mean(axis=-1) if matrix else squares
    state["r"] = (1.0 - take) * state["r"] + take * row_means
    v = state["r"]
    if matrix:
        state["c"] = (1.0 - take) * state["c"] + take * squares.mean(axis=-2)
        mean_r = state["r"].mean(axis=-1)[..., None, None]
        v = state["r"][..., None] * state["c"][..., None, :]
        v = v / (np.maximum(mean_r, epsilon_1) if torch else mean_r)
    if torch:
        v = np.maximum(v, epsilon_1**2)
    u = g / np.sqrt(v)
    # torch takes the size before the decay.
    whole = p / (1.0 - at.learning_rate * at.weight_decay) if torch else p
    rho = min(at.learning_rate, 1.0 / np.sqrt(at.t))
    alpha = max(epsilon_2, np.sqrt(np.mean(whole**2))) * rho
    return p - alpha * u / max(1.0, np.sqrt(np.mean(u**2)) / clip_threshold)


def by_direction(
    rule: Callable[..., Array], p: Array, g: Array, state: State, at: At, **options: float
) -> Array:
    """Step as a rule does whose steps are the rate times a direction, which is remembered."""
    at_one = replace(at, learning_rate=1.0)
    state["direction"] = -rule(np.zeros_like(p), g, state, at_one, **options)
    return p - at.learning_rate * state["direction"]


def muon(
    p: Array,
    g: Array,
    state: State,
    at: At,
    momentum: float,
    nesterov: float,
    muon_a: float,
    muon_b: float,
    muon_c: float,
    ns_steps: float,
    rms_rate: float,
    norm_epsilon: float,
) -> Array:
    """A negative ``rms_rate`` stands for none."""
    torch = at.convention == "torch"
    gain = 1.0 - momentum if torch else 1.0
    state["m"] = momentum * state.get("m", np.zeros_like(g)) + gain * g
    u = gain * g + momentum * state["m"] if nesterov else state["m"]
    norm = np.sqrt(np.sum(u**2))
    x = u / (max(norm, norm_epsilon) if torch else norm + norm_epsilon)
    for _ in range(int(ns_steps)):
        a = x @ x.T
        x = muon_a * x + (muon_b * a + muon_c * a @ a) @ x
    rows, cols = p.shape
    if rms_rate >= 0.0:
        size = rms_rate * np.sqrt(max(rows, cols))
    else:
        size = np.sqrt(max(1.0, rows / max(cols, 1))) if torch else 1.0
    return p - at.learning_rate * size * x


RULES: dict[str, Callable[..., Array]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adam,  # the decay, which makes the difference, is the stepper's
    "amsgrad": partial(adam, amsgrad=True),
    "adamax": adamax,
    "nadam": nadam,
    "radam": radam,
    "schedule_free_adamw": schedule_free_adamw,
    "rmsprop": rmsprop,
    "rmsprop_centered": partial(rmsprop, centered=True),
    "rmsprop_momentum": rmsprop,
    "rmsprop_centered_momentum": partial(rmsprop, centered=True),
    "adagrad": adagrad,
    "adadelta": adadelta,
    "lion": lion,
    "ftrl": ftrl,
    "ftrl_power": ftrl,
    "rprop": rprop,
    "asgd": asgd,
    "muon": muon,
    "lars": lars,
    "lamb": lamb,
    "sgd_hd": partial(by_direction, sgd),
    "adam_hd": partial(by_direction, adam),
    "adafactor": adafactor,
}

# The states that onepass keeps, in its order.
SLOTS: dict[str, tuple[str, ...]] = {
    "sgd": (),
    "momentum": ("m",),
    "nesterov": ("m",),
    "adam": ("m", "v"),
    "adamw": ("m", "v"),
    "amsgrad": ("m", "v", "largest"),
    "adamax": ("m", "u"),
    "nadam": ("m", "v"),
    "radam": ("m", "v"),
    "schedule_free_adamw": ("z", "v"),
    "rmsprop": ("v",),
    "rmsprop_centered": ("v", "a"),
    "rmsprop_momentum": ("v", "b"),
    "rmsprop_centered_momentum": ("v", "a", "b"),
    "adagrad": ("a",),
    "adadelta": ("v", "s"),
    "lion": ("m",),
    "ftrl": ("n", "z"),
    "ftrl_power": ("n", "z"),
    "rprop": ("before", "size"),
    "asgd": ("average", "eta"),
    "muon": ("m",),
    "lars": ("m",),
    "lamb": ("m", "v"),
    "sgd_hd": ("direction",),
    "adam_hd": ("m", "v"),
    "adafactor": ("r", "c"),
}


def decay_is_decoupled(rule: str, convention: Convention) -> bool:
    apart = ("adamw", "schedule_free_adamw", "adafactor", "muon")
    return convention == "keras" or rule in apart


@dataclass(frozen=True)
class Numbers:
    """What a tensor is stepped by: a rule, its options, its decay and its share of the rate."""

    rule: str
    options: dict[str, float]
    weight_decay: float
    rate_ratio: float = 1.0


@dataclass
class Stepper:
    """Some tensors that one rule updates; at most one of the three clips is given."""

    rule: str
    params: list[Array]
    convention: Convention = "keras"
    options: dict[str, float] = field(default_factory=dict)
    weight_decay: float = 0.0
    decoupled: bool = False  # whatever the convention says
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    start: dict[str, float] = field(default_factory=dict)  # of states that do not begin at 0
    others: Numbers | None = None  # of what is no matrix, where the rule takes matrices only
    t: int = 0
    learned: float = 0.0  # is added to the learning rate

    def __post_init__(self) -> None:
        self.params = [np.array(p, np.float64) for p in self.params]
        self.states: list[State] = [
            {name: np.full_like(p, value) for name, value in self.start.items()}
            for p in self.params
        ]
        if self.rule == "schedule_free_adamw":
            for state, p in zip(self.states, self.params, strict=True):
                state["z"] = p.copy()

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
        clipped = self.clipped([np.asarray(g, np.float64) for g in gradients])
        pairs = zip(self.params, clipped, strict=True)
        seen = [self.with_decay(p, g, self.numbers_of(p)) for p, g in pairs]
        gain = self.options.get("hypergradient_learning_rate", 0.0)
        for g, state in zip(seen, self.states, strict=True):
            self.learned += gain * float(np.sum(g * state.get("direction", np.zeros_like(g))))
        rate = learning_rate + self.learned
        for k, (p, g) in enumerate(zip(self.params, seen, strict=True)):
            by = self.numbers_of(p)
            options = {n: v for n, v in by.options.items() if n != "hypergradient_learning_rate"}
            keep = 1.0 - rate * by.weight_decay if self.shrinks(by) else 1.0
            at = At(by.rate_ratio * rate, self.t, self.convention, by.weight_decay)
            self.params[k] = RULES[by.rule](keep * p, g, self.states[k], at, **options)

    def shrinks(self, by: Numbers) -> bool:
        decoupled = self.decoupled or decay_is_decoupled(by.rule, self.convention)
        return by.rule != "lars" and decoupled

    def with_decay(self, p: Array, g: Array, by: Numbers) -> Array:
        return g if by.rule == "lars" or self.shrinks(by) else g + by.weight_decay * p

    def numbers_of(self, p: Array) -> Numbers:
        if self.others is not None and p.ndim != 2:
            return self.others
        return Numbers(self.rule, self.options, self.weight_decay)

    def kept(self) -> list[Array]:
        """Return the states that onepass keeps, tensor by tensor."""
        return [
            state[name]
            for p, state in zip(self.params, self.states, strict=True)
            for name in SLOTS[self.numbers_of(p).rule]
        ]
