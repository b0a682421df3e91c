"""Random data for the cases: seeded, never zeros, a few sets that calls go through in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, TypeVar

import numpy as np

from onepass.bench.cases import Array
from onepass.engine.storage import allocate

T = TypeVar("T")

SETS = 4


def generator(seed: int = 1) -> np.random.Generator:
    """Return the generator that a case draws from."""
    return np.random.default_rng(seed)


def normal(rng: np.random.Generator, *shape: int) -> Array:
    """Return standard normal float32 numbers."""
    return rng.standard_normal(shape, np.float32)


def as_stored(array: Array) -> Array:
    """Return a copy laid out as models store it: aligned, rows padded to a cache line."""
    (copy,) = allocate([array.shape], "float32")
    copy[...] = array
    return copy


def in_turn(function: Callable[..., Any], sets: Sequence[tuple[Any, ...]]) -> Callable[[], Any]:
    """Return a call that takes the next set of arguments each time."""
    if len(sets) == 1:
        (only,) = sets
        return lambda: function(*only)
    following = cycle(sets).__next__
    return lambda: function(*following())
