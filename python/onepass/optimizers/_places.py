"""The two sides on which an optimizer's arrays may lie: the CPU, or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onepass import _core, _gpu
from onepass.optimizers import _torch_tensors
from onepass.optimizers._arrays import Memory, computes_in_double, states_of
from onepass.optimizers._gpu_arrays import GpuArray, Library, addressed, library_of, number_of
from onepass.optimizers._torch_tensors import is_tensor

Array = npt.NDArray[Any]
Wanted = Sequence[tuple[Array, tuple[int, ...]]]


class Host:
    """Arrays of NumPy and tensors of torch on the CPU."""

    device = "cpu"

    def zeros(self, wanted: Wanted) -> list[Any]:
        """Return states for parameters, of these shapes."""
        return states_of(wanted)

    def copy(self, a: Any) -> Array:
        """Return a copy as a NumPy array."""
        copy: Array = a.copy()
        return copy

    def write(self, a: Any, values: Array) -> None:
        """Write values into a state."""
        a[...] = values

    def start(
        self, p: Any, states: Sequence[Any], first: Callable[[Array, Sequence[Array]], None]
    ) -> None:
        """Let ``first(values of p, states)`` write into new states, which are zero."""
        first(self.values(p), states)

    def values(self, p: Any) -> Array:
        """Return a parameter's elements, to be read."""
        values: Array = _torch_tensors.values_of(p) if is_tensor(p) else p
        return values

    def copy_values(self, p: Any, to: Any) -> None:
        """Write a parameter's elements into an array of the type of states."""
        self.write(to, self.values(p))

    def assign(self, p: Any, average: Any) -> None:
        """Write a moving average into its parameter."""
        if is_tensor(p):
            _torch_tensors.assign(p, average)
        else:
            np.copyto(p, average, casting="unsafe")

    def as_array(self, a: Any) -> Array:
        """Return a state as an array that the native optimizer takes."""
        array: Array = a
        return array


class Taken(NamedTuple):
    """A gradient on the GPU, it or a copy of it, and what `addressed` makes of that."""

    given: GpuArray
    g: GpuArray
    place: Array


class OnGpu(Host):
    """Arrays of one library on a GPU.

    Raises
    ------
    RuntimeError
        If onepass cannot use the GPU.
    """

    device = "cuda"

    def __init__(self, library: Library) -> None:
        _gpu.bring()
        self._library = library
        self._in_graphs: list[GpuArray] = []

    def zeros(self, wanted: Wanted) -> list[Any]:
        double = computes_in_double([p for p, _ in wanted])
        return [self._library.zeros(shape, double) for _, shape in wanted]

    def copy(self, a: Any) -> Array:
        return self._library.to_host(a)

    def write(self, a: Any, values: Array) -> None:
        self._library.write(a, values)

    def start(
        self, p: Any, states: Sequence[Any], first: Callable[[Array, Sequence[Array]], None]
    ) -> None:
        values = self.values(p)
        starts = [np.zeros(tuple(state.shape), values.dtype) for state in states]
        first(values, starts)
        for state, start in zip(states, starts, strict=True):
            if start.any():
                self._library.write(state, start)

    def values(self, p: Any) -> Array:
        return self._library.to_host(p)

    def copy_values(self, p: Any, to: Any) -> None:
        self._library.write(to, p)

    def assign(self, p: Any, average: Any) -> None:
        self._library.write(p, average)

    def as_array(self, a: Any) -> Array:
        return addressed(a, "a state", self._library)

    def taken(
        self,
        parameters: Sequence[tuple[Any, Array]],
        grads: Sequence[Any],
        memory: Memory,
        in_place: bool,
    ) -> list[Taken | None]:
        """Return gradients as a step takes them.

        Parameters
        ----------
        parameters : sequence of pairs
            An array on the GPU, and what `addressed` made of it before.
        grads : sequence
        memory : Memory
            That no gradient may overlap.
        in_place : bool
            Whether gradients are cleared.

        Raises
        ------
        TypeError, ValueError
            If one is not for its parameter, or lies where it must not.
        """
        if len(grads) != len(parameters):
            raise ValueError(f"gradients: expected {len(parameters)} arrays, got {len(grads)}")
        if parameters and all(g is None for g in grads):
            raise ValueError("gradients holds None alone: no parameter would change")
        taken = [
            None if g is None else self._gradient(f"gradients[{i}]", g, *parameters[i], in_place)
            for i, g in enumerate(grads)
        ]
        for i, one in enumerate(taken):
            owner = None if one is None else memory.owner(one.place)
            if owner is not None:
                raise ValueError(f"gradients[{i}] overlaps {owner} in memory")
        if in_place:
            Memory([(f"gradients[{i}]", one.place) for i, one in enumerate(taken) if one])
        return taken

    def put(
        self,
        native: _core.Optimizer,
        taken: Sequence[Taken | None],
        rate: float,
        call: int,
        stream: int,
        captured: bool,
    ) -> None:
        """Put a step on a stream; where that is captured, each launch of the graph does one.

        Parameters
        ----------
        native : Optimizer
        taken : sequence
        rate : float
        call : int
            Its number, from 1.
        stream : int
        captured : bool
        """
        addresses = [0 if one is None else one.place.ctypes.data for one in taken]
        numbers = [0 if one is None else number_of(one.place) for one in taken]
        if captured:  # a copy of a gradient is written again at each launch
            self._in_graphs += [one.g for one in taken if one and self._is_copy(one)]
        put = native.capture if captured else native.apply_addresses
        put(addresses, numbers, [rate], call, stream)

    def note_writes(
        self, parameters: Sequence[Any], taken: Sequence[Taken | None], in_place: bool
    ) -> None:
        """Tell the library what a step has changed."""
        pairs = [(p, one) for p, one in zip(parameters, taken, strict=True) if one]
        self._library.note_writes([p for p, _ in pairs])
        if in_place:
            self._library.note_writes([one.g for _, one in pairs])

    def stream(self) -> int:
        """Return the address of the library's current stream."""
        return self._library.stream()

    def _gradient(self, name: str, g: Any, p: Any, planned: Array, in_place: bool) -> Taken:
        """Return a gradient that a sweep can read, and its place."""
        if library_of(g) is not self._library:
            raise TypeError(
                f"{name} must be an array of {self._library.name} on the GPU, as its parameter "
                f"is, got {type(g).__name__}"
            )
        if p.shape != planned.shape or addressed(p, name, self._library).ctypes.data != (
            planned.ctypes.data
        ):
            raise ValueError(f"the parameter of {name} was moved or resized since build()")
        given = g
        if not in_place:
            g = self._library.contiguous(g)
        place = addressed(g, name, self._library)
        if place.shape != planned.shape:
            raise ValueError(f"{name} has shape {place.shape}, its parameter {planned.shape}")
        return Taken(given, g, place)

    def _is_copy(self, one: Taken) -> bool:
        return self._library.facts(one.given, "a gradient")[0] != one.place.ctypes.data


def place_of(given: Sequence[Any]) -> Host:
    """Return where these arrays lie."""
    library = library_of(given[0]) if given else None
    return Host() if library is None else OnGpu(library)
