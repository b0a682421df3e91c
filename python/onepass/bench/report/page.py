"""The page of a run: one HTML file that needs nothing else, for a desktop and for a telephone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from onepass.bench import units
from onepass.bench.record import Record
from onepass.bench.report import style, words
from onepass.bench.report.document import Document, replace_file
from onepass.bench.report.markup import Html, defined, element, joined, listed, paragraph
from onepass.bench.report.ratios import ratio_charts, share_bar
from onepass.bench.report.roofline import on_it, roofline
from onepass.bench.report.svg import COLORS
from onepass.bench.report.sweeps import legend, sweep, sweeps
from onepass.bench.report.tables import (
    case_table,
    delays,
    environment_table,
    limits_table,
)

# Nothing is loaded, whatever a name in the document says.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_POINT = "Point at a mark, or tap it, to see its figures here."
_GLOSSARY = (
    (
        "limit",
        "The least time that this machine could need: the larger of FLOPs over its peak and bytes "
        "over its bandwidth, both measured in this run. A case at 100% of its limit cannot be "
        "made faster here; a little more than 100% means that the limit was measured in a slower "
        "moment.",
    ),
    ("rival", "Another library that does the same, checked to give an equal result first."),
    (
        "n\u00d7 faster",
        "The fastest rival's time divided by ours; slower: ours divided by the rival's.",
    ),
    ("time", "The median of many samples; ten in a hundred are below the 10th percentile."),
    (
        "noisy",
        "Other work kept the machine busy in more than half of the rounds of this measurement, so "
        "its figures should not be quoted.",
    ),
)


def _section(key: str, title: str, *inside: object) -> Html:
    return element("section", element("h2", title), *inside, id=key)


def _introduction(document: Document) -> Html:
    return paragraph(
        "This page shows how long onepass, a library that trains small neural networks, needs for "
        "one unit of each of its jobs: a call, a training step, an epoch. Each time stands beside "
        "two others. One is the limit, the best that this machine could do: the larger of the "
        "floating-point operations (FLOPs) over its peak rate and the bytes over its bandwidth, "
        "both measured in the same run. The other is the time of rivals, libraries that compute "
        "the same on the same threads; what is 2\u00d7 faster takes half of the best rival's time."
    )


def _summary(records: Sequence[Record]) -> Html:
    ratios = [record.ratio for record in records if record.ratio is not None]
    shares = [record.of_limit for record in records if record.of_limit is not None]
    said = []
    if ratios:
        faster = sum(ratio > 1.0 for ratio in ratios)
        said.append(
            f"In {faster} of {len(ratios)} measurements with a rival, onepass is faster than the "
            f"best one; half of them are at least {words.times_words(median(ratios))} as fast."
        )
    if shares:
        said.append(f"Half of all reach at least {units.share(median(shares))} of their limit.")
    noisy = sum(record.noisy for record in records)
    if noisy:
        said.append(f"But {noisy} of the {len(records)} are noisy, see the words at the end.")
    return paragraph(" ".join(said)) if said else Html()


def _headline_row(record: Record, first: bool) -> Html:
    rival = record.best_rival
    noisy = element("small", "noisy", class_="tag") if record.noisy else ""
    wrong = words.problem(record)
    if record.ours is None:
        cells = [
            element("td", wrong or "not timed", class_="worse whole", colspan=5, data_is="result")
        ]
    else:
        kind = "" if record.ratio is None else "better" if record.ratio >= 1.0 else "worse"
        speed = element("b", words.speed_words(record.ratio), class_=kind)
        theirs = record.times[rival].median if rival else None
        meter = element("span", share_bar(record.of_limit), class_="meter")
        cells = [
            element("td", element("b", units.duration(record.ours.median)), data_is="onepass"),
            element("td", rival or "none", data_is="best rival"),
            element("td", units.duration(theirs), data_is="its time"),
            element("td", element("span", speed, " ", noisy), data_is="onepass is", class_="whole"),
            element("td", meter, data_is="of its limit", class_="whole"),
        ]
    name = element("td", words.label(record) if first else "", class_="name")
    threads = element("td", record.threads, data_is="threads")
    return element("tr", name, threads, *cells)


def _headlines(document: Document) -> Html:
    chosen = [record for record in document.records if record.headline]
    if not chosen:
        return _section("headlines", "Headlines", paragraph("No headline case was run."))
    groups: dict[str, list[Record]] = {}
    for record in chosen:
        groups.setdefault(words.label(record), []).append(record)
    rows = [
        _headline_row(record, at == 0)
        for members in groups.values()
        for at, record in enumerate(sorted(members, key=lambda r: r.threads))
    ]
    names = ("case", "threads", "onepass", "best rival", "its time", "onepass is", "of its limit")
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in names)))
    table = element("table", head, element("tbody", *rows), class_="head")
    what = defined(words.names_explained(chosen))
    return _section(
        "headlines",
        "Headlines",
        _summary(chosen),
        element("div", table, class_="wide"),
        element("details", element("summary", "What the names mean"), what, open=True),
    )


def _limits(document: Document) -> Html:
    table = limits_table(document)
    if table is None:
        return _section("limits", "Limits of this machine", paragraph("They were not measured."))
    said = delays(document)
    return _section(
        "limits",
        "Limits of this machine",
        paragraph(
            "Measured at the start of the run: how many FLOPs a second fused multiply-adds reach, "
            "and how many bytes a second a plain loop moves. Read takes in one array, copy reads "
            "one and writes one, triad reads two and writes one. Limits of cases are measured "
            "again beside each case, with its own size and pattern."
        ),
        table,
        paragraph(said) if said else "",
    )


def _rooflines(document: Document) -> Html:
    counts = words.thread_counts(document.records)
    shown = [record for n in counts for record in on_it(document.records, n)]
    colors = {family: at % COLORS for at, family in enumerate(words.families(shown))}
    plots: list[Html] = []
    for n in counts:
        plot = roofline(document, n, colors)
        if plot is not None:
            plots += [element("h3", words.thread_words(n)), plot]
    if not plots:
        return _section("roofline", "Roofline", paragraph("No case with products was timed."))
    entries = [(f"c{color}", family) for family, color in colors.items()]
    if any(record.noisy for record in shown):
        entries.append(("hollow", "hollow: noisy"))
    return _section(
        "roofline",
        "Roofline",
        paragraph(
            "Each mark is a case with matrix products. Nothing can lie above the lines by much: "
            "the level line is the peak, the slopes are what bandwidth allows a case that moves "
            "many bytes for few FLOPs; which of them counts depends on where its data lie. The "
            "nearer a mark is to its line, the less is left to gain. Cases without products are "
            "in the table of all cases, in GB/s."
        ),
        legend(entries),
        *plots,
        paragraph(_POINT, class_="said scripted", hidden=True),
    )


def _rivals(document: Document) -> Html:
    charts = list(ratio_charts(document.records, words.thread_counts(document.records)))
    if not charts:
        return _section("rivals", "Beside rivals", paragraph("No rival was timed."))
    return _section(
        "rivals",
        "Beside rivals",
        paragraph(
            "How many times longer than onepass each rival takes, on a logarithmic axis. The dark "
            "line is 1\u00d7, as fast as onepass. Blue bars to its right: onepass is faster; "
            "orange bars to its left: the rival is. Bars that would be very long are cut; the "
            "number beside them is right all the same."
        ),
        *charts,
    )


def _sizes(document: Document) -> Html:
    found = sweeps(document.records)
    if not found:
        return _section("sizes", "Sizes", paragraph("No case was run at three sizes or more."))
    names = words.contenders([record for rows in found.values() for record in rows])
    colors = {name: at for at, name in enumerate(names)}
    plots = [sweep(key, rows, colors) for key, rows in found.items()]
    return _section(
        "sizes",
        "Sizes",
        paragraph(
            "The same job at several sizes: time for each element (row, tensor) over the size, "
            "both axes logarithmic. Small sizes show what a call costs, large ones what memory "
            "costs. The dashed line is the limit; hollow marks are noisy."
        ),
        element("div", *plots, class_="plots"),
        paragraph(_POINT, class_="said scripted", hidden=True),
    )


def _cases(document: Document) -> Html:
    if not document.records:
        return _section("cases", "All cases", paragraph("No case was run."))
    return _section(
        "cases",
        "All cases",
        paragraph("Click a heading to sort within each family.", class_="scripted", hidden=True),
        case_table(document.records),
    )


def _named(records: Sequence[Record]) -> Html:
    """Return a list of cases, each once, with its numbers of threads."""
    found: dict[str, list[int]] = {}
    for record in records:
        found.setdefault(words.label(record), []).append(record.threads)
    items = [
        f"{name} ({words.thread_words(n[0]) if len(n) == 1 else f'{words.both(n)} threads'})"
        for name, n in found.items()
    ]
    return listed(items)


def _problems(document: Document) -> Html:
    parts: list[Html] = []
    wrong = [(r, text) for r in document.records if (text := words.problem(r)) is not None]
    if wrong:
        items = [
            joined([element("b", words.label(r)), f", {words.thread_words(r.threads)}: {text}"])
            for r, text in wrong
        ]
        parts += [
            paragraph(
                f"{len(wrong)} went wrong. A rival whose result is unequal is not timed, and "
                "neither is onepass if all differ."
            ),
            listed(items),
        ]
    parts += _doubts(document.records)
    if not parts:
        parts.append(paragraph("Nothing was unequal, nothing failed, nothing was noisy."))
    return _section("problems", "What to be careful with", *parts)


def _doubts(records: Sequence[Record]) -> Iterator[Html]:
    noisy = [record for record in records if record.noisy]
    if noisy:
        yield paragraph(
            f"{len(noisy)} of {len(records)} measurements are noisy: in more than half of their "
            "rounds (or in all but two) the machine did something else, too. Their times may be "
            "too long, for onepass and for rivals, so do not quote them:"
        )
        yield _named(noisy)
    unchecked = [record for record in records if record.status == "unchecked"]
    if unchecked:
        yield paragraph("Not checked, because nothing installed here computes the same:")
        yield _named(unchecked)


def _environment(document: Document) -> Html:
    return _section("environment", "Environment", environment_table(document))


def _body(document: Document) -> Iterator[Html]:
    sections = (
        ("headlines", "Headlines", _headlines(document)),
        ("limits", "Limits", _limits(document)),
        ("roofline", "Roofline", _rooflines(document)),
        ("rivals", "Rivals", _rivals(document)),
        ("sizes", "Sizes", _sizes(document)),
        ("cases", "All cases", _cases(document)),
        ("problems", "What to be careful with", _problems(document)),
        ("environment", "Environment", _environment(document)),
        ("glossary", "Words", _section("glossary", "Words", defined(_GLOSSARY))),
    )
    yield element("h1", "onepass benchmarks")
    yield paragraph(f"{words.machine(document)}, {words.date(document)}", class_="sub")
    yield _introduction(document)
    yield element("nav", *(element("a", name, href=f"#{key}") for key, name, _ in sections))
    yield from (section for _, _, section in sections)


def page(document: Document) -> str:
    """Return the whole page."""
    title = f"onepass benchmarks: {words.machine(document)}, {words.date(document)}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style.CSS)),
    )
    main = element("main", *_body(document))
    body = element("body", main, element("script", Html(style.SCRIPT)))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def write_page(document: Document, path: Path) -> None:
    """Write the page of a run.

    Parameters
    ----------
    document : what was measured
    path : of the HTML file; folders above it are made
    """
    replace_file(path, page(document).encode("utf-8", errors="replace"))
