"""Parameters of one kind with their native optimizer: what a step takes, and steps done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from onepass.optimizers import _torch_tensors
from onepass.optimizers._arrays import Array
from onepass.torch import graphs
from onepass.torch.sides import Side, array_over, check

if TYPE_CHECKING:
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

    Graphs that have captured steps launch what is kept here: they need it for as long as they live.

    Attributes
    ----------
    launched : bool
        Whether a graph has done the last step, as far as is known.

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
        self.side = Side(found[0].p)
        self.native = self.side.native(optimizer.max_grad_norm)
        for i, rule in enumerate(rules):
            self.native.add_group(*rule)
            if optimizer.learns_rate:
                self.native.keep_learned_rate(i, learned[i : i + 1])
        self.steps_done = max(of.steps for of in found)
        self.launched = False
        self._in_graphs: list[Tensor] = []  # what captured steps read, beside all the others
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

    def _written(self) -> bool:
        """Whether counts were written into by somebody else."""
        return self._count_bytes() != self._counted

    def _recount(self) -> None:
        """Go on from counts that were written into."""
        assert self.counts is not None
        if not (np.isfinite(self.counts) & (self.counts >= 0)).all():
            raise ValueError(f"steps done must be finite and >= 0, got {self.counts.tolist()}")
        steps = [int(count) for count in self.counts]
        self.native.missed = [max(steps) - of for of in steps]
        self.native.set_steps_done(max(steps))
        self.steps_done = max(steps)
        self._counted = self._count_bytes()

    def _advance(self, steps: int, of_each: Any) -> None:
        """Count steps that were done."""
        self.steps_done += steps
        if self.counts is not None:
            self.counts += of_each
            self._counted = self._count_bytes()

    def catch_up(self) -> None:
        """Count the steps that graphs have done, for which it waits, or take what was written."""
        written = self._written()
        if self.side.on_gpu and self.native.captured:
            more = self.native.steps_done() - self.steps_done
            self.launched = self.launched or more != 0
            if more and not written:
                self._advance(more, more)
        if written:
            self._recount()

    def gather(self, states: Mapping[Tensor, Any]) -> bool:
        """Take the addresses of the gradients; False if something is not what it was."""
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

    def step(self, rates: list[float], stream: int) -> bool:
        """Step from the gathered gradients; False if there are none."""
        gradients, stepped = self.gradients, self.parameters
        present: Any = 1
        if not self.complete:
            present = [g is not None for g in gradients]
            stepped = [p for p, there in zip(stepped, present, strict=True) if there]
        if stepped:
            self.native.apply_addresses(
                self.addresses, self.numbers, rates, self.steps_done + 1, stream
            )
            self._advance(1, present)
            _torch_tensors.note_writes(stepped)
            self.gradients = []
        self.launched = False
        return bool(stepped)

    def check_capture(self) -> None:
        """Refuse a step that no graph can do, before there is anything in one.

        Raises
        ------
        RuntimeError
        """
        if not self.side.on_gpu:
            raise graphs.cannot_capture("a parameter is on the CPU")
        if not self.complete:
            raise graphs.cannot_capture("a parameter has no gradient")
        if self._written():
            if self.native.captured:
                raise graphs.cannot_capture(
                    "counts of steps were changed since others were captured; do a step before "
                    "this capture"
                )
            self._recount()
        missed = self.native.missed
        if self.counts is None and max(missed) < self.steps_done:  # all have done their first
            self.native.missed = missed = [0] * len(missed)
        if any(missed):
            raise graphs.cannot_capture("a parameter has missed a step, and all are counted as one")

    def capture(self, rates: list[float], followed: Mapping[int, Tensor], stream: int) -> None:
        """Put a step from the gathered gradients into the graph that becomes of the stream.

        Parameters
        ----------
        rates : list of floats
            One a group.
        followed : mapping
            Tensors that launches read in place of some of them, by their groups.
        stream : int

        Raises
        ------
        RuntimeError
            If no graph can do such a step.
        """
        # What the graph reads must stay where it is, whatever the user exchanges.
        kept = [*self.gradients, *followed.values()]
        rates_there = 0
        if followed:
            there = graphs.rates_there(rates, followed, self.parameters[0].device)
            kept.append(there)
            rates_there = there.data_ptr()
        self.native.capture(
            self.addresses, self.numbers, rates, self.steps_done + 1, stream, rates_there
        )
        self._in_graphs += kept
        _torch_tensors.note_writes(self.parameters)
        self.gradients = []


def _facts(p: Tensor, kept: Mapping[str, Tensor]) -> tuple[Any, ...]:
    """Return what a step compares a parameter with."""
    contiguous = p.is_contiguous()
    items = list(kept.items())
    return p, p.data_ptr(), p.numel(), p.dtype, p.get_device(), contiguous, p.stride(), items


def _laid_out(g: Tensor, p: Tensor) -> Tensor:
    """Return a gradient in the memory layout of its parameter."""
    check(g, "a gradient")
    return torch.empty_like(p, dtype=g.dtype).detach().copy_(g.detach())
