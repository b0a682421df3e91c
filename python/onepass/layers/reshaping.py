"""Layers that show the same numbers under another shape: they cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass.engine import arithmetic
from onepass.engine.graph import record
from onepass.engine.ops import ReshapeOp
from onepass.layers.layer import Layer
from onepass.layers.shapes import sample_shape


class Flatten(Layer):
    """Turn samples of any shape into rows: (batch, a, b, ...) -> (batch, a * b * ...)."""

    def call(self, inputs: Any) -> Any:
        if inputs.ndim == 2:
            return inputs
        return record(ReshapeOp((inputs.sample_size,)), [inputs])


class Reshape(Layer):
    """Show samples under another shape: (batch, ...) -> (batch, *target_shape).

    Parameters
    ----------
    target_shape : sequence of int
        Without the batch; one dimension may be -1 and is what remains.
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If ``target_shape`` is no such sequence or, when called, a sample has another size.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shape = tuple(target_shape)
        known = sample_shape([dim for dim in shape if dim != -1])
        if len(known) < len(shape) - 1:
            raise ValueError(f"Reshape: target_shape can hold only one -1, got {shape}")
        self.target_shape = tuple(int(dim) for dim in shape)

    def call(self, inputs: Any) -> Any:
        return arithmetic.reshape(inputs, self.target_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}
