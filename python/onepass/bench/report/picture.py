"""The headlines as a picture for a README: how much faster, and how near to the limit.

matplotlib is imported here and nowhere else.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onepass.bench import units
from onepass.bench.record import Record
from onepass.bench.report import words
from onepass.bench.report.document import Document, replace_file

_COLORS = ("#0b57c4", "#7fb0f0", "#123a70", "#9aa5b1")  # by number of threads
_INK, _SOFT, _GRID = "#1b1f24", "#59636e", "#d0d7de"
_WIDTH, _DOTS = 9.0, 200  # inches, and dots of an inch: 900 px show it at half of its size
_WIDEST = 20.0  # bars end here; the number beside them is right all the same


def _matplotlib(module: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the picture wants matplotlib: python -m pip install 'onepass[bench]'",
            name="matplotlib",
        ) from None


def _bars(records: Sequence[Record]) -> dict[str, dict[int, Record]]:
    """Return the headlines that were timed: name -> threads -> record."""
    found: dict[str, dict[int, Record]] = {}
    for record in records:
        if record.headline and record.ours is not None:
            found.setdefault(words.label(record), {})[record.threads] = record
    return found


def _bare(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=10, color=_INK, loc="left", fontweight="bold")
    axes.tick_params(length=0, labelsize=8.5, labelcolor=_SOFT)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _label(axes: Any, at: tuple[float, float], text: str, noisy: bool) -> None:
    axes.annotate(
        text + (" ~" if noisy else ""),
        at,
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=_INK,
        parse_math=False,
    )


def _speeds(axes: Any, bars: Sequence[tuple[float, float, str, Record]]) -> None:
    """Draw rival's time over ours."""
    ratios = [record.ratio for *_, record in bars if record.ratio is not None]
    high = min(_WIDEST, 1.3 * max([2.0, *ratios]))
    low = max(1 / _WIDEST, min([0.7, *ratios]) / 1.2)
    axes.set_xscale("log")
    for at, height, color, record in bars:
        if record.ratio is None:
            _label(axes, (1.0, at), "no rival", record.noisy)
            continue
        end = min(max(record.ratio, low), high)
        axes.barh(at, end - 1.0, height, left=1.0, color=color)
        text = f"{words.times_words(record.ratio)} {record.best_rival}"
        _label(axes, (max(end, 1.0), at), text, record.noisy)
    axes.axvline(1.0, color=_INK, linewidth=1.2)
    axes.set_xlim(low, high * (high / low) ** 0.45)  # room for the words
    marks = [mark for mark in (0.1, 0.25, 0.5, 1, 2, 5, 10, 20) if low <= mark <= high]
    axes.set_xticks(marks, [f"{mark:g}\u00d7" for mark in marks])
    axes.minorticks_off()


def _shares(axes: Any, bars: Sequence[tuple[float, float, str, Record]]) -> None:
    """Draw shares of limits."""
    for at, height, color, record in bars:
        share = record.of_limit
        if share is None:
            _label(axes, (0.0, at), "not measured", record.noisy)
            continue
        axes.barh(at, min(100.0, 100 * share), height, color=color)
        _label(axes, (min(100.0, 100 * share), at), units.share(share), record.noisy)
    axes.set_xlim(0, 118)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25%", "50%", "75%", "100%"])


def _legend(figure: Any, axes: Any, counts: Sequence[int], top: float) -> None:
    if not counts:
        return
    keys = [axes.barh(0, 0, color=_COLORS[at % len(_COLORS)]) for at in range(len(counts))]
    figure.legend(
        keys,
        [words.thread_words(n) for n in counts],
        loc="upper right",
        bbox_to_anchor=(0.995, top),
        ncols=len(counts),
        frameon=False,
        fontsize=9,
    )


def _footer(document: Document, records: Sequence[Record]) -> str:
    ratios = [record.ratio or 1.0 for record in records]
    mark = "   ~ noisy: the machine was busy" if any(r.noisy for r in records) else ""
    if any(not 1 / _WIDEST <= ratio <= _WIDEST for ratio in ratios):
        mark += f"   bars beyond {_WIDEST:g}\u00d7 are cut"
    cpu = f"{words.machine(document)}, {document.environment.get('isa') or 'unknown'}"
    return f"{cpu}, {words.date(document)}{mark}"


def _figure(document: Document) -> Any:
    cases = _bars(document.records)
    counts = sorted({n for records in cases.values() for n in records})
    height = 1.35 + max(3, len(cases)) * (0.14 + 0.17 * max(1, len(counts)))
    figure = _matplotlib("figure").Figure(figsize=(_WIDTH, height), dpi=_DOTS, facecolor="white")
    speed, share = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1.0))
    thick = 0.8 / max(1, len(counts))
    bars = [
        (row + (at - (len(counts) - 1) / 2) * thick, 0.92 * thick, _COLORS[at % 4], records[n])
        for row, records in enumerate(cases.values())
        for at, n in enumerate(counts)
        if n in records
    ]
    _bare(speed, "Times faster than the best rival")
    _bare(share, "Of what this machine could do at best")
    _speeds(speed, bars)
    _shares(share, bars)
    speed.set_yticks(range(len(cases)), list(cases), fontsize=9, color=_INK)
    for name in speed.get_yticklabels():
        name.set_parse_math(False)
    speed.set_ylim(max(1, len(cases)) - 0.4, -0.6)
    share.tick_params(labelleft=False)
    if not cases:
        speed.text(0.5, 0.5, "no headline case was timed", transform=speed.transAxes, ha="center")
    longest = max(map(len, cases), default=0)
    left = min(0.4, 0.03 + 0.0082 * max(16, longest))
    top, bottom = 1 - 0.72 / height, 0.62 / height
    figure.subplots_adjust(left=left, right=0.985, wspace=0.06, top=top, bottom=bottom)
    _legend(figure, share, counts, 1 - 0.04 / height)
    words_below = _footer(document, [record for *_, record in bars])
    figure.text(0.01, 0.12 / height, words_below, fontsize=8, color=_SOFT, parse_math=False)
    return figure


def write_picture(document: Document, path: Path) -> None:
    """Draw the headlines as a PNG.

    Parameters
    ----------
    document : what was measured
    path : of the PNG; folders above it are made

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.
    """
    figure = _figure(document)
    _matplotlib("backends.backend_agg").FigureCanvasAgg(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    replace_file(path, drawn.getvalue())
