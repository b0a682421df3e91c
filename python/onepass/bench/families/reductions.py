"""Norms, clips, sums, accuracies and gathered rows, beside torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Contender, Prepared, Work
from onepass.bench.families.data import Draw, contender, drawn, sets_for, streaming
from onepass.bench.limits import COPY, READ, Stream
from onepass.bench.sizes import Place, Sizes, elements_of

Function = Callable[..., Any]


def _prepare(ours: Function, theirs: Function | None, sets: list[tuple[Any, ...]]) -> Prepared:
    """``theirs`` gets the same sets as tensors."""
    own = contender("onepass", ours, sets)
    torch = rivals.torch()
    if torch is None or theirs is None:
        return Prepared(own)

    def tensor(value: Any) -> Any:
        if isinstance(value, list):
            return [tensor(v) for v in value]
        return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value

    tensors = [tuple(tensor(value) for value in given) for given in sets]
    return Prepared(own, [contender("torch", theirs, tensors)])


def _norm(draw: Draw, shapes: tuple[tuple[int, ...], ...]) -> Prepared:
    sets = [([draw.normal(*shape) for shape in shapes],)]
    torch = rivals.torch()
    theirs = None if torch is None else torch.nn.utils.get_total_norm
    return _prepare(kernels.global_norm, theirs, sets)


def _clip(draw: Draw, kind: str, shapes: tuple[tuple[int, ...], ...]) -> Prepared:
    """Timed with limits that are not reached, as in most steps; compared where they act."""
    arrays = [draw.normal(*shape) for shape in shapes]

    def ours(given: list[Array], limit: float) -> None:
        if kind == "clip_by_global_norm_":
            kernels.clip_by_global_norm_(given, limit)
        else:
            for array in given:
                getattr(kernels, kind)(array, limit)

    def result() -> list[Array]:
        copies = [array.copy() for array in arrays]
        ours(copies, 0.5)
        return copies

    own = Contender("onepass", lambda: ours(arrays, 1e6), result)
    torch = rivals.torch()
    if torch is None:
        return Prepared(own)
    tensors = [torch.from_numpy(array.copy()) for array in arrays]

    def theirs(given: list[Any], limit: float) -> None:
        if kind == "clip_by_value_":
            torch._foreach_clamp_max_(given, limit)
            torch._foreach_clamp_min_(given, -limit)
            return
        for group in [given] if kind == "clip_by_global_norm_" else [[t] for t in given]:
            total = float(torch.nn.utils.get_total_norm(group))
            if total > limit:
                torch._foreach_mul_(group, limit / total)

    def their_result() -> list[Array]:
        copies = [tensor.clone() for tensor in tensors]
        theirs(copies, 0.5)
        return [copy.numpy() for copy in copies]

    return Prepared(own, [Contender("torch", lambda: theirs(tensors, 1e6), their_result)])


def _gather(draw: Draw, rows: int, width: int, samples: int, count: int, kind: str) -> Prepared:
    source = (255 * draw.uniform(samples, width)).astype(kind)
    indices = [draw.order(samples)[:rows] for _ in range(count)]
    gather = partial(kernels.gather_rows, dtype=draw.dtype)
    own = contender("onepass", gather, [(source, index) for index in indices])
    torch = rivals.torch()
    if torch is None:
        return Prepared(own)
    data = torch.from_numpy(source)
    sets = [(data, torch.from_numpy(index)) for index in indices]
    to = getattr(torch, draw.dtype.name)
    return Prepared(own, [contender("torch", lambda data, index: data[index].to(to), sets)])


def _accuracy(draw: Draw, shape: tuple[int, int]) -> Prepared:
    sets = []
    for _ in range(sets_for(*shape)):
        target, other = draw.normal(*shape), draw.normal(*shape)
        right = draw.coins(shape[0], 1) == 1.0
        sets.append((target, np.where(right, target, other)))

    def theirs(target: Any, prediction: Any) -> Any:
        return (target.argmax(-1) == prediction.argmax(-1)).float()

    return _prepare(kernels.row_accuracy, theirs, sets)


def _counted(draw: Draw, kernel: str, shape: tuple[int, int]) -> Prepared:
    """Counts at 200 thresholds, or sums of columns; nobody else has them in one pass."""
    sets = []
    for _ in range(sets_for(*shape)):
        target = draw.coins(*shape)
        sets.append((target, draw.uniform(*shape)))
    if kernel == "column_sums":
        return _prepare(kernels.column_sums, None, sets)
    return _prepare(lambda y, p: kernels.confusion_counts(y, p, 200), None, sets)


def _sum(draw: Draw, shape: tuple[int, int]) -> Prepared:
    size = elements_of([shape])
    sets = [(draw.normal(size), draw.uniform(size)) for _ in range(sets_for(size))]

    def theirs(values: Any, weights: Any) -> tuple[float, float]:
        return float(values @ weights), float(weights.sum())

    return _prepare(kernels.weighted_sum, theirs, sets)


def _gathering(sizes: Sizes) -> Iterator[Case]:
    width, count = sizes.m1[0], 64
    for kind, rows in product(("uint8", "float32", "float64"), sizes.gathered):
        samples = max(sizes.samples, rows)
        size = np.dtype(kind).itemsize
        held = size * width * min(samples, rows * count)
        yield Case(
            f"gather_rows {rows}x{width} from {kind}",
            "reductions",
            ("kernel:gather_rows",),
            (Work(0.0, (size + sizes.itemsize) * rows * width, held, COPY),),
            drawn(sizes.dtype, _gather, rows, width, samples, count, kind),
            0.0,
            series=f"gather_rows of {width} columns from {kind}",
            size=rows,
        )


def cases(sizes: Sizes) -> Iterator[Case]:
    """Norms and clips of sets of tensors, gathered rows, and what reads rows of numbers."""

    def case(name: str, place: Place, work: tuple[Work, ...], tolerance: float, *how: Any) -> Case:
        return Case(
            f"{name} {place.label}",
            "reductions",
            (f"kernel:{name}",),
            work,
            drawn(sizes.dtype, *how),
            tolerance,
            series=place.series,
            size=place.size,
        )

    in_place = Stream(0, 1, 0)
    of_tensors: tuple[tuple[str, Stream, tuple[Any, ...]], ...] = (
        ("global_norm", READ, (_norm,)),
        ("clip_by_global_norm_", READ, (_clip, "clip_by_global_norm_")),
        ("clip_by_norm_", READ, (_clip, "clip_by_norm_")),
        ("clip_by_value_", in_place, (_clip, "clip_by_value_")),
    )
    for name, stream, how in of_tensors:
        for place in sizes.steps(name):
            size = sizes.itemsize * elements_of(place.shapes)
            work = (Work(0.0, stream.accesses * size, size, stream),)
            tolerance = sizes.summing(1e-5, place.shapes)
            yield case(name, place, work, tolerance, *how, place.shapes)
    yield from _gathering(sizes)
    of_rows: tuple[tuple[str, float, tuple[Any, ...]], ...] = (
        ("row_accuracy", 0.0, (_accuracy,)),
        ("confusion_counts", 0.0, (_counted, "confusion_counts")),
        ("column_sums", 0.0, (_counted, "column_sums")),
        ("weighted_sum", 1e-3, (_sum,)),
    )
    for name, tolerance, how in of_rows:
        for place in sizes.kernels(name):
            read = streaming(sizes, Stream(2, 0, 0), *place.shape)
            yield case(name, place, read, sizes.rounding(tolerance), *how, place.shape)
