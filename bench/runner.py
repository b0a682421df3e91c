"""Runs one case: results compared, then timed, then held against its limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

from bench import rivals
from bench.cases import Case, Work, chosen, compare
from bench.limits import Limits
from bench.timing import QuietCheck, Summary, measure, python_spin
from onepass import config

_SPIN_ROUNDS = 200_000  # about 0.2 ms


@dataclass(frozen=True)
class Record:
    """What is known of a case after its run; times in seconds of one unit.

    ``status`` is "equal", "unchecked" (nothing to compare with), "UNEQUAL" (some rival differs: it
    is not timed, nor are we if all do) or "FAILED".
    """

    name: str
    family: str
    threads: int
    status: str
    flops: float
    bytes: float
    tolerance: float
    errors: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    times: dict[str, Summary] = field(default_factory=dict)
    parts: dict[str, Summary] = field(default_factory=dict)
    rounds: int = 0
    noisy_rounds: int = 0
    noisy: bool = False
    message: str = ""

    @property
    def ours(self) -> Summary | None:
        """Our times, if we were timed."""
        return self.times.get("onepass")

    @property
    def best_rival(self) -> str | None:
        """The rival with the smallest median."""
        others = {name: s.median for name, s in self.times.items() if name != "onepass"}
        return min(others, key=others.__getitem__) if others else None

    @property
    def of_limit(self) -> float | None:
        """Share of the limit that we reach."""
        return self.limit / self.ours.median if self.limit and self.ours else None

    @property
    def ratio(self) -> float | None:
        """How many times longer the best rival takes."""
        if self.ours is None or self.best_rival is None:
            return None
        return self.times[self.best_rival].median / self.ours.median

    def as_json(self) -> dict[str, Any]:
        """Return everything, with what follows from it."""
        follows = {"best_rival": self.best_rival, "of_limit": self.of_limit, "ratio": self.ratio}
        errors = {n: error if isfinite(error) else None for n, error in self.errors.items()}
        return asdict(self) | follows | {"errors": errors}  # JSON has no infinity


def floor_of(work: tuple[Work, ...], limits: Limits, isa: str, threads: int) -> float | None:
    """Return the seconds that the phases cannot go below, None where a limit is not measured.

    Of each phase the larger of flops over peak and bytes over bandwidth; phases add up.
    """
    total = 0.0
    for phase in work:
        floors = [0.0]
        if phase.flops:
            peak = limits.peak(isa, 32, threads)
            if peak is None:
                return None
            floors.append(phase.flops / peak)
        if phase.bytes:
            rate = limits.bandwidth(phase.stream, phase.working_set, threads)
            if rate is None:
                return None
            floors.append(phase.bytes / rate)
        total += max(floors)
    return total or None


class Runner:
    """Runs cases on one number of threads."""

    def __init__(self, limits: Limits, threads: int, seconds: float, with_rivals: bool) -> None:
        self._limits, self._threads, self._seconds = limits, threads, seconds
        self._with_rivals = with_rivals
        rivals.set_threads(threads)

    @cached_property
    def _quiet(self) -> QuietCheck:
        return QuietCheck(self._spin)

    def _spin(self) -> float:
        seconds = self._limits.spin(self._threads, _SPIN_ROUNDS)
        return python_spin() if seconds is None else seconds

    def run(self, case: Case) -> Record:
        """Do everything for one case; an exception is recorded, not raised."""
        facts: dict[str, Any] = {
            "name": case.name,
            "family": case.family,
            "threads": self._threads,
            "flops": sum(phase.flops for phase in case.work),
            "bytes": sum(phase.bytes for phase in case.work),
            "tolerance": case.tolerance,
        }
        try:
            return self._run(case, facts)
        except Exception as error:
            return Record(**facts, status="FAILED", message=f"{type(error).__name__}: {error}")

    def _floor(self, case: Case) -> float | None:
        return floor_of(case.work, self._limits, config.isa(), self._threads)

    def _run(self, case: Case, facts: dict[str, Any]) -> Record:
        prepared = case.prepare()
        errors = compare(case, prepared)
        equal = {name for name, error in errors.items() if error <= case.tolerance}
        facts["errors"] = errors
        facts["status"] = (
            "unchecked" if not errors else "equal" if len(equal) == len(errors) else "UNEQUAL"
        )
        if errors and not equal:
            return Record(**facts)
        calls: dict[str, Callable[[], object]] = {"onepass": prepared.ours.run}
        calls |= {f"of which {name}": run for name, run in prepared.parts.items()}
        if self._with_rivals:
            calls |= {rival.name: rival.run for rival in prepared.rivals if rival.name in equal}
        floors = [self._floor(case)]
        timing = measure(calls, self._seconds, self._quiet)
        floors.append(self._floor(case))
        facts["limit"] = min((floor for floor in floors if floor is not None), default=None)
        times = {name: s.scaled(1 / case.units) for name, s in timing.summaries.items()}
        parts = {name: times.pop(f"of which {name}") for name in prepared.parts}
        return Record(
            **facts,
            times=times,
            parts=parts,
            rounds=timing.rounds,
            noisy_rounds=timing.noisy_rounds,
            noisy=timing.noisy,
        )


def run_chosen(
    pattern: str | None, threads: int, seconds: float, with_rivals: bool
) -> Iterator[Record]:
    """Run the cases that contain the pattern; for a process that is held to so many cores."""
    runner = Runner(Limits(), threads, seconds, with_rivals)
    for case in chosen(pattern):
        yield runner.run(case)
