"""Layers that make one tensor of several, and the functions that apply them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from onepass import ops
from onepass.engine import arithmetic
from onepass.layers.layer import Layer


class Merge(Layer):
    """Base of the layers that combine tensors element by element.

    Tensors of fewer dimensions get new ones of size 1 behind the batch; then shapes are broadcast
    as in NumPy.

    Parameters
    ----------
    **kwargs
        See ``Layer``.

    Raises
    ------
    ValueError
        When called: if the input is no list of tensors, or the shapes do not fit together.
    """

    _least = 1  # tensors

    def build(self, input_shape: Any) -> None:
        self._check_list(input_shape)

    def call(self, inputs: Any) -> Any:
        self._check_list(inputs)
        ndim = max(tensor.ndim for tensor in inputs)
        return self._merged([_with_dimensions(tensor, ndim) for tensor in inputs])

    def _merged(self, tensors: Sequence[Any]) -> Any:
        raise NotImplementedError

    def _check_list(self, given: Any) -> None:
        kind = type(self).__name__
        several = isinstance(given, (list, tuple)) and all(
            not isinstance(item, int) and item is not None for item in given
        )
        if not several:
            raise ValueError(f"{kind} must be called on a list of tensors")
        if len(given) < self._least:
            raise ValueError(f"{kind} needs at least {self._least} tensors, got {len(given)}")


def _with_dimensions(tensor: Any, ndim: int) -> Any:
    missing = ndim - tensor.ndim
    if missing == 0:
        return tensor
    return arithmetic.reshape(tensor, (*[1] * missing, *tensor.shape[1:]))


class Add(Merge):
    """The sum of all inputs."""

    def _merged(self, tensors: Sequence[Any]) -> Any:
        return reduce(ops.add, tensors)


class Subtract(Merge):
    """The first of two inputs minus the second."""

    _least = 2

    def _check_list(self, given: Any) -> None:
        super()._check_list(given)
        if len(given) != 2:
            raise ValueError(f"Subtract must be called on exactly 2 tensors, got {len(given)}")

    def _merged(self, tensors: Sequence[Any]) -> Any:
        return ops.subtract(*tensors)


class Multiply(Merge):
    """The product of all inputs, element by element."""

    def _merged(self, tensors: Sequence[Any]) -> Any:
        return reduce(ops.multiply, tensors)


class Average(Merge):
    """The mean of all inputs, element by element."""

    def _merged(self, tensors: Sequence[Any]) -> Any:
        total = reduce(ops.add, tensors)
        return total if len(tensors) == 1 else total / len(tensors)


class Maximum(Merge):
    """The largest of all inputs, element by element."""

    def _merged(self, tensors: Sequence[Any]) -> Any:
        return reduce(ops.maximum, tensors)


class Minimum(Merge):
    """The smallest of all inputs, element by element."""

    def _merged(self, tensors: Sequence[Any]) -> Any:
        return reduce(ops.minimum, tensors)


class Concatenate(Merge):
    """All inputs one behind the other along an axis.

    Parameters
    ----------
    axis : int, default -1
        Not the batch. All other axes must be equal.
    **kwargs
        See ``Layer``.

    Raises
    ------
    TypeError, ValueError
        If ``axis`` is no int or, when called, does not exist or another axis differs.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise TypeError(f"Concatenate: axis must be an int, got {axis!r}")
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        self._check_list(inputs)
        return ops.concatenate(inputs, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Apply a new ``Add`` to tensors."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Apply a new ``Subtract`` to two tensors."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Apply a new ``Multiply`` to tensors."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Apply a new ``Average`` to tensors."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Apply a new ``Maximum`` to tensors."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Apply a new ``Minimum`` to tensors."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Apply a new ``Concatenate`` to tensors."""
    return Concatenate(axis, **kwargs)(inputs)
