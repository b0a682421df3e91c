"""Activations and softmax: values, derivatives, special values, equality of all backends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onepass import _core, _formulas, activations, kernels
from reference.activations import ACTIVATIONS, softmax, softmax_backward
from strategies import (
    HYPER,
    Guarded,
    assert_close,
    assert_same_bits,
    away_from_zero,
    central_difference,
    dtypes,
    layouts,
    same_result,
    seeds,
    sizes,
    special_values,
    values_of,
)

names = st.sampled_from(sorted(ACTIVATIONS))
shapes = st.one_of(
    st.tuples(sizes, sizes), st.tuples(sizes), st.just(()), st.tuples(st.just(2), sizes, sizes)
)
# In epsilons of max(|x|, 1): the others are right in relative terms.
CANCELLING = ("gelu", "gelu_tanh", "silu", "mish", "tanh_shrink", "relu_general", "soft_shrink")
ABSOLUTE = dict.fromkeys(CANCELLING, 2.0)
# In relative epsilons, where not 2.
ULPS = {"selu": 3.0, "hard_silu": 3.0, "softplus": 3.0, "log_sigmoid": 3.0, "mish": 4.0}
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def input_of(name: str, x: NDArray) -> NDArray | None:
    """Return x where the derivative reads it."""
    return x if _formulas.ACTIVATIONS[name].needs_input else None


@given(names, shapes.filter(len), dtypes, seeds, layouts, layouts, st.booleans())
def test_forward(name, shape, dtype, seed, x_at, y_at, special) -> None:
    hyper = HYPER.get(name, {})
    x = Guarded(values_of(dtype, shape, seed, special=special), x_at)

    def run() -> NDArray:
        y = Guarded(np.zeros(shape, dtype), y_at)
        assert kernels.activation_forward(x.array, name, out=y.array, **hyper) is y.array
        y.assert_padding_untouched()
        return y.array.copy()

    y = same_result(run)
    absolute = ABSOLUTE.get(name, 0.0)
    with np.errstate(all="ignore"):
        wide = x.array.astype(np.float64)
        bound = np.where(np.isfinite(wide), absolute * np.maximum(np.abs(wide), 1.0), 0.0)
        expected = ACTIVATIONS[name].value(wide, **hyper)
        assert_close(y, expected, ulps=ULPS.get(name, 2.0), absolute=bound)
    assert_same_bits(np.isnan(x.array), np.isnan(y))


@given(names, shapes.filter(len), dtypes, seeds, layouts, layouts, st.booleans())
def test_backward(name, shape, dtype, seed, in_at, out_at, special) -> None:
    hyper = HYPER.get(name, {})
    x = values_of(dtype, shape, seed)
    y = Guarded(kernels.activation_forward(x, name, **hyper), in_at)
    given_x = input_of(name, Guarded(x, in_at).array)
    dy = Guarded(values_of(dtype, shape, seed + 1, special=special), in_at)

    def run() -> NDArray:
        dx = Guarded(np.zeros(shape, dtype), out_at)
        kernels.activation_backward(y.array, dy.array, name, x=given_x, out=dx.array, **hyper)
        dx.assert_padding_untouched()
        return dx.array.copy()

    dx = same_result(run)
    # From a rounded y the derivative is right absolutely, not relatively (SPEC 2: 2^-21).
    with np.errstate(all="ignore"):
        bound = 4.0 * np.abs(dy.array.astype(np.float64))
        slope = ACTIVATIONS[name].derivative(x.astype(np.float64), **hyper)
        expected = dy.array * slope
        # sigmoid and tanh round to a slope of 0 before the exact one does
        known = np.isfinite(dy.array) | (slope > 1e-3)
    assert_close(dx[known], expected[known], absolute=bound[known])


@given(names, shapes, dtypes, seeds)
def test_accumulate(name, shape, dtype, seed) -> None:
    hyper = HYPER.get(name, {})
    entry = _formulas.ACTIVATIONS[name]
    if len(shape) not in (1, 2):
        shape = (3, 5)
    y, dy, old, x = (values_of(dtype, shape, seed + k) for k in range(4))
    given_x = input_of(name, x)

    def run() -> NDArray:
        dx = old.copy()
        numbers = [hyper[h] for h in entry.hyper]
        _core.activation_backward(given_x, y, dy, dx, entry.id, numbers, True)
        return dx

    plain = kernels.activation_backward(y, dy, name, x=given_x, **hyper)
    assert_same_bits(same_result(run), old + plain)


@given(names, seeds)
def test_derivative_against_differences(name, seed) -> None:
    hyper = HYPER.get(name, {})
    x = away_from_zero(values_of(np.float64, (3, 4), seed))
    dy = values_of(np.float64, (3, 4), seed + 1)
    y = kernels.activation_forward(x, name, **hyper)
    numeric = central_difference(lambda v: kernels.activation_forward(v, name, **hyper), x, dy)
    analytic = kernels.activation_backward(y, dy, name, x=input_of(name, x), **hyper)
    np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-8)


@BOTH
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_in_place_and_large_give_the_same(name, dtype) -> None:
    x, dy = values_of(dtype, (130, 2003), 0, special=True), values_of(dtype, (130, 2003), 1)

    def run() -> list[NDArray]:
        y = kernels.activation_forward(x, name)
        dx = kernels.activation_backward(y, dy, name, x=input_of(name, x))
        in_place, gradient = x.copy(), dy.copy()
        kernels.activation_forward(in_place, name, out=in_place)
        kernels.activation_backward(y, gradient, name, x=input_of(name, x), out=gradient)
        assert_same_bits([in_place, gradient], [y, dx])
        assert_same_bits(kernels.activation_forward(x[:, :100], name), y[:, :100])
        return [y, dx]

    with np.errstate(invalid="ignore"):
        same_result(run)


@BOTH
def test_derivative_at_the_kink_is_that_of_the_left(dtype) -> None:
    for x in (np.zeros(1, dtype), -np.zeros(1, dtype)):
        one = np.ones(1, dtype)
        for name, slope in (("relu", 0.0), ("leaky_relu", 0.3)):
            y = kernels.activation_forward(x, name, **HYPER.get(name, {}))
            dx = kernels.activation_backward(y, one, name, **HYPER.get(name, {}))
            assert dx[0] == dtype(slope)


@given(shapes.filter(len), dtypes, seeds, layouts, layouts)
def test_softmax(shape, dtype, seed, x_at, y_at) -> None:
    x = Guarded(values_of(dtype, shape, seed) * dtype(5), x_at)

    def run() -> NDArray:
        y = Guarded(np.zeros(shape, dtype), y_at)
        kernels.softmax(x.array, out=y.array)
        y.assert_padding_untouched()
        in_place = x.array.copy()
        assert_same_bits(kernels.softmax(in_place, out=in_place), y.array)
        return y.array.copy()

    y = same_result(run)
    if y.size:
        ulps = 8 + 2 * np.ptp(x.array)  # x - max is rounded before the exponential
        assert_close(y, softmax(x.array.astype(np.float64)), ulps=float(ulps))
        np.testing.assert_allclose(y.sum(axis=-1), 1.0, rtol=1e-5)


@given(shapes.filter(len), dtypes, seeds, layouts, layouts)
def test_softmax_backward(shape, dtype, seed, in_at, out_at) -> None:
    y = Guarded(kernels.softmax(values_of(dtype, shape, seed)), in_at)
    dy = Guarded(values_of(dtype, shape, seed + 1), out_at)

    def run() -> NDArray:
        dx = Guarded(np.zeros(shape, dtype), out_at)
        kernels.softmax_backward(y.array, dy.array, out=dx.array)
        dx.assert_padding_untouched()
        in_place = dy.array.copy()
        assert_same_bits(kernels.softmax_backward(y.array, in_place, out=in_place), dx.array)
        rows = dx.rows.copy()
        old = rows.copy()
        _core.softmax_backward(y.rows, dy.rows, rows, True)
        assert_same_bits(rows, old + dx.rows)
        return dx.array.copy()

    dx = same_result(run)
    if dx.size:
        expected = softmax_backward(y.array.astype(np.float64), dy.array.astype(np.float64))
        largest = np.abs(dy.array).max(axis=-1, keepdims=True).astype(np.float64)
        assert_close(dx, expected, absolute=8 * largest * y.array)


@given(seeds)
def test_softmax_backward_against_differences(seed) -> None:
    x, dy = values_of(np.float64, (2, 5), seed), values_of(np.float64, (2, 5), seed + 1)
    dx = kernels.softmax_backward(kernels.softmax(x), dy)
    numeric = central_difference(kernels.softmax, x, dy)
    np.testing.assert_allclose(dx, numeric, rtol=1e-6, atol=1e-8)


@BOTH
def test_softmax_at_extremes(dtype) -> None:
    x = np.array([[1000.0, -1000.0], [-1e30, -1e30], [0.0, -np.inf], [1e4, 1e4]], dtype)
    y = same_result(lambda: kernels.softmax(x))
    assert_same_bits(y, np.array([[1, 0], [0.5, 0.5], [1, 0], [0.5, 0.5]], dtype))
    bad = np.array([[np.nan, 1, 2], [1, 2, np.nan], [np.inf, 0, 1], [-np.inf] * 3], dtype)
    assert np.isnan(same_result(lambda: kernels.softmax(bad)))[[0, 1, 3]].all()
    assert np.isnan(kernels.softmax(bad)[2, 0])


# Values and derivatives at -inf and +inf.
ENDS = {
    "relu_general": (-np.inf, 2.0),
    "relu6": (0.0, 6.0),
    "elu": (-0.7, np.inf),
    "selu": (-1.7580993408473769, np.inf),
    "celu": (-1.5, np.inf),
    "softsign": (-1.0, 1.0),
    "log_sigmoid": (-np.inf, 0.0),
    "threshold": (2.0, np.inf),
}
ENDS |= dict.fromkeys(("sigmoid", "hard_sigmoid", "sparse_sigmoid", "heaviside"), (0.0, 1.0))
ENDS |= dict.fromkeys(("tanh", "hard_tanh", "sign"), (-1.0, 1.0))
ENDS |= dict.fromkeys(("relu", "gelu", "gelu_tanh", "silu", "hard_silu", "mish"), (0.0, np.inf))
ENDS |= dict.fromkeys(("softplus", "squareplus", "exponential", "sparse_plus"), (0.0, np.inf))
SLOPES = {
    "leaky_relu": (0.3, 1.0),
    "relu_general": (0.1, 0.0),
    "selu": (0.0, 1.0507009873554805),
    "log_sigmoid": (1.0, 0.0),
    "exponential": (0.0, np.inf),
}
SLOPES |= dict.fromkeys(("linear", "hard_shrink", "soft_shrink", "tanh_shrink"), (1.0, 1.0))
FLAT = {"sigmoid", "tanh", "hard_sigmoid", "hard_tanh", "sparse_sigmoid", "softsign", "relu6"}
FLAT |= {"heaviside", "sign"}
SLOPES |= dict.fromkeys(FLAT, (0.0, 0.0))
SMOOTH = {"sigmoid", "tanh", "gelu", "gelu_tanh", "silu", "mish", "softplus", "log_sigmoid"}
SMOOTH |= {"squareplus", "softsign", "exponential", "elu", "selu", "celu", "tanh_shrink"}


@BOTH
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_special_values(name, dtype) -> None:
    hyper = HYPER.get(name, {})
    x = special_values(dtype)
    y = same_result(lambda: kernels.activation_forward(x, name, **hyper))
    assert_same_bits(np.isnan(x), np.isnan(y))
    low, high = (dtype(end) for end in ENDS.get(name, (-np.inf, np.inf)))
    assert (y[x == np.inf], y[x == -np.inf]) == (high, low)
    dx = kernels.activation_backward(y, np.ones_like(y), name, x=input_of(name, x), **hyper)
    low, high = (dtype(slope) for slope in SLOPES.get(name, (0.0, 1.0)))
    assert dx[x == np.inf] == high
    assert abs(dx[x == -np.inf] - low) <= np.finfo(dtype).eps
    assert not np.isnan(dx[~np.isnan(x)]).any()
    if name in SMOOTH:
        assert np.isnan(dx[np.isnan(x)]).all()


@BOTH
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_right_from_end_to_end(name, dtype) -> None:
    """Densely around 0, where they bend, and to where exponentials vanish or overflow."""
    hyper = HYPER.get(name, {})
    x = np.concatenate([np.linspace(-8, 8, 4003), np.linspace(-800, 800, 4003)]).astype(dtype)
    x = np.concatenate([x, np.array([1e4, -1e4, 1e30, -1e30], dtype)])
    y = same_result(lambda: kernels.activation_forward(x, name, **hyper))
    one, given_x = np.ones_like(x), input_of(name, x)
    dx = same_result(lambda: kernels.activation_backward(y, one, name, x=given_x, **hyper))
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        bound = ABSOLUTE.get(name, 0.0) * np.maximum(np.abs(wide), 1.0)
        expected = ACTIVATIONS[name].value(wide, **hyper)
        assert_close(y, expected, ulps=ULPS.get(name, 2.0), absolute=bound)
        slope = ACTIVATIONS[name].derivative(wide, **hyper)
    assert_close(dx, slope, ulps=4 if name == "exponential" else 0, absolute=4.0)


@BOTH
@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelu_is_right_everywhere(name, dtype) -> None:
    """Both sides of the places where its parts end, zeros and their signs included."""
    places = np.concatenate([np.linspace(-40, 40, 8001), np.linspace(-6, 6, 6000), [0.0, -0.0]])
    x = np.concatenate([places, special_values(dtype)[1:]]).astype(dtype)
    y = same_result(lambda: kernels.activation_forward(x, name))
    one = np.ones_like(x)
    dx = same_result(lambda: kernels.activation_backward(y, one, name, x=x))
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        bound = np.where(np.isfinite(wide), 2.0 * np.maximum(np.abs(wide), 1.0), 0.0)
        assert_close(y, ACTIVATIONS[name].value(wide), ulps=2, absolute=bound)
        assert_close(dx, ACTIVATIONS[name].derivative(wide), absolute=4.0, ulps=0)
    zeros = np.array([0.0, -0.0], dtype)
    assert_same_bits(kernels.activation_forward(zeros, name), zeros)


def test_gelu_in_python() -> None:
    x = np.linspace(-3, 3, 11)
    for approximate, name in ((False, "gelu"), (True, "gelu_tanh")):
        y = activations.gelu(x, approximate=approximate)
        np.testing.assert_allclose(y, ACTIVATIONS[name].value(x), rtol=1e-13, atol=1e-15)
    assert activations.get("gelu") is activations.gelu
    assert_same_bits(activations.gelu(x), kernels.activation_forward(x, "gelu"))


def test_denormals_are_kept_when_asked_for() -> None:
    x = np.array([1e-40, -1e-40], np.float32)
    assert_same_bits(kernels.activation_forward(x, "leaky_relu", negative_slope=1), 0 * x)
    _core.set_flush_denormals(False)
    assert_same_bits(kernels.activation_forward(x, "leaky_relu", negative_slope=1), x)
