"""A metric's calls as a plan of their own, for arrays outside any model.

Called by ``metrics``. The very calls that a model's plan makes for the metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onepass.engine.feeding import Feed
from onepass.engine.graph import input_tensor, nodes_between
from onepass.engine.lowering import Lowering
from onepass.engine.objective import Objective, ObjectiveBuffers
from onepass.engine.plan import Plan, _native
from onepass.engine.replay import Pass, batches
from onepass.engine.schedule import phases
from onepass.engine.tracing import traced

if TYPE_CHECKING:
    from onepass.engine.storage import Floats
    from onepass.metrics import Metric

_ROWS = 1024  # of one step


def metric_plan(metric: Metric, cols: int, float64: bool, weighted: bool) -> Plan:
    """Return a plan of sources target, prediction and, if weighted, weights."""
    prediction = input_tensor([cols], "float64" if float64 else "float32", "prediction")
    (functions,) = traced([Objective(None, [metric])], [prediction])
    values = list(functions.values.values())
    low = Lowering(nodes_between([prediction, functions.target], values))
    target = low.index("target") if metric.reads_index else low.value(functions.target)
    at = ObjectiveBuffers(low.value(prediction), target, None, functions)
    low.emit("gather", {}, {"out": at.target}, {"source": 0})
    low.emit("gather", {}, {"out": at.prediction}, {"source": 1})
    if weighted:
        at.weights = low.rows("weights")
        low.emit("gather", {}, {"out": at.weights}, {"source": 2})
    low.forward()
    metric.lower(low, at, low.sums(metric.state_size_for(cols)))
    scheduled = phases(low.calls)
    calls = tuple(call for phase in scheduled for call in phase)
    return Plan(calls, _native(scheduled, float64), (), low.n_sums)


def add_rows(plan: Plan, arrays: Sequence[Any], sums: Floats) -> None:
    """Add rows, (n, cols) or (n,) each, to the sums of a metric's plan."""
    feed = Feed([(array, 1.0) for array in arrays], len(arrays[0]))
    work = Pass(plan, feed, batches(feed.samples, feed.samples if plan.couples_rows else _ROWS))
    work.sums = sums
    work.run()
