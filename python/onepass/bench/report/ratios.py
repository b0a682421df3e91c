"""Bars without a picture: rivals' times over ours on a log axis, shares of a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from onepass.bench import units
from onepass.bench.record import Record
from onepass.bench.report.markup import Html, element, joined
from onepass.bench.report.svg import LogAxis, round_values
from onepass.bench.report.words import families, label, thread_words, times_words

_WIDEST = 50.0  # a bar beyond it is cut: one odd rival would make all other bars short
_FEW = 40  # records that are shown without being asked for


def share_bar(share: float | None) -> Html:
    """Return a bar for a share of a limit, with its percent."""
    if share is None:
        return element("span", "not measured", class_="soft")
    width = 100 * min(1.0, max(0.0, share))
    fill = element("i", class_="fill ours", style=f"width:{width:.1f}%")
    track = element("span", fill, class_="track share", aria_hidden="true")
    return joined([track, element("span", units.share(share), class_="val")])


def rival_ratios(record: Record) -> dict[str, float]:
    """Return how many times longer each rival takes, the fastest rival first."""
    if record.ours is None:
        return {}
    others = {n: s.median / record.ours.median for n, s in record.times.items() if n != "onepass"}
    return dict(sorted(others.items(), key=lambda pair: pair[1]))


def _axis(ratios: Sequence[float]) -> LogAxis:
    low = max(1 / _WIDEST, min(0.5, *ratios) / 1.1)
    high = min(_WIDEST, max(2.0, *ratios) * 1.1)
    return LogAxis(low, high, 0.0, 100.0)


def _bar(axis: LogAxis, name: str, ratio: float) -> Html:
    one, end = axis.at(1.0), axis.at(min(max(ratio, axis.low), axis.high))
    left, width = min(one, end), abs(end - one)
    kind = "better" if ratio >= 1.0 else "worse"
    cut = " cut" if not axis.low <= ratio <= axis.high else ""
    fill = element("i", class_=f"fill {kind}{cut}", style=f"left:{left:.1f}%;width:{width:.1f}%")
    mark = element("i", class_="one", style=f"left:{one:.1f}%")
    return element(
        "div",
        element("span", name, class_="who"),
        element("span", fill, mark, class_="track", aria_hidden="true"),
        element("span", times_words(ratio), class_=f"val {kind}"),
        class_="bar",
    )


def _scale(axis: LogAxis) -> Html:
    """Return the axis: few marks, for a telephone is narrow."""
    values = [v for v in round_values(axis.low, axis.high) if 2 <= axis.at(v) <= 98]
    if len(values) > 5:
        values = [v for v in values if f"{v:e}".startswith("1.0")]
    marks = (
        element("i", f"{value:g}\u00d7", style=f"left:{axis.at(value):.1f}%") for value in values
    )
    return element(
        "div",
        element("span", class_="who"),
        element("span", *marks, class_="scale"),
        element("span", class_="val"),
        class_="bar",
        aria_hidden="true",
    )


def _group(records: Sequence[Record], threads: int) -> Html | None:
    """Return the bars of a family's cases on so many threads."""
    chosen = [(r, rival_ratios(r)) for r in records if r.threads == threads]
    chosen = [(record, ratios) for record, ratios in chosen if ratios]
    if not chosen:
        return None
    axis = _axis([ratio for _, ratios in chosen for ratio in ratios.values()])
    rows = []
    for record, ratios in chosen:
        noisy = element("small", "noisy", class_="tag") if record.noisy else ""
        rows.append(element("h5", label(record), " ", noisy))
        rows += [_bar(axis, name, ratio) for name, ratio in ratios.items()]
    return element("div", element("h4", thread_words(threads)), _scale(axis), *rows)


def _headline(records: Sequence[Record]) -> str:
    ratios = [record.ratio for record in records if record.ratio is not None]
    faster = sum(ratio > 1.0 for ratio in ratios)
    return (
        f"onepass faster than the best rival in {faster} of {len(ratios)}, "
        f"median {times_words(median(ratios))} as fast"
    )


def ratio_charts(records: Sequence[Record], threads: Sequence[int]) -> Iterator[Html]:
    """Yield a chart for each family: all rivals of each case, our time as the reference."""
    with_rivals = [record for record in records if record.ratio is not None]
    for family, members in families(with_rivals).items():
        groups = [group for n in threads if (group := _group(members, n)) is not None]
        summary = element("summary", element("b", family), ": ", _headline(members))
        yield element(
            "details",
            summary,
            element("div", *groups, class_="pair"),
            open=len(with_rivals) <= _FEW,
        )
