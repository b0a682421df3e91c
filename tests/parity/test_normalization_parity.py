"""Normalization layers against Keras (JAX backend): the same numbers over several steps.

Keras's normalization computes in float32 even in a float64 model.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import onepass

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own

CLASSES = 4
NORMS = {
    "batch": lambda k: k.layers.BatchNormalization(momentum=0.8),
    "batch, wide epsilon": lambda k: k.layers.BatchNormalization(epsilon=0.5),
    "batch, no center": lambda k: k.layers.BatchNormalization(center=False),
    "batch, no scale": lambda k: k.layers.BatchNormalization(scale=False, momentum=0.0),
    "batch, initializers": lambda k: k.layers.BatchNormalization(
        beta_initializer="ones",
        gamma_initializer=k.initializers.Constant(0.5),
        moving_mean_initializer="ones",
        moving_variance_initializer=k.initializers.Constant(2.0),
    ),
    "batch, frozen": lambda k: k.layers.BatchNormalization(
        trainable=False,
        moving_mean_initializer="ones",
        moving_variance_initializer=k.initializers.Constant(2.0),
    ),
    "layer": lambda k: k.layers.LayerNormalization(),
    "layer, neither": lambda k: k.layers.LayerNormalization(center=False, scale=False, epsilon=0.1),
    "rms": lambda k: k.layers.RMSNormalization(),
    "unit": lambda k: k.layers.UnitNormalization(),
}
CLASSES_OF_LAYERS = [
    "BatchNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "UnitNormalization",
]


@pytest.fixture(autouse=True)
def double():
    before = onepass.config.floatx()
    onepass.config.set_floatx("float64")
    yield
    onepass.config.set_floatx(before)


def build(k, norm, before):
    """Return a model with the layer on the input, and before or after an activation."""
    dense = [k.layers.Dense(9), NORMS[norm](k), k.layers.Activation("tanh")]
    if not before:
        dense = [k.layers.Dense(9, activation="tanh"), NORMS[norm](k)]
    last = k.layers.Dense(CLASSES, activation="softmax")
    return k.Sequential([k.Input((7,)), NORMS[norm](k), *dense, last])


def single(values):
    """Round to what float32 holds: Keras feeds arrays in float32 whatever the model computes in."""
    return np.asarray(values, np.float32).astype(np.float64)


def data(n, seed=0):
    rng = np.random.default_rng(seed)
    return single(3 + 2 * rng.normal(size=(n, 7))), rng.integers(0, CLASSES, n)


def pair(keras, norm, before, optimizer):
    keras.utils.set_random_seed(3)
    models = []
    for k in (onepass, keras):
        model = build(k, norm, before)
        model.compile(optimizer(k), "sparse_categorical_crossentropy", metrics=["accuracy"])
        models.append(model)
    ours, theirs = models
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    return models


def assert_same(ours, theirs, x):
    weights = zip(ours.get_weights(), theirs.get_weights(), strict=True)
    predictions = ours.predict(x), theirs.predict(x, verbose=0)
    for got, expected in [*weights, predictions]:
        np.testing.assert_allclose(got, np.asarray(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_training(keras, norm, before):
    ours, theirs = pair(keras, norm, before, lambda k: k.optimizers.SGD(0.05, momentum=0.9))
    names = [w.name.split("/")[-1] for w in ours.weights]
    assert names == [w.name.split("/")[-1] for w in theirs.weights]
    trained = [w.name.split("/")[-1] for w in ours.trainable_weights]
    assert trained == [w.name.split("/")[-1] for w in theirs.trainable_weights]
    x, y = data(70)  # the last batch is shorter
    histories = [
        m.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history
        for m in (ours, theirs)
    ]
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(*(h[name] for h in histories), rtol=1e-5)
    assert_same(ours, theirs, x)
    results = [m.evaluate(x, y, return_dict=True, verbose=0) for m in (ours, theirs)]
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(*(r[name] for r in results), rtol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_training_with_adam(keras, norm):
    """A bias before a batch norm has no gradient but rounding, which no small epsilon may raise."""
    ours, theirs = pair(keras, norm, True, lambda k: k.optimizers.Adam(0.01, epsilon=1e-2))
    x, y = data(64)
    for model in (ours, theirs):
        model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    assert_same(ours, theirs, x)


@pytest.mark.parametrize("name", CLASSES_OF_LAYERS)
def test_arguments_and_configurations(keras, name):
    """Names, order and defaults are Keras's; its configurations are understood."""
    ours, theirs = (getattr(k.layers, name) for k in (onepass, keras))
    left, right = (
        {n: p.default for n, p in inspect.signature(c).parameters.items() if n != "kwargs"}
        for c in (ours, theirs)
    )
    assert left == right
    assert list(left) == list(right)
    config = theirs().get_config()
    for key in ("axis", "epsilon", "momentum", "center", "scale"):
        if key in config:
            assert ours().get_config()[key] == config[key]


def test_layer_with_several_dimensions(keras):
    x = single(np.random.default_rng(0).normal(size=(6, 5, 3)))
    for name in CLASSES_OF_LAYERS:
        layer = getattr(keras.layers, name)()
        training = {"training": True} if name.startswith("Batch") else {}
        expected = np.asarray(layer(x, **training))  # in float32, whatever it is asked for
        model = onepass.Sequential([onepass.Input((5, 3)), getattr(onepass.layers, name)()])
        np.testing.assert_allclose(model(x, training=True), expected, rtol=1e-5, atol=1e-6)
