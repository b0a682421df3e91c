"""Kernels whose products cuBLASLt computes, which a library on the CPU plays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onepass import _core, _formulas, kernels
from played_cublaslt import NEVER, NONE, Library
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

ACTIVATIONS = {name: HYPER.get(name, {}) for name in _formulas.ACTIVATIONS}
sizes = st.sampled_from(SIZES[1:])


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
    return Library()


@pytest.fixture(autouse=True)
def obedient(library: Library) -> Iterator[None]:
    yield
    library.obeys()


@pytest.fixture(scope="module")
def fibers(library: Library) -> Iterator[Kernels]:
    made = Kernels(library)
    yield made
    made.use(NEVER)


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
    fibers.library.obeys()


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


def product_on_a_stream(fibers):
    """Return the module, a new stream of it, blocks of memory in use, a result, what starts it."""
    fibers.begin()
    module = fibers.module
    for function in (module.onepass_fibers_stream, module.onepass_fibers_blocks):
        function.restype = ctypes.c_size_t
    module.onepass_cublaslt_multiply.restype = ctypes.c_bool
    stream, blocks = ctypes.c_size_t(module.onepass_fibers_stream()), module.onepass_fibers_blocks()
    x, w, y = (np.full((11, 11), value, np.float32) for value in (2, 3, 5))

    def multiplied() -> bool:
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, w, y)]
        return bool(module.onepass_cublaslt_multiply(*pointers, ctypes.c_int64(11), stream))

    return module, stream, blocks, y, multiplied


def test_a_product_of_a_captured_stream(fibers) -> None:
    """Preparing it and making the stream's work area is no part of the recording."""
    module, stream, blocks, y, multiplied = product_on_a_stream(fibers)
    module.onepass_cublaslt_own(stream)
    module.onepass_fibers_capture(stream)
    assert multiplied()
    assert module.onepass_fibers_waiting(stream) == 0
    module.onepass_fibers_end_capture(stream)
    assert fibers.error() is None
    assert (y == 5).all()
    assert module.onepass_fibers_blocks() == blocks + 1
    assert multiplied()
    module.onepass_cublaslt_forget(stream)  # waits for it
    assert (y == 66).all()
    assert module.onepass_fibers_blocks() == blocks


def test_a_stream_of_a_caller_keeps_no_work_area(fibers) -> None:
    """Its address may be that of a stream of each thread, or of another one later."""
    module, stream, blocks, y, multiplied = product_on_a_stream(fibers)
    assert multiplied()
    assert module.onepass_fibers_blocks() == blocks
    assert module.onepass_fibers_waiting(stream) == 2  # the product, and its memory goes back
    module.onepass_fibers_copy(ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t(0), stream)
    assert (y == 66).all()
    assert fibers.error() is None
