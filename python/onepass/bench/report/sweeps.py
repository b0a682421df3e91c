"""How time for each element changes with the size: a plot for each series of cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from onepass.bench import units
from onepass.bench.record import Record
from onepass.bench.report import svg
from onepass.bench.report.markup import Html, element
from onepass.bench.report.words import compact, contenders, thread_words, time_mark

_WIDTH, _HEIGHT = 400.0, 290.0
_AREA = (62.0, 30.0, 390.0, 244.0)  # left, top, right, bottom
_ENOUGH = 3  # sizes that make a line


class Key(NamedTuple):
    """What the cases of a line share."""

    series: str
    threads: int
    dtype: str
    cold: bool

    @property
    def title(self) -> str:
        """Return it as a heading."""
        extras = [thread_words(self.threads)]
        if self.dtype != "float32":
            extras.append(self.dtype)
        if self.cold:
            extras.append("cold caches")
        return f"{self.series}, {', '.join(extras)}"


def sweeps(records: Sequence[Record]) -> dict[Key, list[Record]]:
    """Return the series that have at least three sizes, each by size."""
    found: dict[Key, list[Record]] = {}
    for record in records:
        if record.series and record.size and record.size > 0 and record.ours:
            key = Key(record.series, record.threads, record.dtype, record.cold)
            found.setdefault(key, []).append(record)
    ordered = {k: sorted(rows, key=lambda r: r.size or 0) for k, rows in found.items()}
    return {k: rows for k, rows in ordered.items() if len({r.size for r in rows}) >= _ENOUGH}


def _line(rows: Sequence[Record], name: str) -> list[tuple[Record, float, float]]:
    """Return a contender's points: record, size, seconds for each element."""
    return [(r, r.size, r.times[name].median / r.size) for r in rows if r.size and name in r.times]


def _limit(rows: Sequence[Record]) -> list[svg.Point]:
    return [(r.size, r.limit / r.size) for r in rows if r.size and r.limit]


def _frame(points: Sequence[svg.Point]) -> svg.Frame:
    left, top, right, bottom = _AREA
    return svg.Frame(
        _WIDTH,
        _HEIGHT,
        svg.LogAxis(*svg.around((x for x, _ in points), 1.3), left, right),
        svg.LogAxis(*svg.around((y for _, y in points), 1.4), bottom, top),
        "size",
        "time for each element; lower is faster",
        compact,
        time_mark,
    )


def _drawn(
    frame: svg.Frame, name: str, color: int, points: Sequence[tuple[Record, float, float]]
) -> Iterator[Html]:
    yield svg.path([frame.place(x, y) for _, x, y in points], f"curve c{color % svg.COLORS}")
    for record, x, y in points:
        words = f"{name}, {record.name}: {units.duration(record.times[name].median)}"
        yield svg.dot(frame.place(x, y), color, words, record.noisy, 3.5)


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """Return what each colour means: pairs of a class of the style and a name."""
    items = (
        element("span", element("i", class_=f"key {kind}"), name, class_="entry")
        for kind, name in entries
    )
    return element("div", *items, class_="legend")


def sweep(key: Key, rows: Sequence[Record], colors: dict[str, int]) -> Html:
    """Return the plot of one series.

    Parameters
    ----------
    key : what its cases share
    rows : the cases by size
    colors : contender -> number of its colour
    """
    lines = {name: _line(rows, name) for name in contenders(rows)}
    floor = _limit(rows)
    frame = _frame([*((x, y) for points in lines.values() for _, x, y in points), *floor])
    drawn = [svg.path([frame.place(*point) for point in floor], "curve floor")] if floor else []
    for name, points in reversed(lines.items()):  # ours on top
        drawn += _drawn(frame, name, colors[name], points)
    entries = [(f"c{colors[name] % svg.COLORS}", name) for name in lines]
    if floor:
        entries.append(("floor", "limit"))
    return element(
        "figure",
        element("figcaption", key.title),
        frame.draw(*drawn, name=key.title),
        legend(entries),
    )
