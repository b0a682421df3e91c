"""Moving weights from device to device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onepass import config
from onepass.engine.changes import weights_moved
from onepass.engine.storage import moved, put

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
    layers = dict.fromkeys(part for part, _ in layer.structure())
    blocks = [[v for v in part.own_variables if v.device != device] for part in layers]
    copies = [(block, moved(block, device)) for block in blocks if block]
    for block, arrays in copies:
        put(block, arrays, device)
    weights_moved()
