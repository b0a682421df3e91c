"""Losses by name, function and configuration. Adding one: see `CLASS_OF` in ``functions``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from onepass import _lookup
from onepass.losses.function import FunctionLoss
from onepass.losses.functions import ALIASES, CLASS_OF
from onepass.losses.loss import Loss

_CLASSES = {kind.__name__: kind for kind in CLASS_OF.values()}
_BY_NAME: dict[str, Callable[[], Loss]] = {
    **{kind().name: kind for kind in _CLASSES.values()},
    **{
        function.__name__: partial(kind, name=function.__name__)
        for function, kind in CLASS_OF.items()
        if kind().name != function.__name__
    },
    **_CLASSES,
    **{alias: partial(CLASS_OF[function], name=alias) for alias, function in ALIASES.items()},
}


def names() -> list[str]:
    """Return the names that ``get`` knows."""
    return list(_BY_NAME)


def get(identifier: Any) -> Loss:
    """Return the loss that a name, a function, a class or a configuration stands for.

    Parameters
    ----------
    identifier : str, Loss, function or class of this module, or mapping
        Another function of targets and predictions becomes a loss of its own. A mapping is
        ``{"class_name": ..., "config": {...}}``, as ``serialize`` returns.

    Raises
    ------
    ValueError
        If no loss has this name.
    TypeError
        If ``identifier`` is nothing of that kind.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise _lookup.unknown("loss", identifier, _BY_NAME)
        return _BY_NAME[identifier]()
    if isinstance(identifier, Mapping):
        return _from_configuration(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier) and identifier in CLASS_OF:
        return CLASS_OF[identifier](name=identifier.__name__)
    if callable(identifier):
        return FunctionLoss(identifier)
    raise TypeError(
        "loss must be a name, a function, a Loss or a configuration, got "
        f"{type(identifier).__name__}"
    )


def _from_configuration(config: Mapping[str, Any]) -> Loss:
    name = config.get("class_name")
    if name not in _CLASSES:
        raise ValueError(f"loss: class_name must be one of {sorted(_CLASSES)}, got {name!r}")
    return _CLASSES[name](**config.get("config", {}))


def serialize(loss: Any) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": {...}}``, which ``deserialize`` makes the loss from.

    A name or a function counts as the loss that it stands for.
    """
    made = get(loss)
    return {"class_name": type(made).__name__, "config": made.get_config()}


def deserialize(name: Any) -> Loss:
    """Return the loss that ``serialize`` was given; takes what ``get`` takes."""
    return get(name)
