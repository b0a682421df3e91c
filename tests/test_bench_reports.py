"""Reports of benchmark runs: the page, the picture, two runs compared, files that are no runs."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from onepass import cli
from onepass.bench import comparison
from onepass.bench.comparison import changes
from onepass.bench.record import Record
from onepass.bench.report import document, words
from onepass.bench.report.document import Document, read
from onepass.bench.report.markup import element, joined
from onepass.bench.report.page import page, write_page
from onepass.bench.report.svg import Labels, LogAxis, round_values
from onepass.bench.report.sweeps import sweeps
from onepass.bench.timing import Summary, summarize

HOSTILE = "<script>alert('x')</script>\"&$\\nosuch$"


def summary(median: float) -> Summary:
    return Summary(median, 0.9 * median, 1.2 * median, 0.8 * median, 20)


def record(name: str = "adam step 266k", **given: Any) -> Record:
    """Return a record of half of its limit, beside a rival that takes twice as long."""
    facts: dict[str, Any] = {
        "family": "optimizers",
        "threads": 1,
        "status": "equal",
        "flops": 0.0,
        "bytes": 7e6,
        "tolerance": 1e-5,
        "isa": "avx2",
        "limit": 0.5e-3,
        "times": {"onepass": summary(1e-3), "torch": summary(2e-3), "numpy": summary(3e-3)},
        "samples": [1e-3 + 1e-6 * at for at in range(20)],
    }
    return Record(name, **facts | given)


def failed(name: str, **given: Any) -> Record:
    return record(name, status="FAILED", message="no memory", limit=None, times={}, **given)


def alone() -> Record:
    return record(times={"onepass": summary(1e-3)}, headline=True)


LIMITS: dict[str, Any] = {
    "peak": [
        {"isa": isa, "bits": bits, "threads": n, "flops_per_second": 1e11 * n}
        for isa in ("avx2", "baseline")
        for bits in (32, 64)
        for n in (1, 2)
    ],
    "bandwidth": [
        {"place": place, "bytes": 1 << 20, "stream": "read", "threads": n, "bytes_per_second": rate}
        for place, rate in (("L2", 1e11), ("L3", 2e10), ("memory", None))
        for n in (1, 2)
    ],
    "core_to_core_seconds": 6e-8,
    "python_call_seconds": 3e-8,
    "native_call_seconds": 4e-8,
}
ENVIRONMENT: dict[str, Any] = {
    "time": "2026-03-04T09:36:47+00:00",
    "cpu": "Some CPU @ 3 GHz (family 6, model 106)",
    "caches": {"L1": 32768, "L2": 1 << 20},
    "isa": "avx2",
    "threads": [1, 2],
    "commit": None,
    "libraries": {"numpy": "2.4.6", "jax": None},
}


def whole() -> Document:
    """Return a run in which there is something of everything."""
    records = []
    for n in (1, 2):
        records += [
            record(headline=True, threads=n),
            record("M1 train b32 adam", family="training", flops=4e7, headline=True, threads=n),
            record("lion step 266k", status="unchecked", times={"onepass": summary(1e-3)}),
            record("slow step", times={"onepass": summary(1e-3), "torch": summary(2e-4)}),
            record("busy step", noisy=True, threads=n, parts={"feeding": summary(1e-6)}),
            record("wide step", dtype="float64", cold=True, threads=n),
            record("wrong step", status="UNEQUAL", times={}, errors={"torch": math.inf}),
            failed("broken step", threads=n),
            record(HOSTILE, family=HOSTILE, headline=True, flops=1e6, threads=n),
        ]
        records += [
            record(f"relu of {size}", family="sizes", series="relu", size=size, threads=n)
            for size in (10, 1000, 100_000)
        ]
    return Document(ENVIRONMENT, LIMITS, records)


def run_of(*records: Record, limits: dict[str, Any] = LIMITS) -> Document:
    return Document(ENVIRONMENT, limits, list(records))


class Checker(HTMLParser):
    """Fails where a tag is not closed in turn; keeps tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(text: str) -> Checker:
    """Return what a page holds, after a look at its tags and at what it would load."""
    found = Checker()
    found.feed(text)
    found.close()
    assert not found.open
    assert text.startswith("<!DOCTYPE html>")
    outside = ("link", "img", "iframe", "object", "embed", "base", "form", "image", "use")
    assert not set(found.tags) & set(outside)
    for name, value in found.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "srcset", "action", "xlink:href"):
            assert value is not None
            assert value.startswith("#")
    assert not re.search(r"@import|url\(|https?:|//[a-z]", text.replace(HOSTILE, ""))
    return found


