"""Gradients of every layer, and of models made of many, against central differences in float64."""

import numpy as np
import pytest

import onepass as keras
from onepass import config, layers, utils
from onepass.diagnosis.report import _compute_gradients

RNG = np.random.default_rng(11)
X = RNG.normal(size=(7, 6))
Y = RNG.normal(size=(7, 3))


@pytest.fixture(autouse=True)
def in_float64():
    config.set_floatx("float64")
    utils.set_random_seed(4)
    yield
    config.set_floatx("float32")


def assert_gradients(model, x=X, y=Y, weights=None, rtol=2e-5):
    """Compare all gradients of the model's loss with central differences.

    ``model.evaluate`` is the loss; a layer that behaves otherwise in training is told not to.
    """
    samples = model.checked_samples(x, y, weights)
    _compute_gradients(model, samples)
    computed = [variable.gradient.copy() for variable in model.trainable_variables]
    for variable, gradient in zip(model.trainable_variables, computed, strict=True):
        start = variable.numpy()
        expected = np.zeros_like(start)
        for at in np.ndindex(start.shape):
            losses = []
            for step in (1e-6, -1e-6):
                moved = start.copy()
                moved[at] += step
                variable.assign(moved)
                losses.append(model.evaluate(x, y, sample_weight=weights, return_dict=True)["loss"])
            expected[at] = (losses[0] - losses[1]) / 2e-6
        variable.assign(start)
        scale = max(1.0, np.abs(expected).max(initial=0.0))
        np.testing.assert_allclose(
            gradient, expected, rtol=rtol, atol=1e-8 * scale, err_msg=variable.name
        )


def between(*stack):
    """A model with dense layers around the given ones: their input gradient is tested as well."""
    model = keras.Sequential([keras.Input([6]), layers.Dense(6), *stack, layers.Dense(3)])
    model.compile("sgd", "mse")
    return model


class Own(layers.NumpyLayer):
    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1],), "ones", "w")

    def forward(self, x):
        return np.sin(x) * self.w.numpy()

    def backward(self, x, y, dy):
        return dy * np.cos(x) * self.w.numpy(), (dy * np.sin(x)).sum(axis=0)


SIMPLE = {
    "Activation": lambda: layers.Activation("gelu"),
    "ReLU": lambda: layers.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.2),
    "LeakyReLU": lambda: layers.LeakyReLU(0.2),
    "PReLU": lambda: layers.PReLU("ones"),
    "ELU": lambda: layers.ELU(0.7),
    "Softmax": lambda: layers.Softmax(),
    "Swish": lambda: layers.Swish(),
    "LayerNormalization": lambda: layers.LayerNormalization(),
    "RMSNormalization": lambda: layers.RMSNormalization(),
    "UnitNormalization": lambda: layers.UnitNormalization(),
    "Rescaling": lambda: layers.Rescaling([1.0, 2.0, 0.5, 3.0, -1.0, 0.1], 0.3),
    "Lambda": lambda: layers.Lambda(lambda x: x * x - 2.0 / (x * x + 1.0)),
    "Normalization": lambda: layers.Normalization(mean=1.0, variance=[1, 2, 3, 4, 5, 6]),
    "ActivityRegularization": lambda: layers.ActivityRegularization(0.1, 0.2),
    "NumpyLayer": lambda: Own(),
    "GlobalAveragePooling1D": lambda: keras.Sequential(
        [layers.Reshape((3, 2)), layers.GlobalAveragePooling1D()]
    ),
    "Reshape, Flatten": lambda: keras.Sequential(
        [layers.Reshape((2, 3)), layers.Dense(4), layers.Flatten()]
    ),
    "Dense, regularised": lambda: layers.Dense(
        4,
        "tanh",
        kernel_regularizer="l2",
        bias_regularizer=keras.regularizers.L1L2(0.1, 0.1),
        activity_regularizer=keras.regularizers.L2(0.1),
    ),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_of_a_layer(name):
    assert_gradients(between(SIMPLE[name]()))


MERGING = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


@pytest.mark.parametrize("name", MERGING)
def test_of_a_merge(name):
    x = keras.Input([6])
    a, b = layers.Dense(4)(x), layers.Dense(4, "tanh")(x)
    merged = getattr(layers, name)()([a, b])
    model = keras.Model(x, layers.Dense(3)(merged))
    model.compile("sgd", "mse")
    assert_gradients(model)


