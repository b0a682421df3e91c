"""The machine's limits, measured in the run whose figures are held against them.

Peak arithmetic rate, streaming bandwidth for a working set and a pattern of reads and writes,
core-to-core latency, and what a call from Python costs at least. What cannot be measured is None.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onepass import _core

_SECONDS = 0.1  # of one measurement
_LINE = 64


class Stream(NamedTuple):
    """Pattern of a pass over memory: arrays only read, read and written in place, only written."""

    reads: int
    updates: int
    writes: int

    @property
    def arrays(self) -> int:
        """Number of arrays: the working set is so many times one array."""
        return self.reads + self.updates + self.writes

    @property
    def accesses(self) -> int:
        """Arrays' worth of bytes moved: one in place counts twice; no read for ownership."""
        return self.reads + 2 * self.updates + self.writes


READ = Stream(1, 0, 0)
COPY = Stream(1, 0, 1)
TRIAD = Stream(2, 0, 1)
STREAMS = {"read": READ, "copy": COPY, "triad": TRIAD}


def cache_sizes() -> dict[str, int]:
    """Return the bytes of the first core's caches by level, empty where Linux does not say."""
    sizes: dict[str, int] = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            kind, size = (index / "type").read_text(), (index / "size").read_text().strip()
            level = (index / "level").read_text().strip()
        except OSError:
            continue
        if not kind.startswith("Instruction"):
            sizes[f"L{level}"] = int(size.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}[size[-1]]
    return sizes


def _call_seconds(function: Any) -> float:
    """Return the shortest time of a call among many, the loop around it included."""
    rounds, best = 20_000, float("inf")
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(rounds):
            function()
        best = min(best, (time.perf_counter() - start) / rounds)
    return best


class Limits:
    """Measures a limit each time it is asked for: the machine changes within minutes."""

    def peak(self, isa: str, bits: int, threads: int) -> float:
        """Floating-point operations a second; multiply and add where there is no fused one."""
        return _core.limits_multiply_add(isa, bits == 64, threads, _SECONDS)

    def bandwidth(self, stream: Stream, working_set: int, threads: int) -> float | None:
        """Bytes a second of a plain streaming loop over so many bytes, on so many threads."""
        lines = max(1, working_set // (_LINE * stream.arrays))
        seconds = _core.limits_stream(*stream, lines, threads, _SECONDS)
        return stream.accesses * lines * _LINE / seconds if seconds > 0 else None

    def latency(self) -> float:
        """Seconds until a write on one core is seen on another."""
        return _core.limits_core_to_core(_SECONDS)

    def table(self, threads: Sequence[int], isas: Sequence[str]) -> dict[str, Any]:
        """Measure what is printed in front of the figures, in SI units."""
        caches = cache_sizes()
        l2, l3 = caches.get("L2", 1 << 20), caches.get("L3", 32 << 20)
        rows: dict[str, Any] = {"peak": [], "bandwidth": []}
        for n in threads:
            for isa in isas:
                for bits in (32, 64):
                    rate = self.peak(isa, bits, n)
                    row = {"isa": isa, "bits": bits, "threads": n, "flops_per_second": rate}
                    rows["peak"].append(row)
            for place, size in (("L2", n * l2 // 2), ("L3", l3 // 2), ("memory", 8 * l3)):
                for name, stream in STREAMS.items():
                    row = {"place": place, "bytes": size, "stream": name, "threads": n}
                    speed = self.bandwidth(stream, size, n)
                    rows["bandwidth"].append({**row, "bytes_per_second": speed})
        rows["core_to_core_seconds"] = self.latency() if max(threads) > 1 else None
        rows["python_call_seconds"] = _call_seconds(lambda: None)
        rows["native_call_seconds"] = _call_seconds(_core.threads)
        return rows
