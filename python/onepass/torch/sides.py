"""The two sides on which parameters may lie: the CPU, and the GPU that onepass uses.

All else here asks torch, which does the same on both. On the GPU memory is torch's, from its pool,
and a step is put on its current stream, or into the CUDA graph that becomes of it (`graphs`).
"""

from __future__ import annotations

from typing import Any

import torch

from onepass import _core, _gpu
from onepass.optimizers import _torch_tensors
from onepass.optimizers._arrays import Array
from onepass.optimizers._gpu_arrays import addressed, check_gpu, library_of

Tensor = Any


def check(t: Tensor, name: str) -> None:
    """Refuse a tensor whose elements a step cannot reach as numbers in memory.

    Raises
    ------
    TypeError
        For another element type, layout or kind of device.
    ValueError
        If it is on another GPU.
    """
    kind = t.device.type
    if kind not in ("cpu", "cuda"):
        raise TypeError(f"{name} must be on the CPU or a CUDA GPU, got a tensor on {t.device}")
    if kind == "cuda":
        check_gpu(t.device.index, name)
    _torch_tensors.check_kind(t, name)


def array_over(t: Tensor) -> Array:
    """Return an array over a contiguous tensor's memory; on a GPU only to say where that is."""
    library = library_of(t)
    if library is None:
        return _torch_tensors.array_over(t)
    return addressed(t.detach(), "a tensor", library)


class Side:
    """Where the parameters of a native optimizer lie.

    Parameters
    ----------
    p : tensor
        One of them.

    Attributes
    ----------
    on_gpu : bool
        Whether that is the GPU.

    Raises
    ------
    RuntimeError
        If it is on a GPU that onepass cannot use: it says what is missing.
    """

    def __init__(self, p: Tensor) -> None:
        self._library = library_of(p)
        self.on_gpu = self._library is not None
        if self.on_gpu:
            _gpu.bring()
        self._double = p.dtype == torch.float64

    def native(self, max_grad_norm: float | None) -> _core.Optimizer:
        """Return a new native optimizer for parameters there."""
        return _core.Optimizer(
            self._double,
            global_clip_norm=max_grad_norm or 0.0,
            clips_as_torch=True,
            device="cuda" if self.on_gpu else "cpu",
        )

    def captures(self, stream: int) -> bool:
        """Whether what is put on this stream becomes a CUDA graph of the caller's."""
        return self.on_gpu and _core.captures(stream)

    def stream(self) -> int:
        """Return the address of torch's current stream; on the CPU there is none."""
        return 0 if self._library is None else self._library.stream()
