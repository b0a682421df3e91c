"""A function as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onepass.layers.layer import Layer


class Lambda(Layer):
    """Apply a function of symbolic tensors, made of operators, ``onepass.ops`` and activations.

    Parameters
    ----------
    function : callable
        Its first argument is the input: a tensor, or the structure of tensors that the layer is
        called on. It must not use weights, which only a layer of its own can hold.
    output_shape, mask : optional
        Keras's, without effect: shapes follow from the operations, and there are no masks.
    arguments : mapping, optional
        Further arguments of the function, by name.
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError
        If ``function`` is not callable or ``arguments`` is no mapping.

    Examples
    --------
    >>> import onepass
    >>> x = onepass.Input([4])
    >>> onepass.layers.Lambda(lambda x: x[:, :2] * x[:, 2:])(x).shape
    (None, 2)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda: function must be callable, got {type(function).__name__}")
        if arguments is not None and not isinstance(arguments, Mapping):
            raise TypeError(f"Lambda: arguments must be a dict, got {type(arguments).__name__}")
        self.function = function
        self.arguments = dict(arguments or {})

    def call(self, inputs: Any) -> Any:
        return self.function(inputs, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the function as it is."""
        return {
            **super().get_config(),
            "function": self.function,
            "arguments": dict(self.arguments),
        }
