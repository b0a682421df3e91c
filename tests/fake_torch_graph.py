"""As much of torch's CUDA graphs as optimizers meet, on the GPU that queues of fibers play.

What a graph holds of tensors is where they lie: it keeps none alive, but for memory that was
allocated during its capture, which torch's pools keep for it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_map

import fake_cupy

_Work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class CUDAGraph:
    """What was started on the stream while it was captured."""

    def __init__(self) -> None:
        self.pool: list[fake_cupy.Memory] = []
        self.spoilt = False

    def replay(self) -> None:
        self.made.launch()


_captured: list[CUDAGraph] = []  # at most one
_recorded: dict[int, Callable[[], None]] = {}  # by numbers that the queues know


@contextmanager
def graph(of: CUDAGraph) -> Iterator[None]:
    """Let what is started become a graph."""
    _captured.append(of)
    fake_cupy.capture()
    try:
        yield
    finally:
        _captured.clear()
        of.made = fake_cupy.end_capture()
        assert not of.spoilt, "the capture was spoilt"


def is_captured() -> bool:
    return bool(_captured)


def pooled(memory: fake_cupy.Memory) -> fake_cupy.Memory:
    """Keep memory for the graph that is captured, if there is one."""
    if _captured:
        _captured[0].pool.append(memory)
    return memory


def refuse_to_wait() -> None:
    """Spoil the capture, as a wait does."""
    if _captured:
        _captured[0].spoilt = True
        raise RuntimeError("operation not permitted when stream is capturing")


class _Place:
    """Where a tensor lies on the GPU, and how."""

    def __init__(self, t: torch.Tensor) -> None:
        self.address, self.size = t.untyped_storage().data_ptr(), t.untyped_storage().nbytes()
        self.dtype, self.how = t.dtype, (t.storage_offset(), tuple(t.shape), t.stride())

    def read(self) -> torch.Tensor:
        """Return a copy; only what runs on the stream may."""
        memory = torch.empty(self.size, dtype=torch.uint8)
        ctypes.memmove(memory.data_ptr(), self.address, self.size)
        return torch.empty(0, dtype=self.dtype).set_(memory.untyped_storage(), *self.how)

    def write(self, values: torch.Tensor) -> None:
        ctypes.memmove(self.address, values.untyped_storage().data_ptr(), self.size)


class Operation:
    """An operation of torch that a graph does.

    Parameters
    ----------
    func : callable
    args, kwargs
        Of which the tensors whose ids are in ``there`` are copies of tensors on the GPU.
    there : dict
    """

    def __init__(self, func: Any, args: Any, kwargs: Any, there: dict[int, Any]) -> None:
        def place(value: Any) -> Any:
            return _Place(there[id(value)]) if id(value) in there else value

        self._func = func
        self._args, self._kwargs = tree_map(place, args), tree_map(place, kwargs)
        self._made: _Place | None = None

    def record(self, made: torch.Tensor | None) -> None:
        """Put it on the stream; it writes into ``made``, or into its first argument."""
        self._made = None if made is None else _Place(made)
        number = len(_recorded)
        _recorded[number] = self._do
        start = fake_cupy._fibers.onepass_fibers_start
        start(ctypes.c_void_p(fake_cupy._stream), _work, ctypes.c_void_p(number), _drop)

    def _do(self) -> None:
        def read(value: Any) -> Any:
            return value.read() if isinstance(value, _Place) else value

        args, kwargs = tree_map(read, self._args), tree_map(read, self._kwargs)
        result = self._func(*args, **kwargs)
        if self._made is None:
            self._args[0].write(args[0])
        else:
            self._made.write(result)


@_Work
def _work(number: int | None) -> None:
    _recorded[number or 0]()


@_Work
def _drop(number: int | None) -> None:
    _recorded[number or 0] = lambda: None
