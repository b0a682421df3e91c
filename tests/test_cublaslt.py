"""Products by cuBLASLt, which a library on the CPU plays (tests/cuda/played_cublaslt.cpp)."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import Sequential, _core, _formulas, _gpu, config, kernels, layers
from reference import dense as reference
from strategies import (
    HYPER,
    SIZES,
    Guarded,
    assert_close,
    assert_same_bits,
    dtypes,
    layouts,
    product_bound,
    seeds,
    values_of,
)
from test_gpu_models import RULES, data, graphs, network, weights_close

PLAYED = importlib.util.find_spec("onepass._cuda_fibers")
TESTS = Path(__file__).parent
NEVER = 2**62
NONE, BIAS, GRADIENT = 1, 4, 256  # epilogues
ALL = NONE | BIAS | GRADIENT
ACTIVATIONS = {name: HYPER.get(name, {}) for name in _formulas.ACTIVATIONS}
sizes = st.sampled_from(SIZES[1:])


class Library:
    """What plays cuBLASLt, and what it is told."""

    def __init__(self) -> None:
        assert PLAYED is not None
        assert PLAYED.origin is not None
        self.path = str(Path(PLAYED.origin).parent / "libplayed_cublaslt.so")
        self.own = ctypes.CDLL(self.path)
        self.own.onepass_played_cublaslt_started.restype = ctypes.c_long
        self.own.onepass_played_cublaslt_asked.restype = ctypes.c_long
        self.own.onepass_played_cublaslt_workspaces.restype = ctypes.c_long

    def works_on(self, module: ctypes.CDLL) -> None:
        """Start on streams of this module of ours."""
        functions = module.onepass_fibers_start, module.onepass_fibers_captures
        self.own.onepass_played_cublaslt_on(*(ctypes.cast(f, ctypes.c_void_p) for f in functions))

    def offers(self, epilogues: int) -> None:
        self.own.onepass_played_cublaslt_offers(ctypes.c_uint32(epilogues))

    def fails(self, status: int, while_captured: bool = False) -> None:
        self.own.onepass_played_cublaslt_fails(status, while_captured)

    def asked(self) -> int:
        return int(self.own.onepass_played_cublaslt_asked())

    def workspaces(self) -> int:
        return int(self.own.onepass_played_cublaslt_workspaces())

    def started(self) -> list[int]:
        """Return how many products began so far: plain ones, with a bias, with its gradient."""
        return [self.own.onepass_played_cublaslt_started(e) for e in (NONE, BIAS, GRADIENT)]


class Kernels:
    """Kernels of one product each, those of the instruction set "fibers"."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.module = ctypes.CDLL(_core.__file__)
        self.module.onepass_cublaslt_open.restype = ctypes.c_char_p
        self.module.onepass_cublaslt_error.restype = ctypes.c_char_p
        assert self.module.onepass_cublaslt_open(library.path.encode()) is None

    def use(self, multiply_adds: int) -> None:
        """Leave products of so many multiply-adds to the library."""
        self.module.onepass_cublaslt_set_size(ctypes.c_int64(multiply_adds))

    def begin(self) -> None:
        self.library.works_on(self.module)
        _core.set_isa("fibers")
        self.use(0)

    def error(self) -> str | None:
        told = self.module.onepass_cublaslt_error()
        return None if told is None else str(told.decode())

    def own(self, run: Callable[[], Any]) -> Any:
        """Return what our own kernels make of it."""
        self.use(NEVER)
        result = run()
        self.use(0)
        return result


@pytest.fixture(scope="module")
def library() -> Library:
    if PLAYED is None:
        pytest.skip("built without the GPU's kernels as fibers")
    return Library()


@pytest.fixture(scope="module")
def fibers(library: Library) -> Iterator[Kernels]:
    made = Kernels(library)
    yield made
    made.use(NEVER)


@pytest.fixture(autouse=True)
def obedient() -> Iterator[None]:
    yield
    if PLAYED is not None:
        again = Library()
        again.offers(ALL)
        again.fails(0)


class Began:
    """Requires that so many products began: plain ones, with a bias, with its gradient."""

    def __init__(self, fibers: Kernels, *expected: int) -> None:
        self.fibers, self.expected = fibers, list(expected)

    def __enter__(self) -> None:
        self.before = self.fibers.library.started()

    def __exit__(self, *raised: object) -> None:
        if raised[0] is None:
            assert self.fibers.error() is None
            began = np.subtract(self.fibers.library.started(), self.before)
            assert began.tolist() == self.expected


# Each product alone


