"""Means over the steps of a sample."""

from __future__ import annotations

from typing import Any

from onepass import ops
from onepass.layers.layer import Layer


class GlobalAveragePooling1D(Layer):
    """The mean over the steps of each sample: (batch, steps, columns) -> (batch, columns).

    Parameters
    ----------
    data_format : {None, "channels_last"}
    keepdims : bool
        Whether the steps stay as one.
    **kwargs
        See ``Layer``.

    Raises
    ------
    ValueError
        If ``data_format`` is another or, when called, the input has not three dimensions.
    """

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if data_format not in (None, "channels_last"):
            raise ValueError(
                f"GlobalAveragePooling1D: data_format must be 'channels_last', got {data_format!r}"
            )
        self.keepdims = bool(keepdims)

    def call(self, inputs: Any) -> Any:
        if inputs.ndim != 3:
            raise ValueError(
                f"layer {self.name!r} needs inputs of shape (batch, steps, columns), "
                f"got {inputs.shape}"
            )
        return ops.mean(inputs, axis=1, keepdims=self.keepdims)

    def get_config(self) -> dict[str, Any]:
        own = {"data_format": "channels_last", "keepdims": self.keepdims}
        return {**super().get_config(), **own}
