"""Kernels that put tensors together: arithmetic with broadcasting, copies, sums, embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Prepared, Work
from onepass.bench.families.data import SETS, Draw, contender, drawn, tensors
from onepass.bench.limits import COPY, READ, TRIAD, Stream
from onepass.bench.sizes import Sizes

Function = Callable[..., Any]
Data = list[tuple[Array, ...]]


def _prepared(draw: Draw, make: Callable[[Draw], Data], *both: Function) -> Prepared:
    data, (ours, theirs) = make(draw), both
    own = contender("onepass", ours, data)
    if rivals.torch() is None:
        return Prepared(own)
    return Prepared(own, [contender("torch", theirs, tensors(data))])


def _sets(*shapes: tuple[int, ...]) -> Callable[[Draw], Data]:
    return lambda draw: [tuple(draw.normal(*shape) for shape in shapes) for _ in range(SETS)]


def _indices(shape: tuple[int, int]) -> Callable[[Draw], Data]:
    def make(draw: Draw) -> Data:
        return [
            (draw.indices(shape[0], shape[0]), draw.normal(*shape), draw.normal(*shape))
            for _ in range(SETS)
        ]

    return make


def _added_up(index: Any, dy: Any) -> Any:
    return dy.new_zeros(dy.shape).index_add_(0, index, dy)


def cases(sizes: Sizes) -> Iterator[Case]:
    """Each kernel on one size, whole operands and spread ones."""
    n, c = shape = sizes.rows
    array = sizes.itemsize * n * c
    label = f"{n}x{c}"

    def case(
        name: str, kernel: str, stream: Stream, make: Callable[[Draw], Data], *both: Function
    ) -> Case:
        work = (Work(0.0, stream.accesses * array, SETS * stream.arrays * array, stream),)
        prepare = drawn(sizes.dtype, _prepared, make, *both)
        covers = (f"kernel:{kernel}",)
        return Case(f"{name} {label}", "combining", covers, work, prepare, sizes.rounding(1e-5))

    def combine(op: str) -> Function:
        return lambda a, b: kernels.combine(a, b, op)

    def backward(op: str) -> Function:
        return lambda a, b, dy: kernels.combine_backward(a, b, dy, op)

    for op, sign in (("add", np.add), ("multiply", np.multiply), ("maximum", np.maximum)):
        theirs = partial(_torch_named, sign.__name__)
        yield case(op, "combine", TRIAD, _sets(shape, shape), combine(op), theirs)
    for name, other in (("row", (c,)), ("column", (n, 1))):
        yield case(
            f"multiply by a {name}",
            "combine",
            COPY,
            _sets(shape, other),
            combine("multiply"),
            lambda a, b: a * b,
        )
        axis = 0 if name == "row" else 1
        yield case(
            f"gradients of a product with a {name}",
            "combine_backward",
            TRIAD,
            _sets(shape, other, shape),
            backward("multiply"),
            lambda a, b, dy, axis=axis: (dy * b, (dy * a).sum(axis, keepdim=axis == 1)),
        )
    yield case(
        "scaled copy into columns",
        "scaled_copy",
        COPY,
        _sets(shape, (n, 2 * c)),
        lambda x, whole: kernels.scaled_copy(x, 0.5, out=whole[:, c:]),
        lambda x, whole: whole[:, c:].copy_(x).mul_(0.5),
    )
    for axis, kept in ((0, (1, c)), (1, (n, 1))):
        yield case(
            f"sum over axis {axis}",
            "scaled_sum",
            READ,
            _sets(shape),
            lambda x, kept=kept: kernels.scaled_sum(x, shape=kept),
            lambda x, axis=axis: x.sum(axis, keepdim=True),
        )
    yield case(
        "embedding",
        "embedding",
        COPY,
        _indices(shape),
        lambda index, table, dy: kernels.embedding(index, table),
        lambda index, table, dy: table[index],
    )
    yield case(
        "gradient of an embedding",
        "embedding_backward",
        TRIAD,
        _indices(shape),
        lambda index, table, dy: kernels.embedding_backward(index, dy, n),
        lambda index, table, dy: _added_up(index, dy),
    )


def _torch_named(name: str, a: Any, b: Any) -> Any:
    return getattr(rivals.torch(), name)(a, b)
