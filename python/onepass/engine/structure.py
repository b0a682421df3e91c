"""Nested lists, tuples and dicts of tensors or arrays, and their leaves in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def is_nested(value: Any) -> bool:
    """Whether a value is a list, tuple or dict of others."""
    return isinstance(value, (list, tuple, Mapping))


def flatten(structure: Any) -> list[Any]:
    """Return the leaves: of a dict in the order of its keys, sorted as Keras does."""
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    if isinstance(structure, Mapping):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    return [structure]


def pack_like(structure: Any, leaves: Sequence[Any]) -> Any:
    """Return the structure with other leaves, given in the order of ``flatten``."""
    return _packed(structure, iter(leaves))


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """Return the structure with ``function`` applied to each leaf."""
    return pack_like(structure, [function(leaf) for leaf in flatten(structure)])


def _packed(structure: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, Mapping):
        packed = {key: _packed(structure[key], leaves) for key in sorted(structure)}
        return {key: packed[key] for key in structure}
    if isinstance(structure, tuple):
        items = [_packed(item, leaves) for item in structure]
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    if isinstance(structure, list):
        return [_packed(item, leaves) for item in structure]
    return next(leaves)
