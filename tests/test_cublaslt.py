"""Models whose products cuBLASLt computes, which a library on the CPU plays, and finding it."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onepass
from onepass import Sequential, _core, _gpu, config, layers
from played_cublaslt import NEVER, Library
from test_gpu_models import (
    RULES,
    data,
    fit_alone_and_in_two_threads,
    graphs,
    network,
    weights_close,
)
from test_plan import kernels_of

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


@pytest.fixture(autouse=True)
def obedient(library: Library) -> Iterator[None]:
    yield
    library.obeys()


@pytest.fixture
def cuda(library: Library, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Models on the GPU that is played, all products by the library."""
    monkeypatch.setattr(_gpu, "MODULE", "onepass._cuda_fibers")
    monkeypatch.setenv(_gpu.CUBLASLT_VARIABLE, library.path)
    _gpu._products.cache_clear()
    module = importlib.import_module(_gpu.MODULE)
    module.open_cublaslt(library.path)
    library.works_on(ctypes.CDLL(module.__file__))
    module.set_cublaslt_size(0)
    config.set_device("cuda")
    _core.set_isa("baseline")
    yield module
    module.set_cublaslt_size(NEVER)
    _gpu._products.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES)
def test_training_as_on_the_cpu(cuda, rule, dtype) -> None:
    x, y = data(dtype=dtype)
    models = []
    for device in ("cpu", "cuda"):
        before = cuda.cublaslt_products()
        models.append(network(device, dtype, optimizer=RULES[rule]()))
        models[-1].fit(x, y, epochs=2, batch_size=32, validation_split=0.2, verbose=0)
        began = cuda.cublaslt_products() - before
        # Two layers, 4 steps and 1 of validation, and two epochs.
        assert began == 0 if device == "cpu" else began >= 2 * (4 * 5 + 1 * 2)
    weights_close(*models, dtype)


def plain_network(device: str) -> Sequential:
    config.set_device(device)
    onepass.utils.set_random_seed(2)
    model = Sequential([onepass.Input([20]), layers.Dense(30, "tanh"), layers.Dense(10)])
    model.compile("adam", "mse")
    return model


def test_an_update_right_behind_its_gradient(cuda, library) -> None:
    """The gradients of both layers, with those of their biases, are the library's."""
    x, y = data()
    models = []
    for device in ("cpu", "cuda"):
        model = plain_network(device)
        before = library.started()[2]
        model.fit(x, np.eye(10, dtype="f4")[y], batch_size=50, verbose=0, shuffle=False)
        assert kernels_of(model.plan_for("train").calls).count("dense_update") == 2
        assert library.started()[2] - before == (0 if device == "cpu" else 2 * 3)
        models.append(model)
    weights_close(*models)


