"""The rivals' optimizer steps: NumPy, torch in its ways, and optax.

Each has its own parameters, gradients and states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onepass.bench import rivals
from onepass.bench.cases import Array, Contender

STEPS = 3  # compared before timing
_MANY = 64  # tensors: XLA compiles a step of thousands for minutes

Change = Callable[[], list[Array]]


@dataclass(frozen=True)
class Task:
    """What everybody steps.

    Attributes
    ----------
    rule : name of the compiled rule
    torch_class : torch's optimizer of that rule, None where it has none or is missing
    options : by the names that torch uses
    """

    rule: str
    torch_class: Any
    options: Mapping[str, Any]
    rate: float
    initial: Sequence[Array]
    gradients: Sequence[Array]

    def contender(
        self,
        name: str,
        step: Callable[[], object],
        parameters: Callable[[], Sequence[Any]],
        *,
        optional: bool = False,
    ) -> Contender:
        """Return what steps; its result is what the first steps change."""

        def result() -> list[Array]:
            for _ in range(STEPS):
                step()
            pairs = zip(parameters(), self.initial, strict=True)
            return [np.asarray(after) - before for after, before in pairs]

        return Contender(name, step, result, optional=optional)


def _numpy_steps(task: Task) -> Iterator[Contender]:
    """Yield loops as one writes them down; only for rules that are three lines."""
    rate, parameters = task.rate, [p.copy() for p in task.initial]
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    done = 0

    def sgd() -> None:
        for p, g in zip(parameters, task.gradients, strict=True):
            p -= rate * g

    def momentum() -> None:
        for p, g, m in zip(parameters, task.gradients, first, strict=True):
            m *= 0.9
            m += g
            p -= rate * m

    def adam() -> None:
        nonlocal done
        done += 1
        for p, g, m, v in zip(parameters, task.gradients, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            root = np.sqrt(v / (1 - 0.999**done)) + 1e-8
            p -= rate / (1 - 0.9**done) * m / root

    known: dict[str, Callable[[], None]] = {"sgd": sgd, "momentum": momentum, "adam": adam}
    if task.rule in known:
        yield task.contender("numpy", known[task.rule], lambda: parameters)


TORCH_WAYS: dict[str, dict[str, bool]] = {
    "torch for-loop": {"foreach": False},
    "torch foreach": {"foreach": True},
    "torch fused": {"fused": True},
}


def torch_parameters(initial: Sequence[Array], gradients: Sequence[Array]) -> list[Any]:
    """Return torch's parameters with our values and gradients."""
    torch = rivals.torch()
    parameters = [torch.from_numpy(p.copy()).requires_grad_() for p in initial]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.from_numpy(gradient.copy())
    return parameters


def torch_step(
    task: Task, name: str, make: Callable[[Sequence[Any]], Callable[[], object]], **how: bool
) -> Contender:
    """Return the step that ``make(parameters)`` returns."""
    parameters = torch_parameters(task.initial, task.gradients)
    return task.contender(name, make(parameters), lambda: [p.detach() for p in parameters], **how)


def torch_steps(task: Task, *, compiled: bool = False) -> Iterator[Contender]:
    """Yield torch's steps in all ways that the optimizer has; none where torch is missing."""
    if task.torch_class is None:
        return

    def one(parameters: Sequence[Any], **how: bool) -> Any:
        return task.torch_class(parameters, lr=task.rate, **task.options, **how)

    def in_way(how: Mapping[str, bool]) -> Callable[[Sequence[Any]], Any]:
        return lambda parameters: one(parameters, **how).step

    def matrices_alone(parameters: Sequence[Any]) -> Callable[[], object]:
        matrices = one([p for p in parameters if p.ndim == 2])
        rest = [p for p in parameters if p.ndim != 2]
        if not rest:
            return matrices.step  # type: ignore[no-any-return]
        others = rivals.torch().optim.AdamW(rest, lr=task.rate, fused=True)
        return lambda: (matrices.step(), others.step())

    found = 0
    ways = dict(TORCH_WAYS)
    if task.rule == "nesterov":
        del ways["torch foreach"]  # it writes to the gradients, which nobody makes anew here
    for name, how in ways.items():
        try:
            yield torch_step(task, name, in_way(how))
        except (TypeError, RuntimeError):  # not a way of this optimizer
            continue
        found += 1
    if found == 0:  # it takes matrices only: torch's users give the rest to AdamW
        yield torch_step(task, "torch, with AdamW", matrices_alone)
    if compiled:
        step = torch_step(
            task,
            "torch compiled",
            lambda given: rivals.torch_compiled(one(given, foreach=True).step),
            optional=True,
        )
        yield step


def _optax_rule(task: Task) -> Any:
    """Return optax's transformation where its formula is ours, with our settings.

    Not its amsgrad (the largest of corrected moments), nadam (no momentum schedule), rprop (a step
    late), adafactor and schedule-free ones, which are other formulas. LARS is left out, too: at a
    rate that the timed steps allow, what three steps change is lost in rounding.
    """
    optax, rate = rivals.optax(), task.rate
    make: Callable[[], Any] | None = {
        "sgd": lambda: optax.sgd(rate),
        "momentum": lambda: optax.sgd(rate, 0.9),
        "nesterov": lambda: optax.sgd(rate, 0.9, nesterov=True),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=0.01),
        "adamax": lambda: optax.adamax(rate),
        "radam": lambda: optax.radam(rate),
        "rmsprop": lambda: optax.rmsprop(rate, 0.99, eps_in_sqrt=False),
        "rmsprop_centered": lambda: optax.rmsprop(rate, 0.99, eps_in_sqrt=False, centered=True),
        "rmsprop_momentum": lambda: optax.rmsprop(rate, 0.99, eps_in_sqrt=False, momentum=0.9),
        "rmsprop_centered_momentum": lambda: optax.rmsprop(
            rate, 0.99, eps_in_sqrt=False, centered=True, momentum=0.9
        ),
        "adadelta": lambda: optax.adadelta(rate, 0.9, 1e-6),
        "lion": lambda: optax.lion(rate, weight_decay=0.0),
        "lamb": lambda: optax.lamb(rate, eps=1e-7),
    }.get(task.rule)
    if task.rule == "adagrad" and task.initial[0].dtype == np.float32:
        # Its epsilon is within the root: this is our 1e-10, but for less than float64 sees.
        return optax.adagrad(rate, 0.0, eps=1e-20)
    return None if make is None else make()


def _optax_steps(task: Task) -> Iterator[Contender]:
    """Yield a jitted step whose parameters and states are donated."""
    if rivals.optax() is None or len(task.initial) > _MANY or (rule := _optax_rule(task)) is None:
        return
    jax, optax = rivals.jax(), rivals.optax()
    parameters, gradients = (
        [jax.numpy.array(a) for a in arrays] for arrays in (task.initial, task.gradients)
    )
    carry = parameters, rule.init(parameters)

    def advance(carry: Any, gradients: Any) -> Any:
        parameters, state = carry
        updates, state = rule.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    compiled = jax.jit(advance, donate_argnums=0)

    def step() -> None:
        nonlocal carry
        carry = jax.block_until_ready(compiled(carry, gradients))

    yield task.contender("optax jit", step, lambda: carry[0])


def steps(task: Task, *, compiled: bool) -> Iterator[Contender]:
    """Yield everybody's step.

    Parameters
    ----------
    compiled : whether torch.compile's is among them, which takes seconds, the first one a minute
    """
    yield from _numpy_steps(task)
    yield from torch_steps(task, compiled=compiled)
    yield from _optax_steps(task)