@given(
    st.tuples(sizes, sizes, sizes),
    dtypes,
    seeds,
    st.sampled_from(sorted(ACTIVATIONS)),
    layouts,
    layouts,
    st.booleans(),
    st.booleans(),
)
def test_forward(fibers, shape, dtype, seed, activation, x_at, at, with_bias, with_z) -> None:
    fibers.begin()
    n, i, o = shape
    x = Guarded(values_of(dtype, (n, i), seed), x_at)
    w = Guarded(values_of(dtype, (i, o), seed + 1), at)
    b = values_of(dtype, (o,), seed + 2) if with_bias else None
    y, z = (Guarded(np.zeros((n, o), dtype), at) for at in (at, x_at))
    hyper = ACTIVATIONS[activation]
    with Began(fibers, not with_bias, with_bias, 0):
        kernels.dense_forward(
            x.array, w.array, b, activation, out=y.array, z=z.array if with_z else None, **hyper
        )
    y.assert_padding_untouched()
    z.assert_padding_untouched()
    wide = [None if a is None else a.astype(np.float64) for a in (x.array, w.array, b)]
    bound = product_bound(x.array, w.array) + (0 if b is None else np.abs(b))
    linear = kernels.dense_forward(x.array, w.array, b)
    assert_close(linear, reference.dense_forward(*wide), absolute=bound)
    if with_z:
        assert_same_bits(z.array.copy(), linear)
    assert_same_bits(y.array.copy(), kernels.activation_forward(linear, activation, **hyper))


@given(
    st.tuples(sizes, sizes, sizes),
    dtypes,
    seeds,
    st.sampled_from(sorted(ACTIVATIONS)),
    layouts,
    layouts,
)
def test_input_gradient(fibers, shape, dtype, seed, activation, in_at, out_at) -> None:
    fibers.begin()
    n, i, o = shape
    hyper = ACTIVATIONS[activation]
    dz = Guarded(values_of(dtype, (n, o), seed), in_at)
    w = Guarded(values_of(dtype, (i, o), seed + 1), out_at)
    z = values_of(dtype, (n, i), seed + 2)
    y = kernels.activation_forward(z, activation, **hyper)
    read = z if _formulas.ACTIVATIONS[activation].needs_input else None
    dx = Guarded(np.zeros((n, i), dtype), out_at)
    with Began(fibers, 1, 0, 0):
        kernels.dense_backward_input(
            dz.array, w.array, activation, y=y, z=read, out=dx.array, **hyper
        )
    dx.assert_padding_untouched()
    plain = dz.array.astype(np.float64) @ w.array.T.astype(np.float64)
    slope = kernels.activation_backward(y, np.ones((n, i), dtype), activation, x=read, **hyper)
    bound = product_bound(dz.array, w.array.T)
    assert_close(dx.array.copy(), plain * slope, absolute=bound * np.maximum(1, abs(slope)))


@given(
    st.tuples(sizes, sizes, sizes), dtypes, seeds, layouts, layouts, st.booleans(), st.booleans()
)
def test_weight_gradient(fibers, shape, dtype, seed, x_at, at, with_bias, sums_apart) -> None:
    fibers.begin()
    n, i, o = shape
    if sums_apart:  # a shape of its own: what a shape is offered is found once
        o += 1000
        fibers.library.offers(NONE)
    x = Guarded(values_of(dtype, (n, i), seed), x_at)
    dz = Guarded(values_of(dtype, (n, o), seed + 1), at)
    dw, db = Guarded(np.ones((i, o), dtype), at), Guarded(np.ones(o, dtype), x_at)
    together = with_bias and not sums_apart
    with Began(fibers, not together, 0, together):
        _core.dense_backward_weights(
            x.array, dz.array, dw.array, db.array if with_bias else None, False
        )
    dw.assert_padding_untouched()
    db.assert_padding_untouched()
    expected = x.array.T.astype(np.float64) @ dz.array.astype(np.float64)
    assert_close(dw.array.copy(), expected, absolute=product_bound(x.array.T, dz.array))
    total = dz.array.sum(axis=0, dtype=np.float64) if with_bias else np.ones(o)
    assert_close(db.array.copy(), total, absolute=product_bound(np.ones((1, n)), dz.array)[0])
    fibers.library.offers(ALL)


