"""Questions to a GPU on which the design of kernels rests: ``bench/probes``, compiled and asked.

``python -m bench.gpu_probes [--architecture native]`` prints one line of JSON a probe. Each is a
process of its own: one that fails, or does not end, is named with the reason, the others go on.
Ends with status 1 where one failed, with 2 where none could be asked and nothing failed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent / "probes" / "probes.cu"
# As the library's kernels are compiled (csrc/cuda/cuda.cmake).
FLAGS = (
    *("-std=c++20", "-O3", "-fmad=false", "-ftz=true", "-Werror", "all-warnings"),
    *("-Xcompiler", "-ffp-contract=off,-Wall,-Wextra", "-ldl"),
)
LIBRARY = "libcublasLt.so.13"
SECONDS = 20.0  # for one probe


def nvcc() -> str | None:
    """Return where nvcc is, as CMake would look for it."""
    return os.environ.get("CUDACXX") or shutil.which("nvcc")


def compiled(folder: Path, architecture: str) -> Path:
    """Compile the probes; the error has what nvcc said."""
    compiler, program = nvcc(), folder / "probes"
    if compiler is None:
        raise FileNotFoundError("nvcc was not found: put it on PATH or set CUDACXX")
    command = [compiler, *FLAGS, f"-arch={architecture}", str(SOURCE), "-o", str(program)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(f"nvcc: {(told.stdout + told.stderr)[-2000:]}")
    return program


def library() -> str:
    """Return where cuBLASLt is: among the packages, where NVIDIA's finder says, or its name."""
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
        told = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
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
    parser.add_argument("--architecture", default="native", help="as nvcc's -arch (default native)")
    architecture = parser.parse_args().architecture
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = compiled(Path(folder), architecture)
        except (FileNotFoundError, RuntimeError) as error:
            kind = "missing" if isinstance(error, FileNotFoundError) else "failed"
            print(json.dumps({"compiling": {kind: str(error)}}))
            return 2 if kind == "missing" else 1
        names = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
        for name in names.split():
            answers.append(asked(program, name))
            print(json.dumps({name: answers[-1]}), flush=True)
    if failures(dict(enumerate(answers))):
        return 1
    return 2 if all("missing" in answer for answer in answers) else 0


if __name__ == "__main__":
    sys.exit(main())
