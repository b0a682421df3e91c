"""Steps of `onepass.torch` in CUDA graphs beside the same steps on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from parity.torch_steps import assert_same, parameters_of, tensors
from torch_on_gpu import assert_alike, back_to_host, give, gpu_parameters, host

LOOKING = ("AdamHD", "Adafactor", "Adafactor, eps", "LARS", "Lamb", "SGDHD")  # at whole tensors
SMALL = ((5, 7), (11,))


def parameters(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def captured(optimizer: Any, times: int = 1) -> Any:
    """Return a graph of so many steps."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(times):
            optimizer.step()
    return graph


class Both:
    """An optimizer on the CPU, and the same on a GPU, whose gradients stay where they are."""

    def __init__(self, make, warm=1, dtype=torch.float32, shapes=SMALL):
        values = tensors(0, dtype, shapes)
        self.here, self.there = make(parameters_of(values)), make(gpu_parameters(values))
        self.seed = 0
        give(parameters(self.there), 0)
        for _ in range(warm):
            self.step()

    def new_gradients(self):
        self.seed += 1
        give(parameters(self.here), self.seed)
        for p, q in zip(parameters(self.here), parameters(self.there), strict=True):
            if q.grad is None:
                q.grad = p.grad.to(q.device, copy=True)
            else:
                q.grad.copy_(p.grad)

    def step(self):
        self.new_gradients()
        self.here.step()
        self.there.step()

    def replay(self, graph, times=1):
        self.new_gradients()
        for _ in range(times):
            self.here.step()
        graph.replay()

    def check(self):
        self.there.state_dict()  # counts
        assert_alike(self.there, self.here)
        assert self.there.grad_norm == self.here.grad_norm


@contextmanager
def spared() -> Iterator[None]:
    """Capture a graph that has something else in it, and replay it: no refusal may spoil it."""
    ones = torch.ones(3, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        ones.mul_(2.0)
        yield
    graph.replay()
    assert_same([host(ones)], [torch.full((3,), 2.0)])


@contextmanager
def refused(both: Both, error: type[Exception], match: str) -> Iterator[None]:
    """Require a refusal that leaves nothing behind, neither in the graph nor elsewhere."""
    before, states = back_to_host(both.there), len(both.there.state)
    with spared(), pytest.raises(error, match=match):
        yield
    assert_same(back_to_host(both.there), before)
    assert len(both.there.state) == states
