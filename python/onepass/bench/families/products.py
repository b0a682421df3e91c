"""The three products of a dense layer, on arrays as models store them, beside NumPy and torch.

All write to arrays that exist already. NumPy's and torch's arrays are contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from onepass import _core, kernels
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Contender, Prepared, Work
from onepass.bench.families.data import LARGE, SETS, Draw, as_stored, drawn, in_turn, tensors
from onepass.bench.limits import COPY, READ, TRIAD
from onepass.bench.sizes import Sizes

Function = Callable[..., Any]


def _ours(kernel: str, outputs: list[Array]) -> Function:
    if kernel == "dense_forward":
        return lambda x, w, b: _core.dense_forward(x, w, b, None, outputs[0], 0, [])
    if kernel == "dense_backward_weights":
        return lambda x, dz: _core.dense_backward_weights(x, dz, outputs[0], outputs[1], False)
    return lambda dz, w: _core.dense_backward_input(dz, w, None, None, outputs[0], 0, [], False)


def _numpy(kernel: str, outputs: list[Array]) -> Function:
    def forward(x: Array, w: Array, b: Array) -> None:
        np.matmul(x, w, out=outputs[0])
        np.add(outputs[0], b, out=outputs[0])

    def weights(x: Array, dz: Array) -> None:
        np.matmul(x.T, dz, out=outputs[0])
        np.sum(dz, axis=0, out=outputs[1])

    def inputs(dz: Array, w: Array) -> None:
        np.matmul(dz, w.T, out=outputs[0])

    known: dict[str, Function] = {"dense_forward": forward, "dense_backward_weights": weights}
    return known.get(kernel, inputs)


def _torch(kernel: str, outputs: list[Any]) -> Function:
    torch = rivals.torch()

    def forward(x: Any, w: Any, b: Any) -> None:
        torch.addmm(b, x, w, out=outputs[0])

    def weights(x: Any, dz: Any) -> None:
        torch.mm(x.t(), dz, out=outputs[0])
        torch.sum(dz, 0, out=outputs[1])

    def inputs(dz: Any, w: Any) -> None:
        torch.mm(dz, w.t(), out=outputs[0])

    known: dict[str, Function] = {"dense_forward": forward, "dense_backward_weights": weights}
    return known.get(kernel, inputs)


def _writing(name: str, function: Function, sets: list[Any], outputs: list[Any]) -> Contender:
    def result() -> list[Array]:
        function(*sets[-1])
        return [np.asarray(out).copy() for out in outputs]

    return Contender(name, in_turn(function, sets), result)


def _prepare(draw: Draw, kernel: str, n: int, i: int, o: int) -> Prepared:
    count = SETS if n * max(i, o) < LARGE else 1
    w, b = draw.normal(i, o), draw.normal(o)
    sets: list[tuple[Array, ...]]
    shapes: list[tuple[int, ...]]
    if kernel == "dense_forward":
        sets = [(draw.normal(n, i), w, b) for _ in range(count)]
        shapes = [(n, o)]
    elif kernel == "dense_backward_weights":
        sets = [(draw.normal(n, i), draw.normal(n, o)) for _ in range(count)]
        shapes = [(i, o), (o,)]
    else:
        sets = [(draw.normal(n, o), w) for _ in range(count)]
        shapes = [(n, i)]

    stored: dict[int, Array] = {}  # weights stay one array, in whatever set they are

    def store(array: Array) -> Array:
        return stored.setdefault(id(array), as_stored(array))

    ours = [as_stored(np.ones(shape, draw.dtype)) for shape in shapes]
    own_sets = [tuple(store(array) for array in given) for given in sets]
    others = []
    if rivals.numpy_controlled():
        outputs = [np.ones(shape, draw.dtype) for shape in shapes]
        others.append(_writing("numpy", _numpy(kernel, outputs), sets, outputs))
    if (torch := rivals.torch()) is not None:
        results = [torch.from_numpy(np.ones(shape, draw.dtype)) for shape in shapes]
        others.append(_writing("torch", _torch(kernel, results), tensors(sets), results))
    return Prepared(_writing("onepass", _ours(kernel, ours), own_sets, ours), others)


def _prepare_backward(draw: Draw, n: int, i: int, o: int) -> Prepared:
    """The public function that does all of a layer's backward pass."""
    x, w, dy = draw.normal(n, i), draw.normal(i, o), draw.normal(n, o)
    y = kernels.dense_forward(x, w, None, "relu")

    def ours() -> list[Array]:
        return list(kernels.dense_backward(x, w, y, dy, "relu"))

    others = []
    if (torch := rivals.torch()) is not None:
        arrays = x, w, np.zeros(o, draw.dtype)
        leaves = [torch.from_numpy(array).requires_grad_() for array in arrays]
        value = torch.relu(torch.addmm(leaves[2], leaves[0], leaves[1]))
        upstream = torch.from_numpy(dy)

        def theirs() -> Any:
            return torch.autograd.grad(value, leaves, upstream, retain_graph=True)

        others.append(Contender("torch", theirs, theirs))
    return Prepared(Contender("onepass", ours, ours), others)


def cases(sizes: Sizes) -> Iterator[Case]:
    """The products alone at every size, and whole backward passes of the first layer."""
    streams = {"dense_forward": READ, "dense_backward_weights": COPY, "dense_backward_input": READ}
    for n, i, o in sizes.products:
        traffic = sizes.itemsize * (n * i + i * o + n * o + o)
        for kernel, stream in streams.items():
            yield Case(
                f"{kernel} {n}x{i}x{o}",
                "products",
                (f"kernel:{kernel}",),
                (Work(2.0 * n * i * o, traffic, traffic, stream),),
                drawn(sizes.dtype, _prepare, kernel, n, i, o),
                tolerance=sizes.rounding(1e-5),
                series=f"{kernel} {i}x{o}",
                size=n,
            )
    for n, i, o in sizes.products:
        if (i, o) != sizes.products[0][1:]:
            continue
        traffic = sizes.itemsize * (2 * n * i + 2 * i * o + 2 * n * o + o)
        yield Case(
            f"dense_backward relu {n}x{i}x{o}",
            "products",
            ("kernel:dense_backward",),
            (Work(4.0 * n * i * o, traffic, traffic, TRIAD),),
            drawn(sizes.dtype, _prepare_backward, n, i, o),
            tolerance=sizes.rounding(1e-5),
            series=f"dense_backward relu {i}x{o}",
            size=n,
        )
