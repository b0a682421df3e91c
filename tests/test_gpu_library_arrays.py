"""What is NVIDIA's or others' on a GPU: optimizers on arrays of CuPy and torch, and cuBLASLt.

Each of these arrays is a block of memory of its own.

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
import onepass
from onepass import Sequential, _core, _gpu, config, layers, optimizers
from rule_cases import CASES, PRODUCTS
from strategies import assert_same_bits
from test_gpu_arrays import SHAPES, arrays, near

PLAYED = "onepass._cuda_fibers"
REAL = "onepass._cuda"
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


@pytest.fixture
def cublaslt():
    """The module of a GPU, all of whose products are cuBLASLt's."""
    if MODULE != REAL:
        pytest.skip(f"wants a GPU and cuBLASLt itself: ONEPASS_TEST_GPU={REAL}")
    config.set_device("cuda")
    if "no cuBLASLt" in _gpu.summary():
        pytest.skip(f"cuBLASLt is not there: {_gpu.summary()}")
    module = importlib.import_module(MODULE)
    module.set_cublaslt_size(0)
    yield module
    module.set_cublaslt_size(1 << 28)  # kCublasLtSize


def trained(device: str, dtype: str) -> Sequential:
    config.set_device(device)
    onepass.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(200, n)).astype(dtype) for n in (37, 10))
    model = Sequential(
        [
            onepass.Input([37], dtype=dtype),
            layers.Dense(50, activation="relu", dtype=dtype),
            layers.Dense(24, activation="tanh", dtype=dtype),
            layers.Dense(10, dtype=dtype),
        ]
    )
    model.compile(optimizers.SGD(0.05, momentum=0.9), "mse")
    model.fit(x, y, epochs=4, batch_size=32, verbose=0)  # the last batch has 8 rows
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_by_cublaslt_train_like_the_cpu(cublaslt, dtype) -> None:
    before = cublaslt.cublaslt_products()
    here = trained("cpu", dtype)
    assert cublaslt.cublaslt_products() == before
    there = trained("cuda", dtype)
    # Forward and the weights' gradients of three layers, the input's of two; a batch of each size
    # is started, steps of more may be recorded.
    assert cublaslt.cublaslt_products() >= before + 2 * 8
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for one, other in zip(here.get_weights(), there.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance)
