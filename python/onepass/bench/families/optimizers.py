"""One step of every compiled rule, through the public optimizer that uses it, beside all rivals.

Optimizers are found by the rule they run, torch's by the class's name.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from onepass import optimizers
from onepass._formulas import RULES, Rule
from onepass.bench import rivals
from onepass.bench.cases import Case, Prepared, Work
from onepass.bench.families.data import Draw, drawn
from onepass.bench.families.rival_steps import Task, steps
from onepass.bench.limits import Stream
from onepass.bench.sizes import Sizes, elements_of
from onepass.optimizers import Optimizer

_RATE = 1e-3
_RATES = {"adadelta": 1.0}  # whose steps are so small that rounding would be most of a change
_TOLERANCE = 1e-4
_SUMMING = ("lamb", "lars", "adafactor")  # rules that look at whole tensors first
_BFLOAT16_TOLERANCE = 0.1  # torch computes products in bfloat16
# Options that choose another rule of the same class, by the names that torch also uses.
_VARIANTS: tuple[Mapping[str, Any], ...] = (
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"amsgrad": True},
    {"centered": True},
    {"centered": True, "momentum": 0.9},
    {"learning_rate_power": -0.7},
)

Settings = tuple[type[Optimizer], Mapping[str, Any]]


@cache
def _by_rule() -> dict[str, Settings]:
    """Return the class and options that run each rule."""
    found: dict[str, Settings] = {}
    for cls in vars(optimizers).values():
        if not inspect.isclass(cls) or not issubclass(cls, Optimizer) or inspect.isabstract(cls):
            continue
        for options in _VARIANTS:
            try:
                found.setdefault(cls(**options).rule.name, (cls, options))
            except (TypeError, ValueError):  # not an option of this class, or not yet
                continue
    return found


def _torch_class(cls: type[Optimizer]) -> Any:
    library = rivals.torch()
    known = {} if library is None else {n.lower(): c for n, c in vars(library.optim).items()}
    return known.get(cls.__name__.lower())


def _make_ours(cls: type[Optimizer], options: Mapping[str, Any], rate: float = _RATE) -> Optimizer:
    """Return our optimizer in torch's convention, or in Keras's where it has only that."""
    try:
        return cls(learning_rate=rate, convention="torch", **options)
    except (TypeError, ValueError):
        return cls(learning_rate=rate, **options)


def _prepare(draw: Draw, rule: Rule, shapes: Sequence[tuple[int, ...]], compiled: bool) -> Prepared:
    cls, options = _by_rule()[rule.name]
    rate = _RATES.get(rule.name, _RATE)
    initial = [0.05 * draw.normal(*shape) for shape in shapes]
    gradients = [draw.away_from_zero(*shape) for shape in shapes]
    task = Task(rule.name, _torch_class(cls), options, rate, initial, gradients)

    parameters = [p.copy() for p in initial]
    own = _make_ours(cls, options, rate)
    own.build(parameters)
    ours = task.contender("onepass", lambda: own.apply(gradients), lambda: parameters)
    return Prepared(ours, list(steps(task, compiled=compiled)))


def _states(own: Optimizer, shape: tuple[int, ...]) -> int:
    return len(own.state_shapes(shape, own.group_of(shape)))


def _product_flops(own: Optimizer, shapes: Sequence[tuple[int, ...]]) -> float:
    """Return the operations of Newton and Schulz's iteration, where a rule has it: x x^T, A A, B x.

    All of a symmetric product counts, as all of it is computed.
    """
    flops = 0.0
    for shape in shapes:
        if len(shape) == 2 and own.group_of(shape) == 0:
            k, n = sorted(shape)
            flops += getattr(own, "ns_steps", 0) * 2.0 * k * k * (2 * n + k)
    return flops


def cases(sizes: Sizes) -> Iterator[Case]:
    """Each rule on each set of tensors, and some at more sizes."""
    for rule in RULES.values():
        cls, options = _by_rule()[rule.name]
        own = _make_ours(cls, options)
        for place in sizes.steps(f"{rule.name} step"):
            shapes = place.shapes
            if all(own.group_of(shape) for shape in shapes):
                continue  # the rule leaves all of them to another one
            flops = _product_flops(own, shapes)
            stream = Stream(1, 1 + _states(own, max(shapes, key=math.prod)), 0)
            array = sizes.itemsize * elements_of(shapes)
            work = Work(flops, array * stream.accesses, array * stream.arrays, stream)
            tolerance = sizes.rounding(_TOLERANCE)
            if rule.name in _SUMMING:
                tolerance = sizes.summing(_TOLERANCE, shapes)
            if flops:
                tolerance = _BFLOAT16_TOLERANCE
            compiled = rule.name in sizes.compiled and place.label in sizes.tensors
            yield Case(
                f"{rule.name} step {place.label}",
                "optimizers",
                (f"rule:{rule.name}",),
                (work,),
                drawn(sizes.dtype, _prepare, rule, shapes, compiled),
                series=place.series,
                size=place.size,
                tolerance=tolerance,
            )
