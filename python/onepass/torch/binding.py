"""The native side of an optimizer of torch: which memory it steps, and whether that still holds.

torch lets everything change between two steps: where a parameter lies, which tensors keep its
state, what a group says. So each step looks at all of it, which takes about a microsecond a
parameter, and the native side is made anew where something is not what it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from onepass.optimizers import _torch_tensors
from onepass.optimizers._arrays import Array, Memory
from onepass.optimizers._torch_tensors import flat
from onepass.torch.sides import Side, array_over, check
from onepass.torch.states import check_parameter, states_of

if TYPE_CHECKING:
    from onepass import _core
    from onepass.torch.optimizer import NativeRule, Optimizer

Tensor = Any

_NOTHING: dict[str, Tensor] = {}
_NUMBERS = {getattr(torch, name[6:]): number for name, number in _torch_tensors.NUMBERS.items()}


class Found(NamedTuple):
    """A parameter with what keeps its state, checked."""

    p: Tensor
    name: str
    group: int
    states: dict[str, Tensor]
    slots: int  # states that the rule has; it may keep fewer for this parameter
    steps: int  # that it has done


class Part:
    """A native optimizer and its parameters: of one side, those computed in float64 or all others.

    Raises
    ------
    RuntimeError
        If they are on a GPU that onepass cannot use.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        rules: Iterable[NativeRule],
        found: Sequence[Found],
        learned: Array,
    ) -> None:
        double = found[0].p.dtype == torch.float64
        self._side = Side(found[0].p)
        self.native = self._side.native(optimizer.max_grad_norm)
        for i, rule in enumerate(rules):
            self.native.add_group(*rule)
            if optimizer.learns_rate:
                self.native.keep_learned_rate(i, learned[i : i + 1])
        self.steps_done = max(of.steps for of in found)
        for of in found:
            p, kept = optimizer.as_swept(of.p, of.name, list(of.states.values()))
            states = [array_over(t) for t in kept]
            states += [np.empty(0, np.float64 if double else np.float32)] * (of.slots - len(states))
            missed = self.steps_done - of.steps
            self.native.add(array_over(p), states, True, group=of.group, missed=missed)
        self.parameters = [of.p for of in found]
        self.kept = [of.states for of in found]
        self.counts: Array | None = None
        if optimizer.counts_steps:
            self._count(found)
        self._counted = self._count_bytes()
        self._facts = [_facts(p, kept) for p, kept in zip(self.parameters, self.kept, strict=True)]
        self._numbers = [_NUMBERS[of.p.dtype] for of in found]

    def _count(self, found: Sequence[Found]) -> None:
        """Put the steps done among the states: a tensor each, as torch has it, in one array."""
        double = torch.get_default_dtype() == torch.float64
        self.counts = np.array([of.steps for of in found], np.float64 if double else np.float32)
        # One element of storage each: a pickle of a view would hold all of them.
        steps = [torch.from_numpy(self.counts[i : i + 1]).view(()) for i in range(len(found))]
        self.kept = [{"step": step, **of.states} for step, of in zip(steps, found, strict=True)]

    def _count_bytes(self) -> bytes:
        return b"" if self.counts is None else self.counts.tobytes()

    def _recount(self) -> None:
        """Go on from counts that were written into."""
        assert self.counts is not None
        if not (np.isfinite(self.counts) & (self.counts >= 0)).all():
            raise ValueError(f"steps done must be finite and >= 0, got {self.counts.tolist()}")
        steps = [int(count) for count in self.counts]
        self.steps_done = max(steps)
        self.native.missed = [self.steps_done - of for of in steps]
        self._counted = self._count_bytes()

    def gather(self, states: Mapping[Tensor, Any]) -> bool:
        """Take the addresses of the gradients; False if something is not what it was."""
        if self._count_bytes() != self._counted:
            self._recount()
        self.addresses: list[int] = []
        self.gradients: list[Tensor | None] = []
        self.numbers = self._numbers
        self.complete = True
        addresses, gradients = self.addresses, self.gradients
        for p, address, size, dtype, device, contiguous, strides, kept in self._facts:
            g = p.grad
            gradients.append(g)
            if g is None:
                self.complete = False
                addresses.append(0)
                continue
            if kept:
                state = states.get(p, _NOTHING)
                for key, tensor in kept:
                    if state.get(key) is not tensor:
                        return False
            if p.data_ptr() != address or p.dtype is not dtype:
                return False
            if p.numel() != size or p.is_contiguous() is not contiguous or g.numel() != size:
                return False
            if g.get_device() != device:
                return False
            if g.dtype is not dtype and not self._takes_type(len(addresses), g):
                return False
            if contiguous:
                fits = g.is_contiguous()
            elif p.stride() != strides:
                return False
            else:
                fits = g.stride() == strides
            if not fits or g.is_neg():
                g = gradients[-1] = _laid_out(g, p)
            addresses.append(g.data_ptr())
        return True

    def _takes_type(self, i: int, g: Tensor) -> bool:
        """Note that a gradient is of another type than its parameter."""
        self.numbers = [*self.numbers]
        self.numbers[i] = _NUMBERS.get(g.dtype, -1)
        return self.numbers[i] >= 0

    def step(self, rates: list[float]) -> bool:
        """Step from the gathered gradients; False if there are none."""
        gradients, stepped = self.gradients, self.parameters
        present: Any = 1
        if not self.complete:
            present = [g is not None for g in gradients]
            stepped = [p for p, there in zip(stepped, present, strict=True) if there]
        if not stepped:
            return False
        self.native.apply_addresses(
            self.addresses, self.numbers, rates, self.steps_done + 1, self._side.stream()
        )
        self.steps_done += 1
        if self.counts is not None:
            self.counts += present
            self._counted = self._count_bytes()
        _torch_tensors.note_writes(stepped)
        self.gradients = []
        return True


