"""Two runs compared: ``onepass bench compare OLD.json NEW.json``.

What is compared is the share of each case's own limit: the limits were measured in the same run
as the times, so a machine that was slower that day does not look like slower code.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onepass.bench import ranks, units
from onepass.bench.record import Record
from onepass.bench.report.document import Document, read
from onepass.bench.report.words import label

LIMITS_DIFFER = 0.10  # two runs whose limits differ by more were not taken on one machine
_SURE = 0.01  # p-value from which on a difference is believed

Key = tuple[str, int, str, str, bool, float, float]


@dataclass(frozen=True)
class Change:
    """What two runs say of a case.

    Attributes
    ----------
    name, threads : of the case
    old, new : shares of the limit that each run reached
    seconds : the old run's time over the new one's, whatever the limits were
    p_value : of the rank test between the shares
    doubt : why the shares cannot be compared, empty if they can
    noisy : whether either run was
    """

    name: str
    threads: int
    old: float
    new: float
    seconds: float
    p_value: float
    doubt: str = ""
    noisy: bool = False

    @property
    def ratio(self) -> float:
        """New share over old: above 1, the new run is faster."""
        return self.new / self.old

    @property
    def verdict(self) -> str:
        """What the rank test says of the new run."""
        if self.doubt:
            return self.doubt
        if self.p_value > _SURE or self.ratio == 1.0:
            return "no difference"
        return "faster" if self.ratio > 1.0 else "slower"

    def line(self) -> str:
        """Return it as a line of the table."""
        shares = f"{units.share(self.old):>5}  {units.share(self.new):>5}"
        ratios = f"{self.ratio:6.3f}  {self.seconds:6.3f}"
        verdict = self.verdict + (" ~noisy" if self.noisy else "")
        return f"{self.name:46}  {self.threads:2}  {shares}  {ratios}  {verdict}"


def heading() -> str:
    """Return the line above the changes."""
    return f"{'case':46}   T    old    new   ratio   times  new is"


def _key(record: Record) -> Key:
    """Return what two records of one case share; other work makes it another case."""
    return (
        record.name,
        record.threads,
        record.dtype,
        record.isa,
        record.cold,
        record.flops,
        record.bytes,
    )


def _limit_values(limits: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    for row in limits.get("peak", ()):
        name = f"peak {row['isa']} fp{row['bits']}, {row['threads']} threads"
        yield name, row["flops_per_second"]
    for row in limits.get("bandwidth", ()):
        name = f"{row['stream']} from {row['place']}, {row['threads']} threads"
        yield name, row["bytes_per_second"]


def _differ(a: float, b: float) -> bool:
    return max(a, b) > (1 + LIMITS_DIFFER) * min(a, b)


def limits_that_differ(old: Document, new: Document) -> list[str]:
    """Return, as text, each limit that both runs measured and that differs by more than 10%."""
    before = dict(_limit_values(old.limits))
    found = []
    for name, value in _limit_values(new.limits):
        earlier = before.get(name)
        if earlier and value and _differ(earlier, value):
            found.append(f"{name}: {earlier / 1e9:.3g} and {value / 1e9:.3g} billion a second")
    return found


def _too_few(n: int, m: int) -> bool:
    """Whether the test believes nothing of so many samples, not even of sets that lie apart."""
    return ranks.p_value(range(n), range(n, n + m)) > _SURE


def _decided_by_limit(limits: float, times: float) -> bool:
    """Whether the limit changed by more than the share did: a limit is measured, too.

    Parameters
    ----------
    limits, times : the new limit over the old one, the old time over the new one
    """
    limits, shares = math.log(limits), math.log(limits * times)
    return 0.0 < abs(shares) <= 1.001 * abs(limits)


def change(old: Record, new: Record, anyway: bool = False) -> Change | None:
    """Return what two runs say of a case, None where one did not time it beside its limit.

    Parameters
    ----------
    old, new : records of the same case
    anyway : compare even if its limit differs by more than 10%
    """
    if not (old.limit and new.limit and old.ours and new.ours and old.samples and new.samples):
        return None
    shares = [[r.limit / seconds for seconds in r.samples] for r in (old, new) if r.limit]
    doubt = ""
    if _too_few(len(old.samples), len(new.samples)):
        doubt = "unknown: too few samples"
    elif not anyway and _differ(old.limit, new.limit):
        doubt = "unknown: its limit differs"
    elif not anyway and _decided_by_limit(new.limit / old.limit, old.ours.median / new.ours.median):
        doubt = "unknown: only its limit differs"
    return Change(
        label(new),
        new.threads,
        old.limit / old.ours.median,
        new.limit / new.ours.median,
        old.ours.median / new.ours.median,
        ranks.p_value(*shares),
        doubt,
        old.noisy or new.noisy,
    )


def changes(old: Document, new: Document, anyway: bool = False) -> list[Change]:
    """Return what the runs say of each case that both have, in the new one's order."""
    before = {_key(record): record for record in old.records}
    pairs = ((before[_key(r)], r) for r in new.records if _key(r) in before)
    found = (change(earlier, record, anyway) for earlier, record in pairs)
    return [one for one in found if one is not None]


def broken(old: Document, new: Document) -> list[str]:
    """Return, as text, each case that was timed before and now is unequal or fails."""
    timed = {_name_of(record) for record in old.records if record.ours}
    return [
        f"{label(record)} on {record.threads} threads: {record.status} now"
        for record in new.records
        if _name_of(record) in timed and record.ours is None
    ]


def _name_of(record: Record) -> tuple[str, int]:
    return label(record), record.threads


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 100.0:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 100 percent, got {text!r}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onepass bench compare",
        description="Compare shares of limits of two runs; 1 if a case became slower by more than "
        "the threshold, 2 if the runs cannot be compared.",
    )
    parser.add_argument("old", metavar="OLD.json", type=Path)
    parser.add_argument("new", metavar="NEW.json", type=Path)
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=5.0,
        metavar="PERCENT",
        help="a slowdown by more makes the exit status 1 (default 5)",
    )
    parser.add_argument("--anyway", action="store_true", help="even if the limits differ")
    return parser


def _conclusion(found: Sequence[Change], threshold: float) -> int:
    """Print what follows from the changes; return the exit status."""
    unknown = sum(bool(one.doubt) for one in found)
    if unknown:
        print(f"{unknown} unknown: onepass bench ab compares builds side by side")
    bound = 1 - threshold / 100
    slower = [one for one in found if one.verdict == "slower" and one.ratio < bound]
    if slower:
        print(f"{len(slower)} slower by more than {threshold:g}%: onepass bench ab decides")
    return int(bool(slower))


def main(given: Sequence[str]) -> int:
    """Compare two files; 1 if a case became slower by more than the threshold, 2 if none can be."""
    options = _parser().parse_args(given)
    old, new = read(options.old), read(options.new)
    differing = limits_that_differ(old, new)
    if differing and not options.anyway:
        print("the machine's limits differ by more than 10%, so the runs cannot be compared:")
        print("\n".join(f"  {line}" for line in differing))
        print("two builds are compared side by side by: onepass bench ab OLD NEW")
        return 2
    found = changes(old, new, options.anyway)
    if not found:
        print("the runs have no case in common that was timed beside its limit")
        return 2
    print(heading())
    for one in found:
        print(one.line())
    lost = broken(old, new)
    for line in lost:
        print(line)
    return _conclusion(found, options.threshold) or int(bool(lost))
