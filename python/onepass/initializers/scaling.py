"""Random initial values whose variance follows from the number of units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onepass import _checks
from onepass.initializers.initializer import Array
from onepass.initializers.random import Random, truncated_normal

# Standard deviation of a standard normal variable cut off at -2 and 2, to the digits Keras uses.
_TRUNCATED_STDDEV = 0.87962566103423978


class VarianceScaling(Random):
    """Random values whose variance is ``scale / n``, n being a number of units.

    n is the fan in, the fan out or their mean, at least 1. A kernel of shape (i, o) has fan in i
    and fan out o; leading dimensions of longer shapes multiply both.

    Parameters
    ----------
    scale : float > 0, default 1
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        Default "truncated_normal", for which "normal" is another name.
    seed : int >= 0 or None, default None
        An integer gives the same values at every call; None draws from the generator that
        ``utils.set_random_seed`` seeds.

    References
    ----------
    LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 4.6.
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
    2010, equations 12 and 16.
    He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015, equation 10.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = _checks.positive(scale, "scale")
        self.mode = _checks.choice(mode, "mode", ("fan_in", "fan_out", "fan_avg"))
        if distribution == "normal":
            distribution = "truncated_normal"
        self.distribution = _checks.choice(
            distribution, "distribution", ("truncated_normal", "untruncated_normal", "uniform")
        )

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        fan_in, fan_out = _fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return rng.uniform(-limit, limit, shape)
        stddev = math.sqrt(variance)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, stddev, shape)
        return stddev / _TRUNCATED_STDDEV * truncated_normal(rng, shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
        }


class _Scaled(VarianceScaling):
    """A named case of variance scaling."""

    _case: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._case, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan in + fan out). See `VarianceScaling`."""

    _case = (1.0, "fan_avg", "truncated_normal")


class GlorotUniform(_Scaled):
    """Uniform of variance 2 / (fan in + fan out). See `VarianceScaling`."""

    _case = (1.0, "fan_avg", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan in. See `VarianceScaling`."""

    _case = (2.0, "fan_in", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform of variance 2 / fan in. See `VarianceScaling`."""

    _case = (2.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan in. See `VarianceScaling`."""

    _case = (1.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform of variance 1 / fan in. See `VarianceScaling`."""

    _case = (1.0, "fan_in", "uniform")


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]
