"""Comparing two builds: the statistics, the workers' protocol, builds that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onepass
from onepass.bench import ab, builds, ranks
from onepass.bench.worker import Worker, WorkerError


@pytest.mark.parametrize(
    ("a", "b", "p"),  # of scipy.stats.mannwhitneyu(a, b, method="asymptotic")
    [
        ([1, 2, 3, 4, 5, 6], [4, 5, 6, 7, 8, 9], 0.03637858037213117),
        ([1, 2, 3, 4, 5], [10, 11, 12, 13, 14], 0.012185780355344808),
        ([3, 3, 3, 1], [3, 3, 3, 9], 0.25683925795785656),
        ([2, 2], [2, 2], 1.0),
    ],
)
def test_p_value(a: list[float], b: list[float], p: float) -> None:
    assert ranks.p_value(a, b) == pytest.approx(p)
    assert ranks.p_value(b, a) == pytest.approx(p)


@pytest.mark.parametrize(
    ("differences", "p"),  # of scipy.stats.wilcoxon(differences, method="exact")
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 0.0078125),
        ([-1, 2, 3, 4, 5, 6, 7, 8], 0.015625),
        ([3, -1, 4, -1.5, 5, 9, -2, 6], 0.109375),
        ([1.0, -1.5], 1.0),
        ([0.0, 0.0], 1.0),
        ([], 1.0),
    ],
)
def test_signed_p_value(differences: list[float], p: float) -> None:
    assert ranks.signed_p_value(differences) == pytest.approx(p)
    assert ranks.signed_p_value([-d for d in differences]) == pytest.approx(p)


def test_equal_builds_are_seldom_called_different() -> None:
    """Also where each pair of processes has a difference of its own that all its samples share."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(2000):
        own = np.exp(0.05 * rng.standard_normal(8))
        pairs = [(shift * (1 + 0.01 * rng.random(8)), 1 + 0.01 * rng.random(8)) for shift in own]
        called += ab.compared("case", 1, pairs).verdict != "no difference"
    assert called <= 0.02 * 2000


def test_verdicts() -> None:
    low, high = [1.0 + 0.001 * i for i in range(12)], [1.2 + 0.001 * i for i in range(12)]
    assert ab.compared("case", 1, [(high, low)] * 8).verdict == "faster"
    assert ab.compared("case", 1, [(low, high)] * 8).verdict == "slower"
    mixed = ab.compared("case", 1, [(low, high)] * 7 + [(high, low)])
    assert mixed.verdict == "no difference"
    assert (mixed.low, mixed.high) == (
        pytest.approx(1.0055 / 1.2055),
        pytest.approx(1.2055 / 1.0055),
    )
    same = ab.compared("case", 1, [(low, low)] * 8, noisy=True)
    assert (same.verdict, same.ratio) == ("no difference", pytest.approx(1.0))
    for part in ("case", "1.01 s", "1.000", "no difference ~noisy"):
        assert part in same.line()


@pytest.fixture
def build(tmp_path: Path) -> builds.Build:
    """The package under test, wherever it is installed, as a build."""
    (tmp_path / "python").symlink_to(Path(onepass.__file__).parents[1])
    return builds.Build("here", tmp_path / "python")


@pytest.fixture
def worker(build: builds.Build) -> Iterator[Worker]:
    worker = Worker(build, 1)
    yield worker
    worker.close()


def test_a_worker_prepares_samples_and_goes_on_after_an_error(worker: Worker) -> None:
    answer = worker.ask("names", "gather_rows*uint8")
    assert len(answer["names"]) == 1
    assert not answer["broken"]
    with pytest.raises(WorkerError, match="here: KeyError"):
        worker.ask("prepare", "no such case")
    assert worker.ask("prepare", answer["names"][0])["calls"] >= 1
    assert worker.ask("sample", 1)["seconds"] > 0.0


def test_a_build_beside_itself(build: builds.Build) -> None:
    (found,) = ab.run(build, build, 1, "gather_rows*uint8", 0.0)
    assert isinstance(found, ab.Comparison)
    assert found.samples >= 32
    assert found.low <= found.ratio <= found.high


def test_a_worker_that_imports_another_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    with pytest.raises(WorkerError, match=r"nothing: "):
        Worker(builds.Build("nothing", tmp_path / "python"), 1)


def test_builds_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(builds.BuildError, match=r"no python/onepass/_core"):
        builds.find(str(tmp_path))
    with pytest.raises(builds.BuildError, match="rev-parse"):
        builds.find("no-such-commit")


def test_a_pattern_that_means_no_case_is_an_error(build: builds.Build) -> None:
    with pytest.raises(WorkerError, match="contains 'no such case'"):
        list(ab.run(build, build, 1, "no such case", 0.0))


class Fragile:
    """A worker that ends in one case, and refuses another one."""

    living = True

    def alive(self) -> bool:
        return self.living

    def ask(self, command: str, given: Any) -> dict[str, Any]:
        if given == "ends":
            self.living = False
        if given in ("ends", "fails"):
            raise WorkerError(given)
        return {"calls": 1, "units": 1, "seconds": 1.0, "calm": True}


def test_a_case_that_ends_a_worker_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ab, "PAUSE", 0.0)
    monkeypatch.setattr(ab, "rest_and_check", lambda quiet: True)
    nothing: Any = None
    every = {name: ab._Found() for name in ("one", "fails", "two", "ends", "three")}
    pair: Any = [Fragile(), Fragile()]
    left = ab._run_some(pair, every, list(every), 0.0, nothing, 0)
    assert left == ["three"]  # for workers that are started anew
    assert [name for name, found in every.items() if found.problem] == ["fails", "ends"]
    assert [name for name, found in every.items() if found.pairs] == ["one", "two"]
