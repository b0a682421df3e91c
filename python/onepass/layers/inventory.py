"""What is inside a layer, on which its plans depend, found out once and kept while it holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from operator import is_
from typing import TYPE_CHECKING, Any

from onepass.engine.changes import Plans, structure_version, trained_version
from onepass.layers.weights import HasWeights, unique

if TYPE_CHECKING:
    from onepass.engine.storage import Variable
    from onepass.layers.layer import Layer

# Containers of the library's own in layers: with no layers in them, or changed beside a word to
# `structure_changed` or `trained_changed`.
OURS = {
    *("_variables", "_Sequential__layers", "_recorded_calls", "_graph_of", "_all_bound"),
    *("_objectives", "_metrics", "_weighted_metrics", "_loss_weights"),
}

_FEW = 64  # items of a container, all of which are looked at each time


def inventory_of(layer: Layer) -> Inventory:
    """Return what is inside a layer: the same object as long as the same layers are."""
    found: Inventory | None = vars(layer).get("_inventory")
    if found is None or not found.holds():
        found = Inventory(layer)
        vars(layer)["_inventory"] = found
    return found


class Inventory:
    """The layers inside a layer, itself included, and the weights that training changes.

    What attributes tell changes versions of all layers, and what is in lists and dicts is watched.
    Where a class of the user's own says otherwise what is inside, it is asked each time.
    """

    def __init__(self, layer: Layer) -> None:
        self._version, self._trained_version = structure_version(), -1
        self._top = layer
        self._children: dict[Layer, list[Layer]] = {}
        self._visit(layer)
        self._order = tuple(part for part, _ in layer.structure())
        self._watched = [
            _Watched(container)
            for part in self._children
            for name, value in vars(part).items()
            if name not in OURS
            for container in _containers_in(value)
        ]
        self._usual = all(map(_is_usual, self._children))

    def _visit(self, part: Layer) -> None:
        if part not in self._children:
            self._children[part] = list(part.sublayers())
            for inner in self._children[part]:
                self._visit(inner)

    def holds(self) -> bool:
        """Whether the same layers are inside as were when this was made."""
        if not self._usual:
            return tuple(part for part, _ in self._top.structure()) == self._order
        if self._version != structure_version():
            return False
        for watched in self._watched:  # noqa: SIM110 (asked at every batch)
            if not watched.is_unchanged():
                return False
        return True

    @property
    def structure(self) -> tuple[tuple[Layer, bool], ...]:
        """What ``Layer.structure`` says."""
        self._look_at_flags()
        return self._structure

    @property
    def trained(self) -> list[Variable]:
        """The weights that training changes."""
        self._look_at_flags()
        return self._trained

    @property
    def trained_ids(self) -> tuple[int, ...]:
        """Their ids."""
        self._look_at_flags()
        return self._trained_ids

    def _look_at_flags(self) -> None:
        version = trained_version()
        if self._usual and self._trained_version == version:
            return
        if self._usual:
            self._structure = tuple((part, part.trainable) for part in self._order)
            self._trained = unique(self._trained_of(self._top))
        else:
            self._structure = self._top.structure()
            self._trained = self._top.trainable_variables
        self._trained_ids = tuple(map(id, self._trained))
        self._trained_version = version

    def _trained_of(self, part: Layer) -> Iterator[Variable]:
        if part.trainable:
            yield from part.own_trained()
            for inner in self._children[part]:
                yield from self._trained_of(inner)


class _Watched:
    """A list or dict, in which layers may come and go.

    Of a long one without any it is looked at what is new at its end: logs grow.
    """

    def __init__(self, container: Any) -> None:
        self._container = container
        self._remember(any(map(may_hold_layers, _items(container))))

    def _remember(self, holds_layers: bool) -> None:
        self._holds_layers = holds_layers
        self._count = len(self._container)
        # Kept, so that no others can be taken for them.
        self._known = list(_items(self._container)) if self._looks_at_all(self._count) else []

    def _looks_at_all(self, count: int) -> bool:
        return self._holds_layers or count <= _FEW

    def is_unchanged(self) -> bool:
        """Whether the same layers are in it; what else is in it is not asked for."""
        count = len(self._container)
        all_of = self._looks_at_all(max(count, self._count))
        if not all_of and count == self._count:
            return True
        new = _items(self._container)
        if all_of and count == len(self._known) and all(map(is_, new, self._known)):
            return True
        if not all_of and count > self._count:
            new = islice(new, self._count, None)
        if self._holds_layers or any(map(may_hold_layers, new)):
            return False
        self._remember(False)
        return True


def may_hold_layers(value: Any) -> bool:
    """Whether a value is a layer, or a container in which layers are or may come to be."""
    if isinstance(value, tuple):
        return any(map(may_hold_layers, value))
    return isinstance(value, (HasWeights, list, dict)) and not isinstance(value, Plans)


def _items(container: Any) -> Any:
    # Of a dict a copy, made at once: another thread may write to it.
    return [*container.values()] if isinstance(container, dict) else container


def _containers_in(value: Any) -> Iterator[Any]:
    """Lists and dicts, and those inside these and inside tuples."""
    if not isinstance(value, (list, tuple, dict)) or isinstance(value, Plans):
        return
    if not isinstance(value, tuple):
        yield value
    for item in _items(value):
        yield from _containers_in(item)


def _is_usual(layer: Layer) -> bool:
    """Whether a layer says what is inside as the library's own layers do."""
    kind = type(layer)
    own = (getattr(kind, name) for name in ("trainable", "trainable_variables"))
    says = (kind.sublayers, kind.structure, *(getattr(prop, "fget", None) for prop in own))
    return all(getattr(how, "__module__", "").partition(".")[0] == "onepass" for how in says)
