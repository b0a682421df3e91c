"""Schedules by configuration. Adding one: its class in ``__init__.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass.optimizers.schedules.schedule import LearningRateSchedule


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": {...}}``, which `deserialize` takes.

    Raises
    ------
    NotImplementedError
        For a schedule of one's own without ``get_config``.
    """
    if not isinstance(learning_rate_schedule, LearningRateSchedule):
        raise TypeError(
            f"learning_rate_schedule must be a LearningRateSchedule, got {learning_rate_schedule!r}"
        )
    name = type(learning_rate_schedule).__name__
    return {"class_name": name, "config": learning_rate_schedule.get_config()}


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> LearningRateSchedule:
    """Return the schedule that `serialize` was given; configurations of Keras are read too.

    Parameters
    ----------
    config : mapping
    custom_objects : mapping, optional
        Classes of one's own by their names.

    Raises
    ------
    TypeError, ValueError
        If there is no such schedule; the message lists the known names.
    """
    from onepass.optimizers import schedules

    known = {name: value for name, value in vars(schedules).items() if _is_schedule(value)} | dict(
        custom_objects or {}
    )
    if not isinstance(config, Mapping):
        raise TypeError(f"config must be a mapping with class_name and config, got {config!r}")
    name = config.get("class_name")
    if name not in known:
        raise ValueError(f"schedule: class_name must be one of {sorted(known)}, got {name!r}")
    arguments = {
        key: deserialize(value, custom_objects) if _is_configuration(value) else value
        for key, value in config.get("config", {}).items()
    }
    made: LearningRateSchedule = known[name].from_config(arguments)
    return made


def _is_configuration(value: object) -> bool:
    return isinstance(value, Mapping) and "class_name" in value


def _is_schedule(value: object) -> bool:
    kind = LearningRateSchedule
    return isinstance(value, type) and issubclass(value, kind) and value is not kind
