"""Layers that disturb their input in training and leave it as it is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onepass import _random
from onepass._checks import number
from onepass.engine.graph import record
from onepass.engine.ops import DropoutOp
from onepass.layers.layer import Layer

_WORD = 1 << 32


def _key(seed: int | None) -> tuple[int, int]:
    """Return two random words that set one layer's masks apart from others'."""
    if seed is None:
        words = _random.generator().integers(0, _WORD, 2).tolist()
    else:
        words = np.random.SeedSequence(seed).generate_state(2).tolist()
    return words[0], words[1]


class Dropout(Layer):
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
        super().__init__(**kwargs)
        self._rate = number(rate, "rate", 0, 1)
        if noise_shape is not None:
            raise ValueError(f"Dropout: noise_shape must be None, got {noise_shape!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
            raise ValueError(f"Dropout: seed must be None or an integer >= 0, got {seed!r}")
        self.seed = seed
        self._mask_key = _key(seed)

    @property
    def rate(self) -> float:
        """Share of the elements that is dropped; plans hold it, so it cannot be changed."""
        return self._rate

    def call(self, inputs: Any) -> Any:
        if self.rate == 0:
            return inputs
        return record(DropoutOp(self.rate, self._mask_key), [inputs])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "noise_shape": None, "seed": self.seed}
