"""RReLU: slopes, their moments, gradients through the slopes that were drawn, inference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import Input, Sequential, _core, kernels, layers, utils
from onepass.engine.ops import RandomReluOp
from reference.noise import slopes
from strategies import (
    Guarded,
    assert_close,
    assert_same_bits,
    every_backend,
    layouts,
    same_result,
    special_values,
    values_of,
)

KEY = (0x12345678, 0x9ABCDEF0)
LIMITS = (1 / 8, 1 / 3)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@given(
    st.tuples(st.integers(0, 5), st.integers(0, 200)),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([LIMITS, (0.0, 0.0), (0.0, 0.5), (0.3, 2.0)]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**33),
    layouts,
)
def test_against_the_reference(shape, dtype, limits, draw, first, at):
    values, dy = values_of(dtype, shape, 0), values_of(dtype, shape, 1)
    place = {"draw": draw, "first": first}
    slope = np.where(values > 0, 1.0, slopes(shape, *limits, KEY, **place))

    def run():
        x, y, dx = (Guarded(values, at) for _ in range(3))
        assert kernels.rrelu(x.array, KEY, *limits, **place, out=y.array) is y.array
        given = Guarded(dy, at)
        kernels.rrelu_backward(y.array, given.array, KEY, *limits, **place, out=dx.array)
        for each in (x, y, dx):
            each.assert_padding_untouched()
        return y.array.copy(), dx.array.copy()

    y, dx = same_result(run)
    assert_close(y, values * slope, ulps=2)
    assert_close(dx, dy * slope, ulps=2)


@DTYPES
def test_a_batch_is_a_part_of_its_epoch_and_samples_are_one_run_of_units(dtype):
    x = values_of(dtype, (50, 3, 5, 9), 0)
    whole = kernels.rrelu(x, KEY, draw=7)
    parts = [kernels.rrelu(x[a:b], KEY, draw=7, first=a) for a, b in ((0, 17), (17, 50))]
    assert_same_bits(np.concatenate(parts), whole)
    assert_same_bits(kernels.rrelu(x.reshape(50, -1), KEY, draw=7).reshape(x.shape), whole)
    assert (kernels.rrelu(x, KEY, draw=8) != whole).any()
    dx = kernels.rrelu_backward(whole, x, KEY, draw=7)
    inside, dy, y = x.copy(), x.copy(), whole.copy()
    assert_same_bits(kernels.rrelu(inside, KEY, draw=7, out=inside), whole)
    assert_same_bits(kernels.rrelu_backward(whole, dy, KEY, draw=7, out=dy), dx)
    assert_same_bits(kernels.rrelu_backward(y, x, KEY, draw=7, out=y), dx)


def test_accumulating():
    x, before = values_of(np.float64, (9, 70), 0), values_of(np.float64, (9, 70), 1)
    for value in (None, x):
        whole, total = np.empty_like(x), before.copy()
        _core.rrelu(x, value, whole, *LIMITS, KEY, 3, 0, 1, False)
        _core.rrelu(x, value, total, *LIMITS, KEY, 3, 0, 1, True)
        np.testing.assert_array_equal(total, before + whole)


def test_slopes_are_uniform():
    slope = -kernels.rrelu(-np.ones((2000, 1000)), KEY)
    low, high = LIMITS
    u = (slope - low) / (high - low)
    size = u.size
    assert 0 < u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    for power in (1, 2, 3, 4):
        variance = 1 / (2 * power + 1) - 1 / (power + 1) ** 2
        error = (u**power).mean() - 1 / (power + 1)
        assert abs(error) < 4.5 * np.sqrt(variance / size)
    for a, b in ((u[:, :-1], u[:, 1:]), (u[:, :-16], u[:, 16:]), (u[:-1], u[1:])):
        product = (a - 0.5) * (b - 0.5)
        assert abs(product.mean()) < 4.5 / 12 / np.sqrt(product.size)
    narrow = -kernels.rrelu(-np.ones((2000, 1000), np.float32), KEY)
    assert_same_bits(slope.astype(np.float32), narrow)
    # drawn where dropout draws: what it drops has the smallest slopes
    dropped = kernels.dropout(np.ones_like(u), 0.25, KEY) == 0
    assert_same_bits(dropped, u < 0.25)


@DTYPES
def test_special_values(dtype):
    x = np.tile(special_values(dtype), (3, 5))
    y = same_result(lambda: kernels.rrelu(x, KEY))
    normal = x >= np.finfo(dtype).tiny  # kernels flush denormals
    assert_same_bits(y[normal], x[normal])
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    assert (y[x < -1] < 0).all()
    at_zero = kernels.rrelu_backward(np.zeros_like(x), np.ones_like(x), KEY)
    assert (at_zero < 0.34).all()  # as torch


# The layer


def network(**options):
    utils.set_random_seed(1)
    model = Sequential(
        [
            Input((6,), dtype="float64"),
            layers.Dense(9, dtype="float64"),
            layers.RReLU(seed=2, dtype="float64", **options),
            layers.Dense(2, dtype="float64"),
        ]
    )
    model.compile(onepass.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("limits", [LIMITS, (0.0, 1.0), (0.2, 0.2)])
def test_gradient_goes_through_the_same_slopes(limits):
    model = network(lower=limits[0], upper=limits[1])
    key = model.layers[1]._mask_key
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(5, 6)), rng.normal(size=(5, 2))
    w, b, v, c = model.get_weights()
    model.fit(x, target, batch_size=5, epochs=2, shuffle=False, verbose=0)
    for epoch in (1, 2):
        h = x @ w + b
        slope = np.where(h > 0, 1.0, slopes(h.shape, *limits, key, epoch))
        dy = 2 * (h * slope @ v + c - target) / target.size
        dh = (dy @ v.T) * slope
        steps = x.T @ dh, dh.sum(0), (h * slope).T @ dy, dy.sum(0)
        w, b, v, c = (p - 0.1 * step for p, step in zip((w, b, v, c), steps, strict=True))
    for got, exact in zip(model.get_weights(), (w, b, v, c), strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-10, atol=1e-13)


def test_inference_has_the_mean_slope():
    model = network()
    x = np.random.default_rng(0).normal(size=(20, 6))
    w, b, v, c = model.get_weights()
    h = x @ w + b
    expected = np.where(h > 0, h, (1 / 8 + 1 / 3) / 2 * h) @ v + c
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)
    np.testing.assert_allclose(model(x), expected, rtol=1e-12)
    kernels_used = [call.kernel for call in model.plan_for("predict").calls]
    assert "rrelu" not in kernels_used
    assert "activation_forward" not in kernels_used  # it is the product's
    drawn = model(x, training=True)
    assert (drawn != expected).any()
    assert (model(x, training=True) != drawn).any()


def test_threads_batches_and_seeds():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(333, 6)), rng.normal(size=(333, 2))
    weights = {}
    for isa, _ in every_backend((1, 2, 3)):
        model = network()
        model.fit(x, y, batch_size=32, epochs=2, verbose=0)
        found = np.concatenate([w.ravel() for w in model.get_weights()])
        assert_same_bits(weights.setdefault(isa, found), found, isa)
    one, two = (Sequential([Input((6,)), layers.RReLU(seed=s)]) for s in (3, 3))
    other = Sequential([Input((6,)), layers.RReLU(seed=4)])
    assert_same_bits(one(x, training=True), two(x, training=True))
    assert (one(x, training=True) != other(x, training=True)).any()


def test_training_may_be_fixed_by_a_subclass():
    class Never(layers.RReLU):
        def call(self, inputs):
            return super().call(inputs, training=False)

    class Always(layers.RReLU):
        def call(self, inputs):
            return super().call(inputs, training=True)

    x = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    plain = Sequential([Input((6,)), layers.LeakyReLU((1 / 8 + 1 / 3) / 2)])
    assert_same_bits(Sequential([Input((6,)), Never()])(x, training=True), plain.predict(x))
    assert (Sequential([Input((6,)), Always()]).predict(x) != plain.predict(x)).any()
    fixed, twin = (
        Sequential([Input((6,)), layers.Dense(5), layer, layers.Dense(2)])
        for layer in (Never(), layers.LeakyReLU((1 / 8 + 1 / 3) / 2))
    )
    twin.set_weights(fixed.get_weights())
    for each in (fixed, twin):
        each.compile("sgd", "mse")
        each.train_on_batch(x, x[:, :2])
    assert_same_bits(fixed.get_weights(), twin.get_weights())


def test_calls_of_one_layer_draw_for_themselves():
    keys = [RandomReluOp(*LIMITS, KEY, call=call).key for call in range(4)]
    assert len(set(keys)) == 4


def test_config_and_bad_arguments():
    layer = layers.RReLU(0.1, 0.5, seed=9, name="r")
    config = layer.get_config()
    assert (config["lower"], config["upper"], config["seed"]) == (0.1, 0.5, 9)
    again = layers.RReLU.from_config(config)
    assert again.get_config() == config
    assert again._mask_key == layer._mask_key
    assert (layers.RReLU().lower, layers.RReLU().upper) == LIMITS
    for name in ("lower", "upper"):
        with pytest.raises(AttributeError, match=name):
            setattr(layer, name, 0.2)
        for bad, error in ((-0.1, ValueError), (np.nan, ValueError), ("0.2", TypeError)):
            with pytest.raises(error, match=name):
                layers.RReLU(**{name: bad})
    with pytest.raises(ValueError, match=r"lower must be at most upper, 0\.2, got 0\.3"):
        layers.RReLU(0.3, 0.2)
    with pytest.raises(ValueError, match="seed must be None or an integer >= 0, got -1"):
        layers.RReLU(seed=-1)
