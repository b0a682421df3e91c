"""The libraries we compare with: loaded late, named where they are missing, set to n threads.

They are imported here and nowhere else; families ask for them with ``torch()``, ``jax()`` and so
on, which return None where a library is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from onepass import config

_LIBRARIES = (
    "numpy",
    "torch",
    "jax",
    "optax",
    "keras",
    "scikit-learn",
    "onnxruntime",
    "onnx",
    "threadpoolctl",
)
# That take seconds to make ready for a case, and are never the fastest.
SLOW = ("keras", "sklearn")
_left_out: frozenset[str] = frozenset()
_ignored = False
_dtype = "float32"


def ignore() -> None:
    """From now on, behave as if no rival were installed: cases are quicker to prepare."""
    global _ignored
    _ignored = True


def leave_out(modules: Sequence[str]) -> None:
    """From now on, behave as if these were not installed."""
    global _left_out
    _left_out = frozenset(modules)


def set_dtype(dtype: str) -> None:
    """Say what the cases of this process compute in: JAX makes float32 of float64 otherwise."""
    global _dtype
    _dtype = dtype


@cache
def _loaded(name: str) -> Any:
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _library(name: str) -> Any:
    left_out = _ignored or name.partition(".")[0] in _left_out
    return None if left_out else _loaded(name)


def torch() -> Any:
    """Return the module torch, or None where it is not installed."""
    library = _library("torch")
    # Some of its optimizers keep float32 numbers of their own otherwise.
    if library is not None and library.get_default_dtype() != getattr(library, _dtype):
        library.set_default_dtype(getattr(library, _dtype))
    return library


def jax() -> Any:
    """Return the module jax, or None where it is not installed."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # read at import
    library, wide = _library("jax"), _dtype == "float64"
    if library is not None and library.config.jax_enable_x64 != wide:
        library.config.update("jax_enable_x64", wide)
    return library


def optax() -> Any:
    """Return the module optax, or None where it or JAX is not installed."""
    return None if jax() is None else _library("optax")


def installed(name: str) -> bool:
    """Whether a module is there and wanted; it is not imported."""
    return not _ignored and importlib.util.find_spec(name) is not None


def keras_backend() -> str:
    """Return what Keras computes with: what the user chose, else JAX, else torch, else ""."""
    chosen = os.environ.get("KERAS_BACKEND")
    return chosen or next((name for name in ("jax", "torch") if installed(name)), "")


def keras() -> Any:
    """Return the module keras, or None where it or a backend is not installed."""
    if not keras_backend():
        return None
    os.environ["KERAS_BACKEND"] = keras_backend()  # read at import
    jax()  # which is told the float type before Keras loads it
    library = _library("keras")
    if library is not None and library.config.floatx() != _dtype:
        library.config.set_floatx(_dtype)
    return library


def torch_compiled(function: Any, mode: str = "default") -> Any:
    """Return torch's compiled function; its first call compiles, or raises."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of processes
    library = torch()
    library._logging.set_logs(dynamo=logging.ERROR)  # that records for its profiler are ignored
    return library.compile(function, mode=mode)


def torch_forget_compiled() -> None:
    """Let torch forget what it compiled: it gives up on lines of code that it compiled often."""
    if torch() is not None:
        dynamo = importlib.import_module("torch._dynamo")
        dynamo.reset()
        dynamo.config.fail_on_recompile_limit_hit = True  # else it would go on uncompiled


def sklearn_networks() -> Any:
    """Return the module sklearn.neural_network, or None where scikit-learn is not installed."""
    return None if _library("sklearn") is None else _library("sklearn.neural_network")


def onnx() -> Any:
    """Return the module onnx, which makes graphs, or None where it is not installed."""
    return _library("onnx")


def onnxruntime() -> Any:
    """Return the module onnxruntime, or None where it or onnx is not installed."""
    return None if onnx() is None else _library("onnxruntime")


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
    """Whether NumPy's products are timed: they are where their threads can be controlled."""
    return not _ignored and _blas_pools() is not None


def set_threads(n: int) -> None:
    """Let onepass and every rival that can be told later use n threads.

    JAX cannot: see `onepass.bench.children.held_to`.
    """
    config.set_threads(n)
    if (library := torch()) is not None:
        library.set_num_threads(n)
    if numpy_controlled():
        _blas_pools().limit(limits=n, user_api="blas")
