"""Layers made of operations: merging, Embedding, Reshape, Rescaling, Lambda, PReLU, Swish."""

import copy

import numpy as np
import pytest

import onepass
from onepass import Input, Model, Sequential, layers, ops, optimizers, utils
from reference.combine import embedding_backward

MERGES = {
    "Add": lambda arrays: sum(arrays),
    "Multiply": lambda arrays: np.prod(arrays, axis=0),
    "Average": lambda arrays: np.mean(arrays, axis=0),
    "Maximum": lambda arrays: np.max(arrays, axis=0),
    "Minimum": lambda arrays: np.min(arrays, axis=0),
    "Concatenate": lambda arrays: np.concatenate(arrays, axis=-1),
}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(7,), (64,), (100,), (3, 5)])
@pytest.mark.parametrize("name", MERGES)
def test_merges(name, shape, count) -> None:
    inputs = [Input(shape) for _ in range(count)]
    arrays = [numbers(9, *shape, seed=k) for k in range(count)]
    by_class = Model(inputs, getattr(layers, name)()(inputs))
    by_function = Model(inputs, getattr(layers, name.lower())(inputs))
    expected = MERGES[name](arrays)
    for model in (by_class, by_function):
        np.testing.assert_allclose(model.predict(arrays), expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(getattr(layers, name)()(arrays), expected, rtol=2e-6, atol=1e-6)


def test_subtract_takes_two() -> None:
    x, y = Input((4,)), Input((4,))
    a, b = numbers(3, 4), numbers(3, 4, seed=1)
    model = Model([x, y], layers.Subtract()([x, y]))
    np.testing.assert_array_equal(model.predict([a, b]), a - b)
    np.testing.assert_array_equal(layers.Subtract()([a, b]), a - b)
    for wrong in ([x], [x, y, x]):
        with pytest.raises(ValueError, match=r"Subtract.*2"):
            layers.subtract(wrong)


def test_shapes_are_broadcast_and_dimensions_added() -> None:
    t, x, one = Input((3, 4)), Input((4,)), Input((1,))
    arrays = numbers(2, 3, 4), numbers(2, 4), numbers(2, 1)
    model = Model([t, x, one], layers.Add()([t, x, one]))
    expected = arrays[0] + arrays[1][:, None] + arrays[2][:, None]
    np.testing.assert_allclose(model.predict(list(arrays)), expected, rtol=1e-6, atol=1e-6)


def test_concatenate_along_other_axes() -> None:
    a, b = Input((2, 3)), Input((5, 3))
    arrays = numbers(4, 2, 3), numbers(4, 5, 3)
    for axis in (1, -2):
        model = Model([a, b], layers.Concatenate(axis)([a, b]))
        np.testing.assert_array_equal(model.predict(list(arrays)), np.concatenate(arrays, 1))
    assert layers.Concatenate(axis=1).get_config()["axis"] == 1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda x, y: layers.Add()(x), ValueError, ["Add", "list of tensors"]),
        (lambda x, y: layers.Add()([]), (TypeError, ValueError), [""]),
        (lambda x, y: layers.Add()([x, y]), ValueError, ["(None, 4)", "(None, 5)"]),
        (lambda x, y: layers.Concatenate(0)([x, y]), ValueError, ["batch"]),
        (lambda x, y: layers.Concatenate(2)([x, y]), ValueError, ["axis 2"]),
        (lambda x, y: layers.Concatenate(1.0), TypeError, ["axis", "1.0"]),
        (
            lambda x, y: layers.concatenate([layers.Reshape((2, 2))(x), y]),
            ValueError,
            ["(None, 2, 2)", "(None, 5)"],
        ),
    ],
)
def test_what_cannot_be_merged(make, error, words) -> None:
    with pytest.raises(error) as raised:
        make(Input((4,)), Input((5,)))
    for word in words:
        assert word in str(raised.value)


def test_a_residual_block_learns() -> None:
    utils.set_random_seed(1)
    x = Input((8,))
    h = x
    for _ in range(2):
        h = layers.add([h, layers.Dense(8)(layers.Dense(16, "relu")(h))])
    model = Model(x, layers.Dense(1)(layers.concatenate([h, x])))
    model.compile(optimizers.Adam(0.01), "mse")
    data = numbers(256, 8)
    target = data[:, 0] * data[:, 1]
    history = model.fit(data, target, epochs=60, verbose=0)
    assert history.history["loss"][-1] < 0.1 * history.history["loss"][0]


