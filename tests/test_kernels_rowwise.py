"""Log-softmax, sparsemax and GLU: values, derivatives, special values, equality of backends."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onepass import _core, kernels
from reference import activations as reference
from strategies import (
    SIZES,
    Guarded,
    assert_close,
    assert_same_bits,
    central_difference,
    dtypes,
    layouts,
    same_result,
    seeds,
    values_of,
)

shapes = st.tuples(st.sampled_from(SIZES), st.sampled_from(SIZES))
ROWWISE = pytest.mark.parametrize("name", ["log_softmax", "sparsemax"])
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def magnitude(x):
    return np.abs(x).max(-1, keepdims=True, initial=1.0).astype(np.float64)


@ROWWISE
@given(shapes, dtypes, seeds, layouts, layouts)
def test_values(name, shape, dtype, seed, x_at, y_at) -> None:
    x = Guarded(values_of(dtype, shape, seed), x_at)
    kernel = getattr(kernels, name)

    def run():
        y = Guarded(np.zeros(shape, dtype), y_at)
        kernel(x.array, out=y.array)
        y.assert_padding_untouched()
        in_place = x.array.copy()
        assert_same_bits(kernel(in_place, out=in_place), y.array)
        return y.array.copy()

    y = same_result(run)
    if shape[1]:
        expected = getattr(reference, name)(x.array.astype(np.float64))
        assert_close(y, expected, ulps=8, absolute=(4 + shape[1] / 8) * magnitude(x.array))


@ROWWISE
@given(shapes, dtypes, seeds, layouts, layouts)
def test_derivatives(name, shape, dtype, seed, in_at, out_at) -> None:
    y = Guarded(getattr(kernels, name)(values_of(dtype, shape, seed)), in_at)
    dy = Guarded(values_of(dtype, shape, seed + 1), in_at)
    backward, native = getattr(kernels, f"{name}_backward"), getattr(_core, f"{name}_backward")

    def run():
        dx = Guarded(np.zeros(shape, dtype), out_at)
        backward(y.array, dy.array, out=dx.array)
        in_place = dy.array.copy()
        assert_same_bits(backward(y.array, in_place, out=in_place), dx.array)
        plain = dx.array.copy()
        native(y.rows, dy.rows, dx.rows, True)
        dx.assert_padding_untouched()
        return plain, dx.array.copy()

    plain, twice = same_result(run)
    assert_same_bits(twice, plain + plain)
    if shape[1]:
        wide = y.array.astype(np.float64), dy.array.astype(np.float64)
        expected = getattr(reference, f"{name}_backward")(*wide)
        total = np.abs(wide[1]).sum(-1, keepdims=True) + 1
        assert_close(plain, expected, ulps=16, absolute=(8 + shape[1] / 4) * total)


@ROWWISE
@given(seeds)
def test_against_differences(name, seed) -> None:
    x, dy = values_of(np.float64, (3, 6), seed), values_of(np.float64, (3, 6), seed + 1)
    kernel = getattr(kernels, name)
    if name == "sparsemax":  # away from the edge of the support, where the slope jumps
        threshold = -reference.sparsemax(x).max(-1, keepdims=True)
        assume(np.abs(x - x.max(-1, keepdims=True) - threshold).min() > 1e-4)
    dx = getattr(kernels, f"{name}_backward")(kernel(x), dy)
    np.testing.assert_allclose(dx, central_difference(kernel, x, dy), rtol=1e-5, atol=1e-7)


@given(seeds, st.integers(1, 300), dtypes)
def test_sparsemax_sums_to_one(seed, c, dtype) -> None:
    rng = np.random.default_rng(seed)
    # crowds that share the place among many, and ties
    x = (rng.integers(0, 50, (4, c)) / rng.choice([10, 1000])).astype(dtype)
    y = kernels.sparsemax(x)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=4 * c * np.finfo(dtype).eps)
    assert (y >= 0).all()
    assert_same_bits(kernels.sparsemax(x + dtype(64)), kernels.sparsemax((x + dtype(64)).copy()))


@BOTH
def test_extremes(dtype) -> None:
    big = np.finfo(dtype).max
    x = np.array([[1000, -1000, 0], [big, -big, 0], [0, -np.inf, 0]], dtype)
    y = same_result(lambda: kernels.log_softmax(x))
    log2 = np.log(2.0)
    assert_close(y[0], np.array([0, -2000, -1000.0]))
    assert y[1, 0] == 0
    assert (y[1, 1:] < -big / 2).all()
    assert_close(y[2], np.array([-log2, -np.inf, -log2]))
    y = same_result(lambda: kernels.sparsemax(x))
    np.testing.assert_array_equal(y, [[1, 0, 0], [1, 0, 0], [0.5, 0, 0.5]])
    for bad in ([np.nan, 1, 2], [np.inf, 1, 2], [-np.inf] * 3, [1, 2, np.nan]):
        for name in ("log_softmax", "sparsemax"):
            row = np.array([bad, [1, 2, 3]], dtype)
            y = same_result(lambda name=name, row=row: getattr(kernels, name)(row))
            assert np.isnan(y[0]).all() or (name == "log_softmax" and np.isnan(y[0]).any())
            assert np.isfinite(y[1]).all()
            dx = getattr(kernels, f"{name}_backward")(y, np.ones_like(y))
            assert np.isnan(dx[0]).any()
            assert np.isfinite(dx[1]).all()


@given(shapes, dtypes, seeds, layouts, layouts)
def test_glu(shape, dtype, seed, in_at, out_at) -> None:
    n, c = shape
    x = Guarded(values_of(dtype, (n, 2 * c), seed, special=seed % 2 == 0), in_at)
    dy = Guarded(values_of(dtype, (n, c), seed + 1), in_at)

    def run():
        y, dx = (
            Guarded(np.zeros((n, c), dtype), out_at),
            Guarded(np.zeros((n, 2 * c), dtype), out_at),
        )
        kernels.glu(x.array, out=y.array)
        kernels.glu_backward(x.array, dy.array, out=dx.array)
        plain = dx.array.copy()
        _core.glu_backward(x.rows, dy.rows, dx.rows, True)
        y.assert_padding_untouched()
        dx.assert_padding_untouched()
        return y.array.copy(), plain, dx.array.copy()

    y, dx, twice = same_result(run)
    with np.errstate(all="ignore"):
        assert_same_bits(twice, dx + dx)
        wide = x.array.astype(np.float64)
        if seed % 2:
            assert_close(y, reference.glu(wide), ulps=8)
            expected = reference.glu_backward(wide, dy.array.astype(np.float64))
            assert_close(dx, expected, ulps=16)
        else:
            nan = np.isnan(wide[:, :c]) | np.isnan(wide[:, c:])
            assert np.isnan(y[nan]).all()


@given(seeds)
def test_glu_against_differences(seed) -> None:
    x, dy = values_of(np.float64, (3, 8), seed), values_of(np.float64, (3, 4), seed + 1)
    numeric = central_difference(kernels.glu, x, dy)
    np.testing.assert_allclose(kernels.glu_backward(x, dy), numeric, rtol=1e-5, atol=1e-7)
