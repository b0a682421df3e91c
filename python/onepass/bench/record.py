"""What is known of a case after its run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from math import inf, isfinite
from typing import Any

from onepass.bench.timing import Summary


@dataclass(frozen=True)
class Record:
    """What is known of a case after its run; times in seconds of one unit.

    ``status`` is "equal", "unchecked" (nothing to compare with), "UNEQUAL" (some rival differs: it
    is not timed, nor are we if all do) or "FAILED". ``samples`` are ours, in order of time;
    ``missing`` says why rivals that may fail did.
    """

    name: str
    family: str
    threads: int
    status: str
    flops: float
    bytes: float
    tolerance: float
    dtype: str = "float32"
    isa: str = ""
    cold: bool = False
    series: str | None = None
    size: int | None = None
    headline: bool = False
    errors: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    times: dict[str, Summary] = field(default_factory=dict)
    samples: list[float] = field(default_factory=list)
    parts: dict[str, Summary] = field(default_factory=dict)
    rounds: int = 0
    noisy_rounds: int = 0
    noisy: bool = False
    message: str = ""
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> Summary | None:
        """Our times, if we were timed."""
        return self.times.get("onepass")

    @property
    def best_rival(self) -> str | None:
        """The rival with the smallest median."""
        others = {name: s.median for name, s in self.times.items() if name != "onepass"}
        return min(others, key=others.__getitem__) if others else None

    @property
    def of_limit(self) -> float | None:
        """Share of the limit that we reach."""
        return self.limit / self.ours.median if self.limit and self.ours else None

    @property
    def ratio(self) -> float | None:
        """How many times longer the best rival takes."""
        if self.ours is None or self.best_rival is None:
            return None
        return self.times[self.best_rival].median / self.ours.median

    def as_json(self) -> dict[str, Any]:
        """Return everything, with what follows from it."""
        follows = {"best_rival": self.best_rival, "of_limit": self.of_limit, "ratio": self.ratio}
        errors = {n: error if isfinite(error) else None for n, error in self.errors.items()}
        return asdict(self) | follows | {"errors": errors}  # JSON has no infinity

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Record:
        """Return the record that `as_json` described."""
        known = {f.name: given[f.name] for f in fields(cls) if f.name in given}
        for kind in ("times", "parts"):
            known[kind] = {name: Summary(**values) for name, values in given[kind].items()}
        errors = given["errors"].items()
        return cls(**known | {"errors": {n: inf if e is None else e for n, e in errors}})