# Reshape, Rescaling, pooling


def test_reshape() -> None:
    x = numbers(4, 12)
    for shape in ((3, 4), (2, -1), (-1,), (2, 2, 3), [12, 1]):
        layer = layers.Reshape(shape)
        np.testing.assert_array_equal(layer(x), x.reshape(4, *shape))
        again = layers.Reshape.from_config(layer.get_config())
        assert again.target_shape == tuple(shape)
    model = Sequential([Input((12,)), layers.Reshape((3, 4)), layers.Dense(2), layers.Flatten()])
    assert model.output_shape == (None, 6)
    with pytest.raises(ValueError, match=r"\(None, 12\).*\(5,\)"):
        layers.Reshape((5,))(Input((12,)))
    for bad, error in (((-1, -1), ValueError), ((0, 3), ValueError), ((2.5,), TypeError)):
        with pytest.raises(error):
            layers.Reshape(bad)


def test_rescaling() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    layer = layers.Rescaling(1 / 127.5, offset=-1)
    np.testing.assert_allclose(layer(images), images / 127.5 - 1, rtol=1e-6, atol=1e-6)
    channels = layers.Rescaling([1.0, 2.0, 4.0], [0.0, 0.0, 1.0])
    expected = images * [1.0, 2.0, 4.0] + [0.0, 0.0, 1.0]
    np.testing.assert_allclose(channels(images), expected, rtol=1e-6)
    model = Sequential([layers.Rescaling(2.0), layers.Flatten()])
    np.testing.assert_array_equal(model.predict(images), images.reshape(5, -1) * 2.0)
    again = layers.Rescaling.from_config(channels.get_config())
    np.testing.assert_array_equal(again(images), channels(images))
    for bad, error in (("1", TypeError), (None, TypeError), (np.nan, ValueError)):
        with pytest.raises(error, match="scale"):
            layers.Rescaling(bad)


def test_mean_over_steps() -> None:
    x = numbers(4, 5, 3)
    mean = layers.GlobalAveragePooling1D()
    np.testing.assert_allclose(mean(x), x.mean(axis=1), rtol=1e-5, atol=1e-6)
    assert layers.GlobalAveragePooling1D(keepdims=True)(x).shape == (4, 1, 3)
    with pytest.raises(ValueError, match=r"\(None, 3\)"):
        mean(Input((3,)))
    with pytest.raises(ValueError, match="channels_first"):
        layers.GlobalAveragePooling1D("channels_first")


# Embedding


