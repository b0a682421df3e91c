"""Philox4x32-10 and the masks of dropout, in NumPy integers.

Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, 2011.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEPS = 0x9E3779B9, 0xBB67AE85


def philox(counter: NDArray, key: tuple[int, int]) -> NDArray:
    """Return (..., 4) words for counters (..., 4)."""
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, np.uint64), -1, 0)
    keys = list(key)
    for _ in range(10):
        p0, p2 = _FACTORS[0] * c0, _FACTORS[1] * c2
        k0, k1 = (np.uint64(k) for k in keys)
        c0, c1, c2, c3 = (p2 >> _SHIFT) ^ c1 ^ k0, p2 & _MASK, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _MASK
        keys = [(k + step) % (1 << 32) for k, step in zip(keys, _STEPS, strict=True)]
    return np.stack([c0, c1, c2, c3], axis=-1)


def words(samples: int, units: int, key: tuple[int, int], draw: int, first: int) -> NDArray:
    """Return the (samples, units) words that decide which units are dropped."""
    unit = np.arange(units)
    run = 16 * (unit // 64) + unit % 16
    place = (first + np.arange(samples)) % (1 << 32)
    counter = np.zeros((samples, units, 4), np.uint64)
    counter[..., 0] = run
    counter[..., 1] = place[:, None]
    counter[..., 2] = draw
    four = philox(counter, key)
    return np.take_along_axis(four, (unit % 64 // 16)[None, :, None], axis=2)[..., 0]


def dropout(
    x: NDArray, rate: float, key: tuple[int, int], draw: int = 0, first: int = 0
) -> NDArray:
    """Return what is kept of x in float64."""
    flat = x.reshape(len(x), int(np.prod(x.shape[1:]))).astype(np.float64)
    kept = words(*flat.shape, key, draw, first) >= np.uint64(int(rate * 2**32 + 0.5))
    scale = x.dtype.type(1 / (1 - rate)) if rate < 1 else 0.0
    return np.where(kept, flat * np.float64(scale), 0.0).reshape(x.shape)
