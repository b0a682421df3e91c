"""As much of CuPy as optimizers use, over the memory of the GPU that queues of fibers play.

The host dies where it touches this memory: only what runs on a stream finds it open. So no test
passes because an address of the GPU happened to be one of the CPU.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
from types import SimpleNamespace
from typing import Any

import numpy as np

_found = importlib.util.find_spec("onepass._cuda_fibers")
BUILT = _found is not None
if _found is not None:
    _fibers = ctypes.CDLL(_found.origin)
    _fibers.onepass_fibers_allocate.restype = ctypes.c_void_p
    _fibers.onepass_fibers_stream.restype = ctypes.c_void_p
    _fibers.onepass_fibers_end_capture.restype = ctypes.c_void_p
    _stream = _fibers.onepass_fibers_stream()


class Memory:
    """A block on the GPU."""

    def __init__(self, size: int) -> None:
        self.ptr = _fibers.onepass_fibers_allocate(ctypes.c_size_t(size))

    def __del__(self) -> None:
        _fibers.onepass_fibers_release(ctypes.c_void_p(self.ptr), ctypes.c_void_p(_stream))


class ndarray:  # noqa: N801
    """A C-contiguous array on the GPU, or with ``step`` every so many of its elements."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, device: int = 0, step: int = 1) -> None:
        self.shape, self.dtype, self.step = shape, np.dtype(dtype), step
        self.size = math.prod(shape)
        self.data = Memory(self.size * step * self.dtype.itemsize)
        self.device = SimpleNamespace(id=device)
        self.flags = SimpleNamespace(c_contiguous=step == 1)

    def __deepcopy__(self, memo: object) -> ndarray:
        return asarray(self.host())

    def __reduce__(self) -> Any:
        return asarray, (self.host(),)

    def _copy(self, to: int, start: int, size: int) -> None:
        _fibers.onepass_fibers_copy(
            ctypes.c_void_p(to),
            ctypes.c_void_p(start),
            ctypes.c_size_t(size),
            ctypes.c_void_p(_stream),
        )

    def __setitem__(self, key: object, values: ndarray) -> None:
        assert key is Ellipsis
        host = np.broadcast_to(asnumpy(values), self.shape)
        spread = np.repeat(host.astype(self.dtype).reshape(-1), self.step)
        self._copy(self.data.ptr, spread.ctypes.data, spread.nbytes)

    def host(self) -> np.ndarray:
        """Return the elements, once the stream is done."""
        spread = np.empty(self.size * self.step, self.dtype)
        self._copy(spread.ctypes.data, self.data.ptr, spread.nbytes)
        return spread[:: self.step].reshape(self.shape).copy()


def zeros(shape: tuple[int, ...], dtype: Any) -> ndarray:
    return asarray(np.zeros(shape, dtype))


def asarray(values: Any) -> ndarray:
    if isinstance(values, ndarray):
        return values
    made = ndarray(values.shape, values.dtype)
    spread = np.ascontiguousarray(values)
    made._copy(made.data.ptr, spread.ctypes.data, spread.nbytes)
    return made


def asnumpy(a: ndarray) -> np.ndarray:
    return a.host()


def ascontiguousarray(a: ndarray) -> ndarray:
    return a if a.flags.c_contiguous else asarray(a.host())


def capture() -> None:
    """Let the stream become a graph."""
    _fibers.onepass_fibers_capture(ctypes.c_void_p(_stream))


class Graph:
    """What was started on the stream while it was captured."""

    def __init__(self, made: int) -> None:
        self._made = made

    def launch(self) -> None:
        """Start it all, behind what was started before."""
        _fibers.onepass_fibers_launch(ctypes.c_void_p(self._made), ctypes.c_void_p(_stream))


def end_capture() -> Graph:
    made = _fibers.onepass_fibers_end_capture(ctypes.c_void_p(_stream))
    assert made, "the capture was spoilt"
    return Graph(made)


cuda = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=_stream))
