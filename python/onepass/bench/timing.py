"""Interleaved timing: each contender in turn, again and again, until the figures are narrow.

A round samples every contender once. Before each sample there is a pause, so that another
library's spinning threads fall asleep, and some untimed calls, so that caches and own threads are
warm. A round is noisy if a spin of known length before or after it took too long, or if the system
took a core away from us during a sample.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import TypeVar

from onepass import _core

PAUSE = 0.012  # seconds; OpenMP's workers spin up to 10 milliseconds after their last job
_WARM = 0.002  # seconds of untimed calls before a sample
_SAMPLE = 0.004  # seconds of a sample at least
_LONG = 0.1  # seconds; a call that takes so long needs none before it
_PREEMPTIONS = 100.0  # a second: so often no quiet machine takes a core away
_SLOWER = 1.15  # a spin that takes so many times its best says that something else ran
_SPIN_ROUNDS = 200_000  # about 0.2 ms
_ENOUGH = 8  # quiet rounds before a narrow interval is believed

Call = Callable[[], object]
T = TypeVar("T")


@dataclass(frozen=True)
class Summary:
    """Statistics of a contender's samples, in seconds a call."""

    median: float
    p10: float
    p90: float
    minimum: float
    count: int

    def scaled(self, factor: float) -> Summary:
        """Return the same in other units, e.g. a step instead of a call."""
        return Summary(
            self.median * factor,
            self.p10 * factor,
            self.p90 * factor,
            self.minimum * factor,
            self.count,
        )


@dataclass(frozen=True)
class Timing:
    """What `measure` returns: samples of each contender, and how quiet the machine was."""

    samples: dict[str, list[float]]
    rounds: int
    noisy_rounds: int

    @property
    def summaries(self) -> dict[str, Summary]:
        """Statistics of each contender."""
        return {name: summarize(samples) for name, samples in self.samples.items()}

    @property
    def noisy(self) -> bool:
        """Whether too few rounds were quiet to rest on them."""
        return too_few(self.rounds - self.noisy_rounds, self.rounds)


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the q-quantile of sorted samples, linear between neighbours."""
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def summarize(samples: Sequence[float]) -> Summary:
    """Return the statistics of at least one sample."""
    ordered = sorted(samples)
    median, p10, p90 = (quantile(ordered, q) for q in (0.5, 0.1, 0.9))
    return Summary(median, p10, p90, ordered[0], len(ordered))


def relative_interval(samples: Sequence[float]) -> float:
    """Return the width of the median's 95% interval over the median; infinite below 6 samples.

    From order statistics, so no distribution is assumed: ranks n/2 -+ 0.98 sqrt(n).
    """
    n = len(samples)
    if n < 6:
        return math.inf
    ordered = sorted(samples)
    half = 0.98 * math.sqrt(n)
    low = max(0, math.floor(n / 2 - half))
    high = min(n - 1, math.ceil(n / 2 + half))
    return (ordered[high] - ordered[low]) / quantile(ordered, 0.5)


class QuietCheck:
    """Compares a spin of fixed work with the best time it ever took.

    Parameters
    ----------
    spin : spin() -> seconds that the fixed work took
    """

    def __init__(self, spin: Callable[[], float]) -> None:
        self._spin = spin
        self.best = min(spin() for _ in range(30))

    def quiet(self) -> bool:
        """Spin once; whether it took about as long as it can."""
        seconds = self._spin()
        self.best = min(self.best, seconds)
        return seconds <= _SLOWER * self.best


def quiet_check(threads: int) -> QuietCheck:
    """Return a check that spins on so many threads."""
    return QuietCheck(lambda: _core.limits_spin(threads, _SPIN_ROUNDS))


def _timed(call: Call, count: int) -> float:
    start = time.perf_counter()
    for _ in repeat(None, count):
        call()
    return time.perf_counter() - start


def _preemptions() -> int:
    """Times that a thread of this process had to give up its core."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def calls_for(call: Call, seconds: float = _SAMPLE) -> int:
    """Return how many calls take about so long, by default a sample; at least one."""
    count = 1
    while (taken := _timed(call, count)) < seconds / 2:
        count *= 2
    return max(1, round(count * seconds / taken))


def cold_sample(call: Call, evict: Call) -> tuple[float, bool]:
    """Time one call whose data lie in no cache; whether we kept our cores."""
    evict()
    before = _preemptions()
    taken = _timed(call, 1)
    return taken, _preemptions() - before <= _PREEMPTIONS * taken


def sample(call: Call, count: int) -> tuple[float, bool]:
    """Time so many calls after some untimed ones: caches, threads and clocks are then awake.

    Returns
    -------
    seconds : float
        Of one call.
    calm : bool
        Whether we kept our cores.
    """
    before = _preemptions()
    taken = _timed(call, max(1, round(count * _WARM / _SAMPLE)))
    if count > 1 or taken < _LONG:
        before = _preemptions()
        taken = _timed(call, count)
    return taken / count, _preemptions() - before <= _PREEMPTIONS * taken


def rest_and_check(quiet: QuietCheck, pause: float = PAUSE) -> bool:
    """Let other libraries' threads fall asleep; whether the machine is quiet then."""
    time.sleep(pause)
    return quiet.quiet()


def calm_rounds(every: Sequence[tuple[bool, T]]) -> tuple[list[T], bool]:
    """Return the calm rounds, or all if fewer than three were calm; whether these are too few."""
    good = [found for calm, found in every if calm]
    chosen = good if len(good) >= 3 else [found for _, found in every]
    return chosen, too_few(len(good), len(every))


def too_few(calm: int, rounds: int) -> bool:
    """Whether so few rounds were calm that nothing should rest on them."""
    return calm < max(3, rounds / 2)


def _sampler(call: Call, evict: Call | None) -> Callable[[], tuple[float, bool]]:
    """Return what takes a sample of a contender."""
    if evict is not None:
        return partial(cold_sample, call, evict)
    return partial(sample, call, calls_for(call))


def measure(
    contenders: Mapping[str, Call],
    seconds: float,
    quiet: QuietCheck,
    *,
    narrow: float = 0.02,
    pause: float = PAUSE,
    evict: Call | None = None,
) -> Timing:
    """Time the contenders side by side.

    Parameters
    ----------
    contenders : name -> call
    seconds : budget for all; at least three rounds are done whatever they take
    quiet : see `QuietCheck`
    narrow : stop once every median is known to this relative width
    pause : seconds of rest before each sample
    evict : empties the caches; a sample is then one call, with cold data

    Returns
    -------
    timing : Timing
        Of the quiet rounds; of all where fewer than three were quiet.
    """
    for call in contenders.values():
        call()  # some compile at their first call
    started = time.perf_counter()
    samplers = {name: _sampler(call, evict) for name, call in contenders.items()}
    every: list[tuple[bool, dict[str, float]]] = []
    while True:
        calm = rest_and_check(quiet, pause)
        samples = {}
        for name, take in samplers.items():
            time.sleep(pause)
            samples[name], kept = take()
            calm = calm and kept
        every.append((rest_and_check(quiet, pause) and calm, samples))
        chosen, _ = calm_rounds(every)
        good = sum(fine for fine, _ in every)
        over = time.perf_counter() - started > seconds
        sure = good >= _ENOUGH and all(
            relative_interval([found[name] for found in chosen]) <= narrow for name in contenders
        )
        if len(every) >= 3 and (over or sure):
            break
    kept_samples = {name: [found[name] for found in chosen] for name in contenders}
    return Timing(kept_samples, len(every), len(every) - good)
