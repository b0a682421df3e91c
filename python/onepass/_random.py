"""The generator behind everything random that was given no seed of its own.

``numpy.random`` takes a third of this package's import time, so it is imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_generator: np.random.Generator | None = None


def generator() -> np.random.Generator:
    """Return the generator in use."""
    if _generator is None:
        seed(None)
        return generator()
    return _generator


def seed(value: int | None) -> None:
    """Start the generator anew; None takes a seed from the operating system."""
    global _generator
    from numpy.random import default_rng

    _generator = default_rng(value)