@given(st.tuples(sizes, sizes, sizes), dtypes, seeds, layouts)
def test_gradients_are_added_to_others(fibers, shape, dtype, seed, at) -> None:
    fibers.begin()
    n, i, o = shape
    x, w, dz = (values_of(dtype, s, seed + k) for k, s in enumerate(((n, i), (i, o), (n, o))))
    old = [values_of(dtype, s, seed + 9 + k) for k, s in enumerate(((n, i), (i, o), (o,)))]
    dx, dw, db = (Guarded(a, at) for a in old)
    with Began(fibers, 2, 0, 0):
        _core.dense_backward_input(dz, w, None, None, dx.array, 0, [], True)
        _core.dense_backward_weights(x, dz, dw.array, db.array, True)
    for guarded in (dx, dw, db):
        guarded.assert_padding_untouched()
    wide = [a.astype(np.float64) for a in (x, w, dz)]
    bound = product_bound(dz, w.T, old[0])
    assert_close(dx.array.copy(), old[0] + wide[2] @ wide[1].T, absolute=bound)
    bound = product_bound(x.T, dz, old[1])
    assert_close(dw.array.copy(), old[1] + wide[0].T @ wide[2], absolute=bound)
    bound = product_bound(np.ones((1, n)), dz, old[2])[0]
    assert_close(db.array.copy(), old[2] + wide[2].sum(axis=0), absolute=bound)


def test_an_array_that_is_less_aligned_is_another_product(fibers) -> None:
    fibers.begin()
    b, all_x = np.arange(13, dtype="f4"), np.arange(37, dtype="f4")
    w, y = np.ones((3, 12), "f4"), np.zeros((12, 12), "f4")
    for b_at, x_at in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x = all_x[x_at : x_at + 36].reshape(12, 3)
        with Began(fibers, 0, 1, 0):
            kernels.dense_forward(x, w, b[b_at : b_at + 12], out=y)
        np.testing.assert_array_equal(y, x @ w + b[b_at : b_at + 12])


def test_nan_stays_in_its_row(fibers) -> None:
    fibers.begin()
    x, w = values_of(np.float32, (6, 5), 0) / 16, values_of(np.float32, (5, 7), 1)
    x[2, 3] = np.nan
    for activation in ACTIVATIONS:
        y = kernels.dense_forward(x, w, None, activation)
        assert np.isnan(y).any(axis=1).tolist() == [False, False, True, False, False, False]


def test_the_size_that_decides(fibers) -> None:
    fibers.begin()
    x, w = values_of(np.float32, (4, 6), 0), values_of(np.float32, (6, 8), 1)
    for size, by_library in ((4 * 6 * 8, 1), (4 * 6 * 8 + 1, 0)):
        fibers.use(size)
        with Began(fibers, by_library, 0, 0):
            kernels.dense_forward(x, w)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_empty_products_stay_ours(fibers, shape) -> None:
    fibers.begin()
    n, i, o = shape
    x, w, b = np.ones((n, i), "f4"), np.ones((i, o), "f4"), np.ones(o, "f4")
    with Began(fibers, 0, 0, 0):
        np.testing.assert_array_equal(kernels.dense_forward(x, w, b), np.ones((n, o)))


def test_rows_that_lie_backwards_or_in_each_other_stay_ours(fibers) -> None:
    fibers.begin()
    x, w = values_of(np.float32, (9, 5), 0), values_of(np.float32, (5, 7), 1)
    rows = [
        x[::-1],
        np.broadcast_to(x[0], x.shape),
        np.lib.stride_tricks.as_strided(x, (8, 5), (8, 4)),
    ]
    for given_rows in rows:
        y = np.zeros((len(given_rows), 7), np.float32)
        with Began(fibers, 0, 0, 0):
            _core.dense_forward(given_rows, w, None, None, y, 0, [])
        assert_same_bits(y, fibers.own(lambda a=given_rows: kernels.dense_forward(a.copy(), w)))


def test_shapes_that_the_library_offers_nothing_for_stay_ours(fibers) -> None:
    fibers.begin()
    n, i, o = 23, 29, 37
    x, w, dz, b = (values_of(np.float32, s, 0) for s in ((n, i), (i, o), (n, o), (o,)))

    # The same arrays each time: how they are aligned counts as well.
    y, dx, dw, db = (np.zeros(s, np.float32) for s in ((n, o), (n, i), (i, o), (o,)))

    def products() -> list[Any]:
        kernels.dense_forward(x, w, b, "tanh", out=y)
        kernels.dense_backward_input(dz, w, out=dx)
        _core.dense_backward_weights(x, dz, dw, db, False)
        return [a.copy() for a in (y, dx, dw, db)]

    expected = fibers.own(products)
    fibers.library.offers(0)
    with Began(fibers, 0, 0, 0):
        assert_same_bits(products(), expected)
        asked = fibers.library.asked()
        assert_same_bits(products(), expected)
    assert fibers.library.asked() == asked


