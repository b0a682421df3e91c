"""Whether any layer was given to another, or its weights moved: plans may then be out of date."""

from __future__ import annotations

from itertools import count
from typing import Any, Self

_versions = count()
_version = next(_versions)
_moves = 0


def structure_changed() -> None:
    """Say that layers were put somewhere or taken away: what was recorded may be out of date."""
    global _version
    _version = next(_versions)


def structure_version() -> int:
    """Return a number that is another one after any layer was given to any other."""
    return _version


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
