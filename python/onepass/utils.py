"""Helpers under the names of ``keras.utils``."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _random

__all__ = ["set_random_seed", "to_categorical"]


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """Return class indices as one-hot rows.

    Parameters
    ----------
    x : (...) integers from 0; a last dimension of 1 is dropped
    num_classes : int, default the largest index and 1

    Returns
    -------
    rows : (..., num_classes) float64

    Raises
    ------
    TypeError, ValueError
        If an index is not a whole number or out of range.
    """
    index = np.asarray(x)
    if index.ndim > 1 and index.shape[-1] == 1:
        index = index[..., 0]
    if index.dtype.kind not in "iub":
        raise TypeError(f"to_categorical: x must hold integers, got dtype {index.dtype}")
    classes = num_classes if num_classes is not None else int(index.max(initial=-1)) + 1
    if index.size and not 0 <= index.min() <= index.max() < classes:
        raise ValueError(
            f"to_categorical: x must be from 0 to {classes - 1}, got {index.min()} to {index.max()}"
        )
    rows = np.zeros((*index.shape, classes))
    np.put_along_axis(rows, index[..., None].astype(np.int64), 1.0, axis=-1)
    return rows


def set_random_seed(seed: int) -> None:
    """Seed Python's ``random``, NumPy's global generator and onepass's own.

    Parameters
    ----------
    seed : int in [0, 2**32)

    Raises
    ------
    TypeError, ValueError
        If it is not an integer, or out of range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be an integer, got {seed!r}")
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"seed must be in [0, 2**32), got {seed}")
    random.seed(int(seed))
    np.random.seed(int(seed))
    _random.seed(int(seed))
