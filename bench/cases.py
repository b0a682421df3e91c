"""What a benchmark case is, the sizes they come in, and the list of all of them."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.limits import Stream

Array = NDArray[Any]
FLOAT = 4  # bytes of the float32 that all cases compute in


@dataclass(frozen=True)
class Work:
    """A phase that a case cannot do without; its floor is the larger of the two ratios.

    Attributes
    ----------
    flops : floating-point operations of products (elementwise arithmetic is not counted)
    bytes : compulsory traffic: each operand read once, each result written once
    working_set : bytes between which calls alternate; says which cache they stream from
    stream : pattern of that traffic
    """

    flops: float
    bytes: float
    working_set: int
    stream: Stream


@dataclass(frozen=True)
class Contender:
    """One way to do a case.

    Attributes
    ----------
    run : run() does ``Case.units`` units
    result : result() computes what must be equal, before anything is timed
    """

    name: str
    run: Callable[[], object]
    result: Callable[[], Sequence[Any]]


@dataclass(frozen=True)
class Prepared:
    """A case with its data: ours, the rivals, and parts of ours that are timed on their own."""

    ours: Contender
    rivals: Sequence[Contender] = ()
    parts: dict[str, Callable[[], object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A benchmark.

    Attributes
    ----------
    covers : what of the library it measures, e.g. "rule:adam"
    prepare : makes the data and the contenders; called when the case's turn comes
    tolerance : largest error between results, see `error_between`
    units : how many steps (rows, ...) one run does; times are of one unit
    """

    name: str
    family: str
    covers: tuple[str, ...]
    work: tuple[Work, ...]
    prepare: Callable[[], Prepared]
    tolerance: float = 1e-5
    units: int = 1


@dataclass(frozen=True)
class Sizes:
    """Sizes of all cases: the real ones by default, other ones for tests."""

    products: tuple[tuple[int, int, int], ...] = (
        (32, 784, 300),
        (256, 784, 300),
        (32, 300, 100),
        (512, 1024, 4096),
        (512, 4096, 4096),
        (1024, 256, 256),
    )
    tensors: dict[str, tuple[tuple[int, ...], ...]] = field(
        default_factory=lambda: {
            "266k": ((784, 300), (300,), (300, 100), (100,), (100, 10), (10,)),
            "16x1M": ((1 << 20,),) * 16,
        }
    )
    # As many elements in one tensor and in thousands, for a few rules.
    pieces: dict[str, tuple[tuple[int, ...], ...]] = field(
        default_factory=lambda: {"1x409600": ((409_600,),), "4096x100": ((100,),) * 4096}
    )
    rules_of_pieces: tuple[str, ...] = ("sgd", "adam")
    rows: tuple[int, int] = (256, 1024)
    normalized: tuple[tuple[int, int], ...] = ((32, 300), (256, 1024))
    m1: tuple[int, ...] = (784, 300, 100, 10)
    m2: tuple[int, ...] = (784, 300, 100, 10)  # with batch norm on the input and hidden layers
    m3: tuple[int, ...] = (784, 1024, 1024, 1024, 10)  # with dropout before each layer
    m4: tuple[int, ...] = (8, 50, 50, 50, 1)
    m5: tuple[int, ...] = (1024, 4096, 4096, 1024)
    m6: tuple[int, ...] = (256, 256, 256, 256, 64)
    training: tuple[tuple[str, int, str, int], ...] = (  # model, batch, optimizer, steps a run
        ("M1", 32, "sgd", 128),
        ("M1", 32, "adam", 128),
        ("M1", 256, "sgd", 32),
        ("M1", 256, "adam", 32),
        ("M2", 32, "sgd", 128),
        ("M2", 32, "adam", 128),
        ("M3", 128, "adam", 12),
        ("M4", 32, "adam", 1024),
        ("M5", 512, "adamw", 3),
        ("M6", 1024, "adamw", 8),
    )
    predictions: tuple[int, ...] = (1, 1024)
    samples: int = 8192
    epoch: int = 55_000


def error_between(a: Sequence[Any], b: Sequence[Any]) -> float:
    """Return the largest difference of two results, relative to the largest magnitude of each.

    Infinite where shapes differ or a value is not finite: such results are no results.
    """
    worst = 0.0
    if len(a) != len(b):
        return np.inf
    for x, y in zip(a, b, strict=True):
        left, right = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if left.shape != right.shape or not (np.isfinite(left).all() and np.isfinite(right).all()):
            return np.inf
        scale = max(np.abs(left).max(initial=0.0), np.abs(right).max(initial=0.0))
        if scale > 0.0:
            worst = max(worst, float(np.abs(left - right).max() / scale))
    return worst


def compare(case: Case, prepared: Prepared) -> dict[str, float]:
    """Return each rival's error against ours."""
    ours = prepared.ours.result()
    return {rival.name: error_between(ours, rival.result()) for rival in prepared.rivals}


FAMILIES = (
    "products",
    "optimizers",
    "elementwise",
    "normalization",
    "combining",
    "regularizing",
    "pairs",
    "reductions",
    "models",
)


def family_cases(family: str, sizes: Sizes | None = None) -> list[Case]:
    """Return the cases of one family."""
    module = importlib.import_module(f"bench.families.{family}")
    return list(module.cases(sizes or Sizes()))


def all_cases(sizes: Sizes | None = None) -> Iterator[Case]:
    """Every case, families in order."""
    for family in FAMILIES:
        yield from family_cases(family, sizes)


def matches(case: Case, pattern: str | None) -> bool:
    """Whether the case's name or family contains the pattern; ``*`` and ``?`` work."""
    wanted = "*" if pattern is None else f"*{pattern}*"
    return fnmatch.fnmatch(case.name, wanted) or fnmatch.fnmatch(case.family, wanted)


def chosen(pattern: str | None) -> list[Case]:
    """Return the cases that match a pattern."""
    return [case for case in all_cases() if matches(case, pattern)]
