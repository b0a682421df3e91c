"""Shapes of samples as users give them."""

from __future__ import annotations

from typing import Any

import numpy as np


def sample_shape(shape: Any) -> tuple[int, ...]:
    """Check the shape of one sample.

    Raises
    ------
    TypeError
        If it is not a sequence of whole numbers.
    ValueError
        If a dimension is not positive.
    """
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        shape = (shape,)
    try:
        given = tuple(shape)
    except TypeError:
        raise TypeError(f"shape must be a sequence of ints, got {type(shape).__name__}") from None
    for dim in given:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
            raise TypeError(f"shape must hold ints only, got {given!r}")
        if dim < 1:
            raise ValueError(f"shape must hold positive dimensions only, got {given!r}")
    return tuple(int(dim) for dim in given)


def check_columns(name: str, columns: int, shape: tuple[int | None, ...]) -> None:
    """Refuse inputs of other columns than a layer was built for.

    Parameters
    ----------
    name : str
        The layer's.
    columns : int
        For which it was built.
    shape : tuple
        Of its inputs, (batch, ..., columns).

    Raises
    ------
    ValueError
    """
    if shape[-1] != columns:
        raise ValueError(
            f"layer {name!r} was built for {columns} columns, got inputs of shape {shape}"
        )
