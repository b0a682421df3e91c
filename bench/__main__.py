"""``python -m bench``: compare results, then time ours beside rivals and limits."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bench import report, rivals
from bench.cases import chosen
from bench.children import in_child
from bench.limits import Limits
from bench.runner import Record, run_chosen
from onepass import config


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    cores = os.cpu_count() or 1
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2] if cores > 1 else [1])
    parser.add_argument("--only", metavar="PATTERN", help="cases or families that contain it")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("--seconds", type=float, default=2.0, help="budget of a case (default 2)")
    parser.add_argument("--no-rivals", action="store_true", help="compare with them, time ours")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; 1 if some result was unequal or some case failed."""
    options = _arguments(given)
    if options.list:
        print("\n".join(case.name for case in chosen(options.only)))
        return 0
    facts = report.environment(options.threads)
    print(
        f"{facts['cpu']}, {facts['isa']}, Python {facts['python']}, onepass {facts['onepass']} "
        f"(commit {facts['commit']}, build {facts['build']})"
    )
    print(", ".join(f"{k} {v or 'missing'}" for k, v in facts["libraries"].items()))
    if not rivals.numpy_controlled():
        print("NumPy's products are not timed: threadpoolctl is missing to set its threads")
    measured = Limits().table(options.threads, config.available_isas())
    print(report.limits_text(measured), end="\n\n")
    print(report.heading())
    records: list[Record] = []
    for threads in options.threads:
        wanted = options.only, threads, options.seconds, not options.no_rivals
        for record in in_child(threads, run_chosen, *wanted):
            records.append(record)
            print(report.line(record), flush=True)
    if options.json is not None:
        report.write_json(options.json, facts, measured, records)
    return int(any(record.status in ("UNEQUAL", "FAILED") for record in records))


if __name__ == "__main__":
    raise SystemExit(main())
