"""Penalties, constraints and noise, beside torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Contender, Prepared, Work
from onepass.bench.families.data import Draw, drawn, in_turn, sets_for, streaming, tensors
from onepass.bench.limits import COPY, Stream
from onepass.bench.sizes import Place, Sizes

KEY = (1, 2)


def _penalty(draw: Draw, shape: tuple[int, int]) -> Prepared:
    """Value, and gradient added to one that is there."""
    x, gradient = draw.normal(*shape), draw.normal(*shape)

    def ours(to: Array) -> float:
        return kernels.penalty(x, 1e-4, 1e-3, gradient=to)

    def result() -> list[Any]:
        to = gradient.copy()
        return [ours(to), to]

    changed = gradient.copy()
    own = Contender("onepass", lambda: ours(changed), result)
    torch = rivals.torch()
    if torch is None:
        return Prepared(own)
    tensor = torch.from_numpy(x)

    def theirs(to: Any) -> float:
        to.add_(tensor.sign(), alpha=1e-4).add_(tensor, alpha=2e-3)
        return float(1e-4 * tensor.abs().sum() + 1e-3 * tensor.square().sum())

    def their_result() -> list[Any]:
        to = torch.from_numpy(gradient.copy())
        return [theirs(to), to.numpy()]

    target = torch.from_numpy(gradient.copy())
    return Prepared(own, [Contender("torch", lambda: theirs(target), their_result)])


def _constraint(draw: Draw, shape: tuple[int, int]) -> Prepared:
    """Norms of columns, all too large, which a second time are what they should be."""
    start = draw.uniform(*shape) + 1.0

    def ours(w: Array) -> None:
        kernels.constrain_(w, "column_norms", high=0.5)

    def result() -> list[Array]:
        w = start.copy()
        ours(w)
        return [w]

    kept = start.copy()
    own = Contender("onepass", lambda: ours(kept), result)
    torch = rivals.torch()
    if torch is None:
        return Prepared(own)

    def theirs(w: Any) -> None:
        torch.renorm(w, 2, 1, 0.5, out=w)

    def their_result() -> list[Array]:
        w = torch.from_numpy(start.copy())
        theirs(w)
        return [w.numpy()]

    tensor = torch.from_numpy(start.copy())
    return Prepared(own, [Contender("torch", lambda: theirs(tensor), their_result)])


def _noise(
    draw: Draw, ours: Callable[[Array], Array], theirs: Any, shape: tuple[int, int]
) -> Prepared:
    """Noise is everybody's own: what must be equal are mean and deviation."""
    sets = [(draw.uniform(*shape) + 0.5,) for _ in range(sets_for(*shape))]

    def noisy(name: str, function: Callable[..., Any], sets: Any) -> Contender:
        def result() -> list[Array]:
            found = np.asarray(function(*sets[0]))
            return [np.array([found.mean(), found.std()] if found.size else [0.0, 0.0])]

        return Contender(name, in_turn(function, sets), result)

    own = noisy("onepass", ours, sets)
    torch = rivals.torch()
    if torch is None or theirs is None:
        return Prepared(own)
    return Prepared(own, [noisy("torch", partial(theirs, torch), tensors(sets))])


def _torch_rrelu_backward(torch: Any, y: Array) -> Any:
    return torch.where(y > 0, y, y * torch.empty_like(y).uniform_(1 / 8, 1 / 3))


NOISES: dict[str, tuple[Callable[[Array], Array], Any]] = {
    "alpha_dropout": (
        lambda x: kernels.alpha_dropout(x, 0.2, KEY),
        lambda torch, x: torch.alpha_dropout(x, 0.2, True),
    ),
    "gaussian_dropout": (
        lambda x: kernels.gaussian_dropout(x, 0.2, KEY),
        lambda torch, x: x * (1 + 0.5 * torch.randn_like(x)),
    ),
    "gaussian_noise": (
        lambda x: kernels.gaussian_noise(x, 0.3, KEY),
        lambda torch, x: x + 0.3 * torch.randn_like(x),
    ),
    "rrelu": (
        lambda x: kernels.rrelu(x, KEY),
        lambda torch, x: torch.nn.functional.rrelu(x, training=True),
    ),
    "rrelu_backward": (lambda x: kernels.rrelu_backward(x, x, KEY), _torch_rrelu_backward),
}


def cases(sizes: Sizes) -> Iterator[Case]:
    """Each kernel of this kind once."""

    def case(
        name: str, kernel: str, place: Place, work: tuple[Work, ...], tolerance: float, *how: Any
    ) -> Case:
        return Case(
            f"{name} {place.label}",
            "regularizing",
            (f"kernel:{kernel}",),
            work,
            drawn(sizes.dtype, *how, place.shape),
            tolerance,
            series=place.series,
            size=place.size,
        )

    for name, kernel, stream, prepare, tolerance in (
        ("penalty and gradient", "penalty", Stream(1, 1, 0), _penalty, 1e-4),
        ("constrain_ columns", "constrain_", Stream(0, 1, 0), _constraint, 1e-5),
    ):
        for place in sizes.kernels(name):
            array = sizes.itemsize * place.size
            work = Work(0.0, stream.accesses * array, stream.arrays * array, stream)
            yield case(name, kernel, place, (work,), sizes.rounding(tolerance), prepare)
    for name, both in NOISES.items():
        for place in sizes.kernels(name):
            deviations = 8.0 / math.sqrt(max(1, place.size))
            passed = streaming(sizes, COPY, *place.shape)
            yield case(name, name, place, passed, deviations, _noise, *both)
