"""Whether any layer was given to another: what was recorded before may then be out of date."""

from __future__ import annotations

from itertools import count

_versions = count()
_version = next(_versions)


def structure_changed() -> None:
    """Say that layers were put somewhere or taken away: what was recorded may be out of date."""
    global _version
    _version = next(_versions)


def structure_version() -> int:
    """Return a number that is another one after any layer was given to any other."""
    return _version
