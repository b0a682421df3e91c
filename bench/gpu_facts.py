"""What the check on a GPU runs on: device, driver, CUDA, commit."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.gpu_processes import ROOT, measured, ran

FACTS = """
import json, os
from onepass import _gpu
_gpu.MODULE = os.environ["ONEPASS_TEST_GPU"]
name = _gpu.devices()[0]["name"]  # or why there is none
cuda = _gpu._module()
versions = {"driver's CUDA": cuda.driver_version(), "CUDA": cuda.runtime_version()}
versions = {name: _gpu._version(number) for name, number in versions.items()}
print(json.dumps(versions | {"device": name}))
"""


def facts(environment: Mapping[str, str], commit: str | None) -> dict[str, Any]:
    """Return which GPU, driver, CUDA and commit this is; what cannot be found out says why.

    Parameters
    ----------
    environment : of users' processes
    commit : which is checked, where git does not know
    """
    try:
        return found_out(environment, commit)
    except Exception as error:  # none of this is worth the check
        return {
            "device": "unknown",
            "commit": commit,
            "why unknown": f"{type(error).__name__}: {error}",
        }


def found_out(environment: Mapping[str, str], commit: str | None) -> dict[str, Any]:
    asked = measured(["-c", FACTS], environment, 30)
    info = ran([sys.executable, "-m", "onepass.cli", "info"], environment, 30)
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return {
        "device": "unknown",
        "commit": commit or told(describe),
        "driver": told(query),
        **asked.found,
        **({"why unknown": asked.why} if asked.why else {}),
        "info": info.output + info.errors,
    }


def told(command: Sequence[str]) -> str:
    """Return what a program says, or that it cannot."""
    try:
        said = ran(command, os.environ, 30)
    except FileNotFoundError:
        return f"unknown: {command[0]} is not installed"
    except OSError as error:
        return f"unknown: {error}"
    return said.output.strip() if said.status == 0 else f"unknown: {said.end.strip()}"
