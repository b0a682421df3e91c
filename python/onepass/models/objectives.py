"""What ``compile`` was given, output by output."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from onepass import losses
from onepass import metrics as metrics_module
from onepass._checks import number
from onepass.engine.objective import Objective
from onepass.engine.recording import Graph
from onepass.engine.structure import flatten, is_nested


def output_names(graph: Graph) -> list[str]:
    """Return the outputs' names: their keys in a dict, else those of the layers they come from."""
    if isinstance(graph.outputs, Mapping) and not any(map(is_nested, graph.outputs.values())):
        return sorted(graph.outputs)
    names: list[str] = []
    for tensor in graph.output_list:
        name = base = tensor.made_by.layer.name if tensor.made_by else tensor.name
        repeat = 0
        while name in names:
            repeat += 1
            name = f"{base}_{repeat}"
        names.append(name)
    return names


def per_output(given: Any, names: list[str], what: str) -> list[Any]:
    """Return one item for each output, given a list of them or a dict by name; None for none.

    Raises
    ------
    ValueError
        If the number of items or a name does not fit.
    """
    if given is None:
        return [None] * len(names)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ValueError(f"{what} names {unknown}, but the model's outputs are {names}")
        return [given.get(name) for name in names]
    if not isinstance(given, (list, tuple)):
        raise TypeError(
            f"{what} must be a list or dict, one item for each of the outputs {names}, "
            f"got {given!r}"
        )
    if len(given) != len(names):
        raise ValueError(
            f"{what} has {len(given)} items, but the model has {len(names)} outputs: {names}"
        )
    return list(given)


def losses_of(given: Any) -> Any:
    """Return the losses that names or objects stand for, in the same structure."""
    if given is None:
        return None
    if isinstance(given, Mapping) and "class_name" not in given:
        return {key: losses_of(item) for key, item in given.items()}
    if isinstance(given, (list, tuple)):
        return [losses_of(item) for item in given]
    loss = losses.get(given)
    if loss.reduction in ("none", None):
        raise ValueError("compile: training needs a loss with a reduction, got reduction=None")
    return loss


def check_metrics(given: Any, name: str) -> None:
    """Raise unless these are metrics, in lists or a dict."""
    if isinstance(given, str) or not (given is None or is_nested(given)):
        raise TypeError(f"{name} must be a list, got {given!r}; write {name}=[{given!r}]")
    for item in _metrics_in(given):
        metrics_module.check(item)


def check_loss_weights(given: Any) -> None:
    """Raise unless these are numbers."""
    for item in flatten(given):
        if item is not None and (isinstance(item, bool) or not isinstance(item, Real)):
            raise TypeError(
                f"loss_weights must be a number, or a list or dict of numbers, got {given!r}"
            )


def objectives_of(
    graph: Graph, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any
) -> list[Objective]:
    """Return what each output is trained for and measured by.

    Raises
    ------
    TypeError, ValueError
        If what was given does not fit the model's outputs.
    """
    names, outputs = output_names(graph), graph.output_list
    single = len(names) == 1
    if isinstance(loss, losses.Loss):
        chosen = [loss] * len(names)
    else:
        chosen = per_output(loss, names, "loss")
    if single and loss_weights is not None and not is_nested(loss_weights):
        factors = [loss_weights]
    else:
        factors = per_output(loss_weights, names, "loss_weights")
    plain = _metrics_of(metrics, names, "metrics")
    weighted = _metrics_of(weighted_metrics, names, "weighted_metrics")
    for name, own, *given in zip(names, chosen, plain, weighted, strict=True):
        if own is None and any(given):
            raise ValueError(f"output {name!r} has metrics but no loss, which says what it learns")
    return [
        Objective(
            chosen[i],
            [metrics_module.of_output(m, chosen[i], output.shape[-1] or 0) for m in plain[i]],
            [metrics_module.of_output(m, chosen[i], output.shape[-1] or 0) for m in weighted[i]],
            1.0 if factors[i] is None else number(factors[i], "loss_weights"),
            names[i],
        )
        for i, output in enumerate(outputs)
    ]


def _metrics_of(given: Any, names: list[str], what: str) -> list[list[Any]]:
    """Return a list of metrics for each output."""
    if len(names) == 1 and isinstance(given, (list, tuple)):
        return [_metrics_in(given)]
    return [_metrics_in(item) for item in per_output(given, names, what)]


def _metrics_in(given: Any) -> list[Any]:
    """Return all metrics in lists and dicts of them; a configuration is one."""
    if given is None:
        return []
    if isinstance(given, Mapping) and "class_name" not in given:
        return [metric for item in given.values() for metric in _metrics_in(item)]
    if isinstance(given, (list, tuple)):
        return [metric for item in given for metric in _metrics_in(item)]
    return [given]
