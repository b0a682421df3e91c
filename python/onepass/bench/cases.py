"""What a benchmark case is, and the list of all of them."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.bench.limits import Stream
from onepass.bench.sizes import Sizes

Array = NDArray[Any]

# What a user's training, serving and stepping spend their time in: names of cases.
HEADLINES = (
    "M1 train b32 *",
    "M1 train b256 adam",
    "M2 train b32 adam",
    "M4 train *",
    "M6 train *",
    "M1 predict *",
    "sgd step 266k",
    "adam step 266k",
    "global_norm 266k",
    "dense_forward 256x784x300",
)


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
    reference : ours that the result must be equal to, where the rival's convention differs from
        the one that is timed; None: the result of `Prepared.ours`
    optional : whether it may fail, and is then named as missing
    """

    name: str
    run: Callable[[], object]
    result: Callable[[], Sequence[Any]]
    reference: Callable[[], Sequence[Any]] | None = None
    optional: bool = False


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
    dtype : of the numbers it computes with
    series : what it shows at one of several sizes, e.g. "adam step"; cases of one series make a
        line of the size plot
    size : its place on that line: elements, rows of a batch, or tensors
    """

    name: str
    family: str
    covers: tuple[str, ...]
    work: tuple[Work, ...]
    prepare: Callable[[], Prepared]
    tolerance: float = 1e-5
    units: int = 1
    dtype: str = "float32"
    series: str | None = None
    size: int | None = None

    @property
    def headline(self) -> bool:
        """Whether it is among the few that ``--quick`` runs and that reports show first."""
        return any(fnmatch.fnmatchcase(self.name, pattern) for pattern in HEADLINES)


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


def compare(prepared: Prepared) -> tuple[dict[str, float], dict[str, str]]:
    """Return each rival's error against ours, and why some are missing."""
    ours = prepared.ours.result()
    errors: dict[str, float] = {}
    missing: dict[str, str] = {}
    for rival in prepared.rivals:
        try:
            theirs = rival.result()
        except Exception as error:
            if not rival.optional:
                raise
            missing[rival.name] = f"{type(error).__name__}: {error}"
            continue
        expected = ours if rival.reference is None else rival.reference()
        errors[rival.name] = error_between(expected, theirs)
    return errors, missing


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
    "host",
)


def family_cases(family: str, sizes: Sizes | None = None) -> list[Case]:
    """Return the cases of one family."""
    module = importlib.import_module(f"onepass.bench.families.{family}")
    sizes = sizes or Sizes()
    return [replace(case, dtype=sizes.dtype) for case in module.cases(sizes)]


def all_cases(sizes: Sizes | None = None) -> Iterator[Case]:
    """Every case, families in order."""
    for family in FAMILIES:
        yield from family_cases(family, sizes)


def matches(case: Case, pattern: str | None) -> bool:
    """Whether the case's name or family contains the pattern; ``*`` and ``?`` work."""
    wanted = "*" if pattern is None else f"*{pattern}*"
    return fnmatch.fnmatch(case.name, wanted) or fnmatch.fnmatch(case.family, wanted)


@dataclass(frozen=True)
class Selection:
    """Which cases to run.

    Attributes
    ----------
    patterns : cases whose name or family contains one of them; none: all
    headlines : only those of `HEADLINES`
    sizes : sizes and number type
    """

    patterns: tuple[str, ...] = ()
    headlines: bool = False
    sizes: Sizes = field(default_factory=Sizes)

    def cases(self) -> list[Case]:
        """Return the chosen cases, families in order."""
        wanted = self.patterns or (None,)
        return [
            case
            for case in all_cases(self.sizes)
            if any(matches(case, pattern) for pattern in wanted)
            and (case.headline or not self.headlines)
        ]
