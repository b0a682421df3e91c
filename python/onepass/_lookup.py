"""From names and configurations to objects and back, for what has a registry of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


def names_of(classes: Sequence[type[Any]]) -> dict[str, type[Any]]:
    """Return classes by their names as they are and in snake case."""
    snake = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in classes}
    return {**{cls.__name__: cls for cls in classes}, **snake}


def made_of(identifier: object, known: Mapping[str, type[Any]], what: str) -> Any:
    """Return what a name, a class or a configuration stands for; other objects as they are.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    name: object = identifier
    config: Mapping[str, Any] = {}
    if isinstance(identifier, Mapping):
        name, config = identifier.get("class_name"), identifier.get("config", {})
    elif isinstance(identifier, type) and identifier in known.values():
        return identifier()
    elif not isinstance(identifier, str):
        return identifier
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{what} must be one of {', '.join(known)}, got {identifier!r}")
    return known[name](**config)


def serialized(thing: Any) -> dict[str, Any] | None:
    """Return the configuration that ``made_of`` makes this object from."""
    if thing is None:
        return None
    return {"class_name": type(thing).__name__, "config": thing.get_config()}
