"""Dropout: the generator, its masks as integers, the layer in training and outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import Sequential, _core, kernels, layers, utils
from reference import dropout as reference
from strategies import assert_same_bits, results_by_isa

KEY = (0x12345678, 0x9ABCDEF0)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape).astype(dtype)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_random123(counter, key, words):
    assert tuple(_core.philox(counter, key)) == words
    assert tuple(reference.philox(np.array(counter), key)) == words


@given(
    st.integers(0, 5),
    st.integers(0, 200),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**33),
)
def test_kernel_against_the_reference(samples, units, rate, draw, first):
    for dtype in (np.float32, np.float64):
        x = numbers((samples, units), dtype)

        def run(x=x):
            return [kernels.dropout(x, rate, KEY, draw=draw, first=first)]

        for (result,) in results_by_isa(run, (1, 2, 3)).values():
            expected = reference.dropout(x, rate, KEY, draw, first)
            np.testing.assert_array_equal(result, expected.astype(dtype))


@DTYPES
def test_samples_of_several_rows_are_one_run_of_units(dtype):
    x = numbers((4, 3, 5, 7), dtype)
    flat = kernels.dropout(x.reshape(4, -1), 0.4, KEY, draw=3)
    assert_same_bits(kernels.dropout(x, 0.4, KEY, draw=3), flat.reshape(x.shape))


@DTYPES
def test_strided_in_place_and_accumulating(dtype):
    whole = numbers((9, 100), dtype)
    expected = kernels.dropout(whole[:, :70], 0.3, KEY)
    before = whole.copy()
    assert kernels.dropout(whole[:, :70], 0.3, KEY, out=whole[:, :70]) is not None
    np.testing.assert_array_equal(whole[:, :70], expected)
    np.testing.assert_array_equal(whole[:, 70:], before[:, 70:])
    total = before[:, :70].copy()
    _core.dropout(before[:, :70], total, 0.3, False, True, KEY, 0, 0, 1, True)
    np.testing.assert_array_equal(total, before[:, :70] + expected)


def test_a_batch_is_a_part_of_its_epoch():
    x = numbers((50, 130))
    whole = kernels.dropout(x, 0.5, KEY, draw=7)
    parts = [kernels.dropout(x[a:b], 0.5, KEY, draw=7, first=a) for a, b in ((0, 17), (17, 50))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_special_values():
    x = np.array([[np.nan, np.inf, -np.inf, -0.0] * 32], np.float32)
    y = kernels.dropout(x, 0.5, KEY)
    kept = kernels.dropout(np.ones_like(x), 0.5, KEY) != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_array_equal(y[kept], x[kept])
    assert not y[~kept].any()


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_share_of_what_is_kept(rate):
    y = kernels.dropout(np.ones((1000, 1000), np.float32), rate, KEY)
    error = np.sqrt(rate * (1 - rate) / y.size)
    assert abs(np.count_nonzero(y) / y.size - (1 - rate)) < 4 * error
    assert abs(y.mean() - 1) < 4 * error / (1 - rate)


# The layer


def net(rate=0.5, seed=1, first=False):
    utils.set_random_seed(seed)
    start = [layers.Dropout(rate)] if first else []
    model = Sequential(
        [
            layers.Input((20,)),
            *start,
            layers.Dense(70, activation="relu"),
            layers.Dropout(rate),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def data(n=100):
    return numbers((n, 20)), np.arange(n) % 3


def test_nothing_happens_outside_training():
    x, y = data()
    model, plain = net(first=True), net()
    plain.set_weights(model.get_weights())
    without = Sequential([layer for layer in plain.layers if not isinstance(layer, layers.Dropout)])
    np.testing.assert_array_equal(model.predict(x), without.predict(x))
    np.testing.assert_array_equal(model.predict(x, batch_size=7), without.predict(x))
    np.testing.assert_array_equal(model(x), without.predict(x))
    assert np.isfinite(model.evaluate(x, y))


def test_a_model_of_dropout_alone():
    model = Sequential([layers.Input((5,)), layers.Dropout(0.5, seed=3)])
    x = numbers((4, 5))
    np.testing.assert_array_equal(model.predict(x), x)
    y = model(x, training=True)
    assert set(np.unique(y / x)) <= {0.0, 2.0}


def test_monte_carlo_dropout_draws_anew_and_averages_to_the_input():
    model = Sequential([layers.Input((30,)), layers.Dropout(0.3, seed=5)])
    x = numbers((8, 30))
    draws = np.stack([model(x, training=True) for _ in range(400)])
    assert len({draw.tobytes() for draw in draws}) == 400
    error = x * np.sqrt(0.3 / 0.7 / 400)
    assert (np.abs(draws.mean(axis=0) - x) < 5 * error).all()


@pytest.mark.parametrize("batch", [1, 7, 32, 100])
def test_masks_of_fit_depend_on_layer_epoch_place_and_unit_alone(batch):
    """A network that is linear in its masks tells them through its gradient."""
    x = np.zeros((100, 40))
    x[63] = 1.0  # the one sample that moves the weights: away from zero where its units are kept
    masks = []
    layer = layers.Dropout(0.4, seed=11)
    model = Sequential([layers.Input((40,)), layer, layers.Dense(1, "linear", use_bias=False)])
    model.compile(onepass.optimizers.SGD(1.0), "mse")
    for epoch in (1, 2):
        model.layers[-1].set_weights([np.zeros((40, 1))])
        model.fit(x, np.ones(100), batch_size=batch, epochs=1, shuffle=False, verbose=0)
        words = reference.words(100, 40, layer._mask_key, epoch, 0)[63]
        masks.append(words >= np.uint64(int(0.4 * 2**32 + 0.5)))
        moved = model.layers[-1].get_weights()[0][:, 0] != 0
        np.testing.assert_array_equal(moved, masks[-1])
    assert (masks[0] != masks[1]).any()


def test_threads_do_not_matter_and_seeds_repeat():
    x, y = data(333)
    weights = []
    for threads in (1, 2, 3, 1):
        with_threads = onepass.config.threads()
        onepass.config.set_threads(threads)
        try:
            model = net(seed=4, first=True)
            model.fit(x, y, batch_size=32, epochs=2, verbose=0)
            model.train_on_batch(x[:50], y[:50])
            weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
        finally:
            onepass.config.set_threads(with_threads)
    for other in weights[1:]:
        assert_same_bits(other, weights[0])
    model = net(seed=5, first=True)
    model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    assert (np.concatenate([w.ravel() for w in model.get_weights()]) != weights[0]).any()


def test_gradient_goes_through_the_same_mask():
    """Steps of SGD against the network with the masks written out in NumPy float64."""
    utils.set_random_seed(3)
    drop = layers.Dropout(0.5, seed=2, dtype="float64")
    model = Sequential(
        [layers.Input((6,), dtype="float64"), layers.Dense(9, "tanh", dtype="float64")]
    )
    model.add(drop)
    model.add(layers.Dense(2, dtype="float64"))
    model.compile(onepass.optimizers.SGD(0.1), "mse")
    x, target = numbers((5, 6), np.float64), numbers((5, 2), np.float64, 1)
    w, b, v, c = (a.astype(np.float64) for a in model.get_weights())
    model.fit(x, target, batch_size=5, epochs=2, shuffle=False, verbose=0)
    for epoch in (1, 2):  # the second finds what the first left in its buffers
        h = np.tanh(x @ w + b)
        kept = reference.dropout(np.ones_like(h), 0.5, drop._mask_key, epoch, 0)
        d = h * kept
        dy = 2 * (d @ v + c - target) / target.size
        dh = (dy @ v.T) * kept * (1 - h * h)
        steps = x.T @ dh, dh.sum(0), d.T @ dy, dy.sum(0)
        w, b, v, c = (p - 0.1 * step for p, step in zip((w, b, v, c), steps, strict=True))
    expected = [w, b, v, c]
    for got, exact in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-7)


def test_rates_of_0_and_1():
    x, _ = data(4)
    assert_same_bits(Sequential([layers.Input((20,)), layers.Dropout(0)])(x, training=True), x)
    model = Sequential([layers.Input((20,)), layers.Dropout(1.0)])
    assert not model(x, training=True).any()


def test_config_and_bad_arguments():
    layer = layers.Dropout(0.25, seed=9, name="d")
    assert layer.get_config()["rate"] == 0.25
    twin = layers.Dropout(0.25, seed=9)
    assert layer._mask_key == twin._mask_key != layers.Dropout(0.25)._mask_key
    for bad in ({"rate": -0.1}, {"rate": 2}, {"rate": 0.5, "seed": -1}):
        with pytest.raises(ValueError, match=list(bad)[-1]):
            layers.Dropout(**bad)
    with pytest.raises(ValueError, match="noise_shape"):
        layers.Dropout(0.5, noise_shape=(None, 1))
    with pytest.raises(TypeError, match="rate"):
        layers.Dropout("0.5")


def test_summary_shows_the_kernel(capsys):
    model = net()
    model.build((None, 20))
    model.summary(plan="train")
    assert "dropout" in capsys.readouterr().out
    model.summary(plan="predict")
    assert "dropout" not in capsys.readouterr().out


def test_the_rate_cannot_be_changed_in_silence():
    with pytest.raises(AttributeError, match="rate"):
        layers.Dropout(0.5).rate = 0.9