class Binding:
    """What an optimizer's native side was made for.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If a parameter, gradient or state cannot be stepped; then nothing has changed.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        groups = optimizer.param_groups
        self._state = optimizer.state
        self._lists = [list(group["params"]) for group in groups]
        self._values_of = itemgetter(*optimizer.watched)
        self._values = [_frozen(self._values_of(group)) for group in groups]
        self._rules = [optimizer.rule(group) for group in groups]
        found = self._find(optimizer)
        self._learned = np.zeros(len(groups))  # by a step, which the rates do not have yet
        self._learns = optimizer.learns_rate
        self._parts = self._make_parts(optimizer, found)
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
        if optimizer.state is not self._state or len(groups) != len(self._lists):
            return False
        self._groups = groups
        self._rates = rates = []
        lowest = optimizer.lowest_rate
        for i, group in enumerate(groups):
            params, known = group["params"], self._lists[i]
            if len(params) != len(known) or not all(map(is_, params, known)):
                return False
            if self._values_of(group) != self._values[i] and not self._set_group(optimizer, i):
                return False
            rate = float(group["lr"])
            if not lowest <= rate < math.inf:
                raise ValueError(f"lr of group {i} must be finite and >= {lowest:g}, got {rate}")
            rates.append(rate)
        for p in self._waiting:
            if p.grad is not None:
                return False
        return all(part.gather(self._state) for part in self._parts)

    def _set_group(self, optimizer: Optimizer, i: int) -> bool:
        """Take over a group's new numbers; False if they make another rule."""
        group = optimizer.param_groups[i]
        rule = optimizer.rule(group)
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
            if part.step(self._rates):
                norm = part.native
        if self._learns:
            self._learn()
        return norm if self._clips else None  # with a clip there is one part

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
    single = chain.from_iterable(v if isinstance(v, tuple) else (v,) for v in values)
    return values if all(v is None or isinstance(v, int | float | str) for v in single) else None


def _facts(p: Tensor, kept: Mapping[str, Tensor]) -> tuple[Any, ...]:
    """Return what a step compares a parameter with."""
    contiguous = p.is_contiguous()
    items = list(kept.items())
    return p, p.data_ptr(), p.numel(), p.dtype, p.get_device(), contiguous, p.stride(), items


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


def _laid_out(g: Tensor, p: Tensor) -> Tensor:
    """Return a gradient in the memory layout of its parameter."""
    check(g, "a gradient")
    return torch.empty_like(p, dtype=g.dtype).detach().copy_(g.detach())
