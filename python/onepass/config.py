"""Process-wide settings: instruction set, threads, denormals and the default float type.

Environment variables read at first use: ``ONEPASS_ISA``, ``ONEPASS_NUM_THREADS`` (else
``OMP_NUM_THREADS``, else the cores that the process may use).
"""

from __future__ import annotations

import operator

from onepass import _core, _gpu

__all__ = [
    "available_isas",
    "device",
    "floatx",
    "flush_denormals",
    "isa",
    "set_device",
    "set_floatx",
    "set_flush_denormals",
    "set_isa",
    "set_threads",
    "threads",
]

_FLOATS = ("float32", "float64")
_DEVICES = ("cpu", "cuda")
_floatx = "float32"
_device = "cpu"


def isa() -> str:
    """Return the name of the instruction set whose kernels run.

    Raises
    ------
    ValueError
        If ``ONEPASS_ISA`` names one that this machine cannot run.
    """
    return _core.isa()


def available_isas() -> list[str]:
    """Return the instruction sets that this build has and this machine can run, best first."""
    return _core.available_isas()


def set_isa(name: str) -> None:
    """Run the kernels of one instruction set from the next call on.

    Parameters
    ----------
    name : str
        ``"avx512"``, ``"avx2"`` or ``"baseline"`` on x86-64; ``"neon"`` on arm64.

    Raises
    ------
    ValueError
        If the name is unknown or this machine cannot run it.

    Notes
    -----
    Elementwise kernels and reductions give the same bits on every instruction set; matrix products
    may differ in the last bits, because only some sets have fused multiply-add.
    """
    if not isinstance(name, str):
        raise TypeError(f"set_isa: name must be a str, got {type(name).__name__}")
    _core.set_isa(name)


def threads() -> int:
    """Return the number of threads that kernels use at most, the caller's included."""
    return _core.threads()


def set_threads(n: int) -> None:
    """Use at most ``n`` threads from the next call on. No result depends on it.

    Raises
    ------
    TypeError
        If ``n`` is not a whole number.
    ValueError
        If ``n`` is not between 1 and 1024.
    """
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"set_threads: n must be an int, got {type(n).__name__}") from None
    _core.set_threads(count)


def flush_denormals() -> bool:
    """Return whether kernels treat denormal numbers as zero."""
    return _core.flush_denormals()


def set_flush_denormals(on: bool) -> None:
    """Treat denormal numbers as zero (default) or keep them, which can be many times slower.

    The setting holds inside the library's calls only; the caller's own arithmetic is not affected.
    """
    _core.set_flush_denormals(bool(on))


def floatx() -> str:
    """Return the float type of layers that are given none: ``"float32"`` unless changed."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the float type of layers built from now on that are given none.

    Raises
    ------
    ValueError
        If ``value`` is neither ``"float32"`` nor ``"float64"``.
    """
    global _floatx
    if value not in _FLOATS:
        raise ValueError(f"set_floatx: value must be one of {list(_FLOATS)}, got {value!r}")
    _floatx = value


def device() -> str:
    """Return where the weights of models built from now on lie: ``"cpu"`` unless changed."""
    return _device


def set_device(name: str) -> None:
    """Choose where the weights of models built from now on lie, and so where these are computed.

    Models that are built already stay where they are; ``model.to(name)`` moves one. On ``"cuda"``
    ``fit`` trains on copies of its arrays, made when it begins, where they fit.

    Parameters
    ----------
    name : {"cpu", "cuda"}

    Raises
    ------
    ValueError
        If the name is another.
    RuntimeError
        If ``"cuda"`` cannot be had here; the message says what is missing and what to install.
    """
    global _device
    check_device(name, "set_device")
    _device = name


def check_device(name: str, where: str) -> None:
    """Raise ValueError or RuntimeError unless there is such a device."""
    if name not in _DEVICES:
        raise ValueError(f'{where}: name must be "cpu" or "cuda", got {name!r}')
    if name == "cuda":
        _gpu.bring()
