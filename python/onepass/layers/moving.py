"""Moving weights from device to device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onepass import config
from onepass.engine.storage import moved, put
from onepass.layers.changes import structure_changed

if TYPE_CHECKING:
    from onepass.layers.layer import Layer


def move(layer: Layer, device: str) -> None:
    """Let all weights within a layer lie on a device, or leave all where they are.

    Raises
    ------
    ValueError, RuntimeError
        If there is no such device.
    MemoryError
        If it has no room for them.
    """
    config.check_device(device, "to")
    own = [part[0] for part in dict.fromkeys(layer.structure())]
    held = [(each, [v for v in each.own_variables if v.device != device]) for each in own]
    copies = [(each, variables, moved(variables, device)) for each, variables in held if variables]
    for each, variables, arrays in copies:
        put(variables, arrays, device)
        each.count_move()
    structure_changed()
