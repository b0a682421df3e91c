"""What reports of several epochs mean, in plain words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from onepass.diagnosis.report import LayerReport, Report

_VANISHED = 1e-3  # of a gradient's size in the first layer, beside the largest behind it
_STILL = 1e-3  # of an update ratio, beside the largest
_GREW = 3.0  # of the weights in an epoch
_MANY = 0.5  # of units
_PATIENCE = 5  # epochs without progress
_PROGRESS = 0.005  # share of the loss


def warnings_of(reports: Sequence[Report]) -> list[str]:
    """Return what looks wrong in a training, each thing with what usually helps.

    Parameters
    ----------
    reports : one an epoch, the newest last; one alone will do for what needs no history

    Returns
    -------
    warnings : list of str, empty where nothing is known to be wrong
    """
    if not reports:
        return []
    broken = _not_finite(reports)
    if broken:
        return broken  # everything else would only repeat it
    checks: tuple[Callable[[Sequence[Report]], list[str]], ...] = (
        _vanishing,
        _growing,
        _only_upper_layers,
        _dead,
        _saturated,
        _stuck,
    )
    return [warning for check in checks for warning in check(reports)]


def _not_finite(reports: Sequence[Report]) -> list[str]:
    layers = [layer.name for layer in reports[-1].layers if layer.non_finite]
    if not layers and math.isfinite(reports[-1].loss):
        return []
    where = f" in {_listed(layers)}" if layers else ""
    return [
        f"numbers that are not finite{where}: training has exploded. Lower the learning rate, clip "
        "gradients (clipnorm=1.0), normalise the inputs, or look for NaN in the data."
    ]


def _vanishing(reports: Sequence[Report]) -> list[str]:
    layers = reports[-1].layers
    if len(layers) < 3:
        return []
    sizes = [layer.gradient_size for layer in layers]
    largest = max(sizes)
    first = sizes[0]
    if largest == 0 or first > _VANISHED * largest or _falls(sizes) < 0.6:
        return []
    return [
        f"gradients vanish: layer by layer they shrink from {largest:.1e} to {first:.1e} in "
        f"{layers[0].name!r}, which hardly learns. He initialisation with relu, elu or selu, batch "
        "normalization, or fewer layers help."
    ]


def _falls(sizes: Sequence[float]) -> float:
    """Return the share of neighbours of which the lower one's gradient is the smaller."""
    pairs = list(itertools.pairwise(sizes))
    return sum(low <= high for low, high in pairs) / len(pairs)


def _growing(reports: Sequence[Report]) -> list[str]:
    if len(reports) < 3:
        return []
    found = []
    for layer in reports[-1].layers:
        norms = [_named(report, layer.name) for report in reports[-3:]]
        if all(new > _GREW * old > 0 for old, new in itertools.pairwise(norms)):
            found.append(layer.name)
    if not found:
        return []
    return [
        f"weights of {_listed(found)} grow {_GREW:g}-fold and more in every epoch: training is "
        "about to explode. Lower the learning rate, clip gradients (clipnorm=1.0), or regularise."
    ]


def _named(report: Report, name: str) -> float:
    return next((layer.weight_norm for layer in report.layers if layer.name == name), 0.0)


def _only_upper_layers(reports: Sequence[Report]) -> list[str]:
    moving: list[tuple[LayerReport, float]] = [
        (layer, layer.update_ratio)
        for layer in reports[-1].layers
        if layer.update_ratio is not None
    ]
    if len(moving) < 3:
        return []
    most = max(ratio for _, ratio in moving)
    still = [layer.name for layer, ratio in moving[: len(moving) // 2] if ratio < _STILL * most]
    if not still:
        return []
    return [
        f"upper layers move and lower ones do not: {_listed(still)} changed {1 / _STILL:g} times "
        "less than others. See whether gradients vanish, or whether layers are frozen on purpose."
    ]


def _dead(reports: Sequence[Report]) -> list[str]:
    return [
        f"{layer.dead:.0%} of the units of {layer.name!r} are dead: they give 0 for every sample "
        "and cannot learn. A lower learning rate, He initialisation, or leaky_relu, elu and the "
        "like help."
        for layer in reports[-1].layers
        if layer.dead is not None and layer.dead >= _MANY
    ]


def _saturated(reports: Sequence[Report]) -> list[str]:
    return [
        f"{layer.saturated:.0%} of the activations of {layer.name!r} are saturated: their gradient "
        "is almost 0. Smaller initial weights, normalised inputs, batch normalization, or another "
        "activation help."
        for layer in reports[-1].layers
        if layer.saturated is not None and layer.saturated >= _MANY
    ]


def _stuck(reports: Sequence[Report]) -> list[str]:
    if len(reports) <= _PATIENCE:
        return []
    earlier, losses = reports[-_PATIENCE - 1].loss, [r.loss for r in reports[-_PATIENCE:]]
    best = min(losses)
    if best < earlier - _PROGRESS * abs(earlier) or best < 0.7 * reports[0].loss:
        return []
    return [
        f"the loss of the samples looked at is stuck at {losses[-1]:.4g} for {_PATIENCE} epochs, "
        "near where it began: try "
        "another learning rate, and see whether the data and the loss fit each other."
    ]


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:3]]
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return ", ".join([*shown, *more])
