"""Dense products: values, gradients, independence of rows and threads, memory written."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onepass import _core, _formulas, kernels
from reference import dense as reference
from strategies import (
    HYPER,
    LINUX,
    SIZES,
    Guarded,
    assert_close,
    assert_same_bits,
    at_page_end,
    away_from_zero,
    central_difference,
    dtypes,
    every_backend,
    helper_seconds,
    layouts,
    product_bound,
    results_by_isa,
    seeds,
    values_of,
)

ACTIVATIONS = {name: HYPER.get(name, {}) for name in _formulas.ACTIVATIONS}
# They make more of an error of the product than it is.
STEEP = {"heaviside", "sign", "threshold", "hard_shrink", "relu_general", "exponential"}
activations = st.sampled_from(sorted(ACTIVATIONS))
shapes = st.tuples(*[st.sampled_from(SIZES)] * 3)

# Above 65,000 multiply-adds helpers that are awake take part, above 1.5 million sleeping ones do;
# bands of columns where there are many, of rows where there are few.
LARGE = (
    (8, 16, 2000),
    (2000, 5, 200),
    (130, 129, 131),
    (3, 700, 900),
    (64, 784, 32),
    (8, 40, 9000),
    (1, 1, 10**6),
)


def input_of(activation: str, z: NDArray) -> NDArray | None:
    """Return z where the derivative reads it."""
    return z if _formulas.ACTIVATIONS[activation].needs_input else None


@given(shapes, dtypes, seeds, activations, layouts, layouts, layouts, st.booleans())
def test_forward(shape, dtype, seed, activation, x_at, w_at, y_at, with_bias) -> None:
    n, i, o = shape
    hyper = ACTIVATIONS[activation]
    x = Guarded(values_of(dtype, (n, i), seed), x_at)
    w = Guarded(values_of(dtype, (i, o), seed + 1), w_at)
    b = values_of(dtype, (o,), seed + 2) if with_bias else None

    def run() -> tuple[NDArray, NDArray]:
        y = Guarded(np.zeros((n, o), dtype), y_at)
        z = Guarded(np.zeros((n, o), dtype), x_at)
        result = kernels.dense_forward(
            x.array, w.array, b, activation, out=y.array, z=z.array, **hyper
        )
        assert result is y.array
        y.assert_padding_untouched()
        z.assert_padding_untouched()
        return y.array.copy(), z.array.copy()

    bound = product_bound(x.array, w.array) + (0 if b is None else np.abs(b))
    wide = [None if a is None else a.astype(np.float64) for a in (x.array, w.array, b)]
    for y, z in results_by_isa(run).values():
        assert_close(z, reference.dense_forward(*wide), absolute=bound)
        assert_same_bits(y, kernels.activation_forward(z, activation, **hyper))
        if activation not in STEEP:
            assert_close(y, reference.dense_forward(*wide, activation, **hyper), absolute=bound)


@given(shapes, dtypes, seeds, activations, layouts, layouts)
def test_backward_input(shape, dtype, seed, activation, in_at, out_at) -> None:
    n, i, o = shape
    hyper = ACTIVATIONS[activation]
    dz = Guarded(values_of(dtype, (n, o), seed), in_at)
    w = Guarded(values_of(dtype, (i, o), seed + 1), out_at)
    before = Guarded(values_of(dtype, (n, i), seed + 2), out_at)
    y = Guarded(kernels.activation_forward(before.array, activation, **hyper), in_at)
    z = input_of(activation, before.array)

    def run() -> NDArray:
        dx = Guarded(np.zeros((n, i), dtype), out_at)
        kernels.dense_backward_input(
            dz.array, w.array, activation, y=y.array, z=z, out=dx.array, **hyper
        )
        dx.assert_padding_untouched()
        return dx.array.copy()

    plain = dz.array.astype(np.float64) @ w.array.T.astype(np.float64)
    one = np.ones((n, i), dtype)
    slope = kernels.activation_backward(y.array, one, activation, x=z, **hyper)
    bound = product_bound(dz.array, w.array.T)
    for dx in results_by_isa(run).values():
        assert_close(dx, plain * slope, absolute=bound * np.maximum(1, abs(slope)))


@given(shapes, dtypes, seeds, layouts, layouts)
def test_backward_weights(shape, dtype, seed, x_at, dz_at) -> None:
    n, i, o = shape
    x = Guarded(values_of(dtype, (n, i), seed), x_at)
    dz = Guarded(values_of(dtype, (n, o), seed + 1), dz_at)

    def run() -> tuple[NDArray, NDArray]:
        dw, db = Guarded(np.ones((i, o), dtype), dz_at), Guarded(np.ones(o, dtype), x_at)
        _core.dense_backward_weights(x.array, dz.array, dw.array, db.array, False)
        dw.assert_padding_untouched()
        db.assert_padding_untouched()
        public = kernels.dense_backward_weights(x.array, dz.array)
        assert_same_bits(public, (dw.array, db.array))
        return public

    expected = x.array.T.astype(np.float64) @ dz.array.astype(np.float64)
    ones = np.ones((n, 1))
    for dw, db in results_by_isa(run).values():
        assert_close(dw, expected, absolute=product_bound(x.array.T, dz.array))
        total = dz.array.sum(axis=0, dtype=np.float64)
        assert_close(db, total, absolute=product_bound(ones.T, dz.array)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", LARGE)
def test_large_products_do_not_depend_on_threads(shape, dtype) -> None:
    n, i, o = shape
    x, w, dz = (values_of(dtype, s, k) for k, s in enumerate(((n, i), (i, o), (n, o))))

    def run() -> list[NDArray]:
        results = []
        for _ in range(2):  # the second time the helpers are awake
            results = [kernels.dense_forward(x, w), kernels.dense_backward_input(dz, w)]
            results += kernels.dense_backward_weights(x, dz)
        return results

    wide = [a.astype(np.float64) for a in (x, w, dz)]
    expected = wide[0] @ wide[1], wide[2] @ wide[1].T, wide[0].T @ wide[2]
    bounds = product_bound(x, w), product_bound(dz, w.T), product_bound(x.T, dz)
    for results in results_by_isa(run).values():
        for result, value, bound in zip(results[:3], expected, bounds, strict=True):
            assert_close(result, value, absolute=bound)


def test_few_columns_with_two_threads_finishes() -> None:
    # One band of 16 columns for two members: only one of them has work.
    dz, w = values_of(np.float32, (8, 100_000), 0), values_of(np.float32, (16, 100_000), 1)
    results_by_isa(lambda: kernels.dense_backward_input(dz, w))


@pytest.mark.skipif(_core.isa() == "fibers", reason="one thread starts a GPU's kernels")
def test_two_threads_really_ran() -> None:
    # Work large enough to wake a helper; another size first, so that no older judgement holds.
    x = values_of(np.float32, (340, 340), 0)

    def seconds(threads: int) -> tuple[float, float]:
        _core.set_threads(threads)
        kernels.dense_forward(x, x)
        helper, own = helper_seconds(), time.thread_time()
        for _ in range(150):
            kernels.dense_forward(x, x)
        return helper_seconds() - helper, time.thread_time() - own

    no_helper, own = seconds(1)
    assert no_helper < own / 4, "a helper worked though one thread was asked for"
    until = time.monotonic() + 20
    while True:
        seconds(3)
        helper, _ = seconds(2)
        if helper > own / 4:
            break
        # Helpers stand back while others want the cores.
        assert time.monotonic() < until, "the helper did not do its half"


@given(st.sampled_from(SIZES[1:]), st.sampled_from(SIZES), st.sampled_from(SIZES), dtypes, seeds)
def test_a_row_does_not_depend_on_the_others(n, i, o, dtype, seed) -> None:
    x, w, b = (values_of(dtype, s, seed + k) for k, s in enumerate(((n, i), (i, o), (o,))))
    r = seed % n
    for _ in every_backend():
        batch = kernels.dense_forward(x, w, b, "tanh")
        assert_same_bits(batch[r], kernels.dense_forward(x[r : r + 1], w, b, "tanh")[0])
        dx = kernels.dense_backward_input(batch, w)
        assert_same_bits(dx[r], kernels.dense_backward_input(batch[r : r + 1], w)[0])


@given(
    st.sampled_from((8, 24, 31, 32, 100, 512, 513)),
    st.sampled_from((6, 33, 100, 300, 600)),
    st.integers(1, 9),
    st.integers(0, 3),
    dtypes,
    seeds,
)
@example(256, 100, 4, 32, np.float32, 0)  # where the turned product packs its left side
def test_a_column_does_not_depend_on_the_others(n, i, few, whole, dtype, seed) -> None:
    """Columns beyond whole vectors may be computed on their side."""
    o = 16 * whole + few
    x, w, b, dz = (
        values_of(dtype, s, seed + k) for k, s in enumerate(((n, i), (i, o), (o,), (n, o)))
    )
    old = values_of(dtype, (i, o), seed + 5), values_of(dtype, (n, o), seed + 6)

    def with_others(array: NDArray, axis: int) -> NDArray:
        more = values_of(dtype, array.shape, seed + 7).take(range(min(7, o)), axis)
        return np.concatenate([array, *[more] * 4], axis)

    def products(wide: Callable[[NDArray, int], NDArray]) -> list[NDArray]:
        dw, dx = wide(old[0], 1).copy(), wide(old[1], 1).copy()
        db = np.zeros(dw.shape[1], dtype)
        _core.dense_backward_weights(x, wide(dz, 1), dw, db, True)
        y = kernels.dense_forward(x, wide(w, 1), wide(b, 0))
        _core.dense_backward_input(x, wide(w.T, 0).copy(), None, None, dx, 0, [], True)
        plain = kernels.dense_backward_weights(x, wide(dz, 1))[0]
        return [a[:, :o] for a in (y, dw, dx, plain)]

    for _ in every_backend((1, 2)):
        for got, expected in zip(
            products(lambda array, _: array), products(with_others), strict=True
        ):
            assert_same_bits(got, expected)


@given(st.tuples(*[st.integers(1, 4)] * 3), seeds, activations)
def test_gradients_against_differences(shape, seed, activation) -> None:
    n, i, o = shape
    hyper = ACTIVATIONS[activation]
    x, w, b, dy = (
        away_from_zero(values_of(np.float64, s, seed + k))
        for k, s in enumerate(((n, i), (i, o), (o,), (n, o)))
    )
    z = kernels.dense_forward(x, w, b)
    b += np.where(np.abs(z).min(axis=0) < 1e-3, 0.011, 0.0)  # away from the kink of relu
    if np.abs(kernels.dense_forward(x, w, b)).min() < 1e-4:
        return
    z = kernels.dense_forward(x, w, b)
    y = kernels.activation_forward(z, activation, **hyper)
    given_z = input_of(activation, z)
    dx, dw, db = kernels.dense_backward(x, w, y, dy, activation, z=given_z, **hyper)

    def forward(*args: NDArray) -> NDArray:
        return kernels.dense_forward(*args, activation, **hyper)

    def close(a: NDArray, b: NDArray) -> None:
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6 * max(1.0, np.abs(b).max()))

    close(dx, central_difference(lambda v: forward(v, w, b), x, dy))
    close(dw, central_difference(lambda v: forward(x, v, b), w, dy))
    close(db, central_difference(lambda v: forward(x, w, v), b, dy))
    for ours, exact in zip(
        (dx, dw, db), reference.dense_backward(x, w, b, dy, activation, **hyper), strict=True
    ):
        np.testing.assert_allclose(ours, exact, rtol=1e-11, atol=1e-11)


@given(shapes, dtypes, seeds, layouts)
def test_accumulate(shape, dtype, seed, at) -> None:
    n, i, o = shape
    x, w, dz = (values_of(dtype, s, seed + k) for k, s in enumerate(((n, i), (i, o), (n, o))))
    old = [values_of(dtype, s, seed + 9 + k) for k, s in enumerate(((n, i), (i, o), (o,)))]

    def run() -> list[NDArray]:
        dx, dw, db = (Guarded(a, at) for a in old)
        _core.dense_backward_input(dz, w, None, None, dx.array, 0, [], True)
        _core.dense_backward_weights(x, dz, dw.array, db.array, True)
        for guarded in (dx, dw, db):
            guarded.assert_padding_untouched()
        return [dx.array.copy(), dw.array.copy(), db.array.copy()]

    wide = [a.astype(np.float64) for a in (x, w, dz)]
    ones = np.ones((1, n))
    for dx, dw, db in results_by_isa(run).values():
        assert_close(dx, old[0] + wide[2] @ wide[1].T, absolute=product_bound(dz, w.T, old[0]))
        assert_close(dw, old[1] + wide[0].T @ wide[2], absolute=product_bound(x.T, dz, old[1]))
        bound = product_bound(ones, dz, old[2])[0]
        assert_close(db, old[2] + wide[2].sum(axis=0), absolute=bound)


@given(st.sampled_from(SIZES[1:]), st.sampled_from(SIZES[1:]), st.sampled_from(SIZES[1:]), seeds)
def test_nan_stays_in_its_row_and_column(n, i, o, seed) -> None:
    x, w = values_of(np.float32, (n, i), seed), values_of(np.float32, (i, o), seed + 1)
    x /= 16  # products that exponential can take
    row, column = seed % n, seed % o
    x[row, seed % i] = np.nan
    w[seed % i, column] = np.inf
    for _ in every_backend():
        for activation in ACTIVATIONS:
            y = kernels.dense_forward(x, w, None, activation)
            assert np.isnan(y[row]).all()
            others = np.delete(np.delete(y, row, axis=0), column, axis=1)
            assert np.isfinite(others).all()


@pytest.mark.parametrize("transposed", [False, True])
def test_inputs_that_need_a_copy(transposed) -> None:
    x, w = values_of(np.float32, (7, 5), 0), values_of(np.float32, (5, 9), 1)
    expected = kernels.dense_forward(x, w)
    if transposed:
        x, w = np.asfortranarray(x), np.asfortranarray(w)
    else:
        raw = bytearray(b"?") + x.tobytes()
        x = np.frombuffer(raw, np.float32, x.size, 1).reshape(x.shape)  # not aligned
        w = w.astype(">f4")
        assert not x.flags.aligned
    assert_same_bits(kernels.dense_forward(x, w), expected)
    assert_same_bits(kernels.dense_forward(x[::-1], w)[::-1], expected)


@pytest.mark.skipif(not LINUX, reason="protects a page as Linux does")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_read_past_the_end(dtype) -> None:
    for shape in ((1, 1, 1), (3, 5, 7), (9, 17, 33), (8, 16, 48), (5, 49, 50), (40, 33, 50)):
        n, i, o = shape
        sizes = (n, i), (i, o), (n, o), (o,), (n, i)
        x, w, dz, b, y = (at_page_end(values_of(dtype, s, k)) for k, s in enumerate(sizes))
        for _ in every_backend():
            kernels.dense_forward(x, w, b, "tanh")
            kernels.dense_backward_input(dz, w, "tanh", y=y)
            kernels.dense_backward_weights(x, dz)


@pytest.mark.parametrize("threads", [3, 5, 8])
@pytest.mark.parametrize(
    ("n", "i", "o"), [(70, 90, 110), (2000, 16, 8), (9, 40, 900), (33, 5, 700)]
)
def test_odd_teams_share_out_all_of_a_product(threads, n, i, o) -> None:
    """More members than cores, uneven shares, shared and own packing: the bits of one thread."""
    rng = np.random.default_rng(0)
    x, w, dz = (rng.normal(size=shape).astype(np.float32) for shape in ((n, i), (i, o), (n, o)))

    def products():
        return [
            kernels.dense_forward(x, w),
            kernels.dense_backward_input(dz, w),
            *kernels.dense_backward_weights(x, dz),
        ]

    _core.set_threads(1)
    alone = products()
    _core.set_threads(threads)
    for got, expected in zip(products(), alone, strict=True):
        np.testing.assert_array_equal(got, expected)
