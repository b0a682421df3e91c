"""Normalization by the batch and by rows, forward and backward, beside torch.

As a user would call them: results are new arrays. Backward passes of torch go through autograd,
whose graph is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
_EPSILON = 1e-3


def _values(found: Any) -> list[Array]:
    listed = found if isinstance(found, tuple | list) else [found]
    return [np.asarray(v.detach() if hasattr(v, "detach") else v) for v in listed]


def _contender(name: str, function: Function, sets: Sequence[tuple[Any, ...]]) -> Contender:
    return Contender(name, in_turn(function, sets), lambda: _values(function(*sets[-1])))


def _ours(norm: str) -> tuple[Function, Function]:
    """Return forward(x, gamma, beta, moving) and backward(x, dy, statistics, gamma)."""
    k = kernels
    return {
        "batch_norm": (
            lambda x, g, b, _: k.batch_norm_forward(x, g, b, epsilon=_EPSILON),
            lambda x, dy, s, g: k.batch_norm_backward(x, dy, s, g),
        ),
        "batch_norm_inference": (
            lambda x, g, b, m: k.batch_norm_inference(x, m[0], m[1], g, b, epsilon=_EPSILON),
            lambda x, dy, s, g: k.batch_norm_backward(x, dy, s, g, fixed=True),
        ),
        "layer_norm": (
            lambda x, g, b, _: k.layer_norm_forward(x, g, b, epsilon=_EPSILON),
            lambda x, dy, s, g: k.layer_norm_backward(x, dy, s, g),
        ),
        "rms_norm": (
            lambda x, g, b, _: k.rms_norm_forward(x, g, epsilon=_EPSILON),
            lambda x, dy, s, g: k.rms_norm_backward(x, dy, s, g),
        ),
        "unit_norm": (
            lambda x, g, b, _: k.unit_norm_forward(x),
            lambda x, dy, s, g: k.unit_norm_backward(x, dy, s),
        ),
    }[norm]


def _torchs(norm: str, torch: Any) -> Function:
    """Return forward(x, gamma, beta, moving) of torch."""
    f = torch.nn.functional
    return {
        "batch_norm": lambda x, g, b, _: f.batch_norm(x, None, None, g, b, True, eps=_EPSILON),
        "batch_norm_inference": lambda x, g, b, m: f.batch_norm(x, *m, g, b, eps=_EPSILON),
        "layer_norm": lambda x, g, b, _: f.layer_norm(x, g.shape, g, b, _EPSILON),
        "rms_norm": lambda x, g, b, _: f.rms_norm(x, g.shape, g, _EPSILON),
        "unit_norm": lambda x, g, b, _: f.normalize(x, dim=-1),
    }[norm]


def _wanted(norm: str, x: Any, g: Any, b: Any) -> list[Any]:
    """Return what gradients are taken with respect to."""
    return {"rms_norm": [x, g], "unit_norm": [x]}.get(norm, [x, g, b])


def _prepare(norm: str, shape: tuple[int, int], backward: bool) -> Prepared:
    rng = generator()
    forward, differentiate = _ours(norm)
    gamma, beta, mean = (normal(rng, shape[1]) for _ in range(3))
    moving = mean, mean**2
    batches = [(normal(rng, *shape), normal(rng, *shape)) for _ in range(SETS)]
    forwards = [(x, gamma, beta, moving) for x, _ in batches]
    if backward:
        statistics = [forward(*arguments)[1] for arguments in forwards]
        backwards = [(x, dy, s, gamma) for (x, dy), s in zip(batches, statistics, strict=True)]
        ours = _contender("onepass", differentiate, backwards)
    else:
        ours = _contender("onepass", lambda *a: forward(*a)[0], forwards)
    torch = rivals.torch()
    if torch is None:
        return Prepared(ours)
    theirs = _torchs(norm, torch)
    g, b = (torch.from_numpy(a).requires_grad_(backward) for a in (gamma, beta))
    tensors = [
        (torch.from_numpy(x).requires_grad_(backward), g, b, [torch.from_numpy(m) for m in moving])
        for x, _ in batches
    ]
    if not backward:
        return Prepared(ours, [_contender("torch", theirs, tensors)])
    graphs = [
        (theirs(*arguments), _wanted(norm, *arguments[:3]), torch.from_numpy(dy))
        for arguments, (_, dy) in zip(tensors, batches, strict=True)
    ]

    def gradients(y: Any, of: Any, dy: Any) -> Any:
        return torch.autograd.grad(y, of, dy, retain_graph=True)

    return Prepared(ours, [_contender("torch", gradients, graphs)])


def _moving(cols: int) -> Prepared:
    rng = generator()
    mean, variance = normal(rng, cols), normal(rng, cols) ** 2
    statistics = kernels.batch_norm_forward(normal(rng, 32, cols))[1]

    def run() -> None:
        kernels.moving_statistics_(mean, variance, statistics)

    return Prepared(Contender("onepass", run, lambda: [mean, variance]))


def cases(sizes: Sizes) -> Iterator[Case]:
    """Each normalization forward and backward, for a batch in L1 and a larger one."""
    for shape in sizes.normalized:
        array = FLOAT * shape[0] * shape[1]
        label = f"{shape[0]}x{shape[1]}"
        for norm in ("batch_norm", "batch_norm_inference", "layer_norm", "rms_norm", "unit_norm"):
            for backward in (False, True):
                stream: Stream = TRIAD if backward else COPY
                kernel = f"{norm}_{'backward' if backward else 'forward'}"
                if norm == "batch_norm_inference":
                    kernel = "batch_norm_backward" if backward else norm
                yield Case(
                    f"{norm} {'backward' if backward else 'forward'} {label}",
                    "normalization",
                    (f"kernel:{kernel}",),
                    (Work(0.0, stream.accesses * array, SETS * stream.arrays * array, stream),),
                    partial(_prepare, norm, shape, backward),
                    tolerance=2e-5,
                )
        yield Case(
            f"moving_statistics {label}",
            "normalization",
            ("kernel:moving_statistics_",),
            (Work(0.0, 6.0 * FLOAT * shape[1], 4 * FLOAT * shape[1], READ),),
            partial(_moving, shape[1]),
        )