def embedded(**options):
    utils.set_random_seed(4)
    model = Sequential(
        [
            layers.Embedding(10, 3, **options),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.compile(optimizers.SGD(0.5), "mse")
    return model


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float32, np.float64])
def test_embedding(dtype) -> None:
    index = np.random.default_rng(0).integers(0, 10, (6, 4)).astype(dtype)
    model = embedded()
    target = numbers(6, 1)
    model.build((None, 4))
    table, w = (weight.astype(np.float64) for weight in model.get_weights())
    assert np.abs(table).max() <= 0.05
    places = index.astype(int)
    for _ in range(2):  # gradients begin anew
        expected = table[places].mean(1) @ w
        np.testing.assert_allclose(model.predict(index), expected, rtol=1e-5, atol=1e-7)
        model.train_on_batch(index, target)
        slope = 2 * (expected - target) / 6
        rows = np.repeat((slope @ w.T / 4)[:, None], 4, axis=1)
        dw = table[places].mean(1).T @ slope
        table = table - 0.5 * embedding_backward(places, rows, 10)
        w = w - 0.5 * dw
        np.testing.assert_allclose(model.get_weights()[0], table, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("bad", [10, -1, 1.5, np.nan, 2**40])
def test_numbers_outside_the_table_are_refused_before_anything_is_computed(bad) -> None:
    model = embedded()
    index = np.zeros((3, 4))
    model.fit(index, np.zeros(3), epochs=1, verbose=0)
    before = model.get_weights()
    index[1, 2] = bad
    for call in (
        lambda: model.predict(index),
        lambda: model.fit(index, np.zeros(3), verbose=0),
        lambda: model.evaluate(index, np.zeros(3)),
        lambda: model.predict_on_batch(index),
        lambda: layers.Embedding(10, 2)(index),
    ):
        with pytest.raises(ValueError, match="embedding"):
            call()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_embedding_of_some_columns() -> None:
    """Categories beside numbers: what the model takes out of its input is not looked at before."""
    x = Input((3,))
    kind = layers.Flatten()(layers.Embedding(4, 2)(x[:, :1]))
    model = Model(x, layers.concatenate([kind, x[:, 1:]]))
    data = np.array([[0, 0.5, 1], [3, 1, 2], [4, 1, 2], [0.5, 0, 0]], np.float32)
    table = model.get_weights()[0]
    y = model.predict(data)
    np.testing.assert_array_equal(y[:2, :2], table[[0, 3]])
    assert np.isnan(y[2:, :2]).all()
    np.testing.assert_array_equal(y[:, 2:], data[:, 1:])


def test_shared_and_frozen_embeddings() -> None:
    a, b = Input((4,), dtype="int32"), Input((4,), dtype="int32")
    layer = layers.Embedding(5, 2, weights=numbers(5, 2))
    model = Model([a, b], layers.Flatten()(layers.subtract([layer(a), layer(b)])))
    model.compile(optimizers.SGD(1.0), "mse")
    left, right = np.arange(8).reshape(2, 4) % 5, np.arange(8).reshape(2, 4) % 3
    table = layer.embeddings.numpy().astype(np.float64)
    slope = 2 * (table[left] - table[right]) / 16
    expected = table - embedding_backward(left, slope, 5) + embedding_backward(right, slope, 5)
    model.train_on_batch([left, right], np.zeros((2, 8)))
    np.testing.assert_allclose(layer.embeddings.numpy(), expected, rtol=1e-5, atol=1e-7)
    layer.trainable = False
    before = layer.embeddings.numpy()
    model.train_on_batch([left, right], np.zeros((2, 8)))
    np.testing.assert_array_equal(layer.embeddings.numpy(), before)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ((0, 3), ValueError, "input_dim"),
        ((3, 0), ValueError, "output_dim"),
        ((3.0, 3), TypeError, "input_dim"),
        ((True, 3), TypeError, "input_dim"),
        ((2**24 + 1, 1), ValueError, "input_dim"),
        ((3, 3, "uniformly"), ValueError, "uniformly"),
    ],
)
def test_bad_arguments_of_embedding(arguments, error, word) -> None:
    with pytest.raises(error, match=word):
        layers.Embedding(*arguments)


def test_embedding_says_what_it_cannot() -> None:
    with pytest.raises(ValueError, match="mask_zero"):
        layers.Embedding(3, 3, mask_zero=True)
    config = layers.Embedding(3, 4).get_config()
    assert layers.Embedding.from_config(config).output_dim == 4


def test_penalties_and_constraints_reach_the_weights() -> None:
    """The table's penalty is in the loss; the constraint holds behind the update."""
    index, target = np.arange(8).reshape(2, 4), np.zeros((2, 8))
    table = numbers(10, 2)
    layer = layers.Embedding(
        10, 2, embeddings_regularizer="l2", embeddings_constraint="non_neg", weights=table
    )
    model = Sequential([layer, layers.Flatten()])
    model.compile(optimizers.SGD(1.0), "mse")
    expected = (table[index] ** 2).mean() + 0.01 * (table**2).sum()
    np.testing.assert_allclose(model.evaluate(index, target), expected, rtol=1e-5)
    model.train_on_batch(index, target)
    assert (layer.embeddings.numpy() >= 0).all()
    again = layers.Embedding.from_config(layer.get_config())
    assert again.embeddings_regularizer is not None
    slope = layers.PReLU("ones", alpha_regularizer="l1", alpha_constraint="non_neg")
    slope(numbers(2, 4))
    assert len(slope.losses) == 1
    assert layers.PReLU.from_config(slope.get_config()).alpha_constraint is not None


# Lambda and callables


