"""Questions to a GPU on which the design of kernels rests: ``bench/probes``, compiled and asked.

``python -m bench.gpu_probes [--architecture sm_90]`` prints one line of JSON a probe. Each is a
process of its own: one that fails, or does not end, is named with the reason, the others go on.
Ends with status 1 where one failed, with 2 where none could be asked and nothing failed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent / "probes" / "probes.cu"
# As the library's kernels are compiled (csrc/cuda/cuda.cmake).
FLAGS = (
    *("-std=c++20", "-O3", "-fmad=false", "-ftz=true"),
    *("-Xcompiler", "-ffp-contract=off,-Wall,-Wextra", "-ldl"),
)
# For our tests; where it only runs, another compiler's new warning must not end it.
STRICT = ("-Werror", "all-warnings")
CAPABILITY = ("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
LIBRARY = "libcublasLt.so.13"
SECONDS = 20.0  # for one probe


def nvcc() -> str | None:
    """Return where nvcc is, as CMake would look for it."""
    return os.environ.get("CUDACXX") or shutil.which("nvcc")


def told_by(
    command: Sequence[str | Path], seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it says, which need not be text."""
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
    )


def architecture() -> dict[str, str]:
    """Return the GPU's, as nvcc's -arch; or that nvcc has to find it, and why."""
    try:
        told = told_by(CAPABILITY, SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"architecture": "native", "because": str(error)}
    said = told.stdout.partition("\n")[0].strip()
    if told.returncode or re.fullmatch(r"\d+\.\d", said) is None:
        return {"architecture": "native", "because": f"nvidia-smi: {told.stdout}{told.stderr}"}
    return {"architecture": "sm_" + said.replace(".", "")}


def compiled(folder: Path, architecture: str, more: Sequence[str] = ()) -> Path:
    """Compile the probes, with more of nvcc's options; the error has what nvcc said."""
    compiler, program = nvcc(), folder / "probes"
    if compiler is None:
        raise FileNotFoundError("nvcc was not found: put it on PATH or set CUDACXX")
    options = [*FLAGS, *more, f"-arch={architecture}"]
    told = told_by([compiler, *options, str(SOURCE), "-o", str(program)])
    if told.returncode:
        raise RuntimeError(f"nvcc: {(told.stdout + told.stderr)[-2000:]}")
    return program


def library() -> str:
    """Return where cuBLASLt is: where onepass looks for it if that is installed; else among the
    packages, where NVIDIA's finder says, or its name."""
    with suppress(ImportError, AttributeError):  # the latter: an older one
        paths: list[str] = importlib.import_module("onepass._gpu").cublaslt_paths()
        return paths[0] if paths else "none"
    for package in ("nvidia", "cuda"):
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for found in sorted(Path(folder).glob(f"**/{LIBRARY}")):
                return str(found)
    try:
        finder = importlib.import_module("cuda.pathfinder")
        return str(finder.load_nvidia_dynamic_lib("cublasLt").abs_path)
    except Exception:  # neither installed nor found: the system's loader may know it
        return LIBRARY


def asked(program: Path, name: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Return what a probe found, what it misses, or how it failed."""
    command = [str(program), name, library()]
    try:
        told = told_by(command, seconds)
        found: dict[str, Any] = json.loads(told.stdout)
    except subprocess.TimeoutExpired:
        return {"failed": f"it did not end within {seconds} s"}
    except json.JSONDecodeError:
        return {"failed": f"status {told.returncode}: {(told.stdout + told.stderr)[-2000:]}"}
    return found


def failures(answer: object) -> bool:
    """Whether a probe, or one of its questions, failed."""
    if not isinstance(answer, dict):
        return False
    return "failed" in answer or any(failures(part) for part in answer.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--architecture", help="as nvcc's -arch (default: the GPU's)")
    given = parser.parse_args().architecture
    which = architecture() if given is None else {"architecture": given}
    print(json.dumps({"compiling": which}), flush=True)
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = compiled(Path(folder), which["architecture"])
        except (FileNotFoundError, RuntimeError) as error:
            kind = "missing" if isinstance(error, FileNotFoundError) else "failed"
            print(json.dumps({"compiling": which | {kind: str(error)}}))
            return 2 if kind == "missing" else 1
        told = told_by([program])
        if told.returncode:
            print(json.dumps({"compiling": which | {"failed": f"status {told.returncode}"}}))
            return 1
        for name in told.stdout.split():
            answers.append(asked(program, name))
            print(json.dumps({name: answers[-1]}), flush=True)
    if failures(dict(enumerate(answers))):
        return 1
    return 2 if all("missing" in answer for answer in answers) else 0


if __name__ == "__main__":
    sys.exit(main())
