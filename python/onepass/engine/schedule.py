"""Phases: calls that threads may work on at the same time, with one wait between two phases.

Called by ``plan`` behind the rewrites.
"""

from __future__ import annotations

from collections.abc import Sequence

from onepass.engine.calls import Buffer, Call

Phases = list[list[Call]]


def phases(calls: Sequence[Call]) -> Phases:
    """Put each call into the earliest phase behind all that it depends on.

    A call depends on an earlier one that writes what it reads or writes, or reads what it writes.
    Updates of parameters all come last, so that a step is either done or has changed nothing, and
    behind them the constraints of what was updated. The calls of a phase keep their order.
    """
    others = [call for call in calls if not call.updates]
    return [*_levels(others), *_levels([call for call in calls if call.updates])]


def _levels(calls: Sequence[Call]) -> Phases:
    levels: Phases = []
    read_at: dict[Buffer, int] = {}  # last level that reads, or writes, a memory
    written_at: dict[Buffer, int] = {}
    for call in calls:
        reads = {buffer.root() for buffer in call.reads.values()}
        writes = {buffer.root() for buffer in call.writes.values()}
        before = [written_at.get(root, -1) for root in reads | writes]
        before += [read_at.get(root, -1) for root in writes]
        level = max(before, default=-1) + 1
        if level == len(levels):
            levels.append([])
        levels[level].append(call)
        read_at.update({root: max(level, read_at.get(root, -1)) for root in reads})
        written_at.update(dict.fromkeys(writes, level))
    return levels
