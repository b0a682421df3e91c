"""Initial values of parameters, with Keras's names, arguments and distributions."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from onepass import _checks, _random

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]

Array = npt.NDArray[Any]
Shape = Sequence[int]

# Standard deviation of a standard normal variable cut off at -2 and 2, to the digits Keras uses.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(ABC):
    """Base class: an instance called with a shape returns a new array.

    A subclass writes ``__call__(shape, dtype)`` and, when it has arguments, ``get_config``.
    """

    @abstractmethod
    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return a C-contiguous array of this shape and dtype, float32 or float64."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an initializer from what `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class Constant(Initializer):
    """The same number everywhere.

    Parameters
    ----------
    value : float, default 0
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = _checks.number(value, "value")

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return the constant array."""
        return np.full(_shape(shape), self.value, _dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"value": self.value}


class Zeros(Initializer):
    """Zeros."""

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return an array of zeros."""
        return np.zeros(_shape(shape), _dtype(dtype))


class Ones(Initializer):
    """Ones."""

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Return an array of ones."""
        return np.ones(_shape(shape), _dtype(dtype))


class _Random(Initializer):
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
        size, kind = _shape(shape), _dtype(dtype)
        rng = _random.generator() if self.seed is None else np.random.default_rng(self.seed)
        return np.asarray(self._draw(rng, size), dtype=kind)

    @abstractmethod
    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return float64 values of this shape."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self.seed}


class _Normal(_Random):
    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = _checks.number(mean, "mean")
        self.stddev = _checks.number(stddev, "stddev", 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class RandomNormal(_Normal):
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


class TruncatedNormal(_Normal):
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
        return self.mean + self.stddev * _truncated(rng, shape)


class RandomUniform(_Random):
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


class VarianceScaling(_Random):
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
        return stddev / _TRUNCATED_STDDEV * _truncated(rng, shape)

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


def get(identifier: object) -> Callable[..., Array]:
    """Return the initializer that a name, a configuration or a callable stands for.

    Parameters
    ----------
    identifier : str, dict, class or callable
        A class name as it is or in snake case ("HeNormal", "he_normal"), ``{"class_name": ...,
        "config": ...}``, an initializer class, or a callable ``f(shape, dtype)``, returned
        unchanged.

    Raises
    ------
    ValueError
        For an unknown name or anything else; the message lists the known names.
    """
    name: object = identifier
    config: Mapping[str, Any] = {}
    if isinstance(identifier, Mapping):
        name, config = identifier.get("class_name"), identifier.get("config", {})
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name].from_config(config)
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise ValueError(
        f"initializer must be a callable, a configuration or one of {sorted(_SNAKE)}, "
        f"got {identifier!r}"
    )


def serialize(initializer: Callable[..., Any]) -> Any:
    """Return what ``get`` makes this initializer from: a dict, or a plain callable as it is."""
    if not isinstance(initializer, Initializer):
        return initializer
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}


def _truncated(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw standard normal values within [-2, 2]; about one in 22 is drawn again."""
    values = rng.standard_normal(math.prod(shape))
    outside = np.flatnonzero(np.abs(values) > 2.0)
    while outside.size:
        values[outside] = rng.standard_normal(outside.size)
        outside = outside[np.abs(values[outside]) > 2.0]
    return values.reshape(shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def _shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise TypeError(f"shape must be a tuple of integers, got {shape!r}")
    for size in shape:
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"shape must be a tuple of integers, got {shape!r}")
        if size < 0:
            raise ValueError(f"shape must not be negative, got {shape!r}")
    return tuple(int(size) for size in shape)


def _dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    kind = np.dtype("float32" if dtype is None else dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {kind}")
    return kind


_CLASSES: tuple[type[Initializer], ...] = (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Ones,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
_SNAKE = {re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in _CLASSES}
_SHORT = {"zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform}
_BY_NAME: dict[str, type[Initializer]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **_SNAKE,
    **_SHORT,
}
