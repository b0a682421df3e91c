"""The state of an optimizer on arrays as plain arrays and numbers, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onepass.optimizers._arrays import Array

FORMAT = 1
LISTS = ("states", "sums", "averages")


def checked_state(state: Mapping[str, Any], own: Mapping[str, Any], owner: str) -> None:
    """Refuse a state that does not fit; ``own`` is the optimizer's present one.

    Raises
    ------
    TypeError
        If it is no mapping.
    ValueError
        For another format, optimizer or rule, for missing entries and other shapes or dtypes.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"state must be what state_dict() returned, got {type(state).__name__}")
    missing = own.keys() - state.keys()
    if missing:
        raise ValueError(f"state lacks {sorted(missing)}: is it from {owner}.state_dict()?")
    if state["format"] != FORMAT:
        raise ValueError(
            f"state has format {state['format']!r}, this version reads format {FORMAT}"
        )
    for key in ("rule", "convention"):
        if state[key] != own[key]:
            raise ValueError(f"state is of the {key} {state[key]!r}, this {owner} has {own[key]!r}")
    for key in LISTS:
        _check_arrays(key, state[key], own[key])
    if len(state["missed"]) != len(own["missed"]):
        raise ValueError(
            f"state is of {len(state['missed'])} parameters, {owner} has {len(own['missed'])}"
        )
    calls, missed = state["calls"], state["missed"]
    numbers = [calls, *missed]
    if not all(_is_count(number) for number in numbers):
        raise ValueError(f"calls and missed of a state are whole numbers >= 0, got {numbers}")
    if max(missed, default=0) > calls:
        raise ValueError(f"a tensor of the state missed {max(missed)} of {calls} steps")


def _is_count(value: object) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and int(value) >= 0  # type: ignore[call-overload]


def _check_arrays(name: str, given: Sequence[Any], own: Sequence[Array]) -> None:
    if len(given) != len(own):
        raise ValueError(f"state has {len(given)} arrays in {name!r}, expected {len(own)}")
    for i, (array, mine) in enumerate(zip(given, own, strict=True)):
        found = np.asarray(array)
        if found.shape != mine.shape or found.dtype != mine.dtype:
            raise ValueError(
                f"state[{name!r}][{i}] is {found.dtype} of shape {found.shape}, "
                f"expected {mine.dtype} of shape {mine.shape}"
            )
