"""The JSON document of a run: everything that was measured, and what it was measured on.

Its fields (SI units; a time is that of one unit: a call, a step, an epoch):

``schema``
    Number of this format; a reader refuses another one.
``environment``
    Fingerprint: time, processor, caches, clock, instruction set, numbers of threads, system,
    versions, commit and a hash of the compiled extension.
``limits``
    ``peak`` (isa, bits, threads, flops_per_second), ``bandwidth`` (place, bytes, stream, threads,
    bytes_per_second), ``core_to_core_seconds``, ``python_call_seconds``, ``native_call_seconds``.
``cases``
    One object for each case and number of threads, see `onepass.bench.record.Record`: its work
    (``flops``, ``bytes``), its ``limit``, ``times`` by contender (median, p10, p90, minimum,
    count), our ``samples``, ``errors`` of rivals' results, and what follows: ``of_limit``,
    ``best_rival``, ``ratio``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onepass.bench.record import Record

SCHEMA = 2


def replace_file(path: Path, content: bytes) -> None:
    """Write a file to the side, then rename it: no reader sees half of it.

    Folders above it are made: after minutes of measuring, none should be missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)


@dataclass(frozen=True)
class Document:
    """A run: what it was measured on, the machine's limits, and a record for each case."""

    environment: dict[str, Any]
    limits: dict[str, Any]
    records: list[Record]

    def write(self, path: Path) -> None:
        """Write it as JSON; folders above the file are made."""
        whole = {
            "schema": SCHEMA,
            "environment": self.environment,
            "limits": self.limits,
            "cases": [record.as_json() for record in self.records],
        }
        replace_file(path, (json.dumps(whole, indent=1) + "\n").encode())


def _parsed(path: Path) -> dict[str, Any]:
    try:
        whole = json.loads(path.read_bytes())
    except ValueError as error:  # bad JSON, or bytes that are no text
        raise ValueError(f"{path} is no JSON: {error}") from None
    schema = whole.get("schema") if isinstance(whole, dict) else None
    if not isinstance(whole, dict) or schema != SCHEMA:
        raise ValueError(f"{path} must be a benchmark of schema {SCHEMA}, got {schema!r}")
    return whole


def read(path: Path) -> Document:
    """Return the run that a file holds.

    Raises
    ------
    ValueError
        If it is no such document, or one of another schema, or one of which something is missing.
    OSError
        If the file cannot be read.
    """
    whole = _parsed(path)
    try:
        environment, limits = dict(whole["environment"]), dict(whole["limits"])
        return Document(environment, limits, [Record.from_json(case) for case in whole["cases"]])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        missing = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is no complete benchmark: {missing}") from None
