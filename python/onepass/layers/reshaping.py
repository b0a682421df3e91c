"""Layers that show the same numbers under another shape: they cost nothing."""

from __future__ import annotations

from typing import Any

from onepass.engine.graph import record
from onepass.engine.ops import ReshapeOp
from onepass.layers.layer import Layer


class Flatten(Layer):
    """Turn samples of any shape into rows: (batch, a, b, ...) -> (batch, a * b * ...)."""

    def call(self, inputs: Any) -> Any:
        if inputs.ndim == 2:
            return inputs
        return record(ReshapeOp((inputs.sample_size,)), [inputs])