def test_page_has_every_case_and_section() -> None:
    run = whole()
    text = page(run)
    found = checked(text)
    shown = "".join(found.text)
    for one in run.records:
        assert words.label(one) in shown
    ids = [value for name, value in found.attributes if name == "id"]
    parts = ["headlines", "limits", "roofline", "rivals", "sizes", "cases", "problems"]
    assert ids == [*parts, "environment", "glossary"]
    links = [value for name, value in found.attributes if name == "href"]
    assert links == [f"#{key}" for key in ids]
    for part in (
        "Some CPU @ 3 GHz, 4 March 2026, 09:36 UTC",
        "2.00\u00d7 faster",
        "5.00\u00d7 slower",
        "50%",
        "peak 100 GFLOP/s (avx2, 32 bits)",
        "L2 100 GB/s",
        "of which feeding",
        "wide step, float64, cold caches",
        "failed: no memory",
        "unequal: torch differs by inf, allowed 1e-05; nothing was timed",
        "2 of 24 measurements are noisy",
        "busy step (1 and 2 threads)",
        "L1 32 KiB, L2 1 MiB",
        "Not installed, so not a rival here: jax.",
        "network of dense layers 784-300-100-10",
    ):
        assert part in shown
    assert found.tags.count("script") == 1
    assert ("name", "viewport") in found.attributes


def test_names_are_escaped() -> None:
    run = whole()
    hostile = replace(run, environment={**ENVIRONMENT, "cpu": HOSTILE, "libraries": {HOSTILE: ""}})
    text = page(hostile)
    assert "<script>alert" not in text
    assert "".join(checked(text).text).count(HOSTILE) > 10


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (Document({}, {}, []), "No case was run."),
        (Document(ENVIRONMENT, LIMITS, []), "No headline case was run."),
        (Document({}, {}, whole().records), "They were not measured."),
        (Document(ENVIRONMENT, LIMITS, [failed("broken", headline=True)]), "1 went wrong."),
        (Document(ENVIRONMENT, LIMITS, [record(headline=True)]), "1 thread"),
        (Document(ENVIRONMENT, LIMITS, [record(flops=1e9, bytes=1.0)]), "Roofline"),
        (
            Document(ENVIRONMENT, LIMITS, [alone()]),
            "No rival was timed.",
        ),
        (Document(ENVIRONMENT, LIMITS, [record(limit=None, headline=True)]), "not measured"),
        (Document({"time": "once", "caches": None}, {}, [record(limit=1.0)]), "100000%"),
    ],
)
def test_page_of_a_run_that_lacks_something(run: Document, says: str) -> None:
    assert says in "".join(checked(page(run)).text)


def test_page_is_written_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    write_page(Document({"cpu": "\ud800"}, {}, []), path)  # what JSON can hold and UTF-8 cannot
    checked(path.read_text("utf-8"))
    assert list(path.parent.iterdir()) == [path]


def test_series_of_fewer_than_three_sizes_are_no_line() -> None:
    rows = [record(f"relu {n}", series="relu", size=n) for n in (100, 1, 10)]
    ((key, found),) = sweeps([*rows, record(series="tanh", size=1)]).items()
    assert (key.title, [one.size for one in found]) == ("relu, 1 thread", [1, 10, 100])
    others = [replace(rows[0], threads=2), replace(rows[1], dtype="float64")]
    assert not sweeps([*rows[:2], *others, replace(rows[2], times={})])


def test_markup() -> None:
    found = element("td", "<b>", element("b", "&"), class_="x y", data_v='"', hidden=True, id=None)
    assert found == '<td class="x y" data-v="&quot;" hidden>&lt;b&gt;<b>&amp;</b></td>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert joined(["<", element("i")], ", ") == "&lt;, <i></i>"


def test_axes() -> None:
    axis = LogAxis(1.0, 100.0, 50.0, 250.0)
    assert [axis.at(v) for v in (1.0, 10.0, 100.0)] == pytest.approx([50.0, 150.0, 250.0])
    assert axis.ticks() == [1, 2, 5, 10, 20, 50, 100]
    assert round_values(0.5, 2e5) == [1, 10, 100, 1000, 10_000, 100_000]
    assert len(round_values(1e-12, 1e12)) < 9


