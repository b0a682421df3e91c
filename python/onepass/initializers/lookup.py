"""From names and configurations to initializers and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from onepass import _lookup
from onepass.initializers.fixed import Constant, Identity, Ones, Zeros
from onepass.initializers.initializer import Array, Initializer
from onepass.initializers.random import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from onepass.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

_CLASSES: tuple[type[Initializer], ...] = (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
_SNAKE = {re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in _CLASSES}
_SHORT = {"zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform}
_BY_NAME: dict[str, type[Initializer]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **_SNAKE,
    **_SHORT,
}


def get(identifier: object) -> Callable[..., Array]:
    """Return the initializer that a name, a configuration or a callable stands for.

    Parameters
    ----------
    identifier : str, dict, class or callable
        A class name as it is or in snake case ("HeNormal", "he_normal"), ``{"class_name": ...,
        "config": ...}``, an initializer class, or a callable ``f(shape, dtype)``, returned
        unchanged.

    Raises
    ------
    ValueError
        For an unknown name or anything else; the message lists the known names.
    """
    name: object = identifier
    config: Mapping[str, Any] = {}
    if isinstance(identifier, Mapping):
        name, config = identifier.get("class_name"), identifier.get("config", {})
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name].from_config(config)
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise ValueError(
        f"initializer must be a callable, a configuration or one of {sorted(_SNAKE)}, "
        f"got {identifier!r}{_lookup.meant(name, _SNAKE)}"
    )


def serialize(initializer: Callable[..., Any]) -> Any:
    """Return what ``get`` makes this initializer from: a dict, or a plain callable as it is."""
    if not isinstance(initializer, Initializer):
        return initializer
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
