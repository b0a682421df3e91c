"""Layers that disturb their input in training and leave it as it is elsewhere.

In ``fit`` the noise depends on the layer, the epoch, the sample's place in the (shuffled) epoch and
the unit, and on nothing else: not on the batch size, the threads or the processor. In
``train_on_batch`` and ``model(x, training=True)`` each call draws anew. It is never stored: the
backward pass draws it again. The generator is Philox.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onepass import _random
from onepass._checks import number
from onepass._random_kernels import dropout_stddev, proper_rate, slope_limits
from onepass.engine.graph import current_trace, record
from onepass.engine.ops import ActivationOp, DropoutOp, GaussianOp, Op, RandomReluOp
from onepass.layers.layer import Layer

_WORD = 1 << 32


def _key(seed: int | None) -> tuple[int, int]:
    """Return two random words that set one layer's masks apart from others'."""
    if seed is None:
        words = _random.generator().integers(0, _WORD, 2).tolist()
    else:
        words = np.random.SeedSequence(seed).generate_state(2).tolist()
    return words[0], words[1]


class _Noise(Layer):
    """A layer that draws."""

    def __init__(self, seed: int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise ValueError(
                f"{type(self).__name__}: seed must be None or an integer >= 0, got {seed!r}"
            )
        self.seed = seed
        self._mask_key = _key(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Disturb a symbolic tensor.

        Parameters
        ----------
        training : bool, optional
            Whether noise is drawn; None for in training only. A subclass that passes True draws
            in ``predict`` as well (Monte Carlo dropout).
        """
        number = current_trace().next_call(self)
        op = self._op(None if training is None else bool(training), number)
        return inputs if op is None else record(op, [inputs])

    def _op(self, training: bool | None, call: int) -> Op | None:
        """Return the operation of a call in the graph, None where there is nothing to do."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


class _Rated(_Noise):
    """Noise that is given by a share of elements."""

    def __init__(self, rate: float, seed: int | None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self._rate = rate

    @property
    def rate(self) -> float:
        """Share of the elements that is dropped; plans hold it, so it cannot be changed."""
        return self._rate

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}


class _Masked(_Rated):
    """Noise that is a mask of a shape."""

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed, **kwargs)
        if noise_shape is not None:
            raise ValueError(
                f"{type(self).__name__}: noise_shape must be None, got {noise_shape!r}"
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "noise_shape": None}


class Dropout(_Masked):
    """Zero elements at random in training, and scale the others by ``1 / (1 - rate)``.

    In ``fit`` a mask depends on the layer, the epoch, the sample's place in the (shuffled) epoch
    and the unit, and on nothing else: not on the batch size, the threads or the processor. In
    ``train_on_batch`` and ``model(x, training=True)`` each call draws anew. Srivastava, Hinton,
    Krizhevsky, Sutskever and Salakhutdinov, Dropout, 2014; the masks are Philox's.

    Parameters
    ----------
    rate : float in [0, 1]
        Share of the elements that is dropped.
    noise_shape : None
        Only None: every element is drawn for itself.
    seed : int >= 0, optional
        Layers of one seed draw the same masks; without one, `utils.set_random_seed` decides.
    **kwargs
        See ``Layer``.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(number(rate, "rate", 0, 1), noise_shape, seed, **kwargs)

    def _op(self, training: bool | None, call: int) -> Op | None:
        return DropoutOp(self.rate, self._mask_key, training, call) if self.rate else None


class AlphaDropout(_Masked):
    """Set elements to where selu saturates, at random in training; keep mean 0 and variance 1.

    For networks of selu with ``lecun_normal`` weights, which normalise themselves. Klambauer,
    Unterthiner, Mayr and Hochreiter, Self-Normalizing Neural Networks, 2017. Masks are those of
    ``Dropout``.

    Parameters
    ----------
    rate : float in [0, 1)
        Share of the elements that is dropped.
    noise_shape, seed, **kwargs
        As in ``Dropout``.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(proper_rate(rate), noise_shape, seed, **kwargs)

    def _op(self, training: bool | None, call: int) -> Op | None:
        if not self.rate:
            return None
        return DropoutOp(self.rate, self._mask_key, training, call, alpha=True)


class GaussianDropout(_Rated):
    """Multiply by normal noise of mean 1 and variance ``rate / (1 - rate)`` in training.

    Srivastava et al., 2014, section 10; drawn as ``Dropout`` draws its masks.

    Parameters
    ----------
    rate : float in [0, 1)
    seed, **kwargs
        As in ``Dropout``.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(proper_rate(rate), seed, **kwargs)

    def _op(self, training: bool | None, call: int) -> Op | None:
        if not self.rate:
            return None
        return GaussianOp(dropout_stddev(self.rate), True, self._mask_key, training, call)


class GaussianNoise(_Noise):
    """Add normal noise of mean 0 in training, drawn as ``Dropout`` draws its masks.

    Parameters
    ----------
    stddev : float >= 0
        Standard deviation.
    seed, **kwargs
        As in ``Dropout``.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self._stddev = number(stddev, "stddev", 0)

    @property
    def stddev(self) -> float:
        """Standard deviation; plans hold it, so it cannot be changed."""
        return self._stddev

    def _op(self, training: bool | None, call: int) -> Op | None:
        return (
            GaussianOp(self.stddev, False, self._mask_key, training, call) if self.stddev else None
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev}


class RReLU(_Noise):
    """Leaky ReLU whose slopes are drawn in training; elsewhere they are ``(lower + upper) / 2``.

    The slope of each element that is not above 0 is uniform in [lower, upper], drawn as ``Dropout``
    draws its masks. As in torch; not in Keras. Xu, Wang, Chen and Li, Empirical Evaluation of
    Rectified Activations in Convolutional Network, 2015.

    Parameters
    ----------
    lower, upper : float, ``0 <= lower <= upper``
        Limits of the slopes.
    seed, **kwargs
        As in ``Dropout``.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """

    def __init__(
        self,
        lower: float = 0.125,
        upper: float = 1 / 3,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self._limits = slope_limits(lower, upper)

    @property
    def lower(self) -> float:
        """Least slope; plans hold it, so it cannot be changed."""
        return self._limits[0]

    @property
    def upper(self) -> float:
        """Largest slope; plans hold it, so it cannot be changed."""
        return self._limits[1]

    def _op(self, training: bool | None, call: int) -> Op | None:
        if self.lower == self.upper:
            return ActivationOp("leaky_relu", {"negative_slope": self.lower})
        return RandomReluOp(self.lower, self.upper, self._mask_key, training, call)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lower": self.lower, "upper": self.upper}
