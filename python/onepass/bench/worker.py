"""One build's half of ``onepass bench ab``: prepares cases and takes samples on command.

Commands and answers are lines of JSON on standard input and output; what else is printed goes to
standard error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from onepass.bench.builds import Build

Answer = dict[str, Any]


class WorkerError(Exception):
    """The worker could not do what it was asked to."""


class Worker:
    """The parent's end: a process that has imported one build."""

    def __init__(self, build: Build, threads: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(build.path)}
        self.build = build
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("other_build.py"), str(threads)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._check_package()
        except WorkerError:
            self.close()
            raise

    def _check_package(self) -> None:
        package = Path(self.ask("package")["path"])
        if self.build.path not in package.parents:
            raise WorkerError(f"{self.build.name}: onepass was imported from {package} instead")

    def ask(self, command: str, *given: Any) -> Answer:
        """Return the answer to a command.

        Raises
        ------
        WorkerError
            With the worker's message if it could not do it, or if it has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([command, *given]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise WorkerError(f"{self.build.name}: the worker ended")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.build.name}: {answer['error']}")
        return answer

    def alive(self) -> bool:
        """Whether it can be asked for more."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # what could not be sent to a worker that ended
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class _Bench:
    """The worker's end: what it can be asked to do. onepass is imported here and not before."""

    def __init__(self, threads: int) -> None:
        from onepass.bench import cases, rivals, timing

        rivals.ignore()
        rivals.set_threads(threads)
        self._timing = timing
        self._call: Callable[[], object] = lambda: None
        self._cases: dict[str, cases.Case] = {}
        self._broken: list[str] = []
        for family in cases.FAMILIES:
            try:  # an older build may lack what a family needs
                found = cases.family_cases(family)
                self._cases |= {case.name: case for case in found}
            except Exception as error:
                self._broken.append(f"{family}: {type(error).__name__}: {error}")

    def package(self) -> Answer:
        import onepass

        return {"path": onepass.__file__}

    def names(self, pattern: str | None) -> Answer:
        from onepass.bench.cases import matches

        found = [
            case.name
            for case in self._cases.values()
            if matches(case, pattern) and "import" not in case.covers  # new processes: which build?
        ]
        return {"names": found, "broken": self._broken}

    def prepare(self, name: str) -> Answer:
        self._call = lambda: None  # frees the last case's data first
        case = self._cases[name]
        self._call = case.prepare().ours.run
        self._call()
        return {"calls": self._timing.calls_for(self._call), "units": case.units}

    def sample(self, calls: int) -> Answer:
        seconds, calm = self._timing.sample(self._call, calls)
        return {"seconds": seconds, "calm": calm}


def _answers(threads: int, lines: IO[str], answers: IO[str]) -> None:
    bench = _Bench(threads)
    for line in lines:
        command, *given = json.loads(line)
        do: Callable[..., Answer] = getattr(bench, command)
        try:
            answer = do(*given)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def serve(threads: int) -> None:
    """Answer commands until standard input ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        _answers(threads, sys.stdin, answers)
