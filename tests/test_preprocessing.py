"""Normalization adapted to data."""

import numpy as np
import pytest

import onepass as keras
from onepass import layers
from onepass.engine.graph import record
from onepass.engine.ops import BatchNormOp

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(500, 3)) * [1.0, 50.0, 1e-3] + [0.0, 1e4, -2.0]).astype("float32")


def expected(x, data):
    wide = np.asarray(data, np.float64)
    axes = tuple(range(wide.ndim - 1))
    deviation = np.maximum(wide.std(axis=axes), 1e-7)
    return (np.asarray(x, np.float64) - wide.mean(axis=axes)) / deviation


def stream():
    for start in range(0, 500, 64):
        yield X[start : start + 64], None


@pytest.mark.parametrize("data", [X, X.tolist(), X.astype("float64"), (1, 2)], ids=type)
def test_columns_have_mean_0_and_variance_1(data):
    if isinstance(data, tuple):
        data = stream()
    layer = layers.Normalization()
    layer.adapt(data)
    np.testing.assert_allclose(layer(X), expected(X, X), rtol=1e-3, atol=1e-3)
    y = layer(X)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-3)


def test_a_constant_column_becomes_0():
    data = np.column_stack([X[:, 0], np.full(len(X), 7.0)])
    layer = layers.Normalization()
    layer.adapt(data)
    np.testing.assert_array_equal(layer(data)[:, 1], 0.0)


def test_one_mean_for_all():
    layer = layers.Normalization(axis=None)
    layer.adapt(X)
    wide = X.astype(np.float64)
    np.testing.assert_allclose(layer(X), (wide - wide.mean()) / wide.std(), rtol=1e-3, atol=1e-4)


def test_statistics_may_be_given():
    layer = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=4.0)
    np.testing.assert_allclose(layer(X), (X - [1.0, 2.0, 3.0]) / 2.0, rtol=1e-5)
    assert layer.count_params() == 0
    again = layers.Normalization.from_config(layer.get_config())
    np.testing.assert_array_equal(again(X), layer(X))


def test_in_a_model_it_is_not_trained_and_counts_as_keras_does():
    layer = layers.Normalization(input_shape=X.shape[1:])
    model = keras.Sequential([layer, layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["RootMeanSquaredError"])
    layer.adapt(X)
    first = model.predict(X)
    assert model.count_params() == 7 + 8
    assert len(model.trainable_variables) == 2
    before = [w.copy() for w in layer.get_weights()]
    model.fit(X, X[:, :2], epochs=1, verbose=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    layer.adapt(2 * X)  # plans made before know of it
    assert not np.array_equal(model.predict(X), first)
    np.testing.assert_allclose(
        model.predict(X),
        expected(X, 2 * X.astype("float64")) @ model.layers[1].get_weights()[0]
        + model.layers[1].get_weights()[1],
        rtol=1e-3,
        atol=1e-3,
    )


BAD = {
    "only mean": (lambda: layers.Normalization(mean=1.0), ValueError, ["both mean and variance"]),
    "negative": (
        lambda: layers.Normalization(mean=0.0, variance=-1.0),
        ValueError,
        ["variance", "-1.0"],
    ),
    "axis": (lambda: layers.Normalization(axis=0).adapt(X), ValueError, ["axis", "last", "0"]),
    "axis type": (lambda: layers.Normalization(axis="last"), TypeError, ["axis", "last"]),
    "no data": (lambda: layers.Normalization().adapt(X[:0]), ValueError, ["no samples"]),
    "words": (lambda: layers.Normalization().adapt(["a"]), TypeError, ["data", "real numbers"]),
    "given": (
        lambda: layers.Normalization(mean=0.0, variance=1.0).adapt(X),
        ValueError,
        ["nothing to adapt"],
    ),
    "columns": (lambda: adapted().adapt(X[:, :2]), ValueError, ["3 columns", "(n, 2)"]),
    "fewer columns": (lambda: adapted()(X[:, :2]), ValueError, ["3 columns", "(None, 2)"]),
    "more columns": (lambda: adapted()(np.ones((4, 100_000))), ValueError, ["3 columns", "100000"]),
    "a model's columns": (
        lambda: keras.Sequential([keras.Input([5]), adapted()]),
        ValueError,
        ["3 columns", "(None, 5)"],
    ),
    "a model's data": (
        lambda: keras.Sequential([adapted(), layers.Dense(1)]).predict(X[:, :2], verbose=0),
        ValueError,
        ["3 columns", "2"],
    ),
    "other columns than given ones": (
        lambda: keras.Sequential([keras.Input([1]), given_three()]),
        ValueError,
        ["3 columns", "(None, 1)"],
    ),
    "columns given": (
        lambda: layers.Normalization(mean=[0.0, 1.0], variance=1.0)(X),
        ValueError,
        ["3 columns", "(2,)"],
    ),
}


def given_three():
    layer = layers.Normalization(mean=[0.0, 1.0, 2.0], variance=1.0)
    layer(X)
    return layer


def adapted():
    layer = layers.Normalization()
    layer.adapt(X)
    return layer


def test_what_was_found_or_given_can_be_read():
    layer = layers.Normalization()
    assert layer.mean is None
    assert layer.variance is None
    layer.adapt(X)
    np.testing.assert_allclose(layer.mean, X.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(layer.variance, X.var(axis=0), rtol=1e-6)
    given = layers.Normalization(mean=[0.0, 1.0, 2.0], variance=2.0)
    np.testing.assert_array_equal(given.mean, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(given.variance, 2.0)


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_mistake_is_named(case):
    act, error, words = case
    with pytest.raises(error) as caught:
        act()
    for word in words:
        assert word in str(caught.value)


class Careless(layers.Layer):
    """Looks at no columns."""

    def __init__(self):
        super().__init__()
        self.inner = adapted()

    def call(self, inputs):
        statistics = self.inner.adapt_mean, self.inner.adapt_variance
        op = BatchNormOp(None, None, *statistics, epsilon=0.0, momentum=1.0, training=False)
        return record(op, [inputs])


def test_a_plan_refuses_statistics_of_other_columns():
    """Kernels read one number a column, whatever a layer has let through."""
    model = keras.Sequential([keras.Input([5]), Careless()])
    with pytest.raises(ValueError, match="one number for each of 5 columns, got 3"):
        model.predict(np.ones((2, 5), np.float32), verbose=0)
