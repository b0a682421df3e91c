"""Compiles this folder's C++ once and loads it: the requests to valgrind."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_FLAGS = ("-std=c++20", "-O3", "-march=native", "-ffp-contract=fast", "-Wno-psabi", "-pthread")
_LINK = ("-shared", "-fPIC")


class NotMeasuredError(Exception):
    """The native code is not there; the message says why."""


def _folders() -> list[Path]:
    """Where the compiled file may lie, best first."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return [Path(cache_home) / "onepass-bench", Path(tempfile.gettempdir()) / "onepass-bench"]


def _target_of(compiler: str) -> str:
    """Return what the compiler makes of ``-march=native``: another machine needs another file."""
    command = [compiler, "-march=native", "-E", "-dM", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _compile(compiler: str, source: Path, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / name
            command = [compiler, *_FLAGS, *_LINK, str(source), "-o", str(made)]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                raise NotMeasuredError(
                    f"{Path(compiler).name} failed on {source.name}: {run.stderr[:500]}"
                )
            made.replace(path)
    return path


def _loaded(source: Path) -> ctypes.CDLL:
    """Return a compiled source.

    Raises
    ------
    NotMeasuredError
        If there is no compiler, or it failed.
    """
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if compiler is None:
        raise NotMeasuredError("no C++ compiler found (c++ or g++; CXX names another)")
    identity = source.read_text() + repr(_FLAGS) + _target_of(compiler)
    name = f"{source.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    reason = NotMeasuredError("no folder to compile in")
    for folder in _folders():
        try:
            return ctypes.CDLL(str(_compile(compiler, source, folder, name)))
        except OSError as error:  # not writeable, or mounted without execution
            reason = NotMeasuredError(
                f"cannot compile or load {source.name}: {error.strerror or error}"
            )
    raise reason


@cache
def valgrind() -> ctypes.CDLL:
    """Return the compiled requests to valgrind; `NotMeasuredError` where that cannot be done."""
    return _loaded(Path(__file__).with_name("requests.cpp"))
