"""Losses of the pairs of a batch, beside torch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import FLOAT, Array, Case, Contender, Prepared, Work
from onepass.bench.families.data import SETS, generator, in_turn, normal
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
    nothing = torch.tensor(-torch.inf)
    sums = [torch.logsumexp(torch.where(*a, nothing), 1) for a in ((alike, p), (~same, q))]
    values = torch.nn.functional.softplus(sums[0] + sums[1])
    return values.detach(), *torch.autograd.grad(values.sum(), x)


def _circle(shape: tuple[int, int]) -> Prepared:
    rng = generator()
    sets = []
    for _ in range(SETS):
        x = normal(rng, *shape)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        sets.append((np.arange(shape[0]) % max(2, shape[0] // 4), x))

    def ours(labels: Array, x: Array) -> tuple[Array, Array]:
        return kernels.circle(labels, x, gamma=GAMMA, margin=MARGIN)

    def contender(name: str, function: Any, sets: Any) -> Contender:
        return Contender(name, in_turn(function, sets), lambda: list(function(*sets[-1])))

    own = contender("onepass", ours, sets)
    torch = rivals.torch()
    if torch is None:
        return Prepared(own)
    tensors = [(torch.from_numpy(y), torch.from_numpy(x).requires_grad_()) for y, x in sets]
    return Prepared(own, [contender("torch", _torch_circle, tensors)])


def cases(sizes: Sizes) -> Iterator[Case]:
    """The circle loss of a batch with its gradient."""
    rows, cols = sizes.rows[0], min(sizes.rows[1], 64)
    array, pairs = FLOAT * rows * cols, rows * rows
    yield Case(
        f"circle {rows}x{cols}",
        "pairs",
        ("kernel:circle",),
        (Work(4.0 * pairs * cols, 2 * array, 2 * SETS * array, READ),),
        partial(_circle, (rows, cols)),
        1e-4,
    )
