"""What this installation is and can use here."""

from __future__ import annotations

import platform

import numpy as np

import onepass
from onepass import _gpu, config


def info_text() -> str:
    """Return version, instruction set, threads and CUDA state, a line each."""
    others = [isa for isa in config.available_isas() if isa != config.isa()]
    lines = {
        "onepass": onepass.__version__,
        "Python": f"{platform.python_version()}, NumPy {np.__version__}",
        "instruction set": config.isa() + (f" (also: {', '.join(others)})" if others else ""),
        "threads": str(config.threads()),
        "CUDA": _gpu.summary(),
    }
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())
