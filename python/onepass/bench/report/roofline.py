"""The roofline: FLOPs a second that each case reaches over its FLOPs for each byte."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from onepass.bench import units
from onepass.bench.record import Record
from onepass.bench.report import svg
from onepass.bench.report.document import Document
from onepass.bench.report.markup import Html, element
from onepass.bench.report.words import compact, label, thread_words

_WIDTH, _HEIGHT = 760.0, 440.0
_AREA = (56.0, 30.0, 744.0, 392.0)  # left, top, right, bottom
_PLACES = ("L2", "L3", "memory")


def on_it(records: Sequence[Record], threads: int) -> list[Record]:
    """Return the cases that have products and bytes and were timed on so many threads."""
    return [r for r in records if r.threads == threads and r.flops and r.bytes and r.ours]


def _point(record: Record) -> svg.Point:
    """Return FLOPs for each byte, and billions of FLOPs a second."""
    assert record.ours is not None
    return record.flops / record.bytes, record.flops / record.ours.median / 1e9


def bandwidths(limits: dict[str, Any], threads: int) -> dict[str, float]:
    """Return the fastest stream's billions of bytes a second from each place that was measured."""
    found: dict[str, float] = {}
    for row in limits.get("bandwidth", ()):
        rate = row["bytes_per_second"]
        if row["threads"] == threads and rate:
            found[row["place"]] = max(rate / 1e9, found.get(row["place"], 0.0))
    return {place: found[place] for place in _PLACES if place in found}


def peaks(limits: dict[str, Any], records: Sequence[Record], threads: int) -> dict[str, float]:
    """Return the GFLOP/s of each instruction set and width that the cases use."""
    used = {(r.isa, 64 if r.dtype == "float64" else 32) for r in records}
    return {
        f"{row['isa']}, {row['bits']} bits": row["flops_per_second"] / 1e9
        for row in limits.get("peak", ())
        if row["threads"] == threads and (row["isa"], row["bits"]) in used
    }


def _frame(
    points: Sequence[svg.Point], peaks: dict[str, float], slopes: dict[str, float]
) -> svg.Frame:
    """Return an area that holds the points, the peaks, and where slopes meet them if near."""
    xs, ys = [x for x, _ in points], [*(y for _, y in points), *peaks.values()]
    meet = [max(peaks.values()) / rate for rate in slopes.values()] if peaks else []
    xs += [x for x in meet if min(xs) / 30 < x < 30 * max(xs)]
    left, top, right, bottom = _AREA
    return svg.Frame(
        _WIDTH,
        _HEIGHT,
        svg.LogAxis(*svg.around(xs, 2.0), left, right),
        svg.LogAxis(*svg.around(ys), bottom, top),
        "FLOPs for each byte that the case must move",
        "GFLOP/s reached",
        compact,
        compact,
    )


def _peak_lines(
    frame: svg.Frame, found: dict[str, float], fastest: float, labels: svg.Labels
) -> Iterator[Html]:
    """Yield a level line for each peak, from where the fastest bandwidth reaches it."""
    for name, rate in found.items():
        at = frame.y.at(rate)
        meet = rate / fastest if fastest else frame.x.low
        start = frame.x.at(min(max(frame.x.low, meet), frame.x.high))
        yield svg.line((start, at), (frame.x.end, at), "roof")
        words = f"peak {units.digits(rate)} GFLOP/s ({name})"
        labels.taken.append((start, at - 2, frame.x.end, at + 2))
        labels.taken.append((frame.x.end - 7 * len(words), at - 18, frame.x.end, at + 2))
        yield svg.text((frame.x.end - 2, at - 5), words, "roofname", anchor="end")


def _turn(frame: svg.Frame) -> float:
    """Return the degrees by which a bandwidth's line is turned."""
    wide = (frame.x.end - frame.x.start) / math.log(frame.x.high / frame.x.low)
    high = (frame.y.start - frame.y.end) / math.log(frame.y.high / frame.y.low)
    return -math.degrees(math.atan2(high, wide))


def _merged(frame: svg.Frame, rates: dict[str, float]) -> Iterator[tuple[float, str]]:
    """Yield each bandwidth with its name; those whose lines nearly coincide share one."""
    by_rate = sorted(rates.items(), key=lambda pair: -pair[1])
    while by_rate:
        _, rate = by_rate[0]
        near = [p for p in by_rate if abs(frame.y.at(p[1]) - frame.y.at(rate)) < 18]
        names = ", ".join(f"{place} {units.digits(speed)}" for place, speed in near)
        yield rate, f"{names} GB/s"
        by_rate = by_rate[len(near) :]


def _ends(frame: svg.Frame, rate: float, top: float) -> tuple[float, float]:
    """Return the FLOPs a byte between which a bandwidth's line crosses the area."""
    return max(frame.x.low, frame.y.low / rate), min(frame.x.high, top / rate)


def _slopes(
    frame: svg.Frame, rates: dict[str, float], top: float, labels: svg.Labels
) -> Iterator[Html]:
    """Yield a line and a name for each bandwidth that crosses the area below the peak."""
    crossing = {}
    for place, rate in rates.items():
        low, high = _ends(frame, rate, top)
        if low < high:
            crossing[place] = rate
            ends = frame.place(low, low * rate), frame.place(high, high * rate)
            yield svg.line(*ends, "roof")
    turn = _turn(frame)
    up = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    for rate, name in _merged(frame, crossing):
        low, _ = _ends(frame, rate, top)
        x, y = frame.place(low, low * rate)
        starts = [(x + by * up[0] - 1, y + by * up[1] - 6) for by in range(24, 400, 8)]
        yield labels.place_turned(starts, name, turn)


def _marks(
    places: Sequence[svg.Point], records: Sequence[Record], colors: dict[str, int]
) -> Iterator[Html]:
    for record, place in zip(records, places, strict=True):
        reached = f"{units.rate(record)}, {units.share(record.of_limit)} of its limit"
        words = f"{label(record)}: {reached}"
        yield svg.dot(place, colors[record.family], words, record.noisy)


def _names(
    places: Sequence[svg.Point], records: Sequence[Record], labels: svg.Labels
) -> Iterator[Html]:
    """Yield names of headlines, of all where there are none, as far as there is room."""
    some = any(record.headline for record in records)
    for record, place in zip(records, places, strict=True):
        placed = labels.place(place, label(record)) if record.headline or not some else None
        if placed is not None:
            yield placed


def roofline(document: Document, threads: int, colors: dict[str, int]) -> Html | None:
    """Return the plot for so many threads, None where no case has products.

    Parameters
    ----------
    document : the run
    threads : whose cases
    colors : family -> number of its colour
    """
    records = on_it(document.records, threads)
    if not records:
        return None
    found = peaks(document.limits, records, threads)
    slopes = bandwidths(document.limits, threads)
    frame = _frame([_point(record) for record in records], found, slopes)
    places = [frame.place(*_point(record)) for record in records]
    labels = svg.Labels(frame.x.start, frame.y.end, frame.x.end, frame.y.start)
    for place in places:
        labels.keep_free(place)
    top = max(found.values(), default=frame.y.high)
    drawing = frame.draw(
        *_peak_lines(frame, found, max(slopes.values(), default=0.0), labels),
        *_slopes(frame, slopes, top, labels),
        *_names(places, records, labels),
        *_marks(places, records, colors),
        name=f"Roofline on {thread_words(threads)}",
    )
    return element("div", drawing, class_="wide roofs", tabindex="0")
