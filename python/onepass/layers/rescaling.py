"""Numbers brought to another scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from onepass.layers.layer import Layer


def _numbers(value: Any, name: str) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"Rescaling: {name} must be a number or numbers, got {value!r}")
    if not np.isfinite(array).all():
        raise ValueError(f"Rescaling: {name} must be finite, got {value!r}")
    return array


class Rescaling(Layer):
    """``scale * x + offset``, as for images in bytes: ``Rescaling(1 / 255)``.

    Parameters
    ----------
    scale : float, or numbers that can be broadcast to a sample
    offset : the same, default 0
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If the numbers are none or not finite.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = _numbers(scale, "scale"), _numbers(offset, "offset")

    def call(self, inputs: Any) -> Any:
        scaled = inputs * self.scale
        return scaled + self.offset if self.offset.any() else scaled

    def get_config(self) -> dict[str, Any]:
        own = {"scale": self.scale.tolist(), "offset": self.offset.tolist()}
        return {**super().get_config(), **own}
