"""Optimizers by name. Adding one: its class in `_CLASSES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from onepass import _lookup
from onepass.optimizers.adadelta import Adadelta
from onepass.optimizers.adafactor import Adafactor
from onepass.optimizers.adagrad import Adagrad
from onepass.optimizers.adam import Adam, AdamW
from onepass.optimizers.adam_hd import AdamHD
from onepass.optimizers.adamax import Adamax
from onepass.optimizers.asgd import ASGD
from onepass.optimizers.ftrl import Ftrl
from onepass.optimizers.lamb import Lamb
from onepass.optimizers.lars import LARS
from onepass.optimizers.lion import Lion
from onepass.optimizers.muon import Muon
from onepass.optimizers.nadam import Nadam
from onepass.optimizers.optimizer import Optimizer
from onepass.optimizers.radam import RAdam
from onepass.optimizers.rmsprop import RMSprop
from onepass.optimizers.rprop import Rprop
from onepass.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from onepass.optimizers.sgd import SGD
from onepass.optimizers.sgd_hd import SGDHD

_CLASSES: tuple[type[Optimizer], ...] = (
    *(SGD, Adam, AdamW, Adamax, Nadam, RAdam, ScheduleFreeAdamW),
    *(RMSprop, Adagrad, Adadelta, Lion, Ftrl, Rprop, ASGD, LARS, Lamb, Adafactor, Muon),
    *(SGDHD, AdamHD),
)
_BY_NAME = {cls.__name__.lower(): cls for cls in _CLASSES}


def names() -> list[str]:
    """Return the names that ``get`` knows."""
    return sorted(_BY_NAME)


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: str | Mapping[str, Any] | Optimizer) -> Optimizer: ...
def get(identifier: str | Mapping[str, Any] | Optimizer | None) -> Optimizer | None:
    """Return the optimizer that a name, a configuration or an instance stands for.

    Parameters
    ----------
    identifier : str, dict, Optimizer or None
        A class name in any case (then with that class's defaults), ``{"class_name": ...,
        "config": ...}`` with what ``get_config`` returned, or an instance or None, returned
        unchanged.

    Raises
    ------
    ValueError
        For an unknown name or anything else; the message lists the known names.
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    name: object = identifier
    config: Mapping[str, Any] = {}
    if isinstance(identifier, Mapping):
        name = identifier.get("class_name")
        config = identifier.get("config", {})
    if isinstance(name, str) and name.lower() in _BY_NAME:
        return _BY_NAME[name.lower()].from_config(config)
    raise ValueError(
        f"optimizer must be an Optimizer instance, a configuration or one of {names()}, "
        f"got {identifier!r}{_lookup.meant(name, _BY_NAME)}"
    )


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": {...}}``, which ``deserialize`` takes."""
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def deserialize(config: Mapping[str, Any]) -> Optimizer:
    """Return the optimizer that ``serialize`` was given."""
    return get(config)
