"""Whether any layer was given to another, trained or not, or its weights moved.

Plans may then be out of date. Words are said behind the change: who asks in between is told again.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Self

_versions = count()
_version = _trained_version = next(_versions)
_moves = 0


def structure_changed() -> None:
    """Say that layers were put somewhere or taken away: what was recorded may be out of date."""
    global _version
    _version = next(_versions)


def structure_version() -> int:
    """Return a number that is another one after any layer was given to any other."""
    return _version


def trained_changed() -> None:
    """Say that weights came or went, or are trained from now on, or no longer."""
    global _trained_version
    _trained_version = next(_versions)


def trained_version() -> int:
    """Return a number that is another one after that."""
    return _trained_version


def weights_moved() -> None:
    """Say that weights lie somewhere else: no plan holds any more."""
    global _moves
    _moves += 1
    structure_changed()


class Plans(dict[tuple[Any, ...], Any]):
    """Plans by what they depend on, which hold memory."""

    def __init__(self) -> None:
        super().__init__()
        self._moves = _moves

    def current(self) -> Self:
        """Return itself, without the plans of before any weights were moved."""
        if self._moves != _moves:
            self.clear()
            self._moves = _moves
        return self
