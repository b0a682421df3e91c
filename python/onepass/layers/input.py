"""Where a model's data comes in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass import config
from onepass.engine.graph import SymbolicTensor, input_tensor
from onepass.layers.layer import sample_shape, unique_name


class InputLayer:
    """Marks the shape of one sample at the start of a ``Sequential``."""

    def __init__(self, shape: Any, dtype: str | None = None, name: str | None = None) -> None:
        self.shape = sample_shape(shape)
        self.dtype = dtype
        self.name = name or unique_name("input_layer")

    def __repr__(self) -> str:
        return f"<InputLayer {self.name!r} shape={self.shape}>"


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int], *, dtype: str | None = None, name: str | None = None
) -> SymbolicTensor:
    """Return a symbolic batch of samples.

    Parameters
    ----------
    shape : sequence of int
        Shape of one sample, without the batch dimension.
    dtype : {"float32", "float64"}, optional
        Default ``config.floatx()``.
    name : str, optional

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not a sequence of positive ints.
    """
    layer = InputLayer(shape, dtype, name)
    return input_tensor(layer.shape, dtype or config.floatx(), layer.name)
