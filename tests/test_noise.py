"""Noise layers beside Dropout: what they draw, their gradients, and when they draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import Input, Sequential, _core, kernels, layers, utils
from onepass.engine.ops import DropoutOp, GaussianOp
from reference import dropout as dropout_reference
from reference import noise as reference
from strategies import (
    Guarded,
    assert_close,
    assert_same_bits,
    every_backend,
    layouts,
    same_result,
    values_of,
)

KEY = (0x12345678, 0x9ABCDEF0)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
KERNELS = {
    "alpha_dropout": lambda x, **at: kernels.alpha_dropout(x, 0.3, KEY, **at),
    "alpha_dropout gradient": lambda x, **at: kernels.alpha_dropout(
        x, 0.3, KEY, gradient=True, **at
    ),
    "gaussian_dropout": lambda x, **at: kernels.gaussian_dropout(x, 0.3, KEY, **at),
    "gaussian_noise": lambda x, **at: kernels.gaussian_noise(x, 0.7, KEY, **at),
}
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


# The kernels


@given(
    st.tuples(st.integers(0, 5), st.integers(0, 200)),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**33),
    layouts,
)
def test_kernels_against_the_reference(shape, dtype, draw, first, at):
    values = values_of(dtype, shape, 0)
    wide = values.astype(np.float64)
    place = {"draw": draw, "first": first}
    n = reference.normals(shape, KEY, draw, first).astype(np.float64)
    s = np.sqrt(0.3 / 0.7)
    a = reference.alpha_dropout(np.ones_like(wide), 0.3, KEY, **place)
    slope = a - reference.alpha_dropout(np.zeros_like(wide), 0.3, KEY, **place)
    expected = {
        "alpha_dropout": reference.alpha_dropout(wide, 0.3, KEY, **place),
        "alpha_dropout gradient": wide * slope,
        "gaussian_dropout": wide * (1 + s * n),
        "gaussian_noise": wide + 0.7 * n,
    }
    terms = 2 + np.abs(wide) * (2 + s * np.abs(n)) + np.abs(n)
    for name, exact in expected.items():

        def run(name=name):
            x, out = Guarded(values, at), Guarded(values, at)
            assert KERNELS[name](x.array, out=out.array, **place) is out.array
            out.assert_padding_untouched()
            return out.array.copy()

        assert_close(same_result(run), exact, ulps=0, absolute=4 * terms)


@every_kernel
@DTYPES
def test_a_batch_is_a_part_of_its_epoch_and_samples_are_one_run_of_units(kernel, dtype):
    x = values_of(dtype, (50, 3, 5, 9), 0)
    whole = KERNELS[kernel](x, draw=7)
    parts = [KERNELS[kernel](x[a:b], draw=7, first=a) for a, b in ((0, 17), (17, 50))]
    assert_same_bits(np.concatenate(parts), whole)
    assert_same_bits(KERNELS[kernel](x.reshape(50, -1), draw=7).reshape(x.shape), whole)
    assert (KERNELS[kernel](x, draw=8) != whole).any()
    inside = x.copy()
    KERNELS[kernel](inside, draw=7, out=inside)
    assert_same_bits(inside, whole)


@DTYPES
@pytest.mark.parametrize("multiplies", [False, True])
def test_accumulating(multiplies, dtype):
    x, before = values_of(dtype, (9, 70), 0), values_of(dtype, (9, 70), 1)
    whole, total = np.empty_like(x), before.copy()
    _core.gaussian(x, whole, 0.5, multiplies, KEY, 3, 0, 1, False)
    _core.gaussian(x, total, 0.5, multiplies, KEY, 3, 0, 1, True)
    np.testing.assert_array_equal(total, before + whole)
    _core.dropout(x, whole, 0.5, True, False, KEY, 3, 0, 1, False)
    total = before.copy()
    _core.dropout(x, total, 0.5, True, False, KEY, 3, 0, 1, True)
    np.testing.assert_array_equal(total, before + whole)


def test_deviates_are_standard_normal():
    n = kernels.gaussian_noise(np.zeros((2000, 1000)), 1.0, KEY)
    size = n.size
    assert abs(n.mean()) < 4.5 / np.sqrt(size)
    assert abs((n**2).mean() - 1) < 4.5 * np.sqrt(2 / size)
    assert abs((n**3).mean()) < 4.5 * np.sqrt(15 / size)
    assert abs((n**4).mean() - 3) < 4.5 * np.sqrt(96 / size)
    # Neighbours, pairs of one transform, and neighbouring samples know nothing of each other.
    for a, b in ((n[:, :-1], n[:, 1:]), (n[:, :-32], n[:, 32:]), (n[:-1], n[1:])):
        for power in (1, 2):
            product = (a**power - (power == 2)) * (b**power - (power == 2))
            assert abs(product.mean()) < 4.5 * product.std() / np.sqrt(product.size)
    for share, quantile in ((0.001, -3.0902), (0.1, -1.2816), (0.5, 0.0), (0.999, 3.0902)):
        assert abs((n < quantile).mean() - share) < 4.5 * np.sqrt(share * (1 - share) / size)
    assert np.isfinite(n).all()


def test_both_types_hold_the_same_numbers():
    wide = kernels.gaussian_noise(np.zeros((20, 100)), 0.3, KEY)
    narrow = kernels.gaussian_noise(np.zeros((20, 100), np.float32), 0.3, KEY)
    assert_same_bits(wide.astype(np.float32), narrow)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance_and_drops_where_dropout_does(rate):
    x = np.random.default_rng(0).normal(size=(1000, 1000))
    y = kernels.alpha_dropout(x, rate, KEY)
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.02
    dropped = kernels.dropout(np.ones_like(x), rate, KEY) == 0
    assert len(np.unique(y[dropped])) == 1
    slope = kernels.alpha_dropout(np.ones_like(x), rate, KEY, gradient=True)
    np.testing.assert_array_equal(slope == 0, dropped)
    h = 1e-3
    high = kernels.alpha_dropout(x + h, rate, KEY)
    np.testing.assert_allclose((high - y) / h, slope, rtol=1e-9, atol=1e-9)


def test_special_values():
    x = np.array([[np.nan, np.inf, -np.inf, -0.0] * 32], np.float32)
    for kernel in (kernels.alpha_dropout, kernels.gaussian_dropout):
        np.testing.assert_array_equal(kernel(x, 0.0, KEY), x)
    assert_same_bits(kernels.dropout(x, 0.0, KEY), x)
    noisy = kernels.gaussian_noise(x, 1.0, KEY)
    np.testing.assert_array_equal(np.isfinite(noisy), np.isfinite(x))


# The layers

LAYERS = {
    "alpha": lambda **o: layers.AlphaDropout(0.4, **o),
    "factor": lambda **o: layers.GaussianDropout(0.4, **o),
    "noise": lambda **o: layers.GaussianNoise(0.4, **o),
    "dropout": lambda **o: layers.Dropout(0.4, **o),
}
every_layer = pytest.mark.parametrize("layer", LAYERS)


def disturbed(layer, h, draw, first=0):
    """Return what a layer makes of its input, and its slope, in NumPy float64."""
    key, shape = layer._mask_key, h.shape
    if isinstance(layer, layers.AlphaDropout):
        y = reference.alpha_dropout(h, layer.rate, key, draw, first)
        zero = reference.alpha_dropout(np.zeros(shape), layer.rate, key, draw, first)
        one = reference.alpha_dropout(np.ones(shape), layer.rate, key, draw, first)
        return y, one - zero
    if isinstance(layer, layers.Dropout):
        kept = dropout_reference.dropout(np.ones(shape), layer.rate, key, draw, first)
        return h * kept, kept
    n = reference.normals(shape, key, draw, first).astype(np.float64)
    if isinstance(layer, layers.GaussianDropout):
        factor = 1 + np.sqrt(layer.rate / (1 - layer.rate)) * n
        return h * factor, factor
    return h + layer.stddev * n, np.ones(shape)


def network(layer, first=False):
    utils.set_random_seed(1)
    stack = [
        Input((20,)),
        *([LAYERS[layer]()] if first else []),
        layers.Dense(70, "tanh"),
        LAYERS[layer](),
        layers.Dense(3, "softmax"),
    ]
    model = Sequential(stack)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def data(n=100):
    return values_of(np.float32, (n, 20), 0), np.arange(n) % 3


@every_layer
def test_gradient_goes_through_the_same_noise(layer):
    """Steps of SGD against the network with its noise written out in NumPy float64."""
    utils.set_random_seed(3)
    made = LAYERS[layer](seed=2, dtype="float64")
    model = Sequential(
        [
            Input((6,), dtype="float64"),
            layers.Dense(9, "tanh", dtype="float64"),
            made,
            layers.Dense(2, dtype="float64"),
        ]
    )
    model.compile(onepass.optimizers.SGD(0.1), "mse")
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(5, 6)), rng.normal(size=(5, 2))
    w, b, v, c = model.get_weights()
    model.fit(x, target, batch_size=5, epochs=2, shuffle=False, verbose=0)
    for epoch in (1, 2):
        h = np.tanh(x @ w + b)
        d, slope = disturbed(made, h, epoch)
        dy = 2 * (d @ v + c - target) / target.size
        dh = (dy @ v.T) * slope * (1 - h * h)
        steps = x.T @ dh, dh.sum(0), d.T @ dy, dy.sum(0)
        w, b, v, c = (p - 0.1 * step for p, step in zip((w, b, v, c), steps, strict=True))
    for got, exact in zip(model.get_weights(), (w, b, v, c), strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-10, atol=1e-13)


@every_layer
def test_threads_batches_and_seeds(layer):
    x, y = data(333)
    weights = []
    for isa, _ in every_backend((1, 2, 3)):
        model = network(layer, first=True)
        model.fit(x, y, batch_size=32, epochs=2, verbose=0)
        model.train_on_batch(x[:50], y[:50])
        weights.append((isa, np.concatenate([w.ravel() for w in model.get_weights()])))
    for isa, other in weights:
        same = next(found for name, found in weights if name == isa)
        assert_same_bits(other, same, isa)
    alone = Sequential([Input((20,)), LAYERS[layer](seed=5)])
    alone.compile("sgd", "mse")
    once = alone(x, training=True)
    assert (alone(x, training=True) != once).any()
    assert_same_bits(LAYERS[layer](seed=5)._mask_key, alone.layers[0]._mask_key)


@every_layer
def test_nothing_happens_outside_training(layer):
    x, y = data()
    model = network(layer, first=True)
    plain = Sequential([Input((20,)), model.layers[1], model.layers[3]])
    assert_same_bits(model.predict(x), plain.predict(x))
    assert_same_bits(model(x), plain.predict(x))
    assert (model(x, training=True) != plain.predict(x)).any()
    assert np.isfinite(model.evaluate(x, y))


@every_layer
def test_training_may_be_fixed_by_a_subclass(layer):
    cls = type(LAYERS[layer]())

    class Always(cls):
        def call(self, inputs, training=False):
            return super().call(inputs, training=True)

    class Never(cls):
        def call(self, inputs):
            return super().call(inputs, training=False)

    x, _ = data()
    always = Sequential([Input((20,)), Always(0.4, seed=1)])
    never = Sequential([Input((20,)), Never(0.4, seed=1)])
    plan = always.plan_for("predict")
    assert any(call.draws for call in plan.calls)
    assert plan.predictor is None  # which would not draw anew
    assert (always.predict(x) != x).any()
    assert_same_bits(never.predict(x), x)
    assert_same_bits(never(x, training=True), x)
    model = Sequential([Input((20,)), layers.Dense(5), Never(0.4), layers.Dense(2)])
    twin = Sequential([Input((20,)), layers.Dense(5), layers.Dense(2)])
    twin.set_weights(model.get_weights())
    for each in (model, twin):
        each.compile("sgd", "mse")
        each.train_on_batch(x, x[:, :2])
    assert_same_bits(model.get_weights(), twin.get_weights())


def test_calls_of_one_layer_draw_for_themselves():
    for make in (
        lambda call: DropoutOp(0.5, KEY, call=call),
        lambda call: GaussianOp(0.5, True, KEY, call=call),
    ):
        keys = [make(call).key for call in range(4)]
        assert keys[0] == KEY
        assert len(set(keys)) == 4
        assert all(0 <= word < 2**32 for key in keys for word in key)


def test_the_gradient_of_added_noise_costs_nothing():
    model = network("noise")
    used = [call.kernel for call in model.plan_for("train").calls]
    assert "activation_backward" not in used  # the copy and tanh's are the product's
    assert used.count("gaussian") == 1


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_selu_networks_normalise_themselves(rate):
    """Mean 0 and variance 1 through twenty layers."""
    utils.set_random_seed(0)
    stack = [Input((300,))]
    for _ in range(20):
        stack += [
            layers.Dense(300, "selu", kernel_initializer="lecun_normal"),
            layers.AlphaDropout(rate),
        ]
    model = Sequential(stack)
    x = np.random.default_rng(0).normal(size=(1000, 300)).astype(np.float32)
    y = model(x, training=True)
    assert abs(y.mean()) < 0.1
    assert abs(y.var() - 1) < 0.2
    plain = Sequential(
        [layer if "dense" in layer.name else layers.Dropout(rate) for layer in stack[1:]]
    )
    wrong = plain(x, training=True)
    assert abs(wrong.var() - 1) > 0.2 or abs(wrong.mean()) > 0.1


def test_nothing_to_draw():
    x, _ = data(4)
    for layer in (layers.AlphaDropout(0), layers.GaussianDropout(0), layers.GaussianNoise(0)):
        assert_same_bits(Sequential([Input((20,)), layer])(x, training=True), x)


def test_config_and_bad_arguments():
    for layer in (
        layers.AlphaDropout(0.25, seed=9, name="d"),
        layers.GaussianDropout(0.25, seed=9, name="d"),
        layers.GaussianNoise(0.25, seed=9, name="d"),
    ):
        config = layer.get_config()
        again = type(layer).from_config(config)
        assert again.get_config() == config
        assert again._mask_key == layer._mask_key
        name = "stddev" if isinstance(layer, layers.GaussianNoise) else "rate"
        assert config[name] == 0.25
        with pytest.raises(AttributeError, match=name):
            setattr(layer, name, 0.5)
        for bad in (-0.1, np.nan):
            with pytest.raises(ValueError, match=name):
                type(layer)(bad)
        with pytest.raises(TypeError, match=name):
            type(layer)("0.5")
        with pytest.raises(ValueError, match=r"seed must be None or an integer >= 0, got -1"):
            type(layer)(0.5, seed=-1)
    for cls in (layers.AlphaDropout, layers.GaussianDropout):
        with pytest.raises(ValueError, match="rate must be below 1, got 1"):
            cls(1)
    with pytest.raises(ValueError, match="AlphaDropout: noise_shape must be None"):
        layers.AlphaDropout(0.5, noise_shape=(None, 1))
