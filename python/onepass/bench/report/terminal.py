"""The live table in a terminal: a line for each case, a bar for the share of its limit.

rich is imported here and nowhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from onepass.bench import units
from onepass.bench.record import Record

_NAME, _BAR = 44, 10
_COLUMNS = (("T", 2), ("ours", 9), ("p10-p90", 17), ("rate", 12))
_LAST = (("best rival", 13), ("time", 9), ("ratio", 6))


def _rich(module: str) -> Any:
    try:
        return importlib.import_module(f"rich.{module}")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the table wants rich: python -m pip install 'onepass[bench]'", name="rich"
        ) from None


def bar(share: float | None) -> str:
    """Return a bar of ten cells for a share of a limit, eighths of a cell included."""
    if share is None:
        return " " * _BAR
    eighths = round(min(1.0, max(0.0, share)) * 8 * _BAR)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(_BAR)


def _cells(record: Record) -> list[str]:
    assert record.ours is not None
    spread = f"{units.duration(record.ours.p10)}-{units.duration(record.ours.p90)}"
    return [
        str(record.threads),
        units.duration(record.ours.median),
        spread.replace(" ", ""),
        units.rate(record),
    ]


def _columns(cells: Sequence[str], columns: Sequence[tuple[str, int]]) -> str:
    pairs = zip(cells, columns, strict=True)
    return "  ".join(cell.rjust(width) for cell, (_, width) in pairs)


def heading() -> str:
    """Return the line above the records."""
    first = _columns([name for name, _ in _COLUMNS], _COLUMNS)
    last = _columns([name for name, _ in _LAST], _LAST)
    return f"{'case':{_NAME}}  {first}  {'of limit':>{_BAR + 5}}  {last}"


def _marks(record: Record) -> str:
    marks = " ~noisy" if record.noisy else ""
    return marks + (" unchecked" if record.status == "unchecked" else "")


def _timed(record: Record) -> str:
    rival = record.best_rival
    shown = (
        rival or "-",
        units.duration(record.times[rival].median if rival else None),
        units.ratio(record.ratio),
    )
    limit = f"{units.share(record.of_limit):>4} {bar(record.of_limit)}"
    first = _columns(_cells(record), _COLUMNS)
    return f"{record.name:{_NAME}}  {first}  {limit}  {_columns(shown, _LAST)}{_marks(record)}"


def lines(record: Record) -> Iterator[str]:
    """Yield a record as a line of the table, with a line for each part and each problem."""
    if record.ours is not None:
        yield _timed(record)
    for name, part in record.parts.items():
        label = f"  of which {name}"
        yield f"{label:{_NAME}}  {record.threads:2}  {units.duration(part.median):>9}"
    for name, why in record.missing.items():
        yield f"  without {name}: {why.splitlines()[0]}"
    if record.status == "UNEQUAL":
        wrong = {k: v for k, v in record.errors.items() if not v <= record.tolerance}
        shown = ", ".join(f"{name} differs by {error:.1e}" for name, error in wrong.items())
        yield f"{record.name}: UNEQUAL, {shown}, allowed {record.tolerance:.0e}: not timed"
    if record.status == "FAILED":
        yield f"{record.name}: FAILED, {record.message}"


def environment_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what the figures depend on, and which rivals are there."""
    yield (
        f"{facts['cpu']}, {facts['isa']}, Python {facts['python']}, onepass {facts['onepass']} "
        f"(commit {facts['commit'] or 'unknown'}, build {facts['build']})"
    )
    yield ", ".join(f"{name} {found or 'missing'}" for name, found in facts["libraries"].items())


def limits_lines(limits: dict[str, Any]) -> Iterator[str]:
    """Yield the machine's limits."""
    yield "limits of this machine, measured now"
    for n in sorted({row["threads"] for row in limits["peak"]}):
        rates = [
            f"{row['isa']} fp{row['bits']} {row['flops_per_second'] / 1e9:.0f}"
            for row in limits["peak"]
            if row["threads"] == n
        ]
        yield f"  {n}T GFLOP/s  " + ", ".join(rates)
        for place in ("L2", "L3", "memory"):
            found = [
                row
                for row in limits["bandwidth"]
                if (row["threads"], row["place"]) == (n, place) and row["bytes_per_second"]
            ]
            if found:
                rates = [f"{row['stream']} {row['bytes_per_second'] / 1e9:.0f}" for row in found]
                yield f"  {n}T GB/s     {place} ({found[0]['bytes'] >> 10} KiB): {', '.join(rates)}"
    yield f"  core to core {units.duration(limits['core_to_core_seconds'])}, one way"
    yield (
        f"  call from Python {units.duration(limits['python_call_seconds'])}, native "
        f"{units.duration(limits['native_call_seconds'])}, the loop included"
    )


class Screen:
    """Prints what is done, and below it what is under way."""

    def __init__(self) -> None:
        self._console = _rich("console").Console(highlight=False, soft_wrap=True)
        self._progress: Any = None
        self._task: Any = None

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line."""
        self._console.print(text, style=style, markup=False)

    @contextmanager
    def underway(self, total: int) -> Iterator[None]:
        """Show a bar of the cases that are done while some are run."""
        progress = _rich("progress")
        columns = (
            progress.MofNCompleteColumn(),
            progress.BarColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
        )
        with progress.Progress(*columns, console=self._console, transient=True) as shown:
            self._progress, self._task = shown, shown.add_task("", total=total)
            yield
        self._progress = None

    def begin(self, name: str) -> None:
        """Say which case is under way."""
        if self._progress is not None:
            self._progress.update(self._task, description=name)

    def show(self, record: Record) -> None:
        """Print a record and count it as done."""
        for line in lines(record):
            self.say(line, _style(record))
        if self._progress is not None:
            self._progress.advance(self._task)


def _style(record: Record) -> str | None:
    if record.status in ("UNEQUAL", "FAILED"):
        return "bold red"
    if record.ratio is not None and record.ratio < 1.0:
        return "yellow"
    return None
