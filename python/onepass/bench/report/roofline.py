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


def _place(record: Record) -> svg.Point:
    assert record.ours is not None
    return record.flops / record.bytes, record.flops / record.ours.median


def bandwidths(limits: dict[str, Any], threads: int) -> dict[str, float]:
    """Return the fastest stream's bytes a second from each place that was measured."""
    found: dict[str, float] = {}
    for row in limits.get("bandwidth", ()):
        rate = row["bytes_per_second"]
        if row["threads"] == threads and rate:
            found[row["place"]] = max(rate, found.get(row["place"], 0.0))
    return {place: found[place] for place in _PLACES if place in found}


def peaks(limits: dict[str, Any], records: Sequence[Record], threads: int) -> dict[str, float]:
    """Return the FLOPs a second of each instruction set and width that the cases use."""
    used = {(r.isa, 64 if r.dtype == "float64" else 32) for r in records}
    return {
        f"{row['isa']}, {row['bits']} bits": row["flops_per_second"]
        for row in limits.get("peak", ())
        if row["threads"] == threads and (row["isa"], row["bits"]) in used
    }


def _frame(points: Sequence[svg.Point], peak: float | None, slopes: dict[str, float]) -> svg.Frame:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if peak is not None:
        ys = [*ys, peak]
        xs = [*xs, *(peak / rate for rate in slopes.values() if peak / rate < 100 * max(xs))]
    left, top, right, bottom = _AREA
    return svg.Frame(
        _WIDTH,
        _HEIGHT,
        svg.LogAxis(*svg.around(xs, 2.0), left, right),
        svg.LogAxis(*svg.around(ys), bottom, top),
        "FLOPs for each byte that the case must move",
        "FLOP/s reached",
        compact,
        compact,
    )


def _peak_lines(frame: svg.Frame, found: dict[str, float]) -> Iterator[Html]:
    for name, rate in found.items():
        at = frame.y.at(rate)
        yield svg.line((frame.x.start, at), (frame.x.end, at), "roof")
        words = f"peak {compact(rate)}FLOP/s ({name})"
        yield svg.text((frame.x.end - 2, at - 5), words, "roofname", anchor="end")


def _slope(frame: svg.Frame, rate: float, top: float) -> tuple[svg.Point, svg.Point]:
    """Return where the line of a bandwidth enters the area and where it leaves it."""
    low, high = max(frame.x.low, frame.y.low / rate), min(frame.x.high, top / rate)
    return frame.place(low, low * rate), frame.place(high, high * rate)


def _slopes(frame: svg.Frame, rates: dict[str, float], top: float) -> Iterator[Html]:
    """Yield a line for each bandwidth; those that nearly coincide share a name."""
    decade_x = (frame.x.end - frame.x.start) / math.log10(frame.x.high / frame.x.low)
    decade_y = (frame.y.start - frame.y.end) / math.log10(frame.y.high / frame.y.low)
    turn = -math.degrees(math.atan2(decade_y, decade_x))
    named: list[tuple[float, list[str]]] = []
    for place, rate in rates.items():
        if max(frame.x.low, frame.y.low / rate) >= min(frame.x.high, top / rate):
            continue
        yield svg.line(*_slope(frame, rate, top), "roof")
        words = f"{place} {units.digits(rate / 1e9)} GB/s"
        if named and abs(math.log10(rate / named[-1][0])) * decade_y < 18:
            named[-1][1].append(words)
        else:
            named.append((rate, [words]))
    for rate, words_of in named:
        (x, y), _ = _slope(frame, rate, top)
        radians = math.radians(turn)
        along, above = 12.0, 6.0
        at = (
            x + along * math.cos(radians) + above * math.sin(radians),
            y + along * math.sin(radians) - above * math.cos(radians),
        )
        yield svg.text(at, ", ".join(words_of), "roofname", turn=turn)


def _marks(frame: svg.Frame, records: Sequence[Record], colors: dict[str, int]) -> Iterator[Html]:
    labels = svg.Labels(frame.x.start, frame.y.end, frame.x.end, frame.y.start)
    places = [frame.place(*_place(record)) for record in records]
    for place in places:
        labels.keep_free(place)
    for record, place in zip(records, places, strict=True):
        words = (
            f"{label(record)}: {units.rate(record)}, {units.share(record.of_limit)} of its limit"
        )
        yield svg.dot(place, colors[record.family], words, record.noisy)
    ranked = sorted(zip(records, places, strict=True), key=lambda pair: not pair[0].headline)
    for record, place in ranked:
        placed = labels.place(place, label(record))
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
    top = max(found.values(), default=None)
    frame = _frame([_place(record) for record in records], top, slopes)
    roofs = [*_slopes(frame, slopes, top or frame.y.high), *_peak_lines(frame, found)]
    name = f"Roofline on {thread_words(threads)}"
    drawing = frame.draw(*roofs, *_marks(frame, records, colors), name=name)
    return element("div", drawing, class_="wide", tabindex="0")
