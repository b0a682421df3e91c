"""Times, rates and shares as a reader wants them: three digits and a unit."""

from __future__ import annotations

from onepass.bench.record import Record


def digits(value: float) -> str:
    """Return a number with three digits, more before the point if it has more."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def duration(seconds: float | None) -> str:
    """Return a time with its unit."""
    if seconds is None:
        return "-"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= factor:
            return f"{digits(seconds / factor)} {unit}"
    return f"{digits(seconds * 1e9)} ns"


def rate(record: Record) -> str:
    """Return the FLOPs a second of a case that has products, the bytes a second of another."""
    if record.ours is None:
        return "-"
    if record.flops:
        return f"{digits(record.flops / record.ours.median / 1e9)} GFLOP/s"
    if record.bytes:
        return f"{digits(record.bytes / record.ours.median / 1e9)} GB/s"
    return "-"


def share(value: float | None) -> str:
    """Return a share of a limit in percent."""
    return "-" if value is None else f"{value:.0%}"


def ratio(value: float | None) -> str:
    """Return how many times longer a rival takes."""
    return "-" if value is None else f"{value:.2f}"
