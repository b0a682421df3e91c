"""Kernels that put tensors together: arithmetic with broadcasting, copies, sums, embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Prepared
from onepass.bench.families.data import Draw, contender, drawn, sets_for, streaming, tensors
from onepass.bench.limits import COPY, READ, TRIAD, Stream
from onepass.bench.sizes import Sizes

Function = Callable[..., Any]
Data = list[tuple[Array, ...]]
# Kernel, pattern of its traffic, data, our function and torch's.
Kind = tuple[str, Stream, Callable[[Draw], Data], Function, Function]


def _prepared(draw: Draw, make: Callable[[Draw], Data], *both: Function) -> Prepared:
    data, (ours, theirs) = make(draw), both
    own = contender("onepass", ours, data)
    if rivals.torch() is None:
        return Prepared(own)
    return Prepared(own, [contender("torch", theirs, tensors(data))])


def _sets(*shapes: tuple[int, ...]) -> Callable[[Draw], Data]:
    count = sets_for(*shapes[0])
    return lambda draw: [tuple(draw.normal(*shape) for shape in shapes) for _ in range(count)]


def _indices(shape: tuple[int, int]) -> Callable[[Draw], Data]:
    def make(draw: Draw) -> Data:
        return [
            (draw.indices(shape[0], shape[0]), draw.normal(*shape), draw.normal(*shape))
            for _ in range(sets_for(*shape))
        ]

    return make


def _added_up(index: Any, dy: Any) -> Any:
    return dy.new_zeros(dy.shape).index_add_(0, index, dy)


def _torch_named(name: str) -> Function:
    return lambda a, b: getattr(rivals.torch(), name)(a, b)


def _combine(op: str) -> Function:
    return lambda a, b: kernels.combine(a, b, op)


def _product_gradients(a: Array, b: Array, dy: Array) -> Any:
    return kernels.combine_backward(a, b, dy, "multiply")


def _kinds(n: int, c: int) -> dict[str, Kind]:
    """Return what there is, for n rows of c columns, by the names of the cases."""
    shape = n, c
    found: dict[str, Kind] = {
        op: ("combine", TRIAD, _sets(shape, shape), _combine(op), _torch_named(op))
        for op in ("add", "multiply", "maximum")
    }
    for axis, name, other in ((0, "row", (c,)), (1, "column", (n, 1))):
        found[f"multiply by a {name}"] = (
            "combine",
            COPY,
            _sets(shape, other),
            _combine("multiply"),
            lambda a, b: a * b,
        )
        found[f"gradients of a product with a {name}"] = (
            "combine_backward",
            TRIAD,
            _sets(shape, other, shape),
            _product_gradients,
            lambda a, b, dy, axis=axis: (dy * b, (dy * a).sum(axis, keepdim=axis == 1)),
        )
    found["scaled copy into columns"] = (
        "scaled_copy",
        COPY,
        _sets(shape, (n, 2 * c)),
        lambda x, whole: kernels.scaled_copy(x, 0.5, out=whole[:, c:]),
        lambda x, whole: whole[:, c:].copy_(x).mul_(0.5),
    )
    for axis, kept in ((0, (1, c)), (1, (n, 1))):
        found[f"sum over axis {axis}"] = (
            "scaled_sum",
            READ,
            _sets(shape),
            lambda x, kept=kept: kernels.scaled_sum(x, shape=kept),
            lambda x, axis=axis: x.sum(axis, keepdim=True),
        )
    found["embedding"] = (
        "embedding",
        COPY,
        _indices(shape),
        lambda index, table, dy: kernels.embedding(index, table),
        lambda index, table, dy: table[index],
    )
    found["gradient of an embedding"] = (
        "embedding_backward",
        COPY,
        _indices(shape),
        lambda index, table, dy: kernels.embedding_backward(index, dy, n),
        lambda index, table, dy: _added_up(index, dy),
    )
    return found


def cases(sizes: Sizes) -> Iterator[Case]:
    """Each kernel with whole operands and spread ones."""
    for name in _kinds(1, 1):
        for place in sizes.kernels(name):
            kernel, stream, *rest = _kinds(*place.shape)[name]
            yield Case(
                f"{name} {place.label}",
                "combining",
                (f"kernel:{kernel}",),
                streaming(sizes, stream, *place.shape),
                drawn(sizes.dtype, _prepared, *rest),
                sizes.rounding(1e-5),
                series=place.series,
                size=place.size,
            )
