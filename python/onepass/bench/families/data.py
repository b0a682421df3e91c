"""Random data for the cases: seeded, never zeros, a few sets that calls go through in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, TypeVar

import numpy as np

from onepass.bench import rivals
from onepass.bench.cases import Array, Contender, Prepared, Work
from onepass.bench.limits import Stream
from onepass.bench.sizes import Sizes
from onepass.engine.storage import allocate

T = TypeVar("T")

SETS = 4
LARGE = 1 << 20  # elements of an array


def sets_for(*shape: int) -> int:
    """Return how many sets of data calls go through: a large one fills the caches by itself."""
    return SETS if math.prod(shape) < LARGE else 1


def streaming(sizes: Sizes, stream: Stream, *shape: int) -> tuple[Work, ...]:
    """Return the work of one pass over arrays of this shape, as many as the stream has."""
    array = sizes.itemsize * math.prod(shape)
    held = sets_for(*shape) * stream.arrays * array
    return (Work(0.0, stream.accesses * array, held, stream),)


class Draw:
    """Draws a case's data in one number type, the same each time.

    Parameters
    ----------
    dtype : "float32" or "float64"
    seed : of the generator
    """

    def __init__(self, dtype: str, seed: int = 1) -> None:
        self.dtype: Any = np.dtype(dtype)
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> Array:
        """Return standard normal numbers."""
        return self.rng.standard_normal(shape, self.dtype)

    def away_from_zero(self, *shape: int) -> Array:
        """Return numbers of magnitudes from 0.1 to 1, so that no epsilon decides between them."""
        magnitudes = 0.1 + 0.9 * self.uniform(*shape)
        return np.copysign(magnitudes, self.normal(*shape))

    def uniform(self, *shape: int) -> Array:
        """Return numbers from 0 to 1."""
        return self.rng.random(shape, self.dtype)

    def coins(self, *shape: int) -> Array:
        """Return zeros and ones."""
        return (self.rng.random(shape) < 0.5).astype(self.dtype)

    def one_hot(self, rows: int, classes: int) -> Array:
        """Return rows with a single 1."""
        found = np.zeros((rows, classes), self.dtype)
        found[np.arange(rows), self.indices(rows, classes)] = 1.0
        return found

    def indices(self, count: int, below: int) -> Array:
        """Return whole numbers from 0."""
        return self.rng.integers(0, below, count)

    def order(self, samples: int) -> Array:
        """Return the numbers of all samples, shuffled."""
        return self.rng.permutation(samples)


def drawn(
    dtype: str, prepare: Callable[..., Prepared], *given: Any, **named: Any
) -> Callable[[], Prepared]:
    """Return a call of ``prepare(draw, *given)`` that draws the same data each time."""
    return lambda: prepare(Draw(dtype), *given, **named)


def as_stored(array: Array) -> Array:
    """Return a copy laid out as models store it: aligned, rows padded to a cache line."""
    (copy,) = allocate([array.shape], array.dtype.name)
    copy[...] = array
    return copy


def values_of(found: Any) -> list[Array]:
    """Return a result, or each of several, as arrays; of tensors without their graph."""
    several = found if isinstance(found, tuple | list) else [found]
    return [np.asarray(v.detach() if hasattr(v, "detach") else v) for v in several]


def contender(
    name: str, function: Callable[..., Any], sets: Sequence[tuple[Any, ...]]
) -> Contender:
    """Return what calls the function with each set in turn; its result is that of the last one."""
    return Contender(name, in_turn(function, sets), lambda: values_of(function(*sets[-1])))


def tensors(sets: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the same sets as torch's tensors, which share the arrays' memory."""
    torch = rivals.torch()
    return [tuple(torch.from_numpy(array) for array in arrays) for arrays in sets]


def in_turn(function: Callable[..., Any], sets: Sequence[tuple[Any, ...]]) -> Callable[[], Any]:
    """Return a call that takes the next set of arguments each time."""
    if len(sets) == 1:
        (only,) = sets
        return lambda: function(*only)
    following = cycle(sets).__next__
    return lambda: function(*following())
