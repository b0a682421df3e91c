"""What the compiled formula lists hold: ids, names and hyper-parameters, in the headers' order.

The lists in ``csrc/math`` are the one definition; nothing here repeats a name from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onepass import _core


@dataclass(frozen=True)
class Activation:
    """An elementwise activation: its id and the names of its hyper-parameters."""

    id: int
    name: str
    hyper: tuple[str, ...]
    needs_input: bool  # the derivative needs the input, not only the value


@dataclass(frozen=True)
class Binary:
    """An operation of two numbers: its id, and whether its derivatives depend on them."""

    id: int
    name: str
    needs_operands: bool


@dataclass(frozen=True)
class Loss:
    """A loss: ``prediction`` says what it reads.

    That is linear, positive, margin (with labels -1 and 1), probability, or logits of one kind.
    """

    id: int
    name: str
    hyper: tuple[str, ...]
    prediction: str
    row_wise: bool  # a cross-entropy of classes, whose targets may be class indices
    whole_batch: bool  # of all rows together, each of which gets its value


@dataclass(frozen=True)
class Rule:
    """An update rule: the names of its options and the number of its state slots."""

    id: int
    name: str
    options: tuple[str, ...]
    states: int


def _load(entries: Iterable[Mapping[str, Any]], kind: type[Any]) -> dict[str, Any]:
    return {
        entry["name"]: kind(
            **{key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
        )
        for entry in entries
    }


ACTIVATIONS: dict[str, Activation] = _load(_core.activations(), Activation)
# Elementwise functions that are no activations: kernels of their own only, never in a product.
FUNCTIONS: dict[str, Activation] = _load(_core.functions(), Activation)
ELEMENTWISE = {**ACTIVATIONS, **FUNCTIONS}
BINARY: dict[str, Binary] = _load(_core.binary(), Binary)
LOSSES: dict[str, Loss] = _load(_core.losses(), Loss)
RULES: dict[str, Rule] = _load(_core.rules(), Rule)


def hyper_values(names: tuple[str, ...], given: Mapping[str, float], owner: str) -> list[float]:
    """Order the given hyper-parameters as the header does; refuse missing and unknown names."""
    if set(names) != set(given):
        raise TypeError(f"{owner} takes the hyper-parameters {list(names)}, got {sorted(given)}")
    return [float(given[name]) for name in names]
