"""Alpha dropout and normal noise in NumPy float64, from the words of ``reference.dropout``.

Klambauer et al., Self-Normalizing Neural Networks, 2017; Box and Muller, A Note on the Generation
of Random Normal Deviates, 1958.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.dropout import words

Array = NDArray[np.float64]
_ALPHA, _SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def alpha_dropout(
    x: Array, rate: float, key: tuple[int, int], draw: int = 0, first: int = 0
) -> Array:
    """As Keras 3.15's AlphaDropout, with our mask."""
    flat = x.reshape(len(x), int(np.prod(x.shape[1:])))
    kept = words(*flat.shape, key, draw, first) >= np.uint64(int(rate * 2**32 + 0.5))
    alpha_p = -_ALPHA * _SCALE
    a = ((1 - rate) * (1 + rate * alpha_p**2)) ** -0.5
    b = -a * alpha_p * rate
    return (a * np.where(kept, flat, alpha_p) + b).reshape(x.shape)


def normals(
    shape: tuple[int, ...], key: tuple[int, int], draw: int = 0, first: int = 0
) -> NDArray[np.longdouble]:
    """Return standard normal deviates for samples of this shape."""
    samples, units = shape[0], int(np.prod(shape[1:]))
    groups = -(-units // 64)
    word = words(samples, groups * 64, key, draw, first).reshape(samples, groups, 2, 32)
    radius_word, angle_word = word[:, :, 0], word[:, :, 1]
    u = (radius_word.astype(np.longdouble) + 0.5) / 2**32
    radius = np.sqrt(-2 * np.log(u))
    quadrant = (angle_word >> np.uint64(30)).astype(np.longdouble)
    rest = (angle_word & np.uint64(0x3FFFFFFF)).astype(np.longdouble)
    signed = np.where(rest >= 2**29, rest - 2**30, rest) / 2**32  # of a turn, -1/8 to 1/8
    angle = 2 * np.longdouble("3.14159265358979323846264338327950288") * (quadrant / 4 + signed)
    pair = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2)
    return pair.reshape(samples, groups * 64)[:, :units].reshape(shape)


def slopes(
    shape: tuple[int, ...],
    lower: float,
    upper: float,
    key: tuple[int, int],
    draw: int = 0,
    first: int = 0,
) -> Array:
    """Return uniform slopes for samples of this shape."""
    word = words(shape[0], int(np.prod(shape[1:])), key, draw, first)
    return (lower + (upper - lower) * (word.astype(np.float64) + 0.5) / 2**32).reshape(shape)
