"""The native sides of an optimizer of torch: what they step, and whether that still holds.

torch lets everything change between two steps: where a parameter lies, which tensors keep its
state, what a group says. So each step looks at all of it, which takes about a microsecond a
parameter, and the native side is made anew where something is not what it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from onepass.optimizers._arrays import Memory
from onepass.optimizers._torch_tensors import flat
from onepass.torch import graphs
from onepass.torch.part import Found, Part
from onepass.torch.sides import array_over
from onepass.torch.states import check_parameter, states_of

if TYPE_CHECKING:
    from onepass import _core
    from onepass.torch.optimizer import Optimizer

Tensor = Any


class Binding:
    """What an optimizer's native side was made for.

    Attributes
    ----------
    stale : bool
        Whether it must be made anew before the next step.
    captured : bool
        Whether the step that was gathered becomes part of a CUDA graph of the caller's.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If a parameter, gradient or state cannot be stepped; then nothing has changed.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        groups = optimizer.param_groups
        for i, group in enumerate(groups):
            graphs.require_gpu(i, group)
        self.stale = self.captured = False
        self._state = optimizer.state
        self._lists = [list(group["params"]) for group in groups]
        self._values_of = itemgetter(*optimizer.watched)
        self._values = [_frozen(self._values_of(group)) for group in groups]
        self._rules = [optimizer.rule(group) for group in groups]
        found = self._find(optimizer)
        self._learned = np.zeros(len(groups))  # by a step, which the rates do not have yet
        self._learns = optimizer.learns_rate
        self._parts = self._make_parts(optimizer, found)
        self._gpu = next((part.side for part in self._parts if part.side.on_gpu), None)
        self._clips = optimizer.max_grad_norm is not None
        self._rates: list[float] = []
        for part in self._parts:
            for p, kept in zip(part.parameters, part.kept, strict=True):
                if kept:
                    optimizer.state[p].update(kept)

    def _find(self, optimizer: Optimizer) -> list[Found]:
        """Return all parameters that have a gradient or a state, with states."""
        self._waiting: list[Tensor] = []  # others: they get states with their first gradient
        found: list[Found] = []
        for i, (params, rule) in enumerate(zip(self._lists, self._rules, strict=True)):
            for p in params:
                old = optimizer.state.get(p) or {}
                if p.grad is None and not old and not optimizer.eager:
                    self._waiting.append(p)
                    continue
                name = f"parameter {len(found) + len(self._waiting)}"
                check_parameter(p, name)
                shapes = optimizer.state_shapes(rule, tuple(p.shape))
                states = states_of(p, name, old, shapes, rule)
                if optimizer.counts_steps:
                    steps = int(old.get("step", 0))
                else:  # whether the first one is done is all that matters
                    steps = int(all(old.get(key) is not None for key in shapes))
                found.append(Found(p, name, i, states, rule.rule.states, steps))
        return found

    def _make_parts(self, optimizer: Optimizer, found: list[Found]) -> list[Part]:
        arrays = [
            (what, array_over(flat(t)))
            for of in found
            for what, t in (
                (of.name, of.p),
                *((f"{key} of {of.name}", t) for key, t in of.states.items()),
            )
        ]
        Memory(arrays)  # refuses those that overlap
        if optimizer.max_grad_norm is not None:
            _require_alike(found, "max_grad_norm needs parameters that are", "")
        if optimizer.learns_rate:
            for i in range(len(self._lists)):
                own = [of for of in found if of.group == i]
                _require_alike(
                    own, f"the parameters of group {i} must be", ", since they learn one rate"
                )
        rules = [
            optimizer.native_rule(group, rule)
            for group, rule in zip(optimizer.param_groups, self._rules, strict=True)
        ]
        parts: dict[tuple[bool, bool], list[Found]] = {}
        for of in found:
            parts.setdefault(_kind(of.p), []).append(of)
        # The GPU's first: what it refuses, its driver for example, leaves the others unchanged.
        return [Part(optimizer, rules, parts[kind], self._learned) for kind in sorted(parts)]

    def gather(self, optimizer: Optimizer) -> bool:
        """Take the gradients and learning rates; False if it must be made anew for them."""
        groups = optimizer.param_groups
        if self.stale or optimizer.state is not self._state or len(groups) != len(self._lists):
            return False
        self._groups = groups
        self._stream = 0 if self._gpu is None else self._gpu.stream()
        self.captured = self._gpu is not None and self._gpu.captures(self._stream)
        self._rates = rates = []
        self._followed: dict[int, Tensor] = {}
        lowest = optimizer.lowest_rate
        for i, group in enumerate(groups):
            params, known = group["params"], self._lists[i]
            if len(params) != len(known) or not all(map(is_, params, known)):
                return False
            lr, values = group["lr"], self._values_of(group)
            if self.captured:
                graphs.refuse_tensors(i, optimizer.watched, values)
                if graphs.on_gpu(lr):
                    graphs.check_rate(i, lr)
                    self._followed[i], lr = lr, 0.0
            rate = float(lr)
            if not lowest <= rate < math.inf:
                raise ValueError(f"lr of group {i} must be finite and >= {lowest:g}, got {rate}")
            if self._changed(i, values) and not self._set_group(optimizer, i, rate):
                return False
            rates.append(rate)
        for p in self._waiting:
            if p.grad is not None:
                return False
        if not self.captured:
            for part in self._parts:
                part.catch_up()
        return all(part.gather(self._state) for part in self._parts)

    def _changed(self, i: int, values: tuple[Any, ...]) -> bool:
        known = self._values[i]
        return values != known and (known is None or _frozen(values) != known)

    def _set_group(self, optimizer: Optimizer, i: int, rate: float) -> bool:
        """Take over a group's new numbers; False if they make another rule."""
        group = optimizer.param_groups[i]
        graphs.require_gpu(i, group)
        rule = optimizer.rule({**group, "lr": rate})
        if rule.rule != self._rules[i].rule:
            return False
        self._rules[i] = rule
        self._values[i] = _frozen(self._values_of(group))
        for part in self._parts:
            part.native.set_group(i, *optimizer.native_rule(group, rule))
        return True

    def step(self) -> float | _core.Optimizer | None:
        """Step from what was gathered; return who knows the norm of gradients that are clipped."""
        norm: float | _core.Optimizer = 0.0
        for part in self._parts:
            if part.step(self._rates, self._stream):
                norm = part.native
        if self._learns:
            self._learn()
        return norm if self._clips else None  # with a clip there is one part

    def capture(self) -> None:
        """Put a step from what was gathered into the graph that is captured.

        Raises
        ------
        RuntimeError
            If no graph can do such a step; then there is nothing in it.
        """
        for part in self._parts:
            part.check_capture()
        for part in self._parts:
            part.capture(self._rates, self._followed, self._stream)

    @property
    def in_graphs(self) -> list[Part]:
        """Return the parts whose steps graphs may launch."""
        return [part for part in self._parts if part.native.captured]

    def catch_up(self) -> _core.Optimizer | None:
        """Count the steps that graphs have done, for which it waits.

        Returns
        -------
        Optimizer or None
            Who knows the norm of clipped gradients, if a graph has done the last step.
        """
        for part in self._parts:
            part.catch_up()
        launched = [part.native for part in self._parts if part.launched]
        return launched[0] if launched and self._clips else None

    def within_capture(self) -> bool:
        """Whether torch's stream is captured, so that nobody may wait for the GPU."""
        return self._gpu is not None and self._gpu.captures(self._gpu.stream())

    def _learn(self) -> None:
        """Add what the step has learned to the rates of the groups."""
        for group, rate, more in zip(self._groups, self._rates, self._learned, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate + more)
            else:
                group["lr"] = float(rate + more)
        self._learned[:] = 0.0


def _frozen(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return values to compare later ones with; None where some may change in place."""
    simple = (v is None or isinstance(v, int | float | str) for v in graphs.single(values))
    if not all(simple):
        return None
    return tuple(tuple(v) if isinstance(v, list) else v for v in values)


def _kind(p: Tensor) -> tuple[bool, bool]:
    """Return what all parameters of a native optimizer have in common."""
    return not p.is_cuda, p.dtype != torch.float64


def _require_alike(found: Sequence[Found], what: str, why: str) -> None:
    """Refuse parameters that one native optimizer cannot step.

    Raises
    ------
    ValueError
    """
    for of in found:
        first = found[0]
        if of.p.device != first.p.device:
            wanted, facts = "all on one device", (first.p.device, of.p.device)
        elif _kind(of.p) != _kind(first.p):
            wanted, facts = "all float64 or none", (first.p.dtype, of.p.dtype)
        else:
            continue
        raise ValueError(
            f"{what} {wanted}{why}: {first.name} is {facts[0]}, {of.name} is {facts[1]}"
        )
