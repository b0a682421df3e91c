"""Two builds of onepass side by side: ``onepass bench ab OLD [NEW]``.

OLD and NEW are commits, or folders of checkouts that are built; NEW is this checkout by default.
Each build runs the same cases (this checkout's) in a process of its own; they take samples in
turn, A B B A, B A A B and so on, while the other one waits. Eight times both begin anew: where a
process's memory lies makes differences of its own, which last as long as it does.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onepass import _arguments as arguments
from onepass.bench import builds, ranks
from onepass.bench.children import held_to
from onepass.bench.report.document import replace_file
from onepass.bench.timing import (
    PAUSE,
    QuietCheck,
    calm_rounds,
    quantile,
    quiet_check,
    rest_and_check,
)
from onepass.bench.units import duration
from onepass.bench.worker import Worker, WorkerError

_PAIRS = 8  # of processes; fewer could not say anything with so much certainty
_ROUNDS = 2  # at least, each time: 32 samples of each in all
_SURE = 0.01  # p-value from which on a difference is believed: all pairs agree

Samples = tuple[Sequence[float], Sequence[float]]  # of the old build and of the new one
Round = tuple[bool, tuple[list[float], list[float]]]


@dataclass(frozen=True)
class Comparison:
    """Two builds at one case; times in seconds of one unit.

    ``ratio`` is old over new: above 1, the new one is faster. ``low`` and ``high`` are the
    smallest and the largest that a pair of processes showed: with eight pairs, the ends of a 99%
    interval.
    """

    name: str
    threads: int
    old: float
    new: float
    ratio: float
    low: float
    high: float
    p_value: float
    samples: int
    noisy: bool

    @property
    def verdict(self) -> str:
        """What the rank test says of the new build."""
        if self.p_value > _SURE:
            return "no difference"
        return "faster" if self.ratio > 1.0 else "slower"

    def line(self) -> str:
        """Return it as a line of the table."""
        interval = f"{self.low:.3f}-{self.high:.3f}"
        cells = (
            f"{self.name:46}  {self.threads:2}  {duration(self.old):>9}  {duration(self.new):>9}"
        )
        noisy = " ~noisy" if self.noisy else ""
        return f"{cells}  {self.ratio:6.3f}  {interval:>13}  {self.verdict}{noisy}"


def compared(name: str, threads: int, pairs: Sequence[Samples], noisy: bool = False) -> Comparison:
    """Return what the samples of some pairs of processes, old and new, say.

    One pair is one observation: within it samples depend on each other.
    """
    medians = [[quantile(sorted(side), 0.5) for side in pair] for pair in pairs]
    logs = [math.log(old / new) for old, new in medians]
    old, new = (quantile(sorted(side), 0.5) for side in zip(*medians, strict=True))
    return Comparison(
        name,
        threads,
        old,
        new,
        math.exp(ranks.middle_of(logs)),
        math.exp(min(logs)),
        math.exp(max(logs)),
        ranks.signed_p_value(logs),
        sum(len(samples) for samples, _ in pairs),
        noisy,
    )


def run_case(
    name: str, pair: Sequence[Worker], seconds: float, quiet: QuietCheck, first: int
) -> list[Round]:
    """Sample a case in both workers in turn, for so many seconds and at least two rounds."""
    started = [pair[side].ask("prepare", name) for side in (first, 1 - first)]
    calls, units = max(s["calls"] for s in started), started[0]["units"]
    begin = time.perf_counter()
    rounds: list[Round] = []
    while len(rounds) < _ROUNDS or time.perf_counter() - begin < seconds:
        rounds.append(_round(pair, calls, units, (len(rounds) + first) % 2, quiet))
    return rounds


def _round(pair: Sequence[Worker], calls: int, units: int, first: int, quiet: QuietCheck) -> Round:
    """Take samples A B B A, or B A A B if B is the first; whether all was calm, and the times."""
    calm = rest_and_check(quiet)
    samples: tuple[list[float], list[float]] = [], []
    for side in (first, 1 - first, 1 - first, first):
        time.sleep(PAUSE)
        found = pair[side].ask("sample", calls)
        calm = calm and found["calm"]
        samples[side].append(found["seconds"] / units)
    return rest_and_check(quiet) and calm, samples


def _shared(pair: Sequence[Worker], pattern: str | None) -> list[str]:
    """Return the cases that both builds have; say which only one has."""
    answers = [worker.ask("names", pattern) for worker in pair]
    for worker, answer in zip(pair, answers, strict=True):
        for problem in answer["broken"]:
            print(f"{worker.build.name} lacks a family, {problem}")
    old, new = (dict.fromkeys(answer["names"]) for answer in answers)
    for name in [*(old.keys() - new.keys()), *(new.keys() - old.keys())]:
        print(f"{name}: only in {pair[name in new].build.name}")
    return [name for name in new if name in old]


class _Found:
    """What pairs of processes have shown of one case."""

    def __init__(self) -> None:
        self.pairs: list[Samples] = []
        self.noisy = False
        self.problem = ""

    def add(self, rounds: Sequence[Round]) -> None:
        chosen, noisy = calm_rounds(rounds)
        self.noisy = self.noisy or noisy
        old, new = ([t for samples in chosen for t in samples[side]] for side in (0, 1))
        self.pairs.append((old, new))


@contextmanager
def _pair_of(both: Sequence[builds.Build], threads: int, first: int) -> Iterator[list[Worker]]:
    """Start a worker for each build, one of them first; end them afterwards."""
    with held_to(threads), ExitStack() as stack:
        workers = {
            side: stack.enter_context(closing(Worker(both[side], threads)))
            for side in (first, 1 - first)
        }
        yield [workers[0], workers[1]]


def _run_some(
    pair: Sequence[Worker],
    every: dict[str, _Found],
    names: list[str],
    seconds: float,
    quiet: QuietCheck,
    first: int,
) -> list[str]:
    """Sample the cases in turn; return those left to do after one that ended a worker."""
    for at, name in enumerate(names):
        try:
            every[name].add(run_case(name, pair, seconds, quiet, first))
        except WorkerError as error:
            every[name].problem = f"{name}: FAILED, {error}"
            if not all(worker.alive() for worker in pair):
                return names[at + 1 :]
    return []


def run(
    old: builds.Build,
    new: builds.Build,
    threads: int,
    pattern: str | None,
    seconds: float,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Comparison | str]:
    """Compare two builds on so many threads; a case that fails yields its message.

    Parameters
    ----------
    seconds : of a case, shared by the pairs of processes
    say : is told how far it is

    Raises
    ------
    WorkerError
        If a build cannot be imported, or no case of both is meant.
    KeyboardInterrupt
        After what is known was yielded.
    """
    every: dict[str, _Found] = {}
    interrupted = False
    try:
        for part in range(_PAIRS):
            say(f"pair {part + 1} of {_PAIRS}")
            first, left = part % 2, [name for name, found in every.items() if not found.problem]
            while left or not every:
                with _pair_of((old, new), threads, first) as pair:
                    if not every:
                        left = _shared(pair, pattern)
                        every = {name: _Found() for name in left}
                    if not left:
                        raise WorkerError(f"no case that both builds have contains {pattern!r}")
                    quiet = quiet_check(threads)
                    left = _run_some(pair, every, left, seconds / _PAIRS, quiet, first)
    except KeyboardInterrupt:
        interrupted = True
    for name, found in every.items():
        if found.problem or found.pairs:
            yield found.problem or compared(name, threads, found.pairs, found.noisy)
    if interrupted:
        raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(given: Sequence[str] | None = None) -> int:
    """Compare what the arguments name; 1 if a case failed."""
    parser = argparse.ArgumentParser(
        prog="onepass bench ab",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("old", metavar="OLD", help="commit or folder")
    parser.add_argument("new", metavar="NEW", nargs="?", help="commit or folder, default this one")
    parser.add_argument("--only", metavar="PATTERN", help="cases or families that contain it")
    parser.add_argument("--threads", type=arguments.threads, nargs="+", default=[1])
    parser.add_argument(
        "--seconds", type=arguments.seconds, default=4.0, help="for each case (default 4)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    options = parser.parse_args(given)
    found: list[dict[str, Any]] = []
    try:
        old, new = builds.find(options.old), builds.find(options.new)
        return _compare(old, new, options, found)
    except (builds.BuildError, WorkerError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if options.json is not None and found:
            document = {"old": options.old, "new": options.new, "cases": found}
            replace_file(options.json, (json.dumps(document, indent=1) + "\n").encode())


def _compare(
    old: builds.Build, new: builds.Build, options: argparse.Namespace, found: list[dict[str, Any]]
) -> int:
    """Print what each case shows and keep it; return the exit status."""
    print(f"A is {old.name}, B is {new.name}; ratio: A over B, with its 99% interval")
    print(f"{'case':46}   T  {'A':>9}  {'B':>9}   ratio  {'interval':>13}  B is")
    failed = False
    for threads in options.threads:
        for result in run(old, new, threads, options.only, options.seconds, _say):
            if isinstance(result, str):
                failed = True
                print(result, flush=True)
            else:
                found.append(asdict(result) | {"verdict": result.verdict})
                print(result.line(), flush=True)
    return int(failed)
