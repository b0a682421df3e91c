"""Normalization kernels against float64 NumPy, on every backend; large means, sums of many rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onepass import _core, kernels
from reference import normalization as reference
from strategies import (
    Guarded,
    assert_same_bits,
    central_difference,
    dtypes,
    layouts,
    same_result,
    seeds,
    sizes,
    values_of,
)

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NORMS = pytest.mark.parametrize("norm", ["layer", "rms", "unit"])
norms = st.sampled_from(["layer", "rms", "unit"])
epsilons = st.sampled_from([1e-3, 1e-6, 0.5])


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def close(actual, expected, scale, dtype, factor=1.0):
    """Require errors of a few units in the last place of the largest magnitude involved."""
    bound = 40 * factor * np.finfo(dtype).eps * scale + np.finfo(dtype).tiny
    error = np.abs(np.asarray(actual, np.float64) - expected)
    assert (error <= bound).all(), f"{error.max(initial=0)} > {np.max(bound, initial=0)}"


def largest(*arrays):
    return max((float(np.abs(a).max(initial=0.0)) for a in arrays), default=0.0)


def parameters(dtype, cols, seed, given):
    """Return gamma and beta, each given or None, and what stands for them in the reference."""
    gamma, beta = values_of(dtype, (cols,), seed + 7), values_of(dtype, (cols,), seed + 8)
    used = [a if there else None for a, there in zip((gamma, beta), given, strict=True)]
    exact = [
        np.full(cols, default) if a is None else a.astype(np.float64)
        for a, default in zip(used, (1.0, 0.0), strict=True)
    ]
    return used, exact


either = st.tuples(st.booleans(), st.booleans())


@given(sizes, sizes, dtypes, seeds, layouts, layouts, either, epsilons)
def test_batch_norm_forward(rows, cols, dtype, seed, x_at, y_at, given, epsilon):
    x = Guarded(values_of(dtype, (rows, cols), seed), x_at)
    (gamma, beta), exact = parameters(dtype, cols, seed, given)

    def run():
        y = Guarded(np.zeros((rows, cols), dtype), y_at)
        result, statistics = kernels.batch_norm_forward(
            x.array, gamma, beta, epsilon=epsilon, out=y.array
        )
        assert result is y.array
        y.assert_padding_untouched()
        in_place = x.array.copy()
        kernels.batch_norm_forward(in_place, gamma, beta, epsilon=epsilon, out=in_place)
        assert_same_bits(in_place, y.array)
        return y.array.copy(), statistics

    y, statistics = same_result(run)
    (x64,) = wide(x.array)
    mean, variance = reference.moments(x64, 0)
    scale = 1 + largest(*exact) * (1 + np.sqrt(max(1, rows)))
    close(y, reference.batch_norm(x64, *exact, epsilon), scale, dtype)
    high, low, var, inverse = statistics.astype(np.float64)
    deviation = np.sqrt(variance[0])
    close(high + low, mean[0], deviation + 1e-30 + np.abs(mean[0]) * np.finfo(dtype).eps, dtype)
    close(var, variance[0], variance[0] + np.finfo(dtype).eps * np.abs(mean[0]) ** 2, dtype)
    close(inverse, 1 / np.sqrt(variance[0] + epsilon), epsilon**-0.5, dtype)


@given(sizes, sizes, dtypes, seeds, layouts, layouts, either, epsilons)
def test_batch_norm_inference(rows, cols, dtype, seed, x_at, y_at, given, epsilon):
    x = Guarded(values_of(dtype, (rows, cols), seed), x_at)
    mean = values_of(dtype, (cols,), seed + 1)
    variance = values_of(dtype, (cols,), seed + 2) ** 2
    (gamma, beta), exact = parameters(dtype, cols, seed, given)

    def run():
        y = Guarded(np.zeros((rows, cols), dtype), y_at)
        statistics = kernels.batch_norm_inference(
            x.array, mean, variance, gamma, beta, epsilon=epsilon, out=y.array
        )[1]
        y.assert_padding_untouched()
        return y.array.copy(), statistics

    y, statistics = same_result(run)
    x64, m64, v64 = wide(x.array, mean, variance)
    h = reference.normalized(x64, m64, v64, epsilon)
    close(y, exact[0] * h + exact[1], 1 + largest(*exact) * (1 + largest(h)), dtype)
    assert_same_bits(statistics[:3], np.stack([mean, 0 * mean, variance]) + dtype(0))


@given(sizes, sizes, dtypes, seeds, layouts, layouts, st.booleans(), st.booleans(), epsilons)
def test_batch_norm_backward(rows, cols, dtype, seed, in_at, out_at, has_gamma, fixed, epsilon):
    x = Guarded(values_of(dtype, (rows, cols), seed), in_at)
    dy = Guarded(values_of(dtype, (rows, cols), seed + 1), out_at)
    (gamma, _), (gamma64, _) = parameters(dtype, cols, seed, (has_gamma, False))
    moving = values_of(dtype, (cols,), seed + 2), values_of(dtype, (cols,), seed + 3) ** 2
    x64, dy64, mean64, variance64 = wide(x.array, dy.array, *moving)
    if fixed:
        statistics = kernels.batch_norm_inference(x.array, *moving, gamma, epsilon=epsilon)[1]
        expected = reference.inference_backward(x64, dy64, mean64, variance64, gamma64, epsilon)
    else:
        statistics = kernels.batch_norm_forward(x.array, gamma, epsilon=epsilon)[1]
        expected = reference.batch_norm_backward(x64, dy64, gamma64, epsilon)

    def run():
        dx = Guarded(np.zeros((rows, cols), dtype), out_at)
        _, dgamma, dbeta = kernels.batch_norm_backward(
            x.array, dy.array, statistics, gamma, fixed=fixed, out=dx.array
        )
        dx.assert_padding_untouched()
        in_place = dy.array.copy()
        kernels.batch_norm_backward(x.array, in_place, statistics, gamma, fixed=fixed, out=in_place)
        assert_same_bits(in_place, dx.array)
        return dx.array.copy(), dgamma, dbeta

    results = same_result(run)
    inverse = largest(1 / np.sqrt(wide(statistics)[0][2] + epsilon))
    spread = (1 + largest(x64, mean64)) * inverse
    total = largest(dy64) * max(1, rows)
    close(results[0], expected[0], total * inverse * (1 + largest(gamma64)) * spread**2, dtype)
    close(results[1], expected[1], total * spread, dtype)
    close(results[2], expected[2], total, dtype)


@given(sizes, sizes, dtypes, seeds, st.booleans())
def test_batch_norm_backward_adds_and_leaves_out(rows, cols, dtype, seed, fixed):
    x, dy, old = (values_of(dtype, (rows, cols), seed + k) for k in range(3))
    vectors = values_of(dtype, (2, cols), seed + 3)
    gamma = values_of(dtype, (cols,), seed + 4)
    statistics = kernels.batch_norm_forward(x, gamma)[1]
    plain = kernels.batch_norm_backward(x, dy, statistics, gamma, fixed=fixed)

    def run():
        dx, (dgamma, dbeta) = old.copy(), vectors.copy()
        shared = (x, dy, statistics, gamma)
        _core.batch_norm_backward(*shared, dx, dgamma, dbeta, fixed, True)
        only_x, only_gamma, only_beta = (
            np.empty_like(dx),
            np.empty(cols, dtype),
            np.empty(cols, dtype),
        )
        _core.batch_norm_backward(*shared, only_x, None, None, fixed, False)
        _core.batch_norm_backward(*shared, None, only_gamma, None, fixed, False)
        _core.batch_norm_backward(*shared, None, None, only_beta, fixed, False)
        assert_same_bits([only_x, only_gamma, only_beta], list(plain))
        return dx, dgamma, dbeta

    added = same_result(run)
    for result, before, part in zip(added, (old, *vectors), plain, strict=True):
        assert_same_bits(result, before + part)


@given(seeds, st.booleans())
def test_batch_norm_backward_against_differences(seed, fixed):
    x, dy = (values_of(np.float64, (5, 3), seed + k) for k in range(2))
    gamma, beta = values_of(np.float64, (2, 3), seed + 2)
    moving = values_of(np.float64, (3,), seed + 3), values_of(np.float64, (3,), seed + 4) ** 2

    def forward(x, gamma, beta):
        if fixed:
            return kernels.batch_norm_inference(x, *moving, gamma, beta, epsilon=0.1)
        return kernels.batch_norm_forward(x, gamma, beta, epsilon=0.1)

    statistics = forward(x, gamma, beta)[1]
    got = kernels.batch_norm_backward(x, dy, statistics, gamma, fixed=fixed)
    numeric = (
        central_difference(lambda v: forward(v, gamma, beta)[0], x, dy),
        central_difference(lambda v: forward(x, v, beta)[0], gamma, dy),
        central_difference(lambda v: forward(x, gamma, v)[0], beta, dy),
    )
    for analytic, expected in zip(got, numeric, strict=True):
        np.testing.assert_allclose(analytic, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rows", [2, 32, 300, 5000])
@pytest.mark.parametrize("first", [0.0, 1.0, -30.0])
def test_large_mean_and_small_variance(rows, first):
    """Means of 1e4 with variances of 1e-4, the values being taken as float32 holds them."""
    rng = np.random.default_rng(rows)
    x = (1e4 + 1e-2 * rng.standard_normal((rows, 70))).astype(np.float32)
    x[0] = 1e4 + first  # far from all others where it is not 0
    dy = rng.standard_normal(x.shape).astype(np.float32)
    y, statistics = same_result(lambda: kernels.batch_norm_forward(x, epsilon=1e-6))
    x64, dy64 = wide(x, dy)
    one = np.ones(70)
    np.testing.assert_allclose(
        y, reference.batch_norm(x64, one, 0 * one, 1e-6), rtol=3e-5, atol=3e-5
    )
    np.testing.assert_allclose(statistics[2], x64.var(axis=0), rtol=1e-5)
    got = same_result(lambda: kernels.batch_norm_backward(x, dy, statistics))
    expected = reference.batch_norm_backward(x64, dy64, one, 1e-6)
    scales = (4 * statistics[3].max(), np.sqrt(rows) * 10, rows)  # of what differences are taken
    for result, exact, scale in zip(got, expected, scales, strict=True):
        np.testing.assert_allclose(result, exact, rtol=1e-4, atol=1e-5 * scale)


def test_many_rows_all_count():
    """A plain sum in float32 of so many rows would stand still before their end."""
    rng = np.random.default_rng(0)
    x = (3.0 + rng.standard_normal((1 << 20, 2))).astype(np.float32)
    _, statistics = kernels.batch_norm_forward(x)
    np.testing.assert_allclose(statistics[0], x.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(statistics[2], x.var(axis=0, dtype=np.float64), rtol=1e-5)
    dy = np.ones_like(x)
    _, dgamma, dbeta = kernels.batch_norm_backward(x, dy, statistics)
    np.testing.assert_array_equal(dbeta, 1 << 20)
    assert (np.abs(dgamma) < 3).all()


@BOTH
def test_one_row_becomes_beta(dtype):
    x, beta = values_of(dtype, (1, 20), 0), values_of(dtype, (20,), 1)
    gamma = values_of(dtype, (20,), 2)
    y, statistics = kernels.batch_norm_forward(x, gamma, beta)
    assert_same_bits(y[0], beta)
    assert_same_bits(statistics[:3], np.stack([x[0], 0 * beta, 0 * beta]) + dtype(0))
    dx, dgamma, _ = kernels.batch_norm_backward(x, np.ones_like(x), statistics, gamma)
    assert not dx.any()
    assert not dgamma.any()


@BOTH
def test_what_is_not_finite_stays_in_its_column(dtype):
    x = values_of(dtype, (40, 37), 3)
    clean = kernels.batch_norm_forward(x)[0]
    x[5, 2], x[0, 7], x[9, 11] = np.nan, np.inf, -np.inf
    y = same_result(lambda: kernels.batch_norm_forward(x)[0])
    bad = [2, 7, 11]
    assert np.isnan(y[:, bad]).all()
    assert_same_bits(np.delete(y, bad, axis=1), np.delete(clean, bad, axis=1))


@given(st.integers(0, 70), dtypes, seeds, st.floats(0, 1))
def test_moving_statistics(cols, dtype, seed, momentum):
    x, gap = values_of(dtype, (6, cols), seed), np.zeros(5, dtype)
    statistics = kernels.batch_norm_forward(x)[1]

    def run():
        mean, variance = values_of(dtype, (2, cols), seed + 1)
        mean, variance = np.concatenate([mean, gap]), np.concatenate([variance, gap])
        kernels.moving_statistics_(mean[:cols], variance[:cols], statistics, momentum)
        assert not mean[cols:].any()
        assert not variance[cols:].any()
        return mean[:cols], variance[:cols]

    results = same_result(run)
    before = values_of(dtype, (2, cols), seed + 1).astype(np.float64)
    x64 = x.astype(np.float64)
    new = np.stack([x64.mean(axis=0), x64.var(axis=0)])
    expected = momentum * before + (1 - momentum) * new
    close(np.stack(results), expected, 1 + largest(before, new, x64) ** 2, dtype)


def forward_of(norm):
    return {
        "layer": kernels.layer_norm_forward,
        "rms": kernels.rms_norm_forward,
        "unit": kernels.unit_norm_forward,
    }[norm]


def run_forward(norm, x, gamma, beta, epsilon, out=None):
    """Call the public kernel with as many arguments as it has."""
    given = {"layer": [gamma, beta], "rms": [gamma], "unit": []}[norm]
    options = {} if norm == "unit" else {"epsilon": epsilon}
    return forward_of(norm)(x, *given, out=out, **options)


def run_backward(norm, x, dy, statistics, gamma, out=None):
    if norm == "layer":
        return kernels.layer_norm_backward(x, dy, statistics, gamma, out=out)
    if norm == "rms":
        return kernels.rms_norm_backward(x, dy, statistics, gamma, out=out)
    return (kernels.unit_norm_backward(x, dy, statistics, out=out),)


@given(norms, sizes, sizes, dtypes, seeds, layouts, layouts, either, epsilons)
def test_row_norm_forward(norm, rows, cols, dtype, seed, x_at, y_at, given, epsilon):
    given = {"layer": given, "rms": (given[0], False), "unit": (False, False)}[norm]
    x = Guarded(values_of(dtype, (rows, cols), seed), x_at)
    (gamma, beta), exact = parameters(dtype, cols, seed, given)

    def run():
        y = Guarded(np.zeros((rows, cols), dtype), y_at)
        statistics = run_forward(norm, x.array, gamma, beta, epsilon, y.array)[1]
        y.assert_padding_untouched()
        in_place = x.array.copy()
        run_forward(norm, in_place, gamma, beta, epsilon, in_place)
        assert_same_bits(in_place, y.array)
        return y.array.copy(), statistics

    y, statistics = same_result(run)
    (x64,) = wide(x.array)
    scale = 1 + largest(*exact) * (1 + np.sqrt(max(1, cols)))
    close(y, reference.row_norm(x64, *exact, norm, epsilon), scale, dtype)
    assert statistics.shape == (rows, 3)
    if rows:  # a row does not depend on the others
        alone = run_forward(norm, x.array[-1:], gamma, beta, epsilon)
        assert_same_bits(list(alone), [y[-1:], statistics[-1:]])


@given(norms, sizes, sizes, dtypes, seeds, layouts, layouts, st.booleans(), epsilons)
def test_row_norm_backward(norm, rows, cols, dtype, seed, in_at, out_at, has_gamma, epsilon):
    x = Guarded(values_of(dtype, (rows, cols), seed), in_at)
    dy = Guarded(values_of(dtype, (rows, cols), seed + 1), out_at)
    given = (has_gamma and norm != "unit", False)
    (gamma, _), (gamma64, _) = parameters(dtype, cols, seed, given)
    statistics = run_forward(norm, x.array, gamma, None, epsilon)[1]

    def run():
        dx = Guarded(np.zeros((rows, cols), dtype), out_at)
        results = run_backward(norm, x.array, dy.array, statistics, gamma, dx.array)
        dx.assert_padding_untouched()
        return [dx.array.copy(), *results[1:]]

    results = same_result(run)
    x64, dy64 = wide(x.array, dy.array)
    expected = reference.row_norm_backward(x64, dy64, gamma64, norm, epsilon)
    inverse = largest(wide(statistics)[0][:, 2])
    if inverse > 1e6:  # a row of one element or none: differences of what is equal
        return
    spread = 1 + largest(x64) * inverse
    total = largest(dy64) * max(1, rows, cols)
    close(results[0], expected[0], total * inverse * (1 + largest(gamma64)) * spread**2, dtype)
    for result, exact in zip(results[1:], expected[1:], strict=False):
        close(result, exact, total * spread, dtype)


@given(norms, sizes, sizes, dtypes, seeds)
def test_row_norm_backward_adds_and_leaves_out(norm, rows, cols, dtype, seed):
    x, dy, old = (values_of(dtype, (rows, cols), seed + k) for k in range(3))
    vectors = values_of(dtype, (2, cols), seed + 3)
    gamma = values_of(dtype, (cols,), seed + 4)
    statistics = run_forward(norm, x, gamma, None, 1e-3)[1]

    def plain(dx=True, dgamma=True, dbeta=True):
        made = [np.empty((rows, cols), dtype), *np.empty((2, cols), dtype)]
        wanted = [a if there else None for a, there in zip(made, (dx, dgamma, dbeta), strict=True)]
        _core.row_norm_backward(norm, x, dy, statistics, gamma, *wanted, False)
        return made

    def run():
        dx, (dgamma, dbeta) = old.copy(), vectors.copy()
        _core.row_norm_backward(norm, x, dy, statistics, gamma, dx, dgamma, dbeta, True)
        for k in range(3):
            only = plain(*(k == j for j in range(3)))
            assert_same_bits(only[k], plain()[k])
        return dx, dgamma, dbeta

    for result, before, part in zip(same_result(run), (old, *vectors), plain(), strict=True):
        assert_same_bits(result, before + part)


@NORMS
@given(seed=seeds)
def test_row_norm_backward_against_differences(norm, seed):
    x, dy = (values_of(np.float64, (3, 5), seed + k) for k in range(2))
    gamma, beta = values_of(np.float64, (2, 5), seed + 2)
    statistics = run_forward(norm, x, gamma, beta, 0.1)[1]
    got = run_backward(norm, x, dy, statistics, gamma)
    numeric = (
        central_difference(lambda v: run_forward(norm, v, gamma, beta, 0.1)[0], x, dy),
        central_difference(lambda v: run_forward(norm, x, v, beta, 0.1)[0], gamma, dy),
        central_difference(lambda v: run_forward(norm, x, gamma, v, 0.1)[0], beta, dy),
    )
    for analytic, expected in zip(got, numeric, strict=False):
        np.testing.assert_allclose(analytic, expected, rtol=1e-4, atol=1e-6)


def test_layer_norm_of_large_means():
    rng = np.random.default_rng(1)
    x = (1e4 + 1e-2 * rng.standard_normal((9, 300))).astype(np.float32)
    y, statistics = same_result(lambda: kernels.layer_norm_forward(x, epsilon=1e-6))
    x64 = x.astype(np.float64)
    one = np.ones(300)
    exact = reference.row_norm(x64, one, 0 * one, "layer", 1e-6)
    np.testing.assert_allclose(y, exact, rtol=3e-5, atol=3e-5)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    dx = kernels.layer_norm_backward(x, dy, statistics)[0]
    expected = reference.row_norm_backward(x64, dy.astype(np.float64), one, "layer", 1e-6)[0]
    np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@NORMS
@BOTH
def test_what_is_not_finite_stays_in_its_row(norm, dtype):
    x = values_of(dtype, (5, 37), 3)
    clean = run_forward(norm, x, None, None, 1e-3)[0]
    x[1, 2] = np.nan
    y = same_result(lambda: run_forward(norm, x, None, None, 1e-3)[0])
    assert np.isnan(y[1]).all()
    assert_same_bits(np.delete(y, 1, axis=0), np.delete(clean, 1, axis=0))


@BOTH
def test_unit_norm_of_zeros(dtype):
    x, dy = np.zeros((2, 20), dtype), values_of(dtype, (2, 20), 0)
    y, statistics = kernels.unit_norm_forward(x)
    assert_same_bits(y, x)
    dx = kernels.unit_norm_backward(x, dy, statistics)
    np.testing.assert_allclose(dx, dy * dtype(1e12), rtol=1e-6)


@BOTH
def test_any_rank_is_rows(dtype):
    x, dy = values_of(dtype, (2, 3, 4, 5), 0), values_of(dtype, (2, 3, 4, 5), 1)
    flat, dflat = x.reshape(-1, 5), dy.reshape(-1, 5)
    for forward, backward in (
        (kernels.batch_norm_forward, kernels.batch_norm_backward),
        (kernels.layer_norm_forward, kernels.layer_norm_backward),
    ):
        y, statistics = forward(x)
        expected, same = forward(flat)
        assert_same_bits([y.reshape(-1, 5), statistics], [expected, same])
        dx = backward(x, dy, statistics)[0]
        assert_same_bits(dx.reshape(-1, 5), backward(flat, dflat, statistics)[0])