def test_lambda() -> None:
    x = Input((4,))
    double = layers.Lambda(lambda v, by=2.0: v * by, arguments={"by": 3.0})
    parts = layers.Lambda(lambda v: [v[:, :1], v[:, 1:]])(double(x))
    model = Model(x, parts)
    data = numbers(5, 4)
    first, rest = model.predict(data)
    np.testing.assert_array_equal(np.concatenate([first, rest], 1), data * 3)
    pair = layers.Lambda(lambda values: values[0] - values[1])
    np.testing.assert_array_equal(pair([data, 2 * data]), -data)
    again = layers.Lambda.from_config(double.get_config())
    np.testing.assert_array_equal(again(data), data * 3)
    with pytest.raises(TypeError, match="callable"):
        layers.Lambda("relu")
    with pytest.raises(TypeError, match="arguments"):
        layers.Lambda(ops.relu, arguments=[1])


def test_lambdas_do_not_hold_weights() -> None:
    dense = layers.Dense(4)
    dense.build((None, 4))
    with pytest.raises(ValueError, match="weights"):
        layers.Lambda(lambda v: v * dense.bias)(numbers(2, 4))


def test_callables_as_activations() -> None:
    data = numbers(5, 4)

    def own(x):
        return x * ops.sigmoid(1.5 * x)

    model = Sequential([Input((4,)), layers.Dense(6, activation=own)])
    z = data @ model.get_weights()[0]
    np.testing.assert_allclose(
        model.predict(data), z / (1 + np.exp(-1.5 * z)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(layers.Activation(lambda x: x**2 + 1)(data), data**2 + 1, rtol=1e-6)


# Trained activations


def test_prelu() -> None:
    layer = layers.PReLU("ones", shared_axes=1)
    x = numbers(6, 3, 5)
    np.testing.assert_array_equal(layer(x), x)
    assert layer.alpha.shape == (1, 5)
    own = layers.PReLU(quarter())
    np.testing.assert_allclose(own(x), np.where(x > 0, x, 0.25 * x), rtol=1e-6)
    assert own.alpha.shape == (3, 5)
    assert layers.PReLU.from_config(layer.get_config()).shared_axes == [1]
    for bad in (0, 3):
        with pytest.raises(ValueError, match="shared_axes"):
            layers.PReLU(shared_axes=[bad])(Input((3, 5)))


def quarter():
    return onepass.initializers.Constant(0.25)


@pytest.mark.parametrize("shape", [(5,), (70,), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("shared", [None, 1, [1, 2]])
def test_gradient_of_prelu(shape, shared) -> None:
    if shared == [1, 2] and len(shape) < 2:
        shared = [1]
    layer = layers.PReLU(quarter(), shared_axes=shared)
    model = Sequential([Input(shape), layer, layers.Flatten()])
    model.compile(optimizers.SGD(1.0), "mse")
    x = numbers(6, *shape)
    target = numbers(6, model.output_shape[-1], seed=1)
    before = layer.alpha.numpy().astype(np.float64)
    y = np.where(x > 0, x, before * x).reshape(6, -1)
    slopes = (2 * (y - target) / y.size).reshape(x.shape) * np.where(x > 0, 0, x)
    axes = tuple(i for i in range(1, x.ndim) if before.shape[i - 1] == 1 != x.shape[i])
    expected = before - slopes.sum(axis=(0, *axes)).reshape(before.shape)
    model.train_on_batch(x, target)
    np.testing.assert_allclose(layer.alpha.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_swish() -> None:
    layer = layers.Swish()
    x = numbers(6, 5)
    np.testing.assert_allclose(layer(x), x / (1 + np.exp(-x)), rtol=1e-5, atol=1e-6)
    model = Sequential([Input((5,)), layer])
    model.compile(optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, np.zeros((6, 5)))
    assert (layer.beta.numpy() != 1).all()
    assert layers.Swish.from_config(layer.get_config()).beta_initializer is not None


def test_models_of_operations_are_copied_and_show_themselves(capsys) -> None:
    x = Input((4,))
    h = layers.Dense(4)(x)
    model = Model(x, layers.PReLU()(h * 2 + x)[:, :3])
    data = numbers(3, 4)
    expected = model.predict(data)
    np.testing.assert_array_equal(copy.deepcopy(model).predict(data), expected)
    model.summary(plan=True)
    shown = capsys.readouterr().out
    assert "combine" in shown
    assert "op=multiply" in shown
    assert "scaled_copy" in shown
