"""The benchmarks' cases and statistics; nothing here is timed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onepass.bench import timing, units
from onepass.bench.cases import (
    Case,
    Contender,
    Prepared,
    Work,
    error_between,
)
from onepass.bench.children import in_child
from onepass.bench.environment import environment
from onepass.bench.limits import COPY, READ, TRIAD, Stream
from onepass.bench.record import Record
from onepass.bench.report import document, terminal
from onepass.bench.runner import Manner, Runner, floor_of


def summary(median: float) -> timing.Summary:
    return timing.Summary(median, median, median, median, 1)


def test_statistics_of_known_samples() -> None:
    found = timing.summarize([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (found.median, found.minimum, found.count) == (3.0, 1.0, 5)
    assert found.p10 == pytest.approx(1.4)
    assert found.p90 == pytest.approx(4.6)
    assert found.scaled(0.5) == timing.Summary(1.5, *map(pytest.approx, (0.7, 2.3)), 0.5, 5)
    assert timing.summarize([7.0]) == timing.Summary(7.0, 7.0, 7.0, 7.0, 1)


def test_relative_interval() -> None:
    assert timing.relative_interval([1.0] * 5) == math.inf
    assert timing.relative_interval([2.0] * 50) == 0.0
    samples = [float(v) for v in range(1, 101)]
    # Ranks 50 -+ 9.8 counted from 0: 40 and 60.
    assert timing.relative_interval(samples) == pytest.approx((61 - 41) / 50.5)
    assert timing.relative_interval(samples[::-1]) == timing.relative_interval(samples)


def test_interval_holds_the_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    n, held = 40, 0
    half = 0.98 * math.sqrt(n)
    for _ in range(2000):
        ordered = np.sort(rng.exponential(size=n))
        low, high = math.floor(n / 2 - half), math.ceil(n / 2 + half)
        held += ordered[low] <= math.log(2) <= ordered[high]
    assert held / 2000 >= 0.94


def test_quiet_check_against_its_best() -> None:
    times = iter([1.0] * 30 + [1.1, 1.5, 0.5, 1.0])
    check = timing.QuietCheck(lambda: next(times))
    assert [check.quiet() for _ in range(4)] == [True, False, True, False]


def test_noisy_when_few_rounds_were_quiet() -> None:
    assert not timing.Timing({}, 10, 5).noisy
    assert timing.Timing({}, 10, 6).noisy
    assert timing.Timing({}, 3, 1).noisy


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.0),
        ([[1.0, 2.0]], [[1.5, 2.0]], 0.25),
        ([[1.0], [4.0]], [[1.0], [2.0]], 0.5),
        ([[0.0]], [[0.0]], 0.0),
        ([[1.0]], [[1.0, 1.0]], math.inf),
        ([[1.0]], [[1.0], [1.0]], math.inf),
        ([[math.nan]], [[math.nan]], math.inf),
    ],
)
def test_error_between(a: Any, b: Any, error: float) -> None:
    assert error_between(a, b) == error


def test_streams_count_bytes_moved() -> None:
    assert (READ.accesses, COPY.accesses, TRIAD.accesses) == (1, 2, 3)
    adam = Stream(1, 3, 0)
    assert (adam.accesses, adam.arrays) == (7, 4)  # 28 bytes a float32 parameter


def test_floor_is_the_larger_ratio_of_each_phase() -> None:
    limits: Any = SimpleNamespace(peak=lambda *_: 10.0, bandwidth=lambda *_: 2.0)
    work = (Work(100.0, 4.0, 1, READ), Work(10.0, 6.0, 1, READ))
    assert floor_of(work, limits, "avx2", 1) == 10.0 + 3.0
    unknown: Any = SimpleNamespace(peak=lambda *_: 10.0, bandwidth=lambda *_: None)
    assert floor_of(work, unknown, "avx2", 1) is None


def cores_of_two_calls() -> Iterator[int]:
    yield len(os.sched_getaffinity(0))
    yield int(os.environ["NPROC"])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_child_is_held_to_its_cores_and_this_process_is_not() -> None:
    before = os.sched_getaffinity(0), dict(os.environ)
    assert list(in_child(1, cores_of_two_calls)) == [1, 1]
    assert (os.sched_getaffinity(0), dict(os.environ)) == before


def ends_early() -> Iterator[int]:
    yield 1
    os._exit(3)


def test_a_child_that_ends_early_is_an_error() -> None:
    items = in_child(1, ends_early)
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="1 threads ended: 3"):
        next(items)


def test_unequal_results_are_reported_and_not_timed() -> None:
    def refuse() -> None:
        raise AssertionError("timed")

    def prepare() -> Prepared:
        ours = Contender("onepass", refuse, lambda: [1.0])
        return Prepared(ours, [Contender("other", refuse, lambda: [2.0])])

    case = Case("wrong", "family", (), (Work(1.0, 0.0, 0, READ),), prepare)
    nothing: Any = None
    record = Runner(nothing, Manner(1)).run(case)
    assert record.status == "UNEQUAL"
    assert not record.times
    assert "wrong: UNEQUAL, other differs by 5.0e-01" in "\n".join(terminal.lines(record))


def test_a_case_that_raises_is_reported() -> None:
    def prepare() -> Prepared:
        raise RuntimeError("no memory")

    nothing: Any = None
    case = Case("big", "family", (), (), prepare)
    record = Runner(nothing, Manner(1)).run(case)
    assert list(terminal.lines(record)) == ["big: FAILED, RuntimeError: no memory"]


def test_report_and_json(tmp_path: Path) -> None:
    record = Record(
        name="adam step",
        family="optimizers",
        threads=1,
        status="equal",
        flops=0.0,
        bytes=28e3,
        tolerance=1e-5,
        errors={"torch": 1e-7, "bad": math.inf},
        limit=0.5e-6,
        times={"onepass": summary(1e-6), "torch": summary(4e-6), "numpy": summary(3e-6)},
        parts={"feeding": summary(2e-9)},
    )
    shown = "\n".join(terminal.lines(record))
    for part in ("1.00 us", "28.0 GB/s", "50%", "numpy", "3.00", "of which feeding", "2.00 ns"):
        assert part in shown
    path = tmp_path / "bench.json"
    document.Document(environment([1]), {}, [record]).write(path)
    whole = json.loads(path.read_text())
    assert whole["cases"][0]["ratio"] == pytest.approx(3.0)
    assert whole["cases"][0]["errors"]["bad"] is None
    assert document.read(path).records == [record]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (2.0, "2.00 s"), (0.0123, "12.3 ms"), (1.5e-4, "150 us"), (4e-8, "40.0 ns")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert units.duration(seconds) == text
