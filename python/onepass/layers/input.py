"""Where a model's data comes in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass.engine.graph import LayerCall, SymbolicTensor, input_tensor
from onepass.layers.layer import Layer
from onepass.layers.shapes import sample_shape

_INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")


class InputLayer(Layer):
    """Marks the shape of one sample at the start of a model.

    Parameters
    ----------
    shape : sequence of int
        Shape of one sample, without the batch dimension.
    batch_size : int, optional
        Taken and ignored: every batch size is possible.
    dtype : str, optional
        "float32" or "float64"; default ``config.floatx()``. With an integer type samples are whole
        numbers, held as floats.
    name : str, optional
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        name: str | None = None,
        batch_shape: Any = None,
    ) -> None:
        if batch_shape is not None:
            shape = tuple(batch_shape)[1:]
        if shape is None:
            raise TypeError("Input: the shape of a sample is missing")
        self.shape = sample_shape(shape)
        self.given_dtype = dtype
        super().__init__(name=name, dtype=None if dtype in _INTEGERS else dtype)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def tensor(self) -> SymbolicTensor:
        """Return a symbolic batch of such samples, made by this layer."""
        tensor = input_tensor(self.shape, self.dtype, self.name)
        tensor.made_by = LayerCall(self, (), {}, tensor)
        if self._first_call is None:
            self._first_call = LayerCall(self, (tensor,), {}, tensor)
        return tensor

    def get_config(self) -> dict[str, Any]:
        return {"shape": self.shape, "dtype": self.given_dtype, "name": self.name}

    def __repr__(self) -> str:
        return f"<InputLayer {self.name!r} shape={self.shape}>"


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int] | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
) -> SymbolicTensor:
    """Return a symbolic batch of samples.

    Parameters
    ----------
    shape : sequence of int
        Shape of one sample, without the batch dimension.
    batch_size, dtype, name
        See ``layers.InputLayer``.
    batch_shape : sequence, optional
        Instead of ``shape``: with the batch dimension, which is ignored, first.

    Raises
    ------
    TypeError, ValueError
        If ``shape`` is not a sequence of positive ints.
    """
    return InputLayer(shape, batch_size, dtype, name, batch_shape).tensor()
