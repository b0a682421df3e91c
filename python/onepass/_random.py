"""The generator behind everything random that was given no seed of its own."""

from __future__ import annotations

import numpy as np

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """Return the generator in use."""
    return _generator


def seed(value: int | None) -> None:
    """Start the generator anew; None takes a seed from the operating system."""
    global _generator
    _generator = np.random.default_rng(value)
