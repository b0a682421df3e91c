"""The page's tables: limits, all cases, environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onepass.bench import units
from onepass.bench.record import Record
from onepass.bench.report import words
from onepass.bench.report.document import Document
from onepass.bench.report.markup import Html, defined, element, joined, scrolling

Cell = tuple[object, float | str | None]  # what is shown, what it is sorted by

_HEADINGS = (
    "case",
    "threads",
    "onepass",
    "of limit",
    "best rival",
    "its time",
    "onepass is",
    "rate",
    "10th to 90th percentile",
    "notes",
)


def _row(cells: Sequence[object], heading: bool = False) -> Html:
    tag = "th" if heading else "td"
    scope = "col" if heading else None
    return element("tr", *(element(tag, cell, scope=scope) for cell in cells))


def _rates(rows: Sequence[dict[str, Any]], key: str) -> str:
    shown = [f"{units.digits(row[key] / 1e9)}" if row[key] else "-" for row in rows]
    return shown[0] if shown else "-"


def _peak_rows(limits: dict[str, Any], threads: Sequence[int]) -> Iterator[Html]:
    every = limits.get("peak", ())
    for isa, bits in dict.fromkeys((row["isa"], row["bits"]) for row in every):
        cells = [
            _rates(
                [r for r in every if (r["isa"], r["bits"], r["threads"]) == (isa, bits, n)],
                "flops_per_second",
            )
            for n in threads
        ]
        yield _row([f"peak, {isa}, {bits} bits", *cells, "GFLOP/s"])


def _bandwidth_rows(limits: dict[str, Any], threads: Sequence[int]) -> Iterator[Html]:
    every = limits.get("bandwidth", ())
    for place, stream in dict.fromkeys((row["place"], row["stream"]) for row in every):
        found = [r for r in every if (r["place"], r["stream"]) == (place, stream)]
        cells = [
            _rates([r for r in found if r["threads"] == n], "bytes_per_second") for n in threads
        ]
        sizes = " / ".join(dict.fromkeys(words.size(row["bytes"]) for row in found))
        yield _row([f"{stream} from {place} ({sizes})", *cells, "GB/s"])


def limits_table(document: Document) -> Html | None:
    """Return what the machine could do in this run, None where nothing was measured."""
    limits = document.limits
    rates = [*limits.get("peak", ()), *limits.get("bandwidth", ())]
    threads = sorted({row["threads"] for row in rates})
    if not threads:
        return None
    head = _row(["limit", *(words.thread_words(n) for n in threads), "unit"], heading=True)
    body = [*_peak_rows(limits, threads), *_bandwidth_rows(limits, threads)]
    table = element("table", element("thead", head), element("tbody", *body), class_="limits")
    return scrolling(table)


def delays(document: Document) -> str | None:
    """Return the machine's delays as a sentence."""
    named = (
        ("a value passes from one core to another in", "core_to_core_seconds"),
        ("a call of an empty Python function takes", "python_call_seconds"),
        ("a call of an empty compiled one", "native_call_seconds"),
    )
    limits = document.limits
    found = [f"{text} {units.duration(limits[key])}" for text, key in named if limits.get(key)]
    return f"Delays: {', '.join(found)}." if found else None


def _notes(record: Record) -> Html:
    tags = []
    if record.status == "UNEQUAL":
        tags.append(("unequal", "bad"))
    if record.status == "FAILED":
        tags.append(("failed", "bad"))
    if record.noisy:
        tags.append(("noisy", ""))
    if record.status == "unchecked":
        tags.append(("unchecked", ""))
    return joined((element("small", t, class_=f"tag {kind}".strip()) for t, kind in tags), " ")


def _cells(record: Record) -> list[Cell]:
    ours, rival = record.ours, record.best_rival
    theirs = record.times[rival].median if rival else None
    spread = f"{units.duration(ours.p10)} to {units.duration(ours.p90)}" if ours else "-"
    rate = (record.flops or record.bytes) / ours.median if ours else None
    speed = words.speed_words(record.ratio) if ours else "-"
    kind = "" if record.ratio is None else "better" if record.ratio >= 1.0 else "worse"
    return [
        (words.label(record), words.label(record)),
        (record.threads, record.threads),
        (units.duration(ours.median if ours else None), ours.median if ours else None),
        (units.share(record.of_limit), record.of_limit),
        (rival or "-", rival or ""),
        (units.duration(theirs), theirs),
        (element("span", speed, class_=kind), record.ratio),
        (units.rate(record), rate),
        (spread, ours.p10 if ours else None),
        (_notes(record), record.status),
    ]


def _case_row(record: Record) -> Html:
    cells = []
    for shown, key in _cells(record):
        value = f"{key:.9g}" if isinstance(key, float) else key
        cells.append(element("td", shown, data_v="" if value is None else value))
    return element("tr", *cells)


def _part_rows(record: Record) -> Iterator[Html]:
    """Yield what the parts of a case take; they stay below it when rows are sorted."""
    for name, part in record.parts.items():
        blank = [""] * (len(_HEADINGS) - 3)
        cells = [f"of which {name}", record.threads, units.duration(part.median), *blank]
        yield element("tr", *(element("td", cell) for cell in cells), class_="part")


def case_table(records: Sequence[Record]) -> Html:
    """Return every case, a body of rows for each family."""
    bodies = []
    for family, members in words.families(records).items():
        title = element("th", family, colspan=len(_HEADINGS), scope="rowgroup")
        rows = [element("tr", title, class_="family")]
        for record in members:
            rows += [_case_row(record), *_part_rows(record)]
        bodies.append(element("tbody", *rows))
    head = element("thead", _row(_HEADINGS, heading=True))
    return scrolling(element("table", head, *bodies, class_="sortable"))


def environment_table(document: Document) -> Html:
    """Return what the figures depend on; what is missing is named."""
    libraries = document.environment.get("libraries") or {}
    pairs = [(name, value or "unknown") for name, value in words.facts(document)]
    found = [(name, version or "missing") for name, version in libraries.items()]
    missing = [name for name, version in libraries.items() if not version]
    note = f"Not installed, so not a rival here: {', '.join(missing)}." if missing else ""
    return joined([defined([*pairs, *found]), element("p", note) if note else ""])
