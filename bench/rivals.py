"""The libraries we compare with: loaded late, named where they are missing, set to n threads.

torch is imported here and nowhere else; families ask for it with ``torch()``.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from onepass import config

_LIBRARIES = ("numpy", "torch", "jax", "keras", "scikit-learn", "threadpoolctl")


@cache
def torch() -> Any:
    """Return the module torch, or None where it is not installed."""
    return importlib.import_module("torch") if importlib.util.find_spec("torch") else None


def versions() -> dict[str, str | None]:
    """Return the installed versions by library, None where it is missing."""
    found: dict[str, str | None] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


@cache
def _blas_pools() -> Any:
    """Return the control over NumPy's BLAS threads, or None where threadpoolctl is missing."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return None
    return importlib.import_module("threadpoolctl").ThreadpoolController()


def numpy_controlled() -> bool:
    """Whether NumPy's products can be held to a number of threads; else they are not timed."""
    return _blas_pools() is not None


def set_threads(n: int) -> None:
    """Let onepass and every rival that is loaded use n threads."""
    config.set_threads(n)
    if (library := torch()) is not None:
        library.set_num_threads(n)
    if (pools := _blas_pools()) is not None:
        pools.limit(limits=n, user_api="blas")
