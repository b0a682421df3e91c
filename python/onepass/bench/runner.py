"""Runs one case: results compared, then timed, then held against its limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from onepass import config
from onepass.bench import rivals
from onepass.bench.cases import Case, Selection, Work, compare
from onepass.bench.limits import Limits, cache_sizes
from onepass.bench.record import Record
from onepass.bench.timing import QuietCheck, Timing, measure, quiet_check

OURS = "onepass"


@dataclass(frozen=True)
class Manner:
    """How cases are timed.

    Attributes
    ----------
    threads : of all contenders
    seconds : budget of a case
    with_rivals : whether rivals are timed, too; results are compared with theirs all the same
    isa : instruction set of our kernels; None: the machine's best
    cold : whether each sample is one call with cold caches
    left_out : modules of rivals that are neither compared nor timed
    """

    threads: int
    seconds: float = 2.0
    with_rivals: bool = True
    isa: str | None = None
    cold: bool = False
    left_out: tuple[str, ...] = ()


def floor_of(
    work: tuple[Work, ...], limits: Limits, isa: str, threads: int, bits: int = 32
) -> float | None:
    """Return the seconds that the phases cannot go below, None where a limit is not measured.

    Of each phase the larger of flops over peak and bytes over bandwidth; phases add up.
    """
    total = 0.0
    for phase in work:
        floors = [0.0]
        if phase.flops:
            floors.append(phase.flops / limits.peak(isa, bits, threads))
        if phase.bytes:
            rate = limits.bandwidth(phase.stream, phase.working_set, threads)
            if rate is None:
                return None
            floors.append(phase.bytes / rate)
        total += max(floors)
    return total or None


def evictor() -> Callable[[], object]:
    """Return a call that fills the caches with something else: it updates twice the last level."""
    size = 2 * max(cache_sizes().values(), default=32 << 20)
    buffer = np.ones(size // 8)
    return lambda: np.add(buffer, 1.0, out=buffer)


class Runner:
    """Runs cases in one manner."""

    def __init__(self, limits: Limits, manner: Manner) -> None:
        self._limits, self._manner = limits, manner
        rivals.leave_out(manner.left_out)
        rivals.set_threads(manner.threads)
        if manner.isa is not None:
            config.set_isa(manner.isa)

    @cached_property
    def _quiet(self) -> QuietCheck:
        return quiet_check(self._manner.threads)

    @cached_property
    def _evict(self) -> Callable[[], object] | None:
        return evictor() if self._manner.cold else None

    def run(self, case: Case) -> Record:
        """Do everything for one case; an exception is recorded, not raised."""
        facts: dict[str, Any] = {
            "name": case.name,
            "family": case.family,
            "threads": self._manner.threads,
            "flops": sum(phase.flops for phase in case.work),
            "bytes": sum(phase.bytes for phase in case.work),
            "tolerance": case.tolerance,
            "dtype": case.dtype,
            "isa": config.isa(),
            "cold": self._manner.cold,
            "series": case.series,
            "size": case.size,
            "headline": case.headline,
        }
        try:
            return self._run(case, facts)
        except Exception as error:
            return Record(**facts, status="FAILED", message=f"{type(error).__name__}: {error}")

    def _floor(self, case: Case) -> float | None:
        bits = 8 * np.dtype(case.dtype).itemsize
        work = case.work
        if self._manner.cold:
            memory = 4 * max(cache_sizes().values(), default=32 << 20)
            work = tuple(replace(phase, working_set=memory) for phase in work)
        return floor_of(work, self._limits, config.isa(), self._manner.threads, bits)

    def _run(self, case: Case, facts: dict[str, Any]) -> Record:
        prepared = case.prepare()
        errors, facts["missing"] = compare(prepared)
        equal = {name for name, error in errors.items() if error <= case.tolerance}
        facts["errors"] = errors
        facts["status"] = (
            "unchecked" if not errors else "equal" if len(equal) == len(errors) else "UNEQUAL"
        )
        if errors and not equal:
            return Record(**facts)
        calls: dict[str, Callable[[], object]] = {OURS: prepared.ours.run}
        calls |= {_part(name): run for name, run in prepared.parts.items()}
        if self._manner.with_rivals:
            calls |= {rival.name: rival.run for rival in prepared.rivals if rival.name in equal}
        floors = [self._floor(case)]
        timing = measure(calls, self._manner.seconds, self._quiet, evict=self._evict)
        floors.append(self._floor(case))
        # The lower one: bandwidth changes between minutes.
        facts["limit"] = min((floor for floor in floors if floor is not None), default=None)
        return Record(**facts, **_timed(timing, prepared.parts, case.units))


def _part(name: str) -> str:
    return f"of which {name}"


def _timed(timing: Timing, parts: Mapping[str, object], units: int) -> dict[str, Any]:
    """Return a record's figures of one unit."""
    times = {name: summary.scaled(1 / units) for name, summary in timing.summaries.items()}
    return {
        "parts": {name: times.pop(_part(name)) for name in parts},
        "times": times,
        "samples": [seconds / units for seconds in timing.samples[OURS]],
        "rounds": timing.rounds,
        "noisy_rounds": timing.noisy_rounds,
        "noisy": timing.noisy,
    }


def run_chosen(selection: Selection, manner: Manner) -> Iterator[str | Record]:
    """Yield each case's name, then its record; for a process that is held to so many cores."""
    runner = Runner(Limits(), manner)
    rivals.set_dtype(selection.sizes.dtype)
    for case in selection.cases():
        yield case.name
        yield runner.run(case)
