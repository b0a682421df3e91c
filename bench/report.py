"""Text tables and JSON."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onepass
from bench import rivals
from bench.limits import cache_sizes
from bench.runner import Record
from onepass import _core

SCHEMA = 1

_WIDTHS = (46, 2, 9, 17, 12, 6, 13, 9, 6)
_HEADINGS = ("case", "T", "ours", "p10-p90", "rate", "limit", "best rival", "time", "ratio")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in values.items()}
    name = fields.get("model name", platform.processor())
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields.get('model')})"
    return name


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = Path(__file__).parent
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return run.stdout.strip() or None


def _build() -> str:
    """Return a hash of the compiled extension: the commit does not say which build ran."""
    return hashlib.sha256(Path(_core.__file__).read_bytes()).hexdigest()[:12]


def environment(threads: Sequence[int]) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "caches": cache_sizes(),
        "isa": onepass.config.isa(),
        "threads": list(threads),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onepass": onepass.__version__,
        "commit": _commit(),
        "build": _build(),
        "libraries": rivals.versions(),
    }


def duration(seconds: float | None) -> str:
    """Return a time with three digits and its unit."""
    if seconds is None:
        return "-"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= factor:
            return f"{_digits(seconds / factor)} {unit}"
    return f"{_digits(seconds * 1e9)} ns"


def _digits(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _row(cells: Sequence[str]) -> str:
    first, *others = zip(cells, _WIDTHS, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def heading() -> str:
    """Return the line above the records."""
    return _row(_HEADINGS)


def _rate(record: Record) -> str:
    assert record.ours is not None
    if record.flops:
        return f"{_digits(record.flops / record.ours.median / 1e9)} GFLOP/s"
    return f"{_digits(record.bytes / record.ours.median / 1e9)} GB/s"


def line(record: Record) -> str:
    """Return a record as one line of the table, with a line for each part and each problem."""
    lines = []
    cells: tuple[str, ...]
    if record.ours is not None:
        rival = record.best_rival
        cells = (
            record.name,
            str(record.threads),
            duration(record.ours.median),
            f"{duration(record.ours.p10)}-{duration(record.ours.p90)}".replace(" ", ""),
            _rate(record),
            "-" if record.of_limit is None else f"{record.of_limit:.0%}",
            rival or "-",
            duration(record.times[rival].median if rival else None),
            "-" if record.ratio is None else f"{record.ratio:.2f}",
        )
        marks = " ~noisy" if record.noisy else ""
        marks += " unchecked" if record.status == "unchecked" else ""
        lines.append(_row(cells) + marks)
    for name, part in record.parts.items():
        cells = (f"  of which {name}", str(record.threads), duration(part.median), *[""] * 6)
        lines.append(_row(cells).rstrip())
    if record.status == "UNEQUAL":
        wrong = {k: v for k, v in record.errors.items() if not v <= record.tolerance}
        shown = ", ".join(f"{name} differs by {error:.1e}" for name, error in wrong.items())
        lines.append(f"{record.name}: UNEQUAL, {shown}, allowed {record.tolerance:.0e}: not timed")
    if record.status == "FAILED":
        lines.append(f"{record.name}: FAILED, {record.message}")
    return "\n".join(lines)


def limits_text(limits: dict[str, Any]) -> str:
    """Return the machine's limits as lines."""
    if limits["not measured because"]:
        return f"limits: not measured, {limits['not measured because']}"
    lines = ["limits of this machine, measured now"]
    for n in sorted({row["threads"] for row in limits["peak"]}):
        rates = [
            f"{r['isa']} fp{r['bits']} {r['flops_per_second'] / 1e9:.0f}"
            for r in limits["peak"]
            if r["threads"] == n and r["flops_per_second"]
        ]
        lines.append(f"  {n}T GFLOP/s  " + ", ".join(rates))
        for place in ("L2", "L3", "memory"):
            found = [r for r in limits["bandwidth"] if (r["threads"], r["place"]) == (n, place)]
            shown = ", ".join(f"{r['stream']} {r['bytes_per_second'] / 1e9:.0f}" for r in found)
            lines.append(f"  {n}T GB/s     {place} ({found[0]['bytes'] >> 10} KiB): {shown}")
    latency, call = limits["core_to_core_seconds"], limits["native_call_seconds"]
    lines.append(f"  core to core {duration(latency)}, one way")
    lines.append(
        f"  call from Python {duration(limits['python_call_seconds'])}, native "
        f"{duration(call)}, the loop included"
    )
    return "\n".join(lines)


def write_json(path: Path, facts: dict[str, Any], limits: Any, records: Sequence[Record]) -> None:
    """Write everything that was measured."""
    cases = [record.as_json() for record in records]
    document = {"schema": SCHEMA, "environment": facts, "limits": limits, "cases": cases}
    path.write_text(json.dumps(document, indent=1) + "\n")
