"""Processes of the check on a GPU: run for so long at most, with all that they started."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 4
GRACE = 5.0  # seconds at most in which an interrupted process tells what it has
# Of compute-sanitizer, for memory and races; calls that CUDA refused count by its status.
SANITIZER_ERROR = re.compile(
    r"^=+ (?:Invalid|Misaligned|Out-of-range|Uninitialized|Malloc/Free error|Barrier error"
    r"|.*\bRace reported|.*\bhazard detected)",
    re.MULTILINE,
)
PYTEST = (
    *("-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "bench.gpu_failures"),
    # Beside pytest-xdist it warns that it does nothing, and a warning is an error.
    *("-p", "no:benchmark"),
    # What the rivals of that machine warn of is theirs.
    *("-W", "default::DeprecationWarning", "-W", "default::FutureWarning"),
)


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
    """Run a process; after so long it ends, with all that it started.

    It is interrupted a little earlier, so that it can tell what it found.
    """
    start = time.monotonic()
    grace = min(GRACE, seconds / 4)
    with text_file() as output, text_file() as errors:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            status: int | None = process.wait(seconds - grace)
        except subprocess.TimeoutExpired:
            status = None
            tell_group(process, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        finally:
            tell_group(process, signal.SIGKILL)
            process.wait()
        output.seek(0)
        errors.seek(0)
        taken = round(time.monotonic() - start, 1)
        return Ran(status, output.read(), errors.read(), taken)


def text_file() -> IO[str]:
    """Return a file for what a process prints, which need not be text."""
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


def tell_group(process: subprocess.Popen[Any], what: signal.Signals) -> None:
    """Send a signal to a process and what it started, some of which may live on without it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, what)


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
    What that tool finds is a failure, also where it is stopped before it ends.
    """
    pytest = [sys.executable, *PYTEST]
    if not before:
        pytest += side_by_side()
    told = ran([*before, *pytest, *tests], environment, seconds)
    text = told.output
    failed = counted("FAILED|ERROR", text)
    # 1: a test failed, which was counted; else the process ended with the test that it was in, or
    # what ran it found something.
    died = told.status not in (None, 0) and not (told.status == 1 and failed)
    if died or (before and SANITIZER_ERROR.search(text + told.errors)):
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
            found |= json.loads(line, parse_constant=lambda name: None)
        except (ValueError, TypeError):  # what a library printed, or half a line
            continue
    if told.status is None:
        return Measured(found, None, f"it did not end within {seconds:g} s")
    return Measured(found, told.status, told.errors[-2000:] if told.status else "")


def as_json(found: object, **how: Any) -> str:
    """Return JSON of an object, in which what is infinite or no number is null."""
    return json.dumps(finite(found), allow_nan=False, **how)


def finite(found: Any) -> Any:
    """Return the same with None for numbers that JSON has not."""
    if isinstance(found, Mapping):
        return {key: finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [finite(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found


def sanitizer() -> str | None:
    """Return where compute-sanitizer is: on PATH, or beside nvcc."""
    nvcc = shutil.which("nvcc")
    beside = [str(Path(nvcc).resolve().parent)] if nvcc else []
    return shutil.which("compute-sanitizer", path=os.pathsep.join([os.environ["PATH"], *beside]))
