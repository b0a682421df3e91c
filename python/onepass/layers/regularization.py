"""A layer that only adds to the loss."""

from __future__ import annotations

from typing import Any

from onepass import regularizers
from onepass.layers.layer import Layer


class ActivityRegularization(Layer):
    """Leaves its input as it is and adds a penalty on it to the loss.

    The penalty is ``l1 * sum(|x|) + l2 * sum(x^2)`` over the batch, divided by its samples.

    Parameters
    ----------
    l1, l2 : float >= 0, default 0
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If a factor is no finite number from 0 up.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        penalty = regularizers.L1L2(l1, l2)
        super().__init__(activity_regularizer=penalty, **kwargs)
        self.l1, self.l2 = penalty.factors

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return {**config, "l1": self.l1, "l2": self.l2}
