"""Optimizers by name. Adding one: its class in `_CLASSES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass import _lookup
from onepass.optimizers.adam import Adam, AdamW
from onepass.optimizers.optimizer import Optimizer
from onepass.optimizers.sgd import SGD

_CLASSES: tuple[type[Optimizer], ...] = (SGD, Adam, AdamW)
_BY_NAME = {cls.__name__.lower(): cls for cls in _CLASSES}


def get(identifier: str | Mapping[str, Any] | Optimizer) -> Optimizer:
    """Return the optimizer that a name, a configuration or an instance stands for.

    Parameters
    ----------
    identifier : str, dict or Optimizer
        A class name in any case (then with that class's defaults), ``{"class_name": ...,
        "config": ...}`` with what ``get_config`` returned, or an instance, returned unchanged.

    Raises
    ------
    ValueError
        For an unknown name or anything else; the message lists the known names.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    name: object = identifier
    config: Mapping[str, Any] = {}
    if isinstance(identifier, Mapping):
        name = identifier.get("class_name")
        config = identifier.get("config", {})
    if isinstance(name, str) and name.lower() in _BY_NAME:
        return _BY_NAME[name.lower()].from_config(config)
    raise ValueError(
        f"optimizer must be an Optimizer instance, a configuration or one of {sorted(_BY_NAME)}, "
        f"got {identifier!r}{_lookup.meant(name, _BY_NAME)}"
    )
