"""Checks of optimizer arguments: each raises with the name, what was expected and what came."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Generic, Literal, TypedDict, TypeVar, overload

import numpy as np

from onepass._checks import scalar
from onepass._lookup import unexpected

Convention = Literal["keras", "torch"]
T = TypeVar("T")


class ByConvention(float):
    """A default that differs between the conventions; as a number it is Keras's.

    An argument that still is this object was not given by the caller.
    """

    torch: float

    def __new__(cls, keras: float, *, torch: float) -> ByConvention:
        value = super().__new__(cls, keras)
        value.torch = torch
        return value


class Hyper(Generic[T]):
    """A hyper-parameter: set by the constructor, then read-only.

    The native optimizer holds a copy, so a later change would silently do nothing.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Hyper[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Hyper[T] | T:
        if instance is None:
            return self
        try:
            value: T = vars(instance)[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(instance).__name__}.{self.name} is not set: call super().__init__() first"
            ) from None
        return value

    def __set__(self, instance: object, value: T) -> None:
        if self.name in vars(instance):
            raise AttributeError(
                f"{type(instance).__name__}.{self.name} cannot change after construction; "
                "make a new optimizer (learning_rate may change at any time)"
            )
        vars(instance)[self.name] = value


class Around(TypedDict, total=False):
    """Arguments that every optimizer takes beside those of its rule; `Optimizer` explains them."""

    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    skip_nonfinite: bool
    zero_grads: bool


AROUND: Around = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "skip_nonfinite": False,
    "zero_grads": False,
}


def around(owner: type, given: Mapping[str, Any]) -> Around:
    """Return the checked arguments around a rule, defaults included."""
    for name in given:
        if name not in AROUND:
            raise unexpected(owner, name, AROUND)
    all_of: dict[str, Any] = {**AROUND, **given}
    scale = all_of["loss_scale_factor"]
    return {
        "use_ema": flag("use_ema", all_of["use_ema"]),
        "ema_momentum": number("ema_momentum", all_of["ema_momentum"], high=1.0),
        "ema_overwrite_frequency": _count(all_of, "ema_overwrite_frequency", 1),
        "loss_scale_factor": None
        if scale is None
        else number("loss_scale_factor", scale, without_low=True),
        "gradient_accumulation_steps": _count(all_of, "gradient_accumulation_steps", 2),
        "skip_nonfinite": flag("skip_nonfinite", all_of["skip_nonfinite"]),
        "zero_grads": flag("zero_grads", all_of["zero_grads"]),
    }


def _count(given: Mapping[str, Any], name: str, least: int) -> int | None:
    """Return a whole number, or None where it was not given (0 and False count as such)."""
    value = scalar(given[name])
    if value is None or (isinstance(value, Integral | bool | np.bool_) and not value):
        return None
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number or None, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return int(value)


def number(
    name: str,
    value: object,
    *,
    low: float = 0.0,
    high: float = math.inf,
    without_low: bool = False,
    without_high: bool = False,
) -> float:
    """Return `value` as a float; refuse what is not a finite number in the range.

    NumPy's numbers and arrays of no dimensions are numbers, too.
    """
    value = scalar(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    x = float(value)
    above = x > low if without_low else x >= low
    below = x < high if without_high or math.isinf(high) else x <= high
    if above and below:
        return x
    if math.isinf(high):
        expected = f"finite and {'>' if without_low else '>='} {low:g}"
    else:
        left, right = "(" if without_low else "[", ")" if without_high else "]"
        expected = f"in {left}{low:g}, {high:g}{right}"
    raise ValueError(f"{name} must be {expected}, got {value!r}")


def fraction(name: str, value: object) -> float:
    """Return a number in [0, 1): the part that a running mean keeps."""
    return number(name, value, high=1.0, without_high=True)


def pair(name: str, value: object) -> tuple[float, float]:
    """Return two numbers >= 0."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise TypeError(f"{name} must be two numbers, got {value!r}")
    return number(f"{name}[0]", value[0]), number(f"{name}[1]", value[1])


def clip(name: str, value: object) -> float | None:
    """Return a clipping bound; None is no clipping."""
    return None if value is None else number(name, value, without_low=True)


def flag(name: str, value: object) -> bool:
    """Return a boolean argument; numbers are refused, they are misplaced positions."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def one_convention(value: object) -> Convention:
    """Return a known convention."""
    if value == "keras":
        return "keras"
    if value == "torch":
        return "torch"
    raise ValueError(f"convention must be 'keras' or 'torch', got {value!r}")


def accepts(function: Callable[..., object], *arguments: object, unknown: bool = True) -> bool:
    """Whether a function can be called with these; ``unknown`` for one that does not say.

    A plain callable of Keras's optimizers takes nothing, one of ours may take the step.
    """
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return unknown
    return True
