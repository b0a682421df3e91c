"""Steps of `onepass.torch` on a GPU and on the CPU, side by side.

The GPU is one that queues of fibers play; or, with ``ONEPASS_TEST_GPU=onepass._cuda`` and a torch
for CUDA, a real one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import fake_cupy
from onepass import _core, _gpu

torch = pytest.importorskip("torch")

import onepass.torch  # noqa: E402
from fake_torch_gpu import on_gpu, on_this_gpu  # noqa: E402
from parity.torch_steps import BEYOND, CASES, assert_same, ours, parameters_of, tensors  # noqa: E402

REAL = os.environ.get("ONEPASS_TEST_GPU") == "onepass._cuda" and torch.cuda.is_available()
BUILT = REAL or fake_cupy.BUILT
NOT_BUILT = "built without the GPU's kernels as fibers"
SHAPES = ((37, 11), (11,), (), (3, 4, 5), (2, 0), (9000,))
EVERY = {name: lambda p, name=name, **more: ours(name, p, **more) for name in CASES} | {
    name: lambda p, name=name, **more: getattr(onepass.torch, name)(p, **BEYOND[name], **more)
    for name in BEYOND
}
HALF = (torch.float16, torch.bfloat16)


@pytest.fixture
def gpu(monkeypatch) -> Iterator[None]:
    """Let torch have a GPU, and onepass use it."""
    _core.set_isa("baseline")  # products without fused instructions
    if REAL:
        yield
        return
    monkeypatch.setattr(_gpu, "MODULE", "onepass._cuda_fibers")
    with on_this_gpu():
        yield


def gpu_parameters(values):
    return [torch.nn.Parameter(on_gpu(v)) for v in values]


def host(tensor):
    return tensor.detach().cpu()


def give(parameters, seed, missing=()):
    """Give parameters of either side the same gradients."""
    for i, p in enumerate(parameters):
        (g,) = tensors(1000 + 10 * seed + i, p.dtype, [tuple(p.shape)])
        p.grad = None if i in missing else (on_gpu(g) if p.is_cuda else g)


def assert_alike(there, here, equal=assert_same):
    """Require equal parameters, states and counts of two optimizers."""
    pairs = [[p for group in o.param_groups for p in group["params"]] for o in (there, here)]
    for p, q in zip(*pairs, strict=True):
        equal([host(p)], [q])
        mine, expected = there.state.get(p, {}), here.state.get(q, {})
        assert mine.keys() == expected.keys()
        for key, state in mine.items():
            assert state.device.type == ("cpu" if key == "step" else p.device.type)
            assert state.stride() == expected[key].stride()
            equal([host(state)], [expected[key]])


def both(make, steps=4, dtype=torch.float32, shapes=SHAPES, missing=(), equal=assert_same):
    here, there = (
        parameters_of(tensors(0, dtype, shapes)),
        gpu_parameters(tensors(0, dtype, shapes)),
    )
    one, other = make(here), make(there)
    walk(other, one, range(steps), missing, equal)
    return other, one


def walk(there, here, steps, missing=(), equal=assert_same):
    for k in steps:
        for optimizer in (there, here):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            give(parameters, k, {1} if k in missing else ())
            optimizer.param_groups[0]["lr"] = 0.01 * (1 + k % 3)
            optimizer.step()
        assert_alike(there, here, equal)


def near(got, expected):
    """Products add up in another order."""
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(
            a.detach(), b.detach(), rtol=0, atol=256 * torch.finfo(b.dtype).eps
        )


def back_to_host(optimizer):
    return [host(p) for p in optimizer.param_groups[0]["params"]]
