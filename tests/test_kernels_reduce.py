"""Norms, clips and weighted sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onepass import kernels
from reference import reduce as reference
from strategies import (
    Guarded,
    assert_close,
    assert_same_bits,
    dtypes,
    layouts,
    same_result,
    seeds,
    sizes,
    values_of,
)

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
shapes = st.one_of(st.tuples(sizes), st.tuples(sizes, sizes), st.just((3, 8200)))


@given(st.lists(shapes, max_size=3), dtypes, seeds, layouts)
def test_global_norm(shape_list, dtype, seed, at) -> None:
    arrays = [Guarded(values_of(dtype, s, seed + k), at).array for k, s in enumerate(shape_list)]
    norm = same_result(lambda: kernels.global_norm(arrays))
    assert norm == pytest.approx(reference.global_norm(arrays), rel=64 * float(np.finfo(dtype).eps))


@BOTH
def test_large_norm(dtype) -> None:
    x = values_of(dtype, (1601, 1001), 0)
    norm = same_result(lambda: kernels.global_norm([x]))
    assert norm == pytest.approx(reference.global_norm([x]), rel=1e-5)


@pytest.mark.parametrize("size", [1, 100, 100_000])
@pytest.mark.parametrize("magnitude", [1e30, 3e38, 1e-30, 1e-37])
def test_float32_norm_neither_overflows_nor_underflows(size, magnitude) -> None:
    x = np.full(size, magnitude, np.float32)
    norm = same_result(lambda: kernels.global_norm([x]))
    assert norm == pytest.approx(float(x[0]) * np.sqrt(size), rel=1e-6, abs=0)
    x[0] = 1.0  # one large or small element beside them
    assert kernels.global_norm([x]) == pytest.approx(reference.global_norm([x]), rel=1e-6, abs=0)


def test_norm_of_nothing_and_of_what_is_not_finite() -> None:
    assert kernels.global_norm([]) == 0.0
    assert kernels.global_norm([np.empty((0, 3), np.float32)]) == 0.0
    assert kernels.global_norm([np.float32([1, np.inf])]) == np.inf
    assert np.isnan(kernels.global_norm([np.float32([1, np.nan])]))


@BOTH
def test_clips_of_the_specification(dtype) -> None:
    gradient = np.array([0.9, 100.0], dtype)
    by_value, by_norm, by_global_norm = gradient.copy(), gradient.copy(), gradient.copy()
    kernels.clip_by_value_(by_value, 1.0)
    assert_same_bits(by_value, np.array([0.9, 1.0], dtype))
    kernels.clip_by_norm_(by_norm, 1.0)
    np.testing.assert_allclose(by_norm, [0.00899964, 0.9999595], rtol=1e-6)
    kernels.clip_by_global_norm_([by_global_norm[:1], by_global_norm[1:]], 1.0)
    assert_same_bits(by_global_norm, by_norm)


@given(shapes, dtypes, seeds, layouts, st.sampled_from((1e-3, 0.5, 1e3)))
def test_clip_by_value(shape, dtype, seed, at, limit) -> None:
    values = values_of(dtype, shape, seed, special=True)

    def run():
        x = Guarded(values, at)
        assert kernels.clip_by_value_(x.array, limit) is None
        x.assert_padding_untouched()
        return x.array.copy()

    assert_close(same_result(run), reference.clip_by_value(values, dtype(limit)), ulps=0)


@given(shapes, dtypes, seeds, layouts, st.sampled_from((1e-3, 0.5, 1e3)))
def test_clip_by_norm(shape, dtype, seed, at, limit) -> None:
    values = values_of(dtype, shape, seed)

    def run():
        x = Guarded(values, at)
        norm = kernels.clip_by_norm_(x.array, limit)
        x.assert_padding_untouched()
        return x.array.copy(), norm

    clipped, norm = same_result(run)
    assert norm == kernels.global_norm([values])
    wide = values.astype(np.float64)
    assert_close(clipped, reference.clip_by_norm(wide, limit), ulps=64)
    if norm <= limit:
        assert_same_bits(clipped, values)


@given(st.lists(shapes, max_size=4), dtypes, seeds, layouts, st.sampled_from((1e-3, 0.5, 1e3)))
def test_clip_by_global_norm(shape_list, dtype, seed, at, limit) -> None:
    values = [values_of(dtype, s, seed + k) for k, s in enumerate(shape_list)]

    def run():
        guarded = [Guarded(v, at) for v in values]
        norm = kernels.clip_by_global_norm_([g.array for g in guarded], limit)
        for g in guarded:
            g.assert_padding_untouched()
        return [*(g.array.copy() for g in guarded), norm]

    *clipped, norm = same_result(run)
    assert norm == kernels.global_norm(values)
    expected = reference.clip_by_global_norm([v.astype(np.float64) for v in values], limit)
    for ours, exact in zip(clipped, expected, strict=True):
        assert_close(ours, exact, ulps=64)


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_norm_that_is_not_finite_is_seen_as_in_keras(dtype, bad) -> None:
    x, y = np.array([1.0, bad], dtype), np.ones((2, 2), dtype)
    norm = kernels.clip_by_global_norm_([x, y], 1.0)
    assert not np.isfinite(norm)
    assert np.isnan(x).all()
    assert np.isnan(y).all()
    x = np.array([1.0, bad], dtype)
    kernels.clip_by_norm_(x, 1.0)
    np.testing.assert_array_equal(x, reference.clip_by_norm(np.array([1.0, bad]), 1.0))


def test_clip_of_a_norm_far_above_the_limit_keeps_its_digits() -> None:
    # The factor 3e-41 is no normal float32.
    x = np.full(1000, 1e38, np.float32)
    kernels.clip_by_norm_(x, 1.0)
    np.testing.assert_allclose(x, 1 / np.sqrt(1000), rtol=1e-6)


@BOTH
def test_large_clips(dtype) -> None:
    values = values_of(dtype, (1601, 1001), 0)

    def run():
        by_norm, by_value = values.copy(), values.copy()
        kernels.clip_by_norm_(by_norm, 1.0)
        kernels.clip_by_value_(by_value, 0.1)
        return by_norm, by_value

    by_norm, by_value = same_result(run)
    assert_close(by_norm, reference.clip_by_norm(values.astype(np.float64), 1.0), ulps=64)
    assert_same_bits(by_value, np.clip(values, dtype(-0.1), dtype(0.1)))


@given(shapes, dtypes, seeds, layouts, st.booleans())
def test_weighted_sum(shape, dtype, seed, at, weighted) -> None:
    values = Guarded(values_of(dtype, shape, seed), at).array
    weights = values_of(dtype, shape, seed + 1) if weighted else None
    total, weight = same_result(lambda: kernels.weighted_sum(values, weights))
    factors = np.ones(shape) if weights is None else weights.astype(np.float64)
    expected = reference.weighted_sum(values.astype(np.float64), factors)
    magnitude = 1 + np.abs(values * factors).sum()
    assert abs(total - expected[0]) <= 1e-12 * magnitude
    assert abs(weight - expected[1]) <= 1e-12 * (1 + np.abs(factors).sum())


def test_weight_zero_leaves_out_what_is_not_finite() -> None:
    values = np.array([np.nan, 2.0, np.inf], np.float32)
    assert kernels.weighted_sum(values, np.float32([0, 3, 0])) == (6.0, 3.0)
    assert np.isnan(kernels.weighted_sum(values)[0])
