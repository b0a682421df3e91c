"""What reports call things: cases, machines, dates, how much faster; what names of cases mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from onepass.bench import units
from onepass.bench.record import Record
from onepass.bench.report.document import Document
from onepass.bench.sizes import Sizes

_MODELS = {
    "M1": "relu, ends in 10 classes",
    "M2": "as M1, with a batch norm on the input and each hidden layer",
    "M3": "relu, dropout before each layer, ends in classes",
    "M4": "relu, mean squared error",
    "M5": "relu, mean squared error",
    "M6": "gelu, mean squared error",
}
_NAMES = (
    (r"train b\d", "train b32 adam", "one training step (forward, backward, update) on a batch "
     "of 32 rows, with the optimizer Adam"),
    (r"predict \d", "predict 1024", "outputs of a trained network for 1024 rows"),
    (r"fit epoch", "fit epoch", "one pass over a whole data set, shuffling included"),
    (r" step 266k", "step 266k", "one step of an optimizer on the 266 thousand parameters of "
     "M1, which fit into a cache"),
    (r" step 16x1M", "step 16x1M", "one step of an optimizer on 16 tensors of a million "
     "parameters, which come from memory or the last cache"),
    (r"global_norm", "global_norm", "the length of all gradients taken as one vector"),
    (r"dense_\w+ (\w+ )?\d+x\d+x\d+", "dense_forward 256x784x300", "the matrix product of a "
     "layer: 256 rows, 784 inputs, 300 outputs"),
    (r" (forward|backward) \d+x\d+$", "relu forward 256x1024", "a function or its derivative "
     "for 256 rows of 1024 numbers"),
)  # fmt: skip


def label(record: Record) -> str:
    """Return a case's name, with what is not usual about it."""
    extras = []
    if record.dtype != "float32" and record.dtype not in record.name:
        extras.append(record.dtype)
    if record.cold:
        extras.append("cold caches")
    return record.name + "".join(f", {extra}" for extra in extras)


def thread_words(threads: int) -> str:
    """Return a number of threads in words."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def both(counts: Sequence[int]) -> str:
    """Return numbers one after the other, the last behind "and"."""
    shown = [str(count) for count in counts]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def times_words(ratio: float) -> str:
    """Return a factor as digits and a cross."""
    return f"{units.digits(ratio)}\u00d7"


def speed_words(ratio: float | None) -> str:
    """Return what a ratio of times says of us: rival's time over ours."""
    if ratio is None:
        return "no rival"
    if ratio <= 0.0:
        return "-"
    if units.digits(ratio) == "1.00":
        return "as fast"
    return f"{times_words(ratio)} faster" if ratio > 1.0 else f"{times_words(1 / ratio)} slower"


def machine(document: Document) -> str:
    """Return the processor's name without its numbers."""
    name = str(document.environment.get("cpu") or "an unnamed processor")
    return re.sub(r" \(family .*\)$", "", name)


def date(document: Document) -> str:
    """Return when the run began."""
    text = str(document.environment.get("time") or "at an unknown time")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = "" if found.tzinfo is None else f" {found.tzname()}"
    return f"{found.day} {found:%B %Y, %H:%M}{zone}"


def size(count: int) -> str:
    """Return bytes in the largest unit that gives at least one."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >> shift:
            return f"{count / (1 << shift):.3g} {unit}"
    return f"{count} bytes"


def compact(value: float) -> str:
    """Return a number with k, M or G behind it."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def time_mark(seconds: float) -> str:
    """Return a round time, as it stands beside an axis."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= factor * (1 - 1e-9):
            return f"{seconds / factor:.4g} {unit}"
    return f"{seconds * 1e9:.4g} ns"


def thread_counts(records: Sequence[Record]) -> list[int]:
    """Return the numbers of threads that were run, the smallest first."""
    return sorted({record.threads for record in records})


def families(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records by family, both in the order of the run."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.family, []).append(record)
    return found


def contenders(records: Sequence[Record]) -> list[str]:
    """Return the names of all that were timed, ours first: a name's place is its colour."""
    names = dict.fromkeys(name for record in records for name in record.times)
    return ["onepass", *(name for name in names if name != "onepass")]


def _layers(model: str) -> str:
    widths: tuple[int, ...] = getattr(Sizes(), model.lower())
    return "-".join(str(width) for width in widths)


def names_explained(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Yield how names of cases are read: only what occurs."""
    names = [record.name for record in records]
    for pattern, example, meaning in _NAMES:
        if any(re.search(pattern, name) for name in names):
            yield example, meaning
    for model, meaning in _MODELS.items():
        if any(re.match(rf"{model}\b", name) for name in names):
            yield model, f"network of dense layers {_layers(model)}: {meaning}"


def problem(record: Record) -> str | None:
    """Return what went wrong with a case, None if nothing did."""
    if record.status == "FAILED":
        return f"failed: {record.message or 'no message'}"
    if record.status != "UNEQUAL":
        return None
    wrong = {name: e for name, e in record.errors.items() if not e <= record.tolerance}
    shown = ", ".join(f"{name} differs by {error:.1e}" for name, error in wrong.items())
    left = "the others were timed" if record.times else "nothing was timed"
    return f"unequal: {shown}, allowed {record.tolerance:.0e}; {left}"


def facts(document: Document) -> Iterator[tuple[str, Any]]:
    """Yield what the figures depend on, by name, libraries excepted."""
    given = document.environment
    caches = given.get("caches") or {}
    clock = given.get("clock_mhz")
    yield "processor", given.get("cpu")
    yield "caches", ", ".join(f"{name} {size(count)}" for name, count in sorted(caches.items()))
    yield "clock at the start", f"{clock:.0f} MHz" if clock else None
    yield "instructions used", given.get("isa")
    yield "threads", ", ".join(str(n) for n in given.get("threads") or ())
    yield "system", given.get("system")
    yield "Python", given.get("python")
    yield "onepass", given.get("onepass")
    yield "commit", given.get("commit")
    yield "build of the extension", given.get("build")
    yield "time", given.get("time")
