"""The barrier that members of a team wait at, compiled alone with the thread sanitizer."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "native" / "check_barrier.cpp"


def test_nobody_goes_on_early(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++") or pytest.skip("no C++ compiler")
    program = tmp_path / "check_barrier"
    flags = ["-std=c++20", "-O2", "-g", "-fsanitize=thread", "-pthread"]
    command = [compiler, *flags, str(SOURCE), "-o", str(program)]
    compiled = subprocess.run(command, capture_output=True, text=True)
    if "tsan" in compiled.stderr:
        pytest.skip("the compiler's thread sanitizer is not installed")
    assert compiled.returncode == 0, compiled.stderr
    ran = subprocess.run([program], capture_output=True, text=True, timeout=300)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "barriers hold\n", "")
