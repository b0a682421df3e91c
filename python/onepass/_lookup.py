"""From names and configurations to objects and back, for what has a registry of classes."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def names_of(classes: Sequence[type[Any]]) -> dict[str, type[Any]]:
    """Return classes by their names as they are and in snake case."""
    snake = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower(): cls for cls in classes}
    return {**{cls.__name__: cls for cls in classes}, **snake}


def meant(name: object, known: Iterable[str]) -> str:
    """Return a question that names the nearest known name, to follow a wrong one, or nothing."""
    if not isinstance(name, str):
        return ""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""


# What other libraries and older versions call arguments, where the names are not alike.
_OTHER_NAMES = {
    "lr": "learning_rate",
    "eps": "epsilon",
    "betas": "beta_1",
    "input_dim": "input_shape",
}


def unexpected(kind: type, name: str, more: Iterable[str] = ()) -> TypeError:
    """Return the error that says that a class's constructor has no argument of this name.

    ``more`` are arguments that it takes beside those of its signature.
    """
    named = {
        parameter.name
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    known = named | set(more)
    hint = meant(name, known)
    if _OTHER_NAMES.get(name) in known:
        hint = f" (did you mean {_OTHER_NAMES[name]!r}?)"
    return TypeError(f"{kind.__name__}() got an unexpected keyword argument {name!r}{hint}")


def unknown(what: str, name: str, known: Iterable[str]) -> ValueError:
    """Return the error that says that no ``what`` has this name."""
    names = sorted(known)
    return ValueError(f"unknown {what} {name!r}{meant(name, names)}; known: {names}")


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
    elif isinstance(identifier, type) and callable(getattr(identifier, "from_config", None)):
        return identifier()
    elif not isinstance(identifier, str):
        return identifier
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"{what} must be one of {', '.join(known)}, got {identifier!r}{meant(name, known)}"
        )
    return known[name](**config)


def callable_of(
    identifier: object, known: Mapping[str, type[Any]], what: str
) -> Callable[[Any], Any] | None:
    """As ``made_of``, for what is called with one array; None stays None.

    Raises
    ------
    ValueError
        For an unknown name, or for anything that cannot be called.
    """
    found = made_of(identifier, known, what)
    if found is None or (callable(found) and not isinstance(found, type)):
        return found
    raise ValueError(f"{what} must be a name, a configuration or a callable, got {identifier!r}")


def serialized(thing: Any, known: Mapping[str, type[Any]]) -> Any:
    """Return the configuration that ``made_of`` makes this object from; one's own as it is."""
    if thing is None or type(thing) not in known.values():
        return thing
    return {"class_name": type(thing).__name__, "config": thing.get_config()}