def test_a_gain_and_single_rows(cuda) -> None:
    x, y = data(samples=20)
    models = []
    for device in ("cpu", "cuda"):
        config.set_device(device)
        onepass.utils.set_random_seed(2)
        model = Sequential(
            [
                onepass.Input([20]),
                layers.Dense(8, activation="gelu"),
                layers.Dense(6, activation="relu"),
                layers.Dropout(0.5),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        model.fit(x, y.astype("f4"), batch_size=1, verbose=0)
        models.append(model)
    weights_close(*models)


def test_recorded_steps(cuda, library) -> None:
    x, y = data()
    models = [network(device, optimizer="adam") for device in ("cpu", "cuda")]
    options = {"batch_size": 5, "shuffle": False, "verbose": 0}
    for model in models:
        model.fit(x, y, epochs=1, **options)
    asked, launched = library.asked(), graphs()[1]
    for model in models:
        model.fit(x, y, epochs=6, **options)
    assert graphs()[1] > launched
    assert library.asked() == asked  # once a shape
    weights_close(*models)


def test_a_shape_that_is_first_met_while_steps_are_recorded(cuda, library) -> None:
    models = [network(device, optimizer="adam") for device in ("cpu", "cuda")]
    x, y = data(samples=1000)
    asked, launched = library.asked(), graphs()[1]
    for model in models:
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)  # the last batch has 8
    assert library.asked() > asked
    assert graphs()[1] > launched
    weights_close(*models)


def test_an_error_reaches_the_user_and_leaves_the_model(cuda, library) -> None:
    x, y = data()
    model, own = (network("cuda", optimizer="adam") for _ in range(2))
    library.fails(13)
    said = r"the GPU failed: cuBLASLt could not start a product: CUBLAS_STATUS_OTHER \(13\)"
    with pytest.raises(RuntimeError, match=said):
        model.fit(x, y, batch_size=150, shuffle=False, verbose=0)
    cuda.set_cublaslt_size(NEVER)
    own.fit(x, y, batch_size=150, shuffle=False, verbose=0)
    for one, other in zip(own.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # the step was computed otherwise
    cuda.set_cublaslt_size(0)
    library.fails(0)
    model.fit(x, y, batch_size=10, epochs=3, verbose=0)
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_an_error_while_steps_are_recorded_starts_none_of_them(cuda, library) -> None:
    x, y = data(samples=128)
    y = np.eye(10, dtype="f4")[y]
    model, twin = (plain_network("cuda") for _ in range(2))
    library.fails(15, while_captured=True)
    with pytest.raises(RuntimeError, match=r"cuBLASLt could not start a product.*NOT_SUPPORTED"):
        model.fit(x, y, batch_size=2, epochs=50, shuffle=False, verbose=0)
    # The first step is never recorded, and others are not where the machine is slow.
    weights, counted = model.get_weights(), model.optimizer.iterations
    for step in range(50 * 64):
        first = 2 * step % len(x)
        twin.fit(x[first : first + 2], y[first : first + 2], shuffle=False, verbose=0)
        same = [np.array_equal(*pair) for pair in zip(weights, twin.get_weights(), strict=True)]
        if all(same):
            break
    assert all(same)
    assert counted == model.optimizer.iterations == twin.optimizer.iterations == step + 1
    library.fails(0)
    model.fit(x, y, batch_size=10, epochs=3, verbose=0)
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_no_memory_for_the_work_area(cuda, library, monkeypatch) -> None:
    x, y = data()
    model = network("cuda", optimizer="adam")
    cuda.set_cublaslt_size(NEVER)
    model.fit(x, y, verbose=0)
    cuda.set_cublaslt_size(0)
    gc.collect()  # what earlier tests' models hold, until then, counts
    monkeypatch.setenv("ONEPASS_FIBERS_MEMORY", str(32 << 20))
    with pytest.raises(RuntimeError, match="cuBLASLt has no memory for its work area of 33554"):
        model.fit(x, y, verbose=0)
    monkeypatch.delenv("ONEPASS_FIBERS_MEMORY")
    model.fit(x, y, verbose=0)


def test_two_models_in_two_threads(cuda, library) -> None:
    fit_alone_and_in_two_threads()


def test_each_stream_has_a_work_area_and_gives_it_back(cuda, library) -> None:
    module = ctypes.CDLL(cuda.__file__)
    module.onepass_fibers_blocks.restype = ctypes.c_size_t
    gc.collect()
    before = module.onepass_fibers_blocks()
    x = data()[0]
    models = [network("cuda") for _ in range(3)]
    for model in models:
        model.predict(x, verbose=0)
    assert module.onepass_fibers_blocks() == before + 2 * 3  # and a place for its samples
    del model, models
    gc.collect()
    assert module.onepass_fibers_blocks() == before


# Finding it


WITHOUT = """
import sys
import numpy as np
from onepass import Input, Sequential, _gpu, config, layers
_gpu.MODULE = "onepass._cuda_fibers"
config.set_device("cuda")
print(_gpu.summary())
model = Sequential([Input([3]), layers.Dense(2)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
"""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("none", ""),
        ("/nowhere/libcublasLt.so.13", "cannot open shared object file"),
        ("libm.so.6", "it has no function cublasLtGetVersion"),
    ],
)
def test_without_the_library(library, path, why) -> None:
    environment = {**os.environ, _gpu.CUBLASLT_VARIABLE: path}
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=environment, capture_output=True, text=True, check=True
    )
    assert "no cuBLASLt: our own products" in ran.stdout
    assert why in ran.stdout


def test_what_is_found_is_told(cuda) -> None:
    assert _gpu.summary().endswith("; fibers on the CPU; cuBLASLt 13.0.2")


def include_folders() -> list[str]:
    found = importlib.util.find_spec("nvidia")
    places = (
        [Path(place) / "cu13/include" for place in (found.submodule_search_locations or [])]
        if found
        else []
    )
    given_folder = os.environ.get("ONEPASS_CUBLAS_INCLUDE")
    folders = [Path(given_folder)] if given_folder else places
    return [str(folder) for folder in folders if (folder / "cublasLt.h").exists()]


def test_our_declarations_are_those_of_the_library() -> None:
    folders, compiler = include_folders(), shutil.which("g++")
    if not folders or compiler is None:
        pytest.skip("wants g++ and cublasLt.h, of nvidia-cublas or in ONEPASS_CUBLAS_INCLUDE")
    toolkits = sorted(map(str, Path("/usr/local").glob("cuda*/include")))
    options = [f"-I{folder}" for folder in [*folders, *toolkits]]
    command = [compiler, "-std=c++20", "-fsyntax-only", *options]
    subprocess.run([*command, str(TESTS / "cuda/cublaslt_declared.cpp")], check=True)
