"""Kernels that count for metrics: thresholds, ties, top k, columns, weights, memory written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onepass import _core, kernels
from reference import metrics as reference
from strategies import (
    SIZES,
    Guarded,
    assert_same_bits,
    dtypes,
    layouts,
    same_result,
    seeds,
    special_values,
)

rows = st.sampled_from(SIZES)
columns = st.sampled_from((0, 1, 2, 3, 7, 16, 33))
# Even numbers of steps, steps of the caller's, and one threshold.
thresholds = st.sampled_from((2, 3, 5, 200, [0.5], [0.0, 0.25, 0.25, 1.0], [-1e10], [0.1, 0.2]))


def data(shape, dtype, seed, special=False):
    """Return few distinct numbers, so that ties and predictions at thresholds occur."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([2, 4, 199])
    prediction = (rng.integers(-1, steps + 2, shape) / steps).astype(dtype)
    target = rng.choice([0.0, 1.0, 0.5, -1.0], shape).astype(dtype)
    if special and prediction.size:
        chosen = rng.choice(special_values(dtype), 4)
        chosen[np.abs(chosen) < np.finfo(dtype).tiny] = 0  # kernels flush denormals
        prediction.reshape(-1)[rng.integers(0, prediction.size, 4)] = chosen
    return target, prediction


def weights_of(n, dtype, seed, weighted):
    """Return quarters, whose sums are exact; some are 0."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 8, n) / 4).astype(dtype) if weighted else None


@given(rows, columns, thresholds, dtypes, seeds, st.booleans(), st.booleans(), layouts)
def test_confusion_counts(n, c, given_thresholds, dtype, seed, weighted, by_column, at) -> None:
    target, prediction = (Guarded(a, at) for a in data((n, c), dtype, seed, special=True))
    weights = weights_of(n, dtype, seed, weighted)
    counts = same_result(
        lambda: kernels.confusion_counts(
            target.array, prediction.array, given_thresholds, weights=weights, by_column=by_column
        )
    )
    expected = reference.counts(target.array, prediction.array, given_thresholds, weights)
    size = expected[0].shape[-1]
    assert counts.shape == ((c, 2, size + 1) if by_column else (2, size + 1))
    each = counts if by_column else counts[None]
    above = each[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]
    below = each.cumsum(-1)[..., :-1]
    got = above[:, 0], above[:, 1], below[:, 1], below[:, 0]
    for mine, theirs in zip(got, expected, strict=True):
        whole = theirs if by_column else theirs.sum(0, keepdims=True)
        np.testing.assert_array_equal(mine, whole)


@given(rows, columns, st.integers(1, 5), dtypes, seeds, st.booleans())
def test_confusion_counts_of_the_top_k(n, c, k, dtype, seed, weighted) -> None:
    target, prediction = data((n, c), dtype, seed)
    weights = weights_of(n, dtype, seed, weighted)
    counts = same_result(
        lambda: kernels.confusion_counts(target, prediction, [0.25], weights=weights, top_k=k)
    )
    tp, fp, tn, fn = (
        v.sum() for v in reference.counts(target, prediction, [0.25], weights, top_k=k)
    )
    np.testing.assert_array_equal(counts, [[fn, tp], [tn, fp]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_are_added_to_for_the_columns_named(dtype) -> None:
    target, prediction = data((9, 5), dtype, 3)
    start = np.arange(12.0)
    counts = start.copy()
    _core.confusion_counts(target, prediction, None, None, 5, 1, 0, 2, 4, False, counts)
    part = kernels.confusion_counts(target[:, 2:4].copy(), prediction[:, 2:4].copy(), 5)
    part[:, 1] += part[:, 0]  # every number exceeds the first of five
    part[:, 0] = 0
    np.testing.assert_array_equal(counts - start, part.reshape(-1))


@given(rows, columns, dtypes, seeds, st.booleans(), layouts, st.sampled_from((None, 0.25, 0.5)))
def test_hits(n, c, dtype, seed, weighted, at, threshold) -> None:
    target, prediction = (Guarded(a, at) for a in data((n, c), dtype, seed))
    if n and c:
        prediction.array[seed % n] = np.float64([0.0, np.nan])[seed % 2]
    weights = weights_of(n, dtype, seed, weighted)
    got = same_result(
        lambda: kernels.column_sums(
            target.array, prediction.array, "hits", threshold=threshold, weights=weights
        )
    )
    ones = np.ones(n) if weights is None else weights.astype(np.float64)
    with np.errstate(invalid="ignore"):
        expected = reference.hits(target.array, prediction.array, threshold, ones)
    np.testing.assert_array_equal(got, np.array(expected).reshape(3, c))


@given(rows, columns, dtypes, seeds, st.booleans(), layouts)
def test_errors(n, c, dtype, seed, weighted, at) -> None:
    target, prediction = (Guarded(a, at) for a in data((n, c), dtype, seed))
    weights = weights_of(n, dtype, seed, weighted)
    got = same_result(lambda: kernels.column_sums(target.array, prediction.array, weights=weights))
    ones = np.ones(n) if weights is None else weights.astype(np.float64)
    wide = target.array.astype(np.float64), prediction.array.astype(np.float64)
    expected = reference.errors(*wide, ones)
    np.testing.assert_allclose(got, np.array(expected).reshape(5, c), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_weight_zero_are_left_out_whatever_they_hold(dtype) -> None:
    target, prediction = data((4, 3), dtype, 1)
    weights = np.array([1, 0, 2, 0.5], dtype)
    kept = [0, 2, 3]
    for run in (
        lambda t, p, w: kernels.column_sums(t, p, "errors", weights=w)[:4],
        lambda t, p, w: kernels.column_sums(t, p, "hits", weights=w),
        lambda t, p, w: kernels.confusion_counts(t, p, 5, weights=w),
    ):
        expected = run(target[kept], prediction[kept], weights[kept])
        odd = prediction.copy(), target.copy()
        odd[0][1], odd[1][1] = np.nan, np.inf
        assert_same_bits(run(odd[1], odd[0], weights), expected)
