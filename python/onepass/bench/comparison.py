"""Two runs compared: ``onepass bench compare OLD.json NEW.json``.

What is compared is the share of each case's own limit: the limits were measured in the same run
as the times, so a machine that was slower that day does not look like slower code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onepass.bench import ranks, units
from onepass.bench.record import Record
from onepass.bench.report.document import Document, read

LIMITS_DIFFER = 0.10  # two runs whose limits differ by more were not taken on one machine
_SURE = 0.01  # p-value from which on a difference is believed

Key = tuple[str, int, str, str, bool]


@dataclass(frozen=True)
class Change:
    """What two runs say of a case; shares of the limit that each reached."""

    name: str
    threads: int
    old: float
    new: float
    p_value: float
    noisy: bool

    @property
    def ratio(self) -> float:
        """New share over old: above 1, the new run is faster."""
        return self.new / self.old

    @property
    def verdict(self) -> str:
        """What the rank test says of the new run."""
        if self.p_value > _SURE or self.ratio == 1.0:
            return "no difference"
        return "faster" if self.ratio > 1.0 else "slower"

    def line(self) -> str:
        """Return it as a line of the table."""
        shares = f"{units.share(self.old):>5}  {units.share(self.new):>5}"
        verdict = self.verdict + (" ~noisy" if self.noisy else "")
        return f"{self.name:46}  {self.threads:2}  {shares}  {self.ratio:6.3f}  {verdict}"


def _key(record: Record) -> Key:
    return record.name, record.threads, record.dtype, record.isa, record.cold


def _shares(record: Record) -> list[float]:
    """Return the share of the limit of each of our samples; none where there is no limit."""
    return [record.limit / seconds for seconds in record.samples] if record.limit else []


def _limit_values(limits: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    for row in limits["peak"]:
        name = f"peak {row['isa']} fp{row['bits']}, {row['threads']} threads"
        yield name, row["flops_per_second"]
    for row in limits["bandwidth"]:
        name = f"{row['stream']} from {row['place']}, {row['threads']} threads"
        yield name, row["bytes_per_second"]


def limits_that_differ(old: Document, new: Document) -> list[str]:
    """Return, as text, each limit that both runs measured and that differs by more than 10%."""
    before = dict(_limit_values(old.limits))
    found = []
    for name, value in _limit_values(new.limits):
        earlier = before.get(name)
        if earlier and value and max(earlier, value) > (1 + LIMITS_DIFFER) * min(earlier, value):
            found.append(f"{name}: {earlier / 1e9:.3g} and {value / 1e9:.3g} billion a second")
    return found


def changes(old: Document, new: Document) -> list[Change]:
    """Return what the runs say of each case that both have, in the new one's order."""
    before = {_key(record): record for record in old.records}
    found = []
    for record in new.records:
        earlier = before.get(_key(record))
        if earlier is None:
            continue
        a, b = _shares(earlier), _shares(record)
        if a and b and earlier.of_limit and record.of_limit:
            noisy = earlier.noisy or record.noisy
            p = ranks.p_value(a, b)
            shares = earlier.of_limit, record.of_limit
            found.append(Change(record.name, record.threads, *shares, p, noisy))
    return found


def main(given: Sequence[str]) -> int:
    """Compare two files; 1 if a case became slower by more than the threshold, 2 if none can be."""
    parser = argparse.ArgumentParser(
        prog="onepass bench compare", description="Compare shares of limits of two runs."
    )
    parser.add_argument("old", metavar="OLD.json", type=Path)
    parser.add_argument("new", metavar="NEW.json", type=Path)
    parser.add_argument(
        "--threshold",
        type=float,
        default=5.0,
        metavar="PERCENT",
        help="a slowdown by more makes the exit status 1 (default 5)",
    )
    parser.add_argument("--anyway", action="store_true", help="even if the limits differ")
    options = parser.parse_args(given)
    if not options.threshold >= 0.0:
        parser.error(f"--threshold must be 0 or more percent, got {options.threshold}")
    old, new = read(options.old), read(options.new)
    differing = limits_that_differ(old, new)
    if differing and not options.anyway:
        print("the machine's limits differ by more than 10%, so the runs cannot be compared:")
        print("\n".join(f"  {line}" for line in differing))
        print("two builds are compared side by side by: onepass bench ab OLD NEW")
        return 2
    found = changes(old, new)
    if not found:
        print("the runs have no case in common that was timed beside its limit")
        return 2
    print(f"{'case':46}   T    old    new   ratio  new is")
    for change in found:
        print(change.line())
    bound = 1 - options.threshold / 100
    slower = [c for c in found if c.verdict == "slower" and c.ratio < bound]
    if slower:
        print(f"{len(slower)} slower by more than {options.threshold:g}%: onepass bench ab decides")
    return int(bool(slower))
