"""Losses and accuracies: values, gradients, extremes, targets of both kinds, memory written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onepass import _core, _formulas, kernels, losses
from onepass._checks import HYPER_RANGES
from reference import losses as reference
from reference.activations import sigmoid, softmax
from reference.reduce import row_accuracy
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

BY_ROWS = sorted(n for n, f in _formulas.LOSSES.items() if not f.whole_batch)
names = st.sampled_from(BY_ROWS)
row_wise_names = st.sampled_from(sorted(n for n, f in _formulas.LOSSES.items() if f.row_wise))
smoothings = st.sampled_from((0.0, 0.1, 1.0))
rows = st.sampled_from(SIZES)
classes = st.sampled_from(SIZES[1:])
NOT_MEANS = ("kl_divergence", "cosine_similarity", "categorical_hinge")
TOPS = ("top_k_categorical", "sparse_top_k_categorical")
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def data(name: str, shape: tuple[int, ...], dtype: type, seed: int) -> tuple[NDArray, NDArray]:
    """Return a target and a prediction as the loss reads them."""
    rng = np.random.default_rng(seed)
    entry = _formulas.LOSSES[name]
    prediction = rng.standard_normal(shape) * rng.choice([0.1, 1.0, 10.0])
    if entry.prediction == "probability":
        prediction = rng.uniform(0.01, 0.99, shape)
    target = rng.standard_normal(shape) if entry.prediction == "linear" else rng.random(shape)
    if entry.prediction == "positive":
        prediction = np.abs(prediction) + 0.01
        target = rng.poisson(3.0, shape).astype(float)
    if entry.prediction == "margin":
        target = rng.choice([[-1.0, 1.0], [0.0, 1.0]][seed % 2], shape)
    if name == "mean_absolute_percentage_error":
        target = np.copysign(np.maximum(np.abs(target), 0.1), target)  # its inverse is a factor
    if (entry.row_wise and seed % 2) or name == "categorical_hinge":
        target = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    return target.astype(dtype), prediction.astype(dtype)


def hyper_of(name: str, smoothing: float) -> dict[str, float]:
    """Return the smoothing, and the other hyper-parameters at or beside their defaults."""
    return {
        key: smoothing if key == "label_smoothing" else HYPER_RANGES[key].default + smoothing / 2
        for key in _formulas.LOSSES[name].hyper
    }


def expected_of(name: str, target: NDArray, prediction: NDArray, **hyper: float):
    wide = target.astype(np.float64), prediction.astype(np.float64)
    return reference.LOSSES[name](*wide, **hyper)


def call(name: str, target: Guarded, prediction: Guarded, at, weights, scale, **hyper):
    """Call the kernel itself, with guarded outputs; return values, gradient, probabilities."""
    entry = _formulas.LOSSES[name]
    zeros = np.zeros_like(prediction.array)
    values, gradient = Guarded(zeros[..., 0].copy(), at), Guarded(zeros, at)
    probabilities = Guarded(zeros, at) if entry.prediction in ("softmax", "sigmoid") else None
    sparse = target.array.dtype == np.int32
    _core.loss(
        entry.id,
        [hyper[h] for h in entry.hyper],
        target.array if sparse else target.rows,
        sparse,
        prediction.rows,
        weights,
        values.array,
        gradient.rows,
        None if probabilities is None else probabilities.rows,
        scale,
    )
    outputs = [values, gradient] + ([] if probabilities is None else [probabilities])
    for guarded in outputs:
        guarded.assert_padding_untouched()
    return [guarded.array.copy() for guarded in outputs]


@given(names, rows, classes, dtypes, seeds, smoothings, layouts, layouts, st.booleans())
def test_values_and_gradients(name, n, c, dtype, seed, smoothing, in_at, out_at, weighted) -> None:
    target, prediction = (Guarded(a, in_at) for a in data(name, (n, c), dtype, seed))
    hyper = hyper_of(name, smoothing)
    weights = values_of(dtype, (n,), seed) if weighted else None
    outputs = same_result(lambda: call(name, target, prediction, out_at, weights, 0.25, **hyper))
    values, slopes = expected_of(name, target.array, prediction.array, **hyper)
    largest = np.abs(prediction.array).max(axis=-1, initial=1.0).astype(np.float64)
    mass = np.maximum(1.0, np.abs(target.array).sum(-1, dtype=np.float64) + smoothing)
    assert_close(outputs[0], values, ulps=8 + c / 8, absolute=4 * largest * mass)
    factor = 0.25 * (np.ones(n) if weights is None else weights.astype(np.float64))
    bound = (8 + c / 8) * np.abs(factor) * largest * mass
    if _formulas.LOSSES[name].prediction == "probability":
        bound *= 100.0  # 1 / p and 1 / (1 - p), p from 0.01 to 0.99
    if _formulas.LOSSES[name].prediction == "positive":
        bound *= 100.0 * (1.0 + target.array.max(axis=-1, initial=1.0))  # y / p, p from 0.01
    assert_close(outputs[1], factor[:, None] * slopes, ulps=8, absolute=bound[:, None])
    if len(outputs) == 3:
        logistic = softmax if _formulas.LOSSES[name].prediction == "softmax" else sigmoid
        exact = logistic(prediction.array.astype(np.float64))
        assert_close(outputs[2], exact, absolute=2 * largest[:, None])

    probabilities = np.empty((n, c), dtype) if len(outputs) == 3 else None
    public = kernels.loss(
        target.array,
        prediction.array,
        name,
        weights=weights,
        scale=0.25,
        probabilities=probabilities,
        **hyper,
    )
    got = [*public] if probabilities is None else [*public, probabilities]
    assert_same_bits(got, outputs)


@given(row_wise_names, rows, classes, dtypes, seeds, smoothings, layouts)
def test_class_indices_equal_one_hot(name, n, c, dtype, seed, smoothing, at) -> None:
    _, prediction = data(name, (n, c), dtype, seed)
    index = np.random.default_rng(seed).integers(0, c, n)
    one_hot = np.eye(c, dtype=dtype)[index]
    hyper = hyper_of(name, smoothing)
    guarded = Guarded(prediction, at)
    sparse = same_result(lambda: kernels.loss(index, guarded.array, name, **hyper))
    dense = kernels.loss(one_hot, guarded.array, name, **hyper)
    assert_close(sparse[0], dense[0], ulps=16, absolute=16)
    assert_same_bits(sparse[1], dense[1])
    column = kernels.loss(index[:, None].astype(np.uint8), guarded.array, name, **hyper)
    assert_same_bits(column, sparse)


@given(names, seeds, smoothings)
def test_gradient_against_differences(name, seed, smoothing) -> None:
    target, prediction = data(name, (3, 4), np.float64, seed)
    hyper = hyper_of(name, smoothing)
    _, gradient = kernels.loss(target, prediction, name, **hyper)
    numeric = central_difference(
        lambda p: kernels.loss(target, p, name, **hyper)[0], prediction, np.ones(3)
    )
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BY_ROWS)
@BOTH
def test_large_and_any_rank(name, dtype) -> None:
    target, prediction = data(name, (300, 4, 257), dtype, 0)
    weights = values_of(dtype, (300, 4), 1)
    values, gradient = same_result(lambda: kernels.loss(target, prediction, name, weights=weights))
    assert values.shape == (300, 4)
    one = kernels.loss(target[7, 2], prediction[7, 2], name, weights=weights[7, 2])
    assert one[0].shape == ()
    assert_same_bits(one, (values[7, 2], gradient[7, 2]))


def one_row(name: str, dtype: type, target: list[float], prediction: list[float]):
    arrays = np.array([target], dtype), np.array([prediction], dtype)
    values, gradient = same_result(lambda: kernels.loss(*arrays, name))
    return values[0], gradient[0]


@BOTH
def test_extreme_logits_are_finite(dtype) -> None:
    for z in (1e2, 1e4, 1e30):
        value, gradient = one_row(
            "categorical_crossentropy_from_logits", dtype, [0, 1, 0], [z, -z, 0]
        )
        assert value == pytest.approx(2 * z, rel=1e-6)
        np.testing.assert_allclose(gradient, [1, -1, 0], rtol=0, atol=1e-40)
        value, _ = one_row("categorical_crossentropy_from_logits", dtype, [1, 0], [z, -z])
        assert value == 0
        value, gradient = one_row(
            "binary_crossentropy_from_logits", dtype, [0, 1, 1, 0], [z, -z, z, -z]
        )
        assert value == pytest.approx(z / 2, rel=1e-6)
        np.testing.assert_allclose(gradient, [0.25, -0.25, 0, 0], rtol=0, atol=1e-40)


@BOTH
def test_infinite_logits_with_the_right_label_cost_nothing(dtype) -> None:
    inf = np.inf
    value, gradient = one_row("binary_crossentropy_from_logits", dtype, [1, 0], [inf, -inf])
    assert (value, *gradient) == (0, 0, 0)
    value, gradient = one_row("categorical_crossentropy_from_logits", dtype, [1, 0], [0, -inf])
    assert (value, *gradient) == (0, 0, 0)
    assert one_row("categorical_crossentropy_from_logits", dtype, [0, 1], [0, -inf])[0] == inf


@BOTH
def test_impossible_probabilities_are_clipped(dtype) -> None:
    for name, prediction in (
        ("binary_crossentropy", [1.0, 0.0]),
        ("categorical_crossentropy", [1.0, 0.0]),
    ):
        value, gradient = one_row(name, dtype, [0, 1], prediction)
        # In float32 1 - 1e-7 is 1 - 2^-23, so the costs are those of 1.19e-7.
        assert value == pytest.approx(-np.log(1e-7), rel=0.02)
        assert np.isfinite(gradient).all()
    assert one_row("binary_crossentropy", dtype, [0, 1], [1.0, 0.0])[1].tolist() == [0, 0]


@BOTH
def test_far_predictions_do_not_overflow(dtype) -> None:
    tiny = float(np.finfo(dtype).eps)
    for far in (1e5, 1e30):
        value, gradient = one_row("log_cosh", dtype, [0, 0], [far, -far])
        assert value == pytest.approx(far - np.log(2), rel=4 * tiny)
        assert gradient.tolist() == [0.5, -0.5]
        value, gradient = one_row("huber", dtype, [far, 0], [0, far])
        assert value == pytest.approx(far - 0.5, rel=4 * tiny)
        assert gradient.tolist() == [-0.5, 0.5]
        for name in ("hinge", "squared_hinge", "perceptron"):
            assert one_row(name, dtype, [1, 0], [far, -far])[0] == 0
        value, gradient = one_row(
            "binary_focal_crossentropy_from_logits", dtype, [0, 1, 1, 0], [far, -far, far, -far]
        )
        assert value == pytest.approx(far / 2, rel=4 * tiny)
        np.testing.assert_allclose(gradient, [0.25, -0.25, 0, 0], rtol=0, atol=1e-40)


@BOTH
def test_log_cosh_is_exact_near_zero(dtype) -> None:
    for e in (1e-3, 1e-8):
        value, gradient = one_row("log_cosh", dtype, [0], [e])
        assert value == pytest.approx(float(dtype(e)) ** 2 / 2, rel=1e-6)
        assert gradient[0] == pytest.approx(e, rel=1e-6)


@BOTH
def test_slopes_at_the_kinks(dtype) -> None:
    for name, target, prediction, slope in (
        ("mean_absolute_error", 0.5, 0.5, 0),
        ("mean_absolute_percentage_error", 0.5, 0.5, 0),
        ("quantile", 0.5, 0.5, 0),
        ("huber", 0, 1, 1),
        ("hinge", 1, 1, 0),
        ("squared_hinge", -1, -1, 0),
        ("perceptron", 1, 0, -1),
        ("perceptron", 0, 0, 1),
    ):
        assert one_row(name, dtype, [target], [prediction])[1].tolist() == [slope], name


@BOTH
def test_cosine_similarity_of_nothing_and_of_small_rows(dtype) -> None:
    value, gradient = one_row("cosine_similarity", dtype, [1, 0], [0, 0])
    assert value == 0
    np.testing.assert_allclose(gradient, [-1e7, 0], rtol=1e-6)
    value, gradient = one_row("cosine_similarity", dtype, [0, 0], [3, 4])
    assert (value, *gradient) == (0, 0, 0)
    value, gradient = one_row("cosine_similarity", dtype, [1e-4, 0], [3e-4, 4e-4])
    assert value == pytest.approx(-0.6, rel=1e-6)
    np.testing.assert_allclose(gradient, [-1280, 960], rtol=1e-5)


@BOTH
def test_largest_scores_share_the_slope_of_categorical_hinge(dtype) -> None:
    value, gradient = one_row("categorical_hinge", dtype, [0, 1, 0, 0], [2, 1, 2, 1])
    assert (value, *gradient) == (2, 0.5, -1, 0.5, 0)
    value, gradient = one_row("categorical_hinge", dtype, [0, 1, 0, 0], [2, 3, 2, 1])
    assert (value, *gradient) == (0, 0, 0, 0, 0)


@BOTH
def test_clipped_predictions_have_no_slope(dtype) -> None:
    for name, prediction in (
        ("kl_divergence", [0.0, 1.5]),
        ("mean_squared_logarithmic_error", [0.0, -3.0]),
    ):
        value, gradient = one_row(name, dtype, [0.5, 0.5], prediction)
        assert np.isfinite(value)
        assert gradient.tolist() == [0, 0]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@BOTH
def test_focal_crossentropy_without_a_wrong_share(dtype, gamma) -> None:
    for name, p in (
        ("binary_focal_crossentropy", [1.0, 0.0]),
        ("binary_focal_crossentropy_from_logits", [1e4, -1e4]),
    ):
        arrays = np.array([[1, 0]], dtype), np.array([p], dtype)
        values, gradient = same_result(
            lambda name=name, arrays=arrays: kernels.loss(*arrays, name, gamma=gamma)
        )
        assert values[0] == pytest.approx(0, abs=2e-7)
        assert np.abs(gradient).max() < 1e-6


@given(names, st.integers(1, 40), dtypes, seeds)
def test_nan_shows_in_its_row_only(name, c, dtype, seed) -> None:
    target, prediction = data(name, (3, c), dtype, seed)
    prediction[1, seed % c] = np.nan
    for t in (target, np.full(3, seed % c)) if _formulas.LOSSES[name].row_wise else (target,):
        values, gradient = same_result(lambda t=t: kernels.loss(t, prediction, name))
        assert np.isnan(values).tolist() == [False, True, False]
        assert np.isnan(gradient[1, seed % c])
        assert np.isfinite(gradient[[0, 2]]).all()


@given(names, dtypes, seeds, st.integers(1, 40), smoothings)
def test_gradient_may_overwrite_the_prediction(name, dtype, seed, c, smoothing) -> None:
    target, prediction = data(name, (5, c), dtype, seed)
    entry = _formulas.LOSSES[name]
    hyper = hyper_of(name, smoothing)
    _, gradient = kernels.loss(target, prediction, name, **hyper)

    def run() -> NDArray:
        both = prediction.copy()
        values = np.empty(5, dtype)
        numbers = [hyper[h] for h in entry.hyper]
        _core.loss(entry.id, numbers, target, False, both, None, values, both, None, 1.0)
        return both

    assert_same_bits(same_result(run), gradient)


def test_no_elements() -> None:
    for name, entry in _formulas.LOSSES.items():
        empty = np.empty((0, 3), np.float32)
        values, gradient = kernels.loss(empty, empty, name)
        assert (values.shape, gradient.shape) == ((0,), (0, 3))
        if not entry.row_wise:
            none = np.empty((2, 0), np.float32)
            expected = 0.0 if name in NOT_MEANS else 1.0 if "tversky" in name else np.nan
            np.testing.assert_array_equal(kernels.loss(none, none, name)[0], [expected] * 2)


@given(
    st.sampled_from(("binary", "equal", "categorical", "sparse_categorical", *TOPS)),
    rows,
    classes,
    st.integers(1, 6),
    dtypes,
    seeds,
    layouts,
)
def test_row_accuracy(kind, n, c, k, dtype, seed, at) -> None:
    rng = np.random.default_rng(seed)
    # few distinct numbers, so that ties occur: the first place wins
    prediction = Guarded(rng.integers(0, 4, (n, c)).astype(dtype) / 4, at)
    if n and kind in TOPS:
        prediction.array[seed % n, seed % c] = np.nan
    if kind.startswith("sparse"):
        target = rng.integers(0, c, n)
    elif kind in ("binary", "equal"):
        target = rng.integers(0, 2, (n, c)).astype(dtype)
    else:
        target = rng.random((n, c)).astype(dtype)
    got = same_result(lambda: kernels.row_accuracy(target, prediction.array, kind, 0.25, k))
    assert_close(got, row_accuracy(target, prediction.array, kind, 0.25, k), ulps=1)


def test_row_accuracy_takes_nan_as_numpy_does() -> None:
    prediction = np.array([[1, np.nan, 2], [np.nan, 3, np.nan]], np.float32)
    target = np.argmax(prediction, axis=-1)
    assert kernels.row_accuracy(target, prediction, "sparse_categorical").tolist() == [1, 1]
    assert kernels.row_accuracy(prediction[:0], prediction[:0]).shape == (0,)


def test_large_row_accuracy() -> None:
    rng = np.random.default_rng(0)
    prediction, target = rng.random((20_000, 100)), rng.integers(0, 100, 20_000)
    got = same_result(lambda: kernels.row_accuracy(target, prediction, "sparse_categorical"))
    assert_same_bits(got, row_accuracy(target, prediction, "sparse_categorical", 0.5))


def test_a_loss_takes_targets_without_their_one_column() -> None:
    truth, guess = np.float32([1, 2, 4]), np.float32([[1], [3], [2]])
    assert losses.MeanAbsoluteError()(truth, guess) == 1.0
    assert losses.MeanAbsoluteError()(truth[:, None], guess) == 1.0


@given(rows, classes, dtypes, seeds, layouts, st.booleans(), st.booleans())
def test_losses_of_a_whole_batch(n, c, dtype, seed, at, weighted, in_place) -> None:
    target, prediction = data("tversky_of_batch", (n, c), dtype, seed)
    weights = values_of(dtype, (n,), seed) if weighted else None
    hyper = {"missed": 0.3, "false_alarms": 0.9, "epsilon": 1e-7}
    entry = _formulas.LOSSES["tversky_of_batch"]

    def run():
        given, out = Guarded(prediction, at), Guarded(np.zeros_like(prediction), at)
        out = given if in_place else out
        values = np.empty(n, dtype)
        numbers = [hyper[h] for h in entry.hyper]
        arrays = target, False, given.rows, weights, values, out.rows, None, 0.25
        _core.loss(entry.id, numbers, *arrays)
        out.assert_padding_untouched()
        return values, out.array.copy()

    values, gradient = same_result(run)
    expected, slopes = expected_of("tversky_of_batch", target, prediction, **hyper)
    assert_close(values, expected, ulps=8 + c)
    factor = 0.25 * (n if weights is None else weights.astype(np.float64).sum())
    # sums of a row are in the array's type
    assert_close(gradient, factor * slopes, ulps=16 + 2 * c, absolute=4 * n)


def test_gradient_of_a_whole_batch_against_differences() -> None:
    target, prediction = data("tversky_of_batch", (3, 4), np.float64, 1)
    weights = np.array([0.5, 2.0, 0.0])
    _, gradient = kernels.loss(target, prediction, "tversky_of_batch", weights=weights, scale=0.5)
    numeric = central_difference(
        lambda p: kernels.loss(target, p, "tversky_of_batch")[0], prediction, 0.5 * weights
    )
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-9)


@BOTH
def test_generalized_crossentropy_of_an_impossible_target_is_finite(dtype) -> None:
    value, gradient = one_row("categorical_generalized_crossentropy", dtype, [0, 1], [1.0, 0.0])
    assert value == 2.0
    assert gradient.tolist() == [0, pytest.approx(-(1e-7**-0.5), rel=1e-6)]


@BOTH
def test_extreme_logits_of_the_focal_crossentropy(dtype) -> None:
    name = "categorical_focal_crossentropy_from_logits"
    for z in (1e2, 1e4, 1e30):
        value, gradient = one_row(name, dtype, [0, 1, 0], [z, -z, 0])
        assert value == pytest.approx(0.25 * 2 * z, rel=1e-6)
        np.testing.assert_allclose(gradient, [0.25, -0.25, 0], rtol=1e-6, atol=1e-40)
        value, gradient = one_row(name, dtype, [1, 0], [z, -z])
        assert value == 0
        np.testing.assert_allclose(gradient, [0, 0], rtol=0, atol=1e-40)
