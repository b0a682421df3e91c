"""Phases: what may run at the same time, on lists made by hand and in every real plan."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from onepass.engine import plan as engine_plan
from onepass.engine.calls import Buffer, Call
from onepass.engine.rewrites import REWRITES
from onepass.engine.schedule import phases
from test_plan import CASES, plan_of

A, B, C, D = (Buffer(name, "rows", 2, 2) for name in "abcd")
VIEW = Buffer("view", "view", 1, 1, 2, base=A)
VIEW_OF_VIEW = Buffer("view of view", "view", 2, 2, base=VIEW)


def call(name, reads=(), writes=(), **attributes):
    named = [{str(k): buffer for k, buffer in enumerate(buffers)} for buffers in (reads, writes)]
    return Call(name, *named, attributes)


def update(name, reads=(), writes=()):
    return call(name, reads, writes, optimizer=None)


def names(calls):
    return ["".join(c.kernel for c in phase) for phase in phases(calls)]


BY_HAND = {
    "nothing": ([], []),
    "independent": ([call("1", [A], [B]), call("2", [C], [D])], ["12"]),
    "two readers": ([call("1", [A], [B]), call("2", [A], [C])], ["12"]),
    "read after write": ([call("1", [], [A]), call("2", [A], [B])], ["1", "2"]),
    "write after read": ([call("1", [A], [B]), call("2", [], [A])], ["1", "2"]),
    "write after write": ([call("1", [], [A]), call("2", [], [A])], ["1", "2"]),
    "to the earliest": (
        [call("1", [], [A]), call("2", [A], [B]), call("3", [B], []), call("4", [], [C])],
        ["14", "2", "3"],
    ),
    "write after the last of the readers": (
        [
            *(call("1", [], [B]), call("2", [B], [C])),
            *(call("3", [A, C]), call("4", [A]), call("5", [], [A])),
        ],
        ["14", "2", "3", "5"],
    ),
    "accumulating": (
        [
            *(call("1", [], [A]), call("2", [B], [A], accumulate=True)),
            *(call("3", [C], [A], accumulate=True), call("4", [A], [D])),
        ],
        ["1", "2", "3", "4"],
    ),
    "accumulating after a reader": (
        [call("1", [A], [B]), call("2", [C], [A], accumulate=True)],
        ["1", "2"],
    ),
    "view written": ([call("1", [], [VIEW]), call("2", [A], [])], ["1", "2"]),
    "view read": ([call("1", [], [A]), call("2", [VIEW_OF_VIEW], [])], ["1", "2"]),
    "views of one memory": (
        [call("1", [VIEW], []), call("2", [], [VIEW_OF_VIEW])],
        ["1", "2"],
    ),
    "updates last": (
        [update("1", [A], [B]), call("2", [B], [C]), call("3", [C]), update("4", [C], [D])],
        ["2", "3", "14"],
    ),
    "an update behind another": (
        [update("1", [A], [B]), update("2", [B], [C]), call("3", [C], [D]), update("4", [], [D])],
        ["3", "14", "2"],
    ),
    "updates only": ([update("1", [], [A]), update("2", [], [B])], ["12"]),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_lists_made_by_hand(case):
    calls, expected = BY_HAND[case]
    assert names(calls) == expected


def share(a, b):
    """Whether two buffers have memory in common: arrays are asked where they lie."""
    while a.base is not None:
        a = a.base
    while b.base is not None:
        b = b.base
    if a.array is not None and b.array is not None:
        return np.may_share_memory(a.array, b.array)
    return a is b


def disturbs(one, other):
    """Whether one call writes what the other one reads or writes."""
    touched = [*other.reads.values(), *other.writes.values()]
    return any(share(written, buffer) for written in one.writes.values() for buffer in touched)


@pytest.mark.parametrize("rewrites", [(), REWRITES], ids=["plain", "rewritten"])
@pytest.mark.parametrize("case", CASES)
def test_no_call_disturbs_another_of_its_phase(case, rewrites, monkeypatch):
    seen = []

    def watched(calls):
        seen.append((list(calls), phases(calls)))
        return seen[-1][1]

    monkeypatch.setattr(engine_plan, "phases", watched)
    model = CASES[case]("float32")
    plan_of(model, rewrites, weighted=True)
    ((calls, found),) = seen
    at = {id(c): level for level, phase in enumerate(found) for c in phase}
    assert sorted(at) == sorted(id(c) for c in calls)
    updates = [c for c in calls if c.updates]
    assert {at[id(c)] for c in updates} == {len(found) - 1}
    assert len(found[-1]) == len(updates)
    for one, other in combinations(calls, 2):
        conflict = disturbs(one, other) or disturbs(other, one)
        if one.updates and other.updates:
            assert not conflict
        elif one.updates:  # it moves behind the other, which must leave its inputs alone
            inputs = one.reads.values()
            assert not any(share(w, buffer) for w in other.writes.values() for buffer in inputs)
        elif conflict:
            assert at[id(one)] < at[id(other)]
    tensors = [t for c in updates for t in c.attributes.get("tensors", ())]
    assert len(set(tensors)) == len(tensors)
