"""Arrays on the GPU that queues of fibers play, for tests of optimizers on them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import fake_cupy as cupy
from onepass import _core, _gpu

BUILT_WITHOUT = pytest.mark.skipif(
    not cupy.BUILT, reason="built without the GPU's kernels as fibers"
)
SHAPES = ((37, 11), (11,), (), (3, 4, 5), (0, 2), (9000,))
# What surrounds a rule where each call does a step.
AROUND = (
    {"clipvalue": 0.5},
    {"clipnorm": 0.7},
    {"global_clipnorm": 0.9},
    {"global_clipnorm": 1e30},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    {"loss_scale_factor": 8.0, "clipnorm": 0.1},
)


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    """Let CuPy have a GPU, and onepass use it."""
    monkeypatch.setattr(_gpu, "MODULE", "onepass._cuda_fibers")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    _core.set_isa("baseline")  # products without fused instructions


def arrays(seed, dtype="float32", shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def on_gpu(values):
    return [None if v is None else cupy.asarray(v) for v in values]
