"""Arrays on a GPU, CuPy's and torch's, as an optimizer steps them. Nothing here imports either.

Whoever has such an array has imported its library, whose memory pool and current stream are used.
The native optimizer is told where arrays lie by NumPy arrays over the same addresses
(`Untouchable`): of these only shape, type and address are of use.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from onepass.optimizers import _torch_tensors
from onepass.optimizers._torch_tensors import NUMBERS, check_kind, is_tensor

Array = npt.NDArray[Any]
GpuArray = Any

_KINDS = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16), np.dtype(np.uint16))
_GPU = 0  # that onepass uses
_NOWHERE = 64  # where arrays without elements lie: an address for every type


class _Address:
    """Where an array on the GPU lies, as NumPy asks for it; keeps that array."""

    def __init__(
        self, a: GpuArray, address: int, shape: tuple[int, ...], kind: np.dtype[Any]
    ) -> None:
        self.array = a
        self.__array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "typestr": kind.str,
            "version": 3,
        }


class Untouchable(np.ndarray):
    """An array that lies on the GPU: the host would die where it reads or writes an element."""

    __array_ufunc__ = None  # type: ignore[assignment]  # NumPy's way to refuse all arithmetic

    def __repr__(self) -> str:
        return f"<{self.dtype} array of shape {self.shape} on the GPU at {self.ctypes.data:#x}>"

    __str__ = __repr__

    def __getitem__(self, key: object) -> Any:
        raise TypeError("the host cannot read an array on the GPU")

    def __setitem__(self, key: object, value: object) -> None:
        raise TypeError("the host cannot write to an array on the GPU")


class Library(ABC):
    """What a library of arrays on a GPU does for its own."""

    name: str

    @abstractmethod
    def facts(self, a: GpuArray, name: str) -> tuple[int, tuple[int, ...], int, bool, int]:
        """Return address, shape, number type (see `NUMBERS`), whether C-contiguous, and the GPU.

        Raises
        ------
        TypeError
            For another element type.
        """

    @abstractmethod
    def zeros(self, shape: tuple[int, ...], double: bool) -> GpuArray:
        """Return zeros of float64 or float32 from the library's pool."""

    @abstractmethod
    def contiguous(self, a: GpuArray) -> GpuArray:
        """Return the array, or a C-contiguous copy."""

    @abstractmethod
    def to_host(self, a: GpuArray) -> Array:
        """Return a copy as a NumPy array; 16-bit numbers as float32. It waits for the GPU."""

    @abstractmethod
    def write(self, a: GpuArray, values: object) -> None:
        """Write an array of NumPy or of the library into one on the GPU."""

    @abstractmethod
    def stream(self) -> int:
        """Return the address of the calling thread's current stream."""

    @abstractmethod
    def note_writes(self, arrays: list[GpuArray]) -> None:
        """Tell the library that the elements have changed."""


class _CuPy(Library):
    name = "CuPy"

    def facts(self, a: GpuArray, name: str) -> tuple[int, tuple[int, ...], int, bool, int]:
        if a.dtype not in _KINDS[:3]:
            raise TypeError(f"{name} must be float32, float64 or float16, got {a.dtype}")
        number = _KINDS.index(np.dtype(a.dtype))
        return int(a.data.ptr), tuple(a.shape), number, a.flags.c_contiguous, int(a.device.id)

    def zeros(self, shape: tuple[int, ...], double: bool) -> GpuArray:
        return _cupy().zeros(shape, np.float64 if double else np.float32)

    def contiguous(self, a: GpuArray) -> GpuArray:
        return _cupy().ascontiguousarray(a)

    def to_host(self, a: GpuArray) -> Array:
        host: Array = _cupy().asnumpy(a)
        return host.astype(np.float32) if host.dtype == np.float16 else host

    def write(self, a: GpuArray, values: object) -> None:
        a[...] = _cupy().asarray(values)

    def stream(self) -> int:
        return int(_cupy().cuda.get_current_stream().ptr)

    def note_writes(self, arrays: list[GpuArray]) -> None:
        pass


class _Torch(Library):
    name = "torch"

    def facts(self, a: GpuArray, name: str) -> tuple[int, tuple[int, ...], int, bool, int]:
        check_kind(a, name)
        number, plain = NUMBERS[str(a.dtype)], _torch_tensors.is_plain(a)
        return a.data_ptr(), tuple(a.shape), number, plain, a.device.index

    def zeros(self, shape: tuple[int, ...], double: bool) -> GpuArray:
        torch = sys.modules["torch"]
        return torch.zeros(
            shape, dtype=torch.float64 if double else torch.float32, device=f"cuda:{_GPU}"
        )

    def contiguous(self, a: GpuArray) -> GpuArray:
        return a.detach().resolve_neg().contiguous()

    def to_host(self, a: GpuArray) -> Array:
        return _torch_tensors.values_of(a)

    def write(self, a: GpuArray, values: object) -> None:
        _torch_tensors.assign(a, values)

    def stream(self) -> int:
        return int(sys.modules["torch"].cuda.current_stream(_GPU).cuda_stream)

    def note_writes(self, arrays: list[GpuArray]) -> None:
        _torch_tensors.note_writes(arrays)


_CUPY, _TORCH = _CuPy(), _Torch()


def library_of(value: object) -> Library | None:
    """Return the library of an array on a GPU; None of anything else."""
    if is_tensor(value):
        return _TORCH if value.device.type == "cuda" else None  # type: ignore[attr-defined]
    kind = getattr(sys.modules.get("cupy"), "ndarray", None)
    return _CUPY if kind is not None and isinstance(value, kind) else None


def check_gpu(gpu: int, name: str) -> None:
    """Refuse an array on a GPU that onepass does not use.

    Raises
    ------
    ValueError
    """
    if gpu != _GPU:
        raise ValueError(f"{name} must be on GPU {_GPU}, which onepass uses; it is on GPU {gpu}")


def addressed(a: GpuArray, name: str, library: Library) -> Array:
    """Return the array's address, shape and type as an array of NumPy.

    Raises
    ------
    TypeError, ValueError
        If it is of another type, not contiguous or on another GPU.
    """
    address, shape, number, contiguous, gpu = library.facts(a, name)
    check_gpu(gpu, name)
    if not contiguous:
        raise ValueError(f"{name} must be C-contiguous, got one of shape {shape} that is not")
    return np.asarray(_Address(a, address or _NOWHERE, shape, _KINDS[number])).view(Untouchable)


def number_of(place: Array) -> int:
    """Return the type of the numbers, see `NUMBERS`, of what `addressed` returned."""
    return _KINDS.index(place.dtype)


def _cupy() -> Any:
    return sys.modules["cupy"]
