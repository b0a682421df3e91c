"""The library that plays cuBLASLt on the CPU (tests/cuda/played_cublaslt.cpp), for tests."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import pytest

_found = importlib.util.find_spec("onepass._cuda_fibers")
NEVER = 2**62  # a size that no product has
NONE, BIAS, GRADIENT = 1, 4, 256  # epilogues
ALL = NONE | BIAS | GRADIENT


class Library:
    """What plays cuBLASLt, and what it is told."""

    def __init__(self) -> None:
        if _found is None or _found.origin is None:
            pytest.skip("built without the GPU's kernels as fibers")
        self.path = str(Path(_found.origin).parent / "libplayed_cublaslt.so")
        self.own = ctypes.CDLL(self.path)
        self.own.onepass_played_cublaslt_started.restype = ctypes.c_long
        self.own.onepass_played_cublaslt_asked.restype = ctypes.c_long
        self.own.onepass_played_cublaslt_workspaces.restype = ctypes.c_long

    def works_on(self, module: ctypes.CDLL) -> None:
        """Start on streams of this module of ours."""
        functions = module.onepass_fibers_start, module.onepass_fibers_captures
        self.own.onepass_played_cublaslt_on(*(ctypes.cast(f, ctypes.c_void_p) for f in functions))

    def offers(self, epilogues: int) -> None:
        self.own.onepass_played_cublaslt_offers(ctypes.c_uint32(epilogues))

    def fails(self, status: int, while_captured: bool = False) -> None:
        self.own.onepass_played_cublaslt_fails(status, while_captured)

    def asked(self) -> int:
        return int(self.own.onepass_played_cublaslt_asked())

    def workspaces(self) -> int:
        return int(self.own.onepass_played_cublaslt_workspaces())

    def obeys(self) -> None:
        """Offers all and fails no more."""
        self.offers(ALL)
        self.fails(0)

    def started(self) -> list[int]:
        """Return how many products began so far: plain ones, with a bias, with its gradient."""
        return [self.own.onepass_played_cublaslt_started(e) for e in (NONE, BIAS, GRADIENT)]
