"""Kernels that put tensors together: arithmetic with broadcasting, copies, sums, embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import FLOAT, Array, Case, Contender, Prepared, Work
from onepass.bench.families.data import SETS, generator, in_turn, normal
from onepass.bench.limits import COPY, READ, TRIAD, Stream
from onepass.bench.sizes import Sizes

Function = Callable[..., Any]
Data = list[tuple[Array, ...]]


def _contender(function: Function, data: Data, name: str = "onepass") -> Contender:
    def result() -> list[Array]:
        found = function(*data[-1])
        return [np.asarray(part) for part in (found if isinstance(found, tuple) else (found,))]

    return Contender(name, in_turn(function, data), result)


def _prepared(make: Callable[[], Data], ours: Function, theirs: Function) -> Prepared:
    data = make()
    torch = rivals.torch()
    if torch is None:
        return Prepared(_contender(ours, data))
    tensors = [tuple(torch.from_numpy(array) for array in arrays) for arrays in data]
    return Prepared(_contender(ours, data), [_contender(theirs, tensors, "torch")])


def _sets(*shapes: tuple[int, ...]) -> Data:
    rng = generator()
    return [tuple(normal(rng, *shape) for shape in shapes) for _ in range(SETS)]


def _indices(shape: tuple[int, int]) -> Data:
    rng = generator()
    rows = shape[0]
    return [
        (rng.integers(0, rows, rows), normal(rng, *shape), normal(rng, *shape)) for _ in range(SETS)
    ]


def _added_up(index: Any, dy: Any) -> Any:
    return dy.new_zeros(dy.shape).index_add_(0, index, dy)


def cases(sizes: Sizes) -> Iterator[Case]:
    """Each kernel on one size, whole operands and spread ones."""
    n, c = shape = sizes.rows
    array = FLOAT * n * c
    label = f"{n}x{c}"

    def case(
        name: str, kernel: str, stream: Stream, make: Callable[[], Data], *both: Function
    ) -> Case:
        work = (Work(0.0, stream.accesses * array, SETS * stream.arrays * array, stream),)
        prepare = partial(_prepared, make, *both)
        return Case(f"{name} {label}", "combining", (f"kernel:{kernel}",), work, prepare)

    def combine(op: str) -> Function:
        return lambda a, b: kernels.combine(a, b, op)

    def backward(op: str) -> Function:
        return lambda a, b, dy: kernels.combine_backward(a, b, dy, op)

    for op, sign in (("add", np.add), ("multiply", np.multiply), ("maximum", np.maximum)):
        theirs = partial(_torch_named, sign.__name__)
        yield case(op, "combine", TRIAD, partial(_sets, shape, shape), combine(op), theirs)
    for name, other in (("row", (c,)), ("column", (n, 1))):
        yield case(
            f"multiply by a {name}",
            "combine",
            COPY,
            partial(_sets, shape, other),
            combine("multiply"),
            lambda a, b: a * b,
        )
        axis = 0 if name == "row" else 1
        yield case(
            f"gradients of a product with a {name}",
            "combine_backward",
            TRIAD,
            partial(_sets, shape, other, shape),
            backward("multiply"),
            lambda a, b, dy, axis=axis: (dy * b, (dy * a).sum(axis, keepdim=axis == 1)),
        )
    yield case(
        "scaled copy into columns",
        "scaled_copy",
        COPY,
        partial(_sets, shape, (n, 2 * c)),
        lambda x, whole: kernels.scaled_copy(x, 0.5, out=whole[:, c:]),
        lambda x, whole: whole[:, c:].copy_(x).mul_(0.5),
    )
    for axis, kept in ((0, (1, c)), (1, (n, 1))):
        yield case(
            f"sum over axis {axis}",
            "scaled_sum",
            READ,
            partial(_sets, shape),
            lambda x, kept=kept: kernels.scaled_sum(x, shape=kept),
            lambda x, axis=axis: x.sum(axis, keepdim=True),
        )
    yield case(
        "embedding",
        "embedding",
        COPY,
        partial(_indices, shape),
        lambda index, table, dy: kernels.embedding(index, table),
        lambda index, table, dy: table[index],
    )
    yield case(
        "gradient of an embedding",
        "embedding_backward",
        TRIAD,
        partial(_indices, shape),
        lambda index, table, dy: kernels.embedding_backward(index, dy, n),
        lambda index, table, dy: _added_up(index, dy),
    )


def _torch_named(name: str, a: Any, b: Any) -> Any:
    return getattr(rivals.torch(), name)(a, b)
