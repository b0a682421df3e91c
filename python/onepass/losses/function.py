"""A function of targets and predictions as a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onepass.losses.loss import Loss


class FunctionLoss(Loss):
    """What ``compile(loss=function)`` makes of a function.

    Parameters
    ----------
    function : callable(y_true, y_pred)
        Made of operators, ``onepass.ops`` and activations; returns one number a row. The targets
        have the shape of the predictions.
    reduction : as for ``Loss``
    name : str, optional
        Default the function's.

    Raises
    ------
    TypeError
        If ``function`` is not callable.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"loss: a function is expected, got {type(function).__name__}")
        kind = getattr(function, "__name__", type(function).__name__)
        super().__init__(name or kind, reduction)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function, **super().get_config()}