def test_an_error_is_kept_and_the_product_is_ours(fibers) -> None:
    fibers.begin()
    x, w = values_of(np.float32, (9, 6), 0), values_of(np.float32, (6, 7), 1)
    expected = fibers.own(lambda: kernels.dense_forward(x, w, None, "relu"))
    fibers.library.fails(13)
    assert_same_bits(kernels.dense_forward(x, w, None, "relu"), expected)
    assert fibers.error() == "cuBLASLt could not start a product: CUBLAS_STATUS_OTHER (13)"
    assert fibers.error() is None


def test_a_product_of_a_captured_stream(fibers) -> None:
    """Preparing it and making the stream's work area is no part of the recording."""
    fibers.begin()
    module = fibers.module
    for function in (module.onepass_fibers_stream, module.onepass_fibers_blocks):
        function.restype = ctypes.c_size_t
    module.onepass_cublaslt_multiply.restype = ctypes.c_bool
    stream, blocks = ctypes.c_size_t(module.onepass_fibers_stream()), module.onepass_fibers_blocks()
    x, w, y = (np.full((11, 11), value, np.float32) for value in (2, 3, 5))
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, w, y)]
    module.onepass_fibers_capture(stream)
    assert module.onepass_cublaslt_multiply(*pointers, ctypes.c_int64(11), stream)
    assert module.onepass_fibers_waiting(stream) == 0
    module.onepass_fibers_end_capture(stream)
    assert fibers.error() is None
    assert (y == 5).all()
    assert module.onepass_fibers_blocks() == blocks + 1
    assert module.onepass_cublaslt_multiply(*pointers, ctypes.c_int64(11), stream)
    module.onepass_cublaslt_forget(stream)  # waits for it
    assert (y == 66).all()
    assert module.onepass_fibers_blocks() == blocks


# Models


@pytest.fixture
def cuda(library, monkeypatch):
    """Models on the GPU that is played, all products by the library."""
    monkeypatch.setattr(_gpu, "MODULE", "onepass._cuda_fibers")
    monkeypatch.setenv(_gpu.CUBLASLT_VARIABLE, library.path)
    module = importlib.import_module(_gpu.MODULE)
    module.open_cublaslt(library.path)
    library.works_on(ctypes.CDLL(module.__file__))
    module.set_cublaslt_size(0)
    config.set_device("cuda")
    _core.set_isa("baseline")
    yield module
    module.set_cublaslt_size(NEVER)


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
    options = {"batch_size": 10, "shuffle": False, "verbose": 0}
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
    x, y = data(samples=640)
    model, twin = (network("cuda", optimizer="adam") for _ in range(2))
    library.fails(15, while_captured=True)
    with pytest.raises(RuntimeError, match=r"cuBLASLt could not start a product.*NOT_SUPPORTED"):
        model.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    # The first step is never recorded, and a few others if the machine is slow.
    weights = model.get_weights()
    for first in range(0, 80, 10):
        twin.fit(x[first : first + 10], y[first : first + 10], shuffle=False, verbose=0)
        same = [np.array_equal(*pair) for pair in zip(weights, twin.get_weights(), strict=True)]
        if all(same):
            break
    assert all(same)
    library.fails(0)
    model.fit(x, y, batch_size=10, epochs=3, verbose=0)
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_no_memory_for_the_work_area(cuda, library, monkeypatch) -> None:
    x, y = data()
    model = network("cuda", optimizer="adam")
    cuda.set_cublaslt_size(NEVER)
    model.fit(x, y, verbose=0)
    cuda.set_cublaslt_size(0)
    monkeypatch.setenv("ONEPASS_FIBERS_MEMORY", str(32 << 20))
    with pytest.raises(RuntimeError, match="cuBLASLt has no memory for its work area of 33554"):
        model.fit(x, y, verbose=0)
    monkeypatch.delenv("ONEPASS_FIBERS_MEMORY")
    model.fit(x, y, verbose=0)


def test_two_models_in_two_threads(cuda, library) -> None:
    x, y = data()
    options = {"epochs": 2, "shuffle": False, "verbose": 0}
    alone = network("cuda", optimizer="adam")
    alone.fit(x, y, **options)
    models = [network("cuda", optimizer="adam") for _ in range(2)]
    threads = [threading.Thread(target=m.fit, args=(x, y), kwargs=options) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        for one, other in zip(alone.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_each_stream_has_a_work_area_and_gives_it_back(cuda, library) -> None:
    module = ctypes.CDLL(cuda.__file__)
    module.onepass_fibers_blocks.restype = ctypes.c_size_t
    gc.collect()
    before = module.onepass_fibers_blocks()
    x = data()[0]
    models = [network("cuda") for _ in range(3)]
    for model in models:
        model.predict(x, verbose=0)
    assert module.onepass_fibers_blocks() == before + 3
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
