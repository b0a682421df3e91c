"""What ``model.summary()`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onepass.engine.plan import Plan
    from onepass.engine.storage import Variable
    from onepass.layers.layer import Layer
    from onepass.models.model import Model

_WIDTHS = (33, 24, 15)  # of the columns, borders not counted


def summary_text(
    model: Model, line_length: int | None, show_trainable: bool, optimizer_states: int
) -> str:
    """Return the table of layers and the totals below it."""
    header = ["Layer (type)", "Output Shape", "Param #"]
    rows = [_row(layer) for layer in model.layers]
    sources = model.sources_by_layer()
    if not _is_chain(model.layers, sources):
        header.append("Connected to")
        for row, layer in zip(rows, model.layers, strict=True):
            row.append(", ".join(sources.get(layer, [])) or "-")
    if show_trainable:
        header.append("Trai...")
        for row, layer in zip(rows, model.layers, strict=True):
            row.append(("Y" if layer.trainable else "N") if layer.variables else "-")
    widths = _widths([header, *rows], line_length)
    lines = [f'Model: "{model.name}"', _rule(widths, "┏━┳┓"), _line(header, widths, "┃")]
    lines.append(_rule(widths, "┡━╇┩"))
    for i, row in enumerate(rows):
        if i:
            lines.append(_rule(widths, "├─┼┤"))
        lines.append(_line(row, widths, "│"))
    lines.append(_rule(widths, "└─┴┘"))
    lines.extend(_totals(model, optimizer_states))
    return "\n".join(lines)


def plan_text(name: str, mode: str, plan: Plan) -> str:
    """Return the kernel calls of one step, in order."""
    lines = [f'Plan: "{name}", {mode}: {len(plan.calls)} calls a step']
    width = len(str(len(plan.calls)))
    lines.extend(f"  {i + 1:>{width}}  {call}" for i, call in enumerate(plan.calls))
    return "\n".join(lines)


def _is_chain(layers: Sequence[Layer], sources: Mapping[Layer, list[str]]) -> bool:
    """Whether each layer's only source is the one before it, so that it need not be said."""
    before = ["", *(layer.name for layer in layers)]
    pairs = zip(layers, before, strict=False)
    return all(sources.get(layer, [name]) in ([name], []) for layer, name in pairs)


def _row(layer: Layer) -> list[str]:
    try:
        shape = str(layer.output_shape)
    except (AttributeError, ValueError):  # not called, or not built yet
        shape = "?"
    count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    return [f"{layer.name} ({type(layer).__name__})", shape, count]


def _widths(rows: Sequence[Sequence[str]], line_length: int | None) -> list[int]:
    columns = list(zip(*rows, strict=True))
    least = [max(len(cell) for cell in column) + 2 for column in columns]
    widths = [max(w, _WIDTHS[i] if i < 3 else 0) for i, w in enumerate(least)]
    if line_length is not None:
        spare = line_length - sum(widths) - len(widths) - 1
        widths[0] = max(least[0], widths[0] + spare)
    return widths


def _rule(widths: Sequence[int], glyphs: str) -> str:
    left, bar, middle, right = tuple(glyphs)
    return left + middle.join(bar * width for width in widths) + right


def _line(cells: Sequence[str], widths: Sequence[int], border: str) -> str:
    shown = [
        f" {cell:>{width - 2}} " if i == 2 else f" {cell:<{width - 2}} "
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return border + border.join(shown) + border


def _totals(model: Model, optimizer_states: int) -> list[str]:
    groups = [
        ("Total", model.variables),
        ("Trainable", model.trainable_variables),
        ("Non-trainable", model.non_trainable_variables),
    ]
    lines = [f" {title} params: {_amount(variables)}" for title, variables in groups]
    if optimizer_states:
        item = 8 if model.variables[0].dtype == "float64" else 4
        size = _size(optimizer_states * item)
        lines.append(f" Optimizer params: {optimizer_states:,} ({size})")
    return lines


def _amount(variables: Sequence[Variable]) -> str:
    count = sum(variable.size for variable in variables)
    bytes_ = sum(
        variable.size * (8 if variable.dtype == "float64" else 4) for variable in variables
    )
    return f"{count:,} ({_size(bytes_)})"


def _size(bytes_: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if bytes_ < 1024:
            return f"{bytes_:.2f} {unit}"
        bytes_ /= 1024
    return f"{bytes_:.2f} TB"
