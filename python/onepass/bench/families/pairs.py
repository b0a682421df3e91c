"""Losses of the pairs of a batch, beside torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Prepared, Work
from onepass.bench.families.data import SETS, Draw, contender, drawn, tensors
from onepass.bench.limits import READ
from onepass.bench.sizes import Sizes

GAMMA, MARGIN = 16.0, 0.4


def _torch_circle(labels: Any, x: Any) -> tuple[Any, Any]:
    torch = rivals.torch()
    distance = (1.0 - x @ x.T).clamp(min=0.0)
    same = labels[:, None] == labels
    alike = same & ~torch.eye(len(x), dtype=torch.bool)
    p = -GAMMA * (MARGIN + distance) * (MARGIN - distance)
    q = GAMMA * (1.0 + MARGIN - distance).clamp(min=0.0) * (1.0 - MARGIN - distance)
    nothing = torch.tensor(-torch.inf, dtype=x.dtype)
    sums = [torch.logsumexp(torch.where(*a, nothing), 1) for a in ((alike, p), (~same, q))]
    values = torch.nn.functional.softplus(sums[0] + sums[1])
    return values.detach(), *torch.autograd.grad(values.sum(), x)


def _circle(draw: Draw, shape: tuple[int, int]) -> Prepared:
    sets = []
    for _ in range(SETS):
        x = draw.normal(*shape)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        sets.append((np.arange(shape[0]) % max(2, shape[0] // 4), x))

    def ours(labels: Array, x: Array) -> tuple[Array, Array]:
        return kernels.circle(labels, x, gamma=GAMMA, margin=MARGIN)

    own = contender("onepass", ours, sets)
    if rivals.torch() is None:
        return Prepared(own)
    their_sets = [(labels, x.requires_grad_()) for labels, x in tensors(sets)]
    return Prepared(own, [contender("torch", _torch_circle, their_sets)])


def cases(sizes: Sizes) -> Iterator[Case]:
    """The circle loss of a batch with its gradient."""
    for rows, cols in sizes.pairs:
        array, pairs = sizes.itemsize * rows * cols, rows * rows
        yield Case(
            f"circle {rows}x{cols}",
            "pairs",
            ("kernel:circle",),
            (Work(4.0 * pairs * cols, 2 * array, 2 * SETS * array, READ),),
            drawn(sizes.dtype, _circle, (rows, cols)),
            sizes.rounding(1e-4),
            series=f"circle of {cols} columns",
            size=rows,
        )
