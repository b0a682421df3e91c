"""Arrays, memory layouts, backends and tolerances that the kernel tests draw from.

Used by ``test_kernels_*.py`` and ``test_elementary.py``. Every kernel result is asked for on all
backends within one example, so that a difference between them shrinks like any other failure.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from onepass import _core

Array = NDArray[Any]

THREADS = (1, 2)
FIBERS = "fibers"

# Around the widths of vectors (2 to 16), of tiles (16 to 48 columns, 4 or 8 rows) and of lanes.
SIZES = (0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 23, 31, 33, 47, 48, 49, 63, 65, 100)

# Hyper-parameters of activations, other than their defaults.
HYPER = {
    "leaky_relu": {"negative_slope": 0.3},
    "relu_general": {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.25},
    "elu": {"alpha": 0.7},
    "celu": {"alpha": 1.5},
    "squareplus": {"smoothness": 3.0},
    "hard_shrink": {"threshold": 0.4},
    "soft_shrink": {"threshold": 0.4},
    "threshold": {"threshold": -0.5, "default_value": 2.0},
}
sizes = st.sampled_from(SIZES)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from((np.float32, np.float64))


def special_values(dtype: type[np.floating]) -> Array:
    """Return what arithmetic treats specially: NaN, infinities, zeros, denormals, extremes."""
    info = np.finfo(dtype)
    positive = [0.0, info.smallest_subnormal, info.tiny, info.eps, 1.0, 88.0, 710.0, 1e30, info.max]
    return np.array([np.nan, np.inf, -np.inf, *positive, *(-np.array(positive))], dtype)


@dataclass(frozen=True)
class Layout:
    """Where an array lies: elements before it, and unnamed elements after each row."""

    offset: int
    padding: int


layouts = st.builds(Layout, st.integers(0, 3), st.sampled_from((0, 0, 1, 5, 16)))
GAPLESS = Layout(0, 0)


class Guarded:
    """A row-strided array inside a larger one, whose other elements are poison.

    Poison is NaN: read by mistake it shows in results, written to it loses its bits.
    """

    def __init__(self, values: Array, layout: Layout) -> None:
        cols = values.shape[-1]
        rows = math.prod(values.shape[:-1])
        stride = cols + layout.padding
        size = layout.offset + rows * stride
        bits = np.uint32 if values.itemsize == 4 else np.uint64
        self._bits = np.full(size + 5, np.array(-1).astype(bits))  # all ones are a NaN
        buffer = self._bits.view(values.dtype)
        body = buffer[layout.offset : size].reshape(rows, stride)
        self.rows: Array = body[:, :cols]
        shape = values.shape
        strides = list(np.empty((*shape[:-1], stride), values.dtype).strides)
        self.array: Array = np.lib.stride_tricks.as_strided(buffer[layout.offset :], shape, strides)
        self.array[...] = values
        named = np.zeros(size + 5, bool)
        named[layout.offset : size].reshape(rows, stride)[:, :cols] = True
        self._unnamed = ~named

    def assert_padding_untouched(self) -> None:
        poison = self._bits[self._unnamed]
        assert (poison == np.array(-1).astype(poison.dtype)).all(), "padding was written to"


def values_of(
    dtype: type[np.floating], shape: tuple[int, ...], seed: int, *, special: bool = False
) -> Array:
    """Return normal numbers of mixed magnitude, a few of them replaced by special values."""
    rng = np.random.default_rng(seed)
    result = (rng.standard_normal(shape) * rng.choice([0.1, 1.0, 4.0])).astype(dtype)
    if special and result.size:
        chosen = rng.choice(special_values(dtype), size=rng.integers(1, 6))
        result.reshape(-1)[rng.integers(0, result.size, chosen.size)] = chosen
    return result


def every_backend(teams: tuple[int, ...] = THREADS) -> Iterator[tuple[str, int]]:
    """Switch to each (instruction set, threads) in turn, best first, and back at the end.

    In a build with the GPU's kernels as fibers, which one member runs alone, the best instruction
    set stands for all: other builds compare these with each other.
    """
    isa, threads = _core.isa(), _core.threads()
    names = _core.available_isas()
    if FIBERS in names:
        names = [next(name for name in names if name != FIBERS), FIBERS]
    try:
        for name in names:
            for n in teams[:1] if name == FIBERS else teams:
                _core.set_isa(name)
                _core.set_threads(n)
                yield name, n
    finally:
        _core.set_isa(isa)
        _core.set_threads(threads)


def results_by_isa(run: Callable[[], Any], teams: tuple[int, ...] = THREADS) -> dict[str, Any]:
    """Run on every backend; require equal bits for all thread counts; return one per ISA."""
    results: dict[str, Any] = {}
    for isa, threads in every_backend(teams):
        result = run()
        if isa in results:
            assert_same_bits(results[isa], result, f"{isa} with {threads} threads")
        results.setdefault(isa, result)
    return results


def same_result(run: Callable[[], Any]) -> Any:
    """Run on every backend; require equal bits on all of them; return the result."""
    results = results_by_isa(run)
    first = next(iter(results))
    for isa, result in results.items():
        assert_same_bits(results[first], result, f"{isa} against {first}")
    return results[first]


def assert_same_bits(a: Any, b: Any, where: str = "") -> None:
    """Require equal bits, -0 apart from 0; any NaN equals any other, as its bits mean nothing."""
    if isinstance(a, tuple | list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y, where)
        return
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    same = (a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)
    assert same.all(), f"{where}: {a[~same][:4]} and {b[~same][:4]} at {np.argwhere(~same)[:4]}"


def assert_close(actual: Array, expected: Array, *, ulps: float = 4.0, absolute: Any = 0.0) -> None:
    """Require agreement within ``ulps`` of the actual dtype plus ``absolute`` (in its epsilons).

    Kernels flush denormals, so the smallest normal number is always allowed for. NaN and
    infinities must agree; an expected value beyond the dtype's largest counts as infinite.
    """
    info = np.finfo(actual.dtype)
    wide = np.asarray(actual, np.float64)
    with np.errstate(over="ignore"):
        expected = np.asarray(expected, np.float64)
        rounded = expected.astype(actual.dtype)
    assert wide.shape == expected.shape
    finite = np.isfinite(rounded)
    odd = ~finite & ~((wide == rounded) | np.isnan(wide) & np.isnan(rounded))
    assert not odd.any(), f"got {wide[odd][:4]}, expected {expected[odd][:4]}"
    with np.errstate(invalid="ignore", over="ignore"):
        bound = info.eps * (ulps * np.abs(expected) + absolute) + info.tiny
        wrong = finite & ~(np.abs(wide - expected) <= bound)
    assert not wrong.any(), (
        f"got {wide[wrong][:4]}, expected {expected[wrong][:4]} within "
        f"{np.broadcast_to(bound, wide.shape)[wrong][:4]} at {np.argwhere(wrong)[:4].tolist()}"
    )


def product_bound(x: Array, w: Array, *more: Array) -> Array:
    """Return the sum of magnitudes times the number of terms: the error of any order of adding."""
    x, w = np.abs(x.astype(np.float64)), np.abs(w.astype(np.float64))
    return (x.shape[1] + 2) * (x @ w + sum(np.abs(m.astype(np.float64)) for m in more)) + 4


def central_difference(f: Callable[[Array], Array], x: Array, dy: Array) -> Array:
    """Return d sum(dy f(x)) / dx in float64, element by element."""
    result = np.zeros_like(x)
    step = 1e-6
    for at in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[at] += step
        low[at] -= step
        result[at] = np.sum(dy * (f(high) - f(low))) / (high[at] - low[at])
    return result


def away_from_zero(x: Array, distance: float = 1e-3) -> Array:
    """Return x with what is near 0, where derivatives may jump, moved away from it."""
    return np.where(np.abs(x) < distance, distance, x)


def ulp_error(actual: Array, exact: Array) -> Array:
    """Return the error in units of the last place of the exact value, 0 for flushed denormals."""
    spacing = np.spacing(np.abs(exact).astype(actual.dtype)).astype(exact.dtype)
    error = np.abs(actual.astype(exact.dtype) - exact)
    return np.where(error <= np.finfo(actual.dtype).tiny, 0.0, error / spacing)


def helper_seconds() -> float:
    """Return the processor time that all threads but this one have had so far."""
    return time.process_time() - time.thread_time()


def at_page_end(values: Array) -> Array:
    """Return a copy whose last byte is the last that may be read: one further is a crash."""
    page = mmap.PAGESIZE
    pages = -(-values.nbytes // page) + 1
    block = mmap.mmap(-1, pages * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    libc = ctypes.CDLL(None, use_errno=True)
    guard = ctypes.c_void_p(address + (pages - 1) * page)
    assert libc.mprotect(guard, ctypes.c_size_t(page), 0) == 0
    start = (pages - 1) * page - values.nbytes
    result: Array = np.frombuffer(block, values.dtype, values.size, start).reshape(values.shape)
    result[...] = values
    return result


LINUX = sys.platform == "linux"