def test_of_an_embedding():
    model = keras.Sequential(
        [keras.Input([4]), layers.Embedding(5, 3), layers.Flatten(), layers.Dense(3)]
    )
    model.compile("sgd", "mse")
    assert_gradients(model, RNG.integers(0, 5, size=(7, 4)))


class InTraining(keras.Model):
    """A model whose loss is that of training whatever it is asked for."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs, training=True)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("first", [True, False], ids=["on the input", "within"])
def test_of_batch_normalization_in_training(center, first):
    norm = layers.BatchNormalization(center=center)
    stack = [norm, layers.Dense(5)] if first else [layers.Dense(5), norm]
    model = InTraining(keras.Sequential([*stack, layers.Activation("tanh"), layers.Dense(3)]))
    model.compile("sgd", "mse")
    assert_gradients(model)


def test_of_a_frozen_batch_normalization():
    norm = layers.BatchNormalization()
    model = between(norm)
    norm.moving_mean.assign(RNG.normal(size=6))
    norm.moving_variance.assign(RNG.uniform(0.5, 2.0, size=6))
    norm.trainable = False
    assert_gradients(model)


# -- models ----------------------------------------------------------------------------------------


def classifier():
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(7, "selu", kernel_initializer="lecun_normal"),
            layers.LayerNormalization(),
            layers.Dense(5, "swish", kernel_regularizer="l1l2"),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model, X, RNG.integers(0, 3, size=7)


def wide_and_deep():
    wide, deep = keras.Input([2]), keras.Input([4])
    hidden = layers.Dense(5, "elu")(layers.Dense(5, "gelu")(deep))
    main = layers.Dense(1, name="main")(layers.concatenate([wide, hidden]))
    model = keras.Model([wide, deep], [main, layers.Dense(1, name="aux")(hidden)])
    model.compile("sgd", ["mse", "huber"], loss_weights=[0.8, 0.3])
    return model, [X[:, :2], X[:, 2:]], [Y[:, :1], Y[:, 1:2]]


def residual_with_shared_layers():
    x = keras.Input([6])
    shared, norm = layers.Dense(6, "tanh"), layers.RMSNormalization()
    z = x
    for _ in range(3):
        z = layers.add([z, shared(norm(z))])
    model = keras.Model(x, layers.Dense(3)(z))
    model.compile("sgd", "log_cosh")
    return model, X, Y


def gated_with_operators():
    x = keras.Input([6])
    gate, value = layers.Dense(4, "sigmoid")(x), layers.Dense(4)(x)
    mixed = gate * value + (1.0 - gate) * keras.ops.exp(-value * value)
    total = keras.ops.mean(mixed, axis=-1, keepdims=True)
    model = keras.Model(x, layers.Dense(3)(mixed / (1.0 + total * total)))

    def loss(y_true, y_pred):
        error = y_true - y_pred
        return keras.ops.sqrt(error * error + 0.01)

    model.compile("sgd", loss)
    return model, X, Y


def nested_with_sequences():
    inner = keras.Sequential([layers.Dense(4, "tanh"), layers.Dense(2, "softplus")])
    x = keras.Input([3, 2])
    z = layers.Flatten()(inner(inner(x)))
    model = keras.Model(x, layers.Dense(3, "sigmoid")(z))
    model.compile("sgd", "binary_crossentropy")
    return model, X.reshape(7, 3, 2), (Y > 0).astype(float)


MODELS = (
    classifier,
    wide_and_deep,
    residual_with_shared_layers,
    gated_with_operators,
    nested_with_sequences,
)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_of_a_model(make, weighted):
    model, x, y = make()
    weights = RNG.uniform(0.2, 2.0, size=7) if weighted else None
    if weighted and isinstance(y, list):
        weights = [weights, weights[::-1]]
    assert_gradients(model, x, y, weights, rtol=1e-4)


def test_every_layer_is_here():
    elsewhere = {"Dense", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "RReLU"}
    elsewhere |= {"Input", "InputLayer", "Layer", "Flatten", "BatchNormalization", "Embedding"}
    public = {name for name in layers.__all__ if name[0].isupper()}
    assert public - elsewhere - set(MERGING) <= set(SIMPLE) | {"Reshape"}
