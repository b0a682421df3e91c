"""What is kept of a parameter between steps: found where it was, or made where the parameter is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from onepass import optimizers
from onepass.optimizers import _torch_tensors
from onepass.optimizers._torch_tensors import flat
from onepass.torch.sides import check

Tensor = Any


def state_type(p: Tensor) -> Any:
    """Return the type in which a parameter's states are kept: float32 for one of 16 bits."""
    return torch.float64 if p.dtype == torch.float64 else torch.float32


def check_parameter(p: Tensor, name: str) -> None:
    """Refuse a parameter that cannot be stepped, or a gradient that is not for it."""
    check(p, name)
    if not _torch_tensors.is_dense(p):
        raise ValueError(
            f"{name} must fill its memory, got shape {tuple(p.shape)} with strides {p.stride()}"
        )
    if p.grad is None:
        return
    check(p.grad, f"the gradient of {name}")
    if p.grad.device != p.device:
        raise ValueError(
            f"the gradient of {name} is on {p.grad.device}, the parameter on {p.device}"
        )
    if p.grad.shape != p.shape:
        raise ValueError(
            f"the gradient of {name} has shape {tuple(p.grad.shape)}, "
            f"the parameter {tuple(p.shape)}"
        )


def states_of(
    p: Tensor,
    name: str,
    old: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    rule: optimizers.Optimizer,
) -> dict[str, Tensor]:
    """Return a parameter's states: those there are, in its layout, and new ones for the others."""
    states = {}
    for key, shape in shapes.items():
        known = old.get(key)
        like = p if shape == p.shape else torch.empty(shape, device="meta")
        how = {"dtype": state_type(p), "device": p.device}
        if known is None:
            states[key] = torch.zeros_like(like, **how).detach()
            continue
        if not isinstance(known, torch.Tensor) or known.shape != shape:
            found = tuple(getattr(known, "shape", ()))
            raise ValueError(
                f"the state {key!r} of {name} must be a tensor of shape {shape}, "
                f"got a {type(known).__name__} of shape {found}"
            )
        usable = known.dtype == state_type(p) and known.device == p.device
        if not usable or known.stride() != like.stride() or known.is_neg():
            known = torch.empty_like(like, **how).detach().copy_(known.detach())
        states[key] = known
    _start(p, old, states, rule)
    return states


def _start(
    p: Tensor, old: Mapping[str, Any], states: Mapping[str, Tensor], rule: optimizers.Optimizer
) -> None:
    """Give new states their first values."""
    if all(old.get(key) is not None for key in states) or rule.states_start_at_zero:
        return
    values = _torch_tensors.values_of(flat(p))
    starts = [np.zeros(t.numel(), values.dtype) for t in states.values()]
    rule.start_states(values, starts)
    for (key, state), start in zip(states.items(), starts, strict=True):
        if old.get(key) is None and start.any():
            _torch_tensors.assign(flat(state), start)
