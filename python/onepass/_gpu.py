"""What there is of CUDA: whether the kernels were built, the driver, the GPUs.

The one file that imports ``onepass._cuda``, and only when asked.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from onepass import _core

if TYPE_CHECKING:
    from types import ModuleType

_COMPILED = "onepass._cuda"
MODULE = _COMPILED

# The path of cuBLASLt, or "none" to do without it.
CUBLASLT_VARIABLE = "ONEPASS_CUBLASLT"
_CUBLASLT = "libcublasLt.so.13"

_NOT_BUILT = (
    "this installation of onepass was built without CUDA kernels: install nvcc 13 (NVIDIA's CUDA "
    "toolkit) and reinstall from source with -C cmake.define.ONEPASS_CUDA=ON"
)
_NO_DRIVER = (
    "there is no NVIDIA driver here: install one for CUDA 13 (580 or newer); `nvidia-smi` shows "
    "whether it works"
)


def _module() -> ModuleType | None:
    try:
        return import_module(MODULE)
    except ModuleNotFoundError:
        return None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def devices() -> list[dict[str, Any]]:
    """Return the GPUs that kernels can run on: name, architecture and sizes of each.

    Raises
    ------
    RuntimeError
        If the kernels were not built, or there is no driver, or it is too old, or has no GPU.
    """
    cuda = _module()
    if cuda is None:
        raise RuntimeError(_NOT_BUILT)
    driver, wanted = cuda.driver_version(), cuda.runtime_version()
    if not driver:
        raise RuntimeError(_NO_DRIVER)
    if driver // 1000 < wanted // 1000:
        raise RuntimeError(
            f"the NVIDIA driver is for CUDA {_version(driver)}, but onepass was built with "
            f"{_version(wanted)}: install a newer driver"
        )
    found: list[dict[str, Any]] = cuda.devices()
    if not found:
        raise RuntimeError("the NVIDIA driver finds no GPU: see `nvidia-smi`")
    return found


def cublaslt_paths() -> list[str]:
    """Return where to look for cuBLASLt: a copy that is loaded already or installed, and the name
    that the system's loader may know; nothing where it is not wanted."""
    if given := os.environ.get(CUBLASLT_VARIABLE):
        return [] if given == "none" else [given]
    if MODULE != _COMPILED:  # what plays a GPU must not meet the real library
        return []
    try:
        pathfinder = import_module("cuda.pathfinder")
        found = pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path
    except (ModuleNotFoundError, RuntimeError):  # the latter: it finds none
        found = None
    return [str(found), _CUBLASLT] if found else [_CUBLASLT]


@cache
def _products(cuda: ModuleType) -> str:
    """Open cuBLASLt for large products, once; return what came of it."""
    why = ""
    for path in cublaslt_paths():
        try:
            cuda.open_cublaslt(path)
        except RuntimeError as error:  # the copy that is loaded may be of another version
            why = why or f" ({error})"
            continue
        version = cuda.cublaslt_version()
        return f"cuBLASLt {version // 10000}.{version // 100 % 100}.{version % 100}"
    return f"no cuBLASLt: our own products{why}"


def bring() -> None:
    """Let plans use the GPU, and large products cuBLASLt, if it is there.

    Raises
    ------
    RuntimeError
        As ``devices``.
    """
    if not devices()[0]["shares_memory"]:
        raise RuntimeError(
            "this GPU's driver lets the host touch no memory that kernels use (as under Windows): "
            "onepass needs Linux"
        )
    cuda = _module()
    assert cuda is not None
    _products(cuda)
    _core.bring_gpu(cuda.device())


def memory_bytes() -> int:
    """Return the size of the GPU's memory."""
    return int(devices()[0]["memory_bytes"])


def summary() -> str:
    """Return in one line what there is."""
    cuda = _module()
    if cuda is None:
        return "not built"
    built = "built for " + ", ".join(f"sm_{number}" for number in cuda.architectures())
    try:
        names = [str(device["name"]) for device in devices()]
    except RuntimeError as error:
        return f"{built}; {str(error).partition(':')[0]}"
    return f"{built}; {', '.join(names)}; {_products(cuda)}"