def test_labels_do_not_overlap() -> None:
    labels = Labels(0.0, 0.0, 300.0, 200.0)
    placed = [labels.place((150.0, 100.0), "a name of a case") for _ in range(20)]
    assert placed[0] is not None
    assert placed[-1] is None
    for at, box in enumerate(labels.taken):
        for other in labels.taken[:at]:
            apart = box[0] >= other[2] or other[0] >= box[2]
            assert apart or box[1] >= other[3] or other[1] >= box[3]


def test_noise_is_said_beside_the_headlines() -> None:
    run = run_of(record(headline=True, noisy=True), record("sgd step 266k", headline=True))
    shown = "".join(checked(page(run)).text)
    assert "But 1 of the 2 are noisy" in shown
    assert "adam step 266k (1 thread)" in shown
    assert (words.both([1]), words.both([1, 2, 4])) == ("1", "1, 2 and 4")


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "no rival"),
        (2.0, "2.00\u00d7 faster"),
        (0.5, "2.00\u00d7 slower"),
        (1.001, "as fast"),
        (123.4, "123\u00d7 faster"),
    ],
)
def test_speed_words(ratio: float | None, text: str) -> None:
    assert words.speed_words(ratio) == text


@pytest.mark.parametrize(
    "run",
    [
        whole(),
        Document({"cpu": HOSTILE, "time": HOSTILE}, {}, [record(headline=True)]),
        run_of(record(times={"onepass": summary(1e-3), HOSTILE: summary(1e-3)}, headline=True)),
        Document({}, {}, []),
        Document(ENVIRONMENT, LIMITS, [failed("broken", headline=True)]),
        Document(ENVIRONMENT, LIMITS, [alone()]),
        Document(ENVIRONMENT, {}, [record(limit=None, headline=True)]),
        run_of(
            record(times={"onepass": summary(1e-3), "x": summary(1e-9)}, headline=True, threads=3)
        ),
    ],
)
def test_picture(run: Document, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is wanted")
    from onepass.bench.report.picture import write_picture

    path = tmp_path / "new" / "picture.png"
    write_picture(run, path)
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert width == 1800
    assert 300 < height < 5000
    assert len(content) > 10_000


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from onepass.bench.report.picture import write_picture

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("onepass[bench]")):
        write_picture(whole(), tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


def timed(seconds: float, count: int = 20, **given: Any) -> Record:
    """Return a record of samples around so many seconds."""
    samples = [seconds * (1 + 0.001 * (at % 7 - 3)) for at in range(count)]
    return record(**{"times": {"onepass": summarize(samples)}, "samples": samples, **given})


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0.9e-3, "faster"), (1.1e-3, "slower"), (1e-3, "no difference")]
)
def test_verdicts(seconds: float, verdict: str) -> None:
    (found,) = changes(run_of(timed(1e-3)), run_of(timed(seconds)))
    assert found.verdict == verdict
    assert found.ratio == found.seconds == pytest.approx(1e-3 / seconds)
    assert (found.old, found.new) == pytest.approx((0.5, 0.5e-3 / seconds))
    for part in ("adam step 266k", "50%", f"{found.ratio:.3f}", verdict):
        assert part in found.line()


def test_shares_are_compared_not_times() -> None:
    slower_machine = timed(1.08e-3, limit=1.08 * 0.5e-3)
    (found,) = changes(run_of(timed(1e-3)), run_of(slower_machine))
    assert (found.verdict, found.ratio) == ("no difference", pytest.approx(1.0))
    assert found.seconds == pytest.approx(1 / 1.08)


def test_what_cannot_be_known_is_said() -> None:
    (few,) = changes(run_of(timed(1e-3, 5)), run_of(timed(9e-3, 5)))
    assert few.verdict == "unknown: too few samples"
    assert changes(run_of(timed(1e-3, 6)), run_of(timed(9e-3, 6)))[0].verdict == "slower"
    other_limit = run_of(timed(1e-3, limit=1e-3))
    (moved,) = changes(run_of(timed(1e-3)), other_limit)
    assert moved.verdict == "unknown: its limit differs"
    assert changes(run_of(timed(1e-3)), other_limit, anyway=True)[0].verdict == "faster"


@pytest.mark.parametrize(
    "other",
    [
        {"name": "sgd step 266k"},
        {"threads": 2},
        {"dtype": "float64"},
        {"isa": "avx512"},
        {"cold": True},
        {"bytes": 8e6},
        {"limit": None},
        {"samples": []},
    ],
)
def test_only_the_same_cases_are_compared(other: dict[str, Any]) -> None:
    a = timed(1e-3)
    assert len(changes(run_of(a), run_of(a, replace(a, **other)))) == 1
    assert not changes(run_of(a), run_of(replace(a, **other)))
    assert not changes(run_of(a), run_of(failed("adam step 266k")))


