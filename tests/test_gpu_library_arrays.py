"""Optimizers on the arrays of CuPy and torch on a GPU, each in a block of memory of its own.

As `test_gpu_arrays`, but with the libraries themselves: on a machine with a GPU, where
``ONEPASS_TEST_GPU=onepass._cuda`` says so. Without one it is played, for two rules.
"""

from __future__ import annotations

import importlib
import os
import sys

import numpy as np
import pytest

import fake_cupy
from onepass import _core, _gpu, optimizers
from rule_cases import CASES, PRODUCTS
from strategies import assert_same_bits
from test_gpu_arrays import SHAPES, arrays, near

PLAYED = "onepass._cuda_fibers"
MODULE = os.environ.get("ONEPASS_TEST_GPU", PLAYED)
RULES = ["adam", "sgd"] if MODULE == PLAYED else sorted(CASES)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None, reason="built without the GPU's kernels as fibers"
)


def torch_on_gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    return (lambda values: torch.from_numpy(values).cuda()), (lambda a: a.cpu().numpy())


def cupy_on_gpu():
    if MODULE == PLAYED:
        return fake_cupy.asarray, fake_cupy.asnumpy
    cupy = pytest.importorskip("cupy")
    cupy.cuda.set_allocator(None)  # no pool, in which an overrun meets other arrays
    return cupy.asarray, cupy.asnumpy


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    monkeypatch.setattr(_gpu, "MODULE", MODULE)
    if MODULE == PLAYED:
        monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    _core.set_isa("baseline")  # products without fused instructions


def same_steps(library, make, equal=assert_same_bits, steps=3) -> None:
    """Do steps here and there; require equal parameters and states."""
    there, back = library()
    opt_here, opt_there = make(), make()
    here = arrays(0)
    copies = [there(values) for values in here]
    opt_here.build(here)
    opt_there.build(copies)
    for step in range(1, steps + 1):
        opt_here.apply(arrays(step))
        opt_there.apply([there(values) for values in arrays(step)])
    equal([back(a) for a in copies], here)
    equal([np.asarray(back(a)) for a in opt_there.variables], opt_here.variables)
    assert opt_there.global_norm == opt_here.global_norm
    assert len(copies) == len(SHAPES)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_the_bits_of_the_cpu(name) -> None:
    kind, options = CASES[name]
    same_steps(
        cupy_on_gpu, lambda: kind(0.05, **options), near if name in PRODUCTS else assert_same_bits
    )


@pytest.mark.parametrize(
    "around",
    [{"global_clipnorm": 0.9}, {"use_ema": True, "ema_momentum": 0.8}, {"weight_decay": 0.1}],
    ids=str,
)
def test_what_surrounds_a_rule_has_the_bits_of_the_cpu(around) -> None:
    same_steps(cupy_on_gpu, lambda: optimizers.Adam(0.05, **around))


def test_torchs_tensors_have_the_bits_of_the_cpu() -> None:
    same_steps(torch_on_gpu, lambda: optimizers.Adam(0.05, global_clipnorm=0.9))
