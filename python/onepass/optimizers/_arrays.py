"""Checks of the arrays that an optimizer steps without a model."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from onepass import _core
from onepass.optimizers import _gpu_arrays, _torch_tensors
from onepass.optimizers._gpu_arrays import library_of
from onepass.optimizers._torch_tensors import is_tensor

Array = npt.NDArray[Any]
_LINE = 64
_SHORT = 1024  # bytes; longer sweeps begin at a cache line


def is_plain(a: Array) -> bool:
    """Whether a sweep can run over the array as it lies in memory."""
    return a.flags.c_contiguous and a.flags.aligned


def is_bfloat16(a: Array) -> bool:
    """Whether these are the bfloat16 numbers of the package ml_dtypes."""
    return a.dtype.name == "bfloat16"


def as_stored(a: Array) -> Array:
    """Return the array as the native optimizer takes it: bfloat16 as the bits of uint16."""
    return a.view(np.uint16) if is_bfloat16(a) else a


def is_number(a: Array) -> bool:
    """Whether a step can read the elements."""
    return a.dtype in (np.float32, np.float64, np.float16) or is_bfloat16(a)


def computes_in_double(parameters: Sequence[Array]) -> bool:
    """Whether the parameters are float64; else steps are computed in float32."""
    return len(parameters) > 0 and parameters[0].dtype == np.float64


def checked_parameters(given: object) -> list[Array]:
    """Return the parameters as arrays; refuse what a step could not update in place."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise TypeError(
            f"parameters must be a list or tuple of NumPy arrays, got {type(given).__name__}"
        )
    arrays = [_parameter(f"parameters[{i}]", a) for i, a in enumerate(given)]
    libraries = [library_of(a) for a in given]
    for i, library in enumerate(libraries):
        if library is not libraries[0]:
            raise TypeError(
                "parameters must all be on the CPU, or all arrays of one library on the GPU: "
                f"parameters[0] is {_where(libraries[0])}, parameters[{i}] {_where(library)}"
            )
    for i, a in enumerate(arrays):
        if (a.dtype == np.float64) != computes_in_double(arrays):
            raise TypeError(
                "parameters must be all float64 or none: parameters[0] is "
                f"{arrays[0].dtype}, parameters[{i}] is {a.dtype}"
            )
        if not a.flags.writeable:
            raise ValueError(f"parameters[{i}] is read-only; it must be writeable")
        if not a.flags.aligned:
            raise ValueError(f"parameters[{i}] must be aligned to its elements' size")
        if not is_plain(a):
            raise ValueError(
                f"parameters[{i}] must be C-contiguous, got shape {a.shape} with strides "
                f"{a.strides}"
            )
    return arrays


def _where(library: _gpu_arrays.Library | None) -> str:
    return "on the CPU" if library is None else f"on the GPU, of {library.name}"


def _parameter(name: str, a: object) -> Array:
    """Return an array, or one over the memory of a tensor or of an array on the GPU."""
    if library := library_of(a):
        return _gpu_arrays.addressed(a, name, library)
    if is_tensor(a):
        return _torch_tensors.parameter_array(a, name)
    if not isinstance(a, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(a).__name__}")
    if not is_number(a):
        raise TypeError(f"{name} must be float32, float64, float16 or bfloat16, got {a.dtype}")
    return a


def states_of(wanted: Sequence[tuple[Array, tuple[int, ...]]]) -> list[Array]:
    """Return zeros for parameters, of these shapes; float32 for parameters of 16 bits.

    They lie at their parameter's offset from a cache line: a sweep can align both. Short ones, for
    which it does not, lie one behind the other: of thousands a step then reads fewer lines.
    """
    sizes = [math.prod(shape) for _, shape in wanted]
    double = computes_in_double([p for p, _ in wanted])
    short = _SHORT // (8 if double else 4)
    together = _core.aligned_zeros(sum(size for size in sizes if size < short), double)
    states = []
    at = 0
    for (p, shape), size in zip(wanted, sizes, strict=True):
        if size < short:
            state = together[at : at + size]
            at += size
        else:
            offset = p.ctypes.data % _LINE // p.itemsize if p.itemsize >= 4 else 0
            state = _core.aligned_zeros(offset + size, double)[offset:]
        states.append(state.reshape(shape))
    return states


class Memory:
    """The address ranges of named C-contiguous arrays, for finding overlaps."""

    def __init__(self, arrays: Sequence[tuple[str, Array]]) -> None:
        ranges = sorted((*_range(a), name) for name, a in arrays if a.size)
        for (_, end, name), (start, _, other) in pairwise(ranges):
            if start < end:
                raise ValueError(f"{name} and {other} overlap in memory")
        self._starts = [start for start, _, _ in ranges]
        self._ranges = ranges

    def owner(self, a: Array) -> str | None:
        """Return the name of an array that `a` overlaps."""
        return self.owner_of(a.ctypes.data, a.nbytes)

    def owner_of(self, start: int, size: int) -> str | None:
        """Return the name of an array that so many bytes from an address on overlap."""
        if not size:
            return None
        last = bisect_right(self._starts, start + size - 1) - 1
        if last >= 0 and self._ranges[last][1] > start:
            return self._ranges[last][2]
        return None


def _range(a: Array) -> tuple[int, int]:
    start = a.ctypes.data
    return start, start + a.nbytes