def compared(tmp_path: Path, old: Document, new: Document, *arguments: str) -> int:
    """Return the exit status of the command."""
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, run in zip(paths, (old, new), strict=True):
        run.write(path)
    return cli.main(["bench", "compare", *map(str, paths), *arguments])


def test_a_limit_that_moved_decides_nothing() -> None:
    a = timed(1e-3)
    assert a.limit is not None
    (found,) = changes(run_of(a), run_of(replace(a, limit=0.92 * a.limit)))
    assert found.verdict == "unknown: only its limit differs"
    (found,) = changes(run_of(a), run_of(replace(timed(1.08e-3), limit=1.09 * a.limit)))
    assert found.verdict == "unknown: only its limit differs"
    (found,) = changes(run_of(a), run_of(replace(timed(1.2e-3), limit=1.05 * a.limit)))
    assert found.verdict == "slower"


def test_a_case_that_breaks_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = run_of(timed(1e-3), timed(1e-3, name="other"))
    new = run_of(timed(1e-3), failed("other"))
    assert compared(tmp_path, old, new) == 1
    assert "other on 1 threads: FAILED now" in capsys.readouterr().out
    assert compared(tmp_path, new, old) == 0


def test_exit_status_of_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = run_of(timed(1e-3), timed(1e-3, name="gone"))
    slower = run_of(timed(1.1e-3), timed(1e-3, name="new"))
    assert compared(tmp_path, old, old) == 0
    assert compared(tmp_path, slower, old) == 0
    capsys.readouterr()
    assert compared(tmp_path, old, slower) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[0] == comparison.heading()
    assert "1 slower by more than 5%" in out
    assert "gone" not in out
    assert compared(tmp_path, old, slower, "--threshold", "15") == 0
    assert compared(tmp_path, old, run_of(timed(1e-3, name="other"))) == 2
    assert "no case in common" in capsys.readouterr().out


def test_limits_that_differ_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def scaled(factor: float) -> dict[str, Any]:
        first, *rest = LIMITS["peak"]
        rate = factor * first["flops_per_second"]
        return {**LIMITS, "peak": [{**first, "flops_per_second": rate}, *rest]}

    old = run_of(timed(1e-3))
    assert compared(tmp_path, old, run_of(timed(1e-3), limits=scaled(1.09))) == 0
    for factor in (1.2, 0.8):
        other = run_of(timed(1e-3), limits=scaled(factor))
        capsys.readouterr()
        assert compared(tmp_path, old, other) == 2
        assert "peak avx2 fp32, 1 threads: 100 and" in capsys.readouterr().out
        assert compared(tmp_path, old, other, "--anyway") == 0
    assert compared(tmp_path, old, run_of(timed(1e-3), limits={})) == 0


@pytest.mark.parametrize("threshold", ["-1", "nan", "100", "much"])
def test_bad_thresholds(threshold: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["bench", "compare", "a", "b", "--threshold", threshold])
    assert end.value.code == 2
    assert "--threshold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[]", "schema"),
        (b'{"schema": 1}', "schema 2, got 1"),
        (b'{"schema": 2}', "no complete benchmark: no 'environment'"),
        (b'{"schema": 2, "environment": {}, "limits": 3, "cases": []}', "no complete benchmark"),
        (b'{"schema": 2, "environment": {}, "limits": {}, "cases": [7]}', "no complete benchmark"),
        (b'{"schema": 2, "environment": {}, "limits": {}, "cases": [{}]}', "no 'times'"),
    ],
)
def test_files_that_are_no_run(
    content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        read(path)
    assert str(path) in str(error.value)
    assert cli.main(["bench", "compare", str(path), str(path)]) == 2
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing.json")
    assert cli.main(["bench", "compare", missing, missing]) == 2
    assert missing in capsys.readouterr().err


def test_a_run_is_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    whole().write(path)
    assert json.loads(path.read_text("utf-8"))["schema"] == document.SCHEMA
    assert read(path) == whole()
    assert list(path.parent.iterdir()) == [path]


def test_the_command_draws_reports(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    whole().write(path)
    html = tmp_path / "page.html"
    assert cli.main(["bench", "report", str(path), "--html", str(html)]) == 0
    assert html.read_text("utf-8") == page(whole())
