"""Random initial values."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from onepass import _checks, _random
from onepass.initializers.initializer import (
    Array,
    Initializer,
    Shape,
    checked_dtype,
    checked_shape,
)


class Random(Initializer):
    """Random values, drawn in float64 and rounded, so both dtypes hold the same numbers."""

    def __init__(self, seed: int | None) -> None:
        if seed is not None:
            if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
                raise TypeError(f"seed must be an integer or None, got {seed!r}")
            if seed < 0:
                raise ValueError(f"seed must be >= 0, got {seed}")
        self.seed = None if seed is None else int(seed)

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return random values; the same ones at every call if a seed was given."""
        size, kind = checked_shape(shape), checked_dtype(dtype)
        rng = _random.generator() if self.seed is None else np.random.default_rng(self.seed)
        return np.asarray(self._draw(rng, size), dtype=kind)

    @abstractmethod
    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return float64 values of this shape."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}


class Normal(Random):
    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = _checks.number(mean, "mean")
        self.stddev = _checks.number(stddev, "stddev", 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class RandomNormal(Normal):
    """Normal distribution.

    Parameters
    ----------
    mean : float, default 0
    stddev : float >= 0, default 0.05
    seed : int >= 0 or None, default None
        An integer gives the same values at every call; None draws from the generator that
        ``utils.set_random_seed`` seeds.
    """

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(Normal):
    """Normal distribution without what lies more than two standard deviations from the mean.

    Parameters
    ----------
    mean : float, default 0
    stddev : float >= 0, default 0.05
        Of the distribution before the cut; afterwards it is 0.8796 times that.
    seed : int >= 0 or None, default None
        An integer gives the same values at every call; None draws from the generator that
        ``utils.set_random_seed`` seeds.
    """

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return self.mean + self.stddev * truncated_normal(rng, shape)


class RandomUniform(Random):
    """Uniform distribution over [minval, maxval).

    Parameters
    ----------
    minval : float, default -0.05
    maxval : float, default 0.05
    seed : int >= 0 or None, default None
        An integer gives the same values at every call; None draws from the generator that
        ``utils.set_random_seed`` seeds.
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = _checks.number(minval, "minval")
        self.maxval = _checks.number(maxval, "maxval")
        if self.minval > self.maxval:
            raise ValueError(f"minval must not exceed maxval, got {minval!r} and {maxval!r}")

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


class Orthogonal(Random):
    """Orthonormal rows or columns, whichever are fewer, of random directions.

    Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks, 2014.

    Parameters
    ----------
    gain : float, default 1
        Factor of all values.
    seed : int >= 0 or None, default None
        As in `RandomNormal`.

    Raises
    ------
    ValueError
        When called with fewer than two dimensions. Leading ones count as rows.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = _checks.number(gain, "gain")

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: shape must have at least 2 dimensions, got {shape!r}")
        rows, cols = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, cols), min(rows, cols))))
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # or the directions were not uniform
        return np.ascontiguousarray(self.gain * (q if rows >= cols else q.T)).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain, "seed": self.seed}


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw standard normal values within [-2, 2]; about one in 22 is drawn again."""
    values = rng.standard_normal(math.prod(shape))
    outside = np.flatnonzero(np.abs(values) > 2.0)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size)
        outside = outside[np.abs(values[outside]) > 2.0]
    return values.reshape(shape)
