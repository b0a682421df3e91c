"""torch's tensors, those of the CPU as NumPy arrays over their memory. Nothing here imports torch.

Whoever has a tensor has imported torch; everyone else does not pay for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Tensor = Any

# The names of torch's types whose elements a step can read, in the order of the kernels' numbers,
# and what NumPy is told: bfloat16 as its bits, as the native optimizer takes it.
_TYPES = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": np.uint16,
}
_NAMES = {f"torch.{name}": np.dtype(kind) for name, kind in _TYPES.items()}
NUMBERS = {name: number for number, name in enumerate(_NAMES)}


class _Lender:
    """Keeps a tensor's memory while an array lies over it."""

    def __init__(self, tensor: Tensor, kind: np.dtype[Any]) -> None:
        self.tensor = tensor
        self.__array_interface__ = {
            "data": (tensor.data_ptr(), False),
            "shape": tuple(tensor.shape),
            "typestr": kind.str,
            "version": 3,
        }


def is_tensor(value: object) -> bool:
    """Whether this is a tensor of torch."""
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind is not None and isinstance(value, kind)


def check(t: Tensor, name: str) -> None:
    """Refuse a tensor whose elements a step cannot reach as numbers in memory.

    Raises
    ------
    TypeError
        For another element type, layout or device.
    """
    if t.device.type != "cpu":
        raise TypeError(f"{name} must be on the CPU, got a tensor on {t.device}")
    check_kind(t, name)


def check_kind(t: Tensor, name: str) -> None:
    """Refuse a tensor, wherever it is, whose elements are no numbers in memory that a step knows.

    Raises
    ------
    TypeError
        For another element type or layout.
    """
    if str(t.layout) != "torch.strided":
        raise TypeError(f"{name} must be dense, got a tensor of layout {t.layout}")
    if str(t.dtype) not in _NAMES:
        raise TypeError(f"{name} must be float32, float64, float16 or bfloat16, got {t.dtype}")
    if t.numel() and not t.data_ptr():
        raise TypeError(f"{name} must have memory of its own, got a {type(t).__name__} without")


def is_plain(t: Tensor) -> bool:
    """Whether a tensor lies in memory as it reads."""
    return bool(t.is_contiguous() and not t.is_neg())


def require_plain(t: Tensor, name: str) -> None:
    """Refuse a tensor that does not lie in memory as it reads.

    Raises
    ------
    ValueError
    """
    if not is_plain(t):
        raise ValueError(
            f"{name} must be contiguous, got shape {tuple(t.shape)} with strides {t.stride()}"
        )


def is_dense(t: Tensor) -> bool:
    """Whether the elements fill their memory without gaps, in some order of the dimensions."""
    if t.is_neg():  # torch's mark that they stand there with the other sign
        return False
    if t.is_contiguous():
        return True
    # Of such a tensor, and of no other, torch takes over the strides.
    return bool(_torch().empty_like(t, device="meta").stride() == t.stride())


def flat(t: Tensor) -> Tensor:
    """Return a dense tensor's memory as a tensor of one dimension."""
    return t.detach().as_strided((t.numel(),), (1,))


def array_over(t: Tensor) -> Array:
    """Return an array over a contiguous tensor's memory; bfloat16 as bits."""
    kind = _NAMES[str(t.dtype)]
    if not t.numel():
        return np.empty(tuple(t.shape), kind)
    return np.asarray(_Lender(t.detach(), kind))


def parameter_array(t: Tensor, name: str) -> Array:
    """Return an array over a parameter; refuse one that does not lie in memory as it reads."""
    check(t, name)
    require_plain(t, name)
    return array_over(t)


def gradient_array(g: Tensor, name: str, in_place: bool) -> Array:
    """Return an array over a gradient, or over a copy of one that is not contiguous."""
    check(g, name)
    if not is_plain(g):
        if in_place:
            raise ValueError(f"{name} must be contiguous for zero_grads=True")
        g = g.detach().resolve_neg().contiguous()
    return array_over(g)


def lies_over(a: Array, t: Tensor) -> bool:
    """Whether an array that was made over a tensor still is the tensor."""
    place = a.__array_interface__["data"][0] if a.size else t.data_ptr()
    kind = _NAMES.get(str(t.dtype))
    return bool(t.data_ptr() == place and kind == a.dtype and tuple(t.shape) == a.shape)


class Ready:
    """Tensors whose steps need nothing but addresses, while nothing is out of the ordinary."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._type = _torch().Tensor
        self._facts = [(t, t.data_ptr(), t.dtype, t.shape) for t in tensors]
        self._numbers = [NUMBERS[str(t.dtype)] for t in tensors]
        self._addresses: list[int] = []

    def gradients(
        self, given: list[Any], overlaps: Callable[[int, int], object]
    ) -> tuple[list[int], list[int]] | None:
        """Return the gradients' addresses and types, or None where closer looks are needed."""
        if len(given) != len(self._facts):
            return None
        addresses = []
        for g, (t, address, dtype, shape) in zip(given, self._facts, strict=True):
            if g is None:
                addresses.append(0)
                continue
            if not isinstance(g, self._type) or not g.is_cpu or not g.is_contiguous():
                return None
            if g.dtype is not dtype or g.shape != shape or g.is_neg() or not t.is_contiguous():
                return None
            if t.data_ptr() != address or t.dtype is not dtype or t.shape != shape:
                return None
            addresses.append(g.data_ptr())
        if addresses != self._addresses:
            if any(g is not None and overlaps(g.data_ptr(), g.nbytes) for g in given):
                return None
            self._addresses = addresses
        return (addresses, self._numbers) if any(addresses) else None


def assign(t: Tensor, values: object) -> None:
    """Write an array of NumPy or a tensor into a tensor, wherever that is."""
    torch = _torch()
    if isinstance(values, np.ndarray):
        # What torch takes without complaint.
        values = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    with torch.no_grad():
        t.copy_(values)


def values_of(t: Tensor) -> Array:
    """Return the elements as float64, or float32 if a step computes in that; a copy.

    Where they are on a GPU, it waits for what its current stream does.
    """
    torch = _torch()
    kind = torch.float64 if t.dtype == torch.float64 else torch.float32
    values: Array = t.detach().to("cpu", kind, copy=True).numpy()
    return values


def note_writes(tensors: list[Tensor]) -> None:
    """Tell autograd that the elements have changed, so that it refuses a graph of older ones."""
    _torch().autograd.graph.increment_version(tensors)


def _torch() -> Any:
    return sys.modules["torch"]
