"""Processes of the check on a GPU: run for so long at most, with all that they started."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 4


@dataclass(frozen=True)
class Ran:
    """How a process ended: its status, None where it was stopped, and what it printed."""

    status: int | None
    output: str
    errors: str
    seconds: float

    @property
    def end(self) -> str:
        """The last of what it said."""
        return (self.output + self.errors)[-2000:]


def ran(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ran:
    """Run a process; after so long it ends, with all that it started."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            status: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        errors.seek(0)
        taken = round(time.monotonic() - start, 1)
        return Ran(status, output.read(), errors.read(), taken)


@dataclass
class Outcome:
    """What one run of tests came to."""

    name: str
    passed: int
    failed: int
    seconds: float
    in_time: bool
    last_lines: list[str]

    @property
    def good(self) -> bool:
        return self.passed > 0 and self.failed == 0


def counted(words: str, output: str) -> int:
    """Return how many tests came to one of these words, as pytest says it with xdist or without."""
    return len(re.findall(rf"(?: (?:{words}) +\[|^\[gw\d+\] \[.*\] (?:{words}) )", output, re.M))


def side_by_side() -> list[str]:
    """Return pytest's options for several processes, where pytest-xdist is installed."""
    return ["-n", str(WORKERS)] if importlib.util.find_spec("xdist") is not None else []


def run_tests(
    name: str,
    tests: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    before: Sequence[str] = (),
) -> Outcome:
    """Run tests for at most so long; what has not run by then is not counted.

    In some processes side by side where pytest-xdist is installed, unless a tool looks at them.
    """
    pytest = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    if not before:
        pytest += side_by_side()
    told = ran([*before, *pytest, *tests], environment, seconds)
    text = told.output
    failed = counted("FAILED|ERROR", text)
    # 1: a test failed, which was counted; else the process ended with the test that it was in, or
    # what ran it found something.
    if told.status not in (None, 0) and not (told.status == 1 and failed):
        failed += 1
    lines = (text + told.errors).splitlines()
    found = [x for x in lines if "FAILED" in x or x.startswith(("cuda:", "E ", "========= "))]
    return Outcome(
        name,
        passed=counted("PASSED", text),
        failed=failed,
        seconds=told.seconds,
        in_time=told.status is not None,
        last_lines=[*found[:40], *lines[-5:]],
    )


@dataclass(frozen=True)
class Measured:
    """What a script found: the union of the objects that it printed, and how it ended."""

    found: dict[str, Any]
    status: int | None
    why: str


def measured(arguments: Sequence[str], environment: Mapping[str, str], seconds: float) -> Measured:
    """Run a Python process that prints an object of JSON a line; what it printed counts."""
    told = ran([sys.executable, *arguments], environment, seconds)
    found: dict[str, Any] = {}
    for line in told.output.splitlines():
        try:
            found |= json.loads(line)
        except (ValueError, TypeError):  # what a library printed, or half a line
            continue
    if told.status is None:
        return Measured(found, None, f"it did not end within {seconds:g} s")
    return Measured(found, told.status, told.errors[-2000:] if told.status else "")


def sanitizer() -> str | None:
    """Return where compute-sanitizer is: on PATH, or beside nvcc."""
    nvcc = shutil.which("nvcc")
    beside = [str(Path(nvcc).resolve().parent)] if nvcc else []
    return shutil.which("compute-sanitizer", path=os.pathsep.join([os.environ["PATH"], *beside]))
