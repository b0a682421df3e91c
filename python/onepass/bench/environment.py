"""What figures depend on: processor, caches, clock, threads, versions, commit."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onepass
from onepass import _core
from onepass.bench import rivals
from onepass.bench.limits import cache_sizes


def _fields_of_processor() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in values.items()}


def _processor(fields: dict[str, str]) -> str:
    name = fields.get("model name", platform.processor())
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields.get('model')})"
    return name


def _commit() -> str | None:
    """Return the commit of the sources that this package lies in, None where it is installed."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return run.stdout.strip() or None


def _build() -> str:
    """Return a hash of the compiled extension: the commit does not say which build ran."""
    return hashlib.sha256(Path(_core.__file__).read_bytes()).hexdigest()[:12]


def environment(threads: Sequence[int]) -> dict[str, Any]:
    """Return the fingerprint of this machine, this build and the rivals' versions."""
    fields = _fields_of_processor()
    clock = fields.get("cpu MHz")
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _processor(fields),
        "clock_mhz": float(clock) if clock else None,
        "caches": cache_sizes(),
        "isa": onepass.config.isa(),
        "threads": list(threads),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onepass": onepass.__version__,
        "commit": _commit(),
        "build": _build(),
        "libraries": rivals.versions(),
    }
