"""Merging layers, ops, embeddings and losses that are functions against Keras in float64.

Keras's mean and tanh on JAX are right to float32 only; the tolerance allows for that.
"""

import numpy as np
import pytest

import onepass
from onepass import config

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own


CLOSE = 3e-6


@pytest.fixture(autouse=True)
def double():
    before = config.floatx()
    config.set_floatx("float64")
    yield
    config.set_floatx(before)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def both(build, keras):
    """Return the models that the same code makes in both libraries, with equal weights."""
    ours, theirs = build(onepass), build(keras)
    weights = [numbers(*w.shape, seed=10 + k) for k, w in enumerate(ours.get_weights())]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def assert_equal_training(keras, build, x, y, loss="mse", steps=3):
    ours, theirs = both(build, keras)
    np.testing.assert_allclose(
        ours.predict(x), theirs.predict(x, verbose=0), rtol=CLOSE, atol=CLOSE
    )
    for library, model in ((onepass, ours), (keras, theirs)):
        chosen = loss(library) if getattr(loss, "of_library", False) else loss
        model.compile(library.optimizers.SGD(0.05), chosen)
        for _ in range(steps):
            model.train_on_batch(x, y)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=CLOSE, atol=CLOSE)


MERGES = ("Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("count", [2, 3])
def test_merging(keras, name, count) -> None:
    def build(k):
        inputs = [k.Input((4,)) for _ in range(count)]
        hidden = [k.layers.Dense(5, "softsign")(x) for x in inputs]
        merged = getattr(k.layers, name)()(hidden)
        again = getattr(k.layers, name.lower())([merged, merged])
        return k.Model(inputs, k.layers.Dense(2)(again))

    x = [numbers(7, 4, seed=i) for i in range(count)]
    assert_equal_training(keras, build, x, numbers(7, 2, seed=9))


def test_shapes_of_different_ranks(keras) -> None:
    def build(k):
        t, x = k.Input((3, 4)), k.Input((4,))
        h = k.layers.add([k.layers.Dense(4)(t), k.layers.Dense(4)(x)])
        h = k.layers.multiply([h, k.layers.Dense(1)(h)])
        h = k.layers.subtract([h, k.layers.Reshape((1, 4))(x)])
        h = k.layers.concatenate([h, t], axis=1)
        return k.Model([t, x], k.layers.Dense(2)(k.layers.Flatten()(h)))

    assert_equal_training(
        keras, build, [numbers(6, 3, 4), numbers(6, 4, seed=1)], numbers(6, 2, seed=2)
    )


def test_operators_and_ops(keras) -> None:
    def build(k):
        ops = k.ops
        x = k.Input((6,))
        h, g = k.layers.Dense(6)(x), k.layers.Dense(6, "sigmoid")(x)
        y = 2.0 * h / (1.5 + g) - g**2 + (1.0 - h) * g - (-h)
        y = y + ops.exp(-g) + ops.log(g) * ops.sqrt(g) + ops.abs(h) + ops.square(h)
        y = y - ops.mean(h, axis=-1, keepdims=True) + ops.sum(g, axis=1, keepdims=True)
        y = ops.maximum(y, h) + ops.minimum(g, 0.4) + ops.clip(h, -0.3, 0.3)
        y = ops.concatenate([y[:, :2], h[:, 3:], ops.power(g, 1.7)], axis=-1)
        y = (
            y * ops.softsign(y)
            + ops.relu(y)
            + ops.softmax(y)
            + ops.log1p(ops.expm1(ops.sigmoid(y)))
        )
        y = ops.reshape(y, (-1, 11, 1)) * ops.expand_dims(h[:, :1], -1)
        return k.Model(x, k.layers.Flatten()(y))

    assert_equal_training(keras, build, numbers(5, 6), numbers(5, 11, seed=1))


def test_embedding_with_mean_over_words(keras) -> None:
    def build(k):
        words = k.Input((7,), dtype="int32")
        h = k.layers.Embedding(12, 5)(words)
        h = k.layers.GlobalAveragePooling1D()(h)
        return k.Model(words, k.layers.Dense(2)(h))

    words = np.random.default_rng(0).integers(0, 12, (9, 7))
    assert_equal_training(keras, build, words, numbers(9, 2))


@pytest.mark.parametrize("shared", [None, [1]])
def test_prelu_and_rescaling(keras, shared) -> None:
    def build(k):
        return k.Sequential(
            [
                k.Input((3, 4)),
                k.layers.Rescaling(0.5, offset=-0.1),
                k.layers.Dense(5),
                k.layers.PReLU(shared_axes=shared),
                k.layers.Reshape((5, 3)),
                k.layers.Lambda(lambda x: x * 2 + 1),
                k.layers.Flatten(),
                k.layers.Dense(2, activation=lambda x: x * k.ops.sigmoid(x)),
            ]
        )

    assert_equal_training(keras, build, numbers(6, 3, 4), numbers(6, 2, seed=1))


def test_losses_that_are_functions(keras) -> None:
    def loss(k):
        def own(y_true, y_pred):
            error = k.ops.square(y_true - y_pred)
            return k.ops.mean(error, axis=-1) + 0.1 * k.ops.sum(k.ops.abs(y_pred), axis=-1)

        return own

    loss.of_library = True

    def build(k):
        return k.Sequential([k.Input((4,)), k.layers.Dense(5, "softsign"), k.layers.Dense(2)])

    assert_equal_training(keras, build, numbers(6, 4), numbers(6, 2, seed=1), loss)


def test_losses_of_ones_own_class(keras) -> None:
    def loss(k):
        class Pinball(k.losses.Loss):
            def __init__(self):
                super().__init__(name="pinball")

            def call(self, y_true, y_pred):
                error = y_true - y_pred
                return k.ops.mean(k.ops.maximum(0.9 * error, -0.1 * error), axis=-1)

        return Pinball()

    loss.of_library = True

    def build(k):
        return k.Sequential([k.Input((4,)), k.layers.Dense(5, "softsign"), k.layers.Dense(2)])

    assert_equal_training(keras, build, numbers(6, 4), numbers(6, 2, seed=1), loss)


@pytest.mark.parametrize(
    "call",
    [
        lambda ops, x, y: ops.add(x, y),
        lambda ops, x, y: ops.divide(x, y),
        lambda ops, x, y: ops.power(ops.abs(x), y),
        lambda ops, x, y: ops.sum(x),
        lambda ops, x, y: ops.mean(x, axis=0),
        lambda ops, x, y: ops.sum(x, axis=(0, 1), keepdims=True),
        lambda ops, x, y: ops.clip(x, -1, 0.5),
        lambda ops, x, y: ops.gelu(x),
        lambda ops, x, y: ops.leaky_relu(x),
        lambda ops, x, y: ops.concatenate([x, y]),
        lambda ops, x, y: ops.squeeze(ops.expand_dims(x, 1)),
        lambda ops, x, y: ops.matmul(x, y.T),
    ],
)
def test_ops_on_arrays(keras, call) -> None:
    x, y = numbers(5, 4), numbers(5, 4, seed=1)
    expected = np.asarray(call(keras.ops, x, y))
    np.testing.assert_allclose(call(onepass.ops, x, y), expected, rtol=CLOSE, atol=CLOSE)
