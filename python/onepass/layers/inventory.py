"""What is inside a layer, on which its plans depend, found out once and kept while it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from onepass.engine.changes import Plans, structure_version

if TYPE_CHECKING:
    from onepass.layers.layer import Layer


# Containers of our own in layers: of no layers, or with a word to `structure_changed` beside each
# change.
_OURS = {"_variables", "_sequence", "_recorded_calls", "_graph_of", "_all_bound"}


class Inventory:
    """The layers inside a layer, itself included, and the weights that training changes.

    Attributes that are given to layers and variables change ``structure_version``. Lists and dicts
    that grow are compared with what was in them.

    Attributes
    ----------
    structure : ((layer, trainable), ...), as ``Layer.structure`` says
    trained : list of Variable
    trained_ids : their ids
    """

    def __init__(self, layer: Layer) -> None:
        from onepass.layers.layer import Layer as Base  # which imports this

        self._version = structure_version()
        self.structure = layer.structure()
        self.trained = layer.trainable_variables
        self.trained_ids = tuple(map(id, self.trained))
        inside = dict.fromkeys(part for part, _ in self.structure)
        # Items are kept, so that no other ones get their ids.
        self._contents = [
            (container, _ids(container), list(_items(container)))
            for part in inside
            for name, value in vars(part).items()
            for container in _changeable(value)
            if name not in _OURS
        ]
        # A property of a subclass's own may depend on anything.
        self._known = all(type(p).trainable_variables is Base.trainable_variables for p in inside)

    def holds(self) -> bool:
        """Whether nothing has changed since."""
        if not self._known or self._version != structure_version():
            return False
        for container, ids, _ in self._contents:  # noqa: SIM110 (asked at every batch)
            if _ids(container) != ids:
                return False
        return True


def _items(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


def _ids(container: Any) -> list[int]:
    return [*map(id, container.values() if isinstance(container, dict) else container)]


def _changeable(value: Any) -> Iterator[Any]:
    """Lists and dicts, and those inside these and inside tuples."""
    if not isinstance(value, (list, tuple, dict)) or isinstance(value, Plans):
        return
    if not isinstance(value, tuple):
        yield value
    for item in _items(value):
        yield from _changeable(item)
