"""Checks of the arguments that several methods of a model take."""

from __future__ import annotations

from typing import Any

import numpy as np

from onepass._checks import integer, number


def whole(value: Any, name: str, least: int) -> int:
    """Return a whole number of at least ``least``.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what was expected.
    """
    return integer(value, name, least)


def optional_whole(value: Any, name: str, least: int) -> int | None:
    """As ``whole``, with None for not given."""
    return None if value is None else whole(value, name, least)


def batch_rows(batch_size: Any, steps: int | None, samples: int, default: int = 32) -> int:
    """Return rows of a batch: as given, else so many that ``steps`` batches hold all samples."""
    if batch_size is not None:
        return whole(batch_size, "batch_size", 1)
    return default if steps is None else max(1, -(-samples // steps))


def verbosity(value: Any, automatic: int) -> int:
    """Return 0, 1 or 2; "auto" is ``automatic``."""
    if isinstance(value, str) and value == "auto":
        return automatic
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, (int, np.integer)) or value not in (0, 1, 2):
        raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {value!r}")
    return int(value)


def fraction(value: Any, name: str) -> float:
    """Return a number from 0 (included) to 1 (excluded)."""
    result = number(value, name, 0.0, 1.0)
    if result == 1.0:
        raise ValueError(f"{name} must be below 1, got {value}")
    return result


def alone(stream: Any, **others: Any) -> None:
    """Raise ValueError where something is given beside a stream of batches, which brings it."""
    for name, value in others.items():
        if value is not None:
            raise ValueError(
                f"{name} must not be given with a {type(stream).__name__}: its batches bring what "
                "they need"
            )
