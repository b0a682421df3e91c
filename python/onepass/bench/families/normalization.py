"""Normalization by the batch and by rows, forward and backward, beside torch.

As a user would call them: results are new arrays. Backward passes of torch go through autograd,
whose graph is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from onepass import kernels
from onepass.bench import rivals
from onepass.bench.cases import Case, Contender, Prepared, Work
from onepass.bench.families.data import Draw, contender, drawn, sets_for, streaming, tensors
from onepass.bench.limits import COPY, READ, TRIAD, Stream
from onepass.bench.sizes import Sizes

Function = Callable[..., Any]
_EPSILON = 1e-3


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


def _prepare(draw: Draw, norm: str, shape: tuple[int, int], backward: bool) -> Prepared:
    forward, differentiate = _ours(norm)
    gamma, beta, mean = (draw.normal(shape[1]) for _ in range(3))
    moving = mean, mean**2
    batches = [(draw.normal(*shape), draw.normal(*shape)) for _ in range(sets_for(*shape))]
    forwards = [(x, gamma, beta, moving) for x, _ in batches]
    if backward:
        statistics = [forward(*arguments)[1] for arguments in forwards]
        backwards = [(x, dy, s, gamma) for (x, dy), s in zip(batches, statistics, strict=True)]
        ours = contender("onepass", differentiate, backwards)
    else:
        ours = contender("onepass", lambda *a: forward(*a)[0], forwards)
    torch = rivals.torch()
    if torch is None:
        return Prepared(ours)
    theirs = _torchs(norm, torch)
    g, b = (torch.from_numpy(a).requires_grad_(backward) for a in (gamma, beta))
    their_moving = [torch.from_numpy(m) for m in moving]
    given = tensors(batches)
    calls = [(x.requires_grad_(backward), g, b, their_moving) for x, _ in given]
    if not backward:
        return Prepared(ours, [contender("torch", theirs, calls)])
    graphs = [
        (theirs(*call), _wanted(norm, *call[:3]), dy)
        for call, (_, dy) in zip(calls, given, strict=True)
    ]

    def gradients(y: Any, of: Any, dy: Any) -> Any:
        return torch.autograd.grad(y, of, dy, retain_graph=True)

    return Prepared(ours, [contender("torch", gradients, graphs)])


def _moving(draw: Draw, cols: int) -> Prepared:
    mean, variance = draw.normal(cols), draw.normal(cols) ** 2
    statistics = kernels.batch_norm_forward(draw.normal(32, cols))[1]

    def run() -> None:
        kernels.moving_statistics_(mean, variance, statistics)

    return Prepared(Contender("onepass", run, lambda: [mean, variance]))


def cases(sizes: Sizes) -> Iterator[Case]:
    """Each normalization forward and backward, for a batch in L1 and a larger one."""
    norms = "batch_norm", "batch_norm_inference", "layer_norm", "rms_norm", "unit_norm"
    for norm, backward in product(norms, (False, True)):
        stream: Stream = TRIAD if backward else COPY
        direction = "backward" if backward else "forward"
        kernel = f"{norm}_{direction}"
        if norm == "batch_norm_inference":
            kernel = "batch_norm_backward" if backward else norm
        for place in sizes.kernels(f"{norm} {direction}", sizes.normalized):
            if place.shape[0] < 2:
                continue  # a batch of one row, which torch refuses
            yield Case(
                f"{norm} {direction} {place.label}",
                "normalization",
                (f"kernel:{kernel}",),
                streaming(sizes, stream, *place.shape),
                drawn(sizes.dtype, _prepare, norm, place.shape, backward),
                tolerance=sizes.rounding(2e-5),
                series=place.series,
                size=place.size,
            )
    for shape in sizes.normalized:
        yield Case(
            f"moving_statistics {shape[0]}x{shape[1]}",
            "normalization",
            ("kernel:moving_statistics_",),
            (Work(0.0, 6.0 * sizes.itemsize * shape[1], 4 * sizes.itemsize * shape[1], READ),),
            drawn(sizes.dtype, _moving, shape[1]),
        )
