"""Layers by themselves and written by users: weights, building, sharing."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import onepass
from onepass import Input, Sequential, activations, initializers, layers, utils
from onepass.engine.graph import record
from onepass.engine.ops import DenseOp
from onepass.layers import Activation, Dense, Flatten, Layer
from reference.activations import ACTIVATIONS
from reference.mlp import Mlp, layers_like
from strategies import assert_same_bits

N, COLS = 12, 4
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, COLS)), RNG.normal(size=(N, COLS))


class Tied(Layer):
    """One kernel twice, with a bias the second (or first) time only."""

    def __init__(self, bias_first, **kwargs):
        super().__init__(**kwargs)
        self.bias_first = bias_first

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], input_shape[-1]), "normal", "kernel")
        self.bias = self.add_weight((input_shape[-1],), "normal", "bias")

    def call(self, inputs):
        first, second = (self.bias, None) if self.bias_first else (None, self.bias)
        return record(DenseOp(self.kernel, second), [record(DenseOp(self.kernel, first), [inputs])])


class Block(Layer):
    """Layers kept as an attribute and in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = Dense(3, "tanh", dtype=self.dtype)
        self.rest = [Dense(5, dtype=self.dtype), Activation("tanh", dtype=self.dtype)]

    def call(self, inputs):
        for layer in (self.first, *self.rest):
            inputs = layer(inputs)
        return inputs


def model_of(*parts, loss="mse", optimizer="sgd"):
    utils.set_random_seed(7)
    model = Sequential([Input([COLS], dtype="float64"), *parts])
    model.compile(optimizer, loss)
    return model


@pytest.mark.parametrize("bias_first", [False, True])
def test_gradients_of_a_tied_kernel_add_up(bias_first):
    model = model_of(Tied(bias_first, dtype="float64"))
    before = model.get_weights()

    def loss_at(weights):
        model.set_weights(weights)
        return model.evaluate(X, Y)

    model.optimizer.learning_rate = 1.0
    model.fit(X, Y, batch_size=N, verbose=0)
    steps = [b - a for b, a in zip(before, model.get_weights(), strict=True)]
    for k, step in enumerate(steps):
        for index in np.ndindex(step.shape):
            values = []
            for h in (1e-6, -1e-6):
                moved = [w.copy() for w in before]
                moved[k][index] += h
                values.append(loss_at(moved))
            assert step[index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)


def test_layers_within_a_layer_are_its_own():
    block = Block(dtype="float64")
    model = model_of(block, Dense(COLS, dtype="float64"))
    assert block.count_params() == (COLS + 1) * 3 + 4 * 5
    assert [v.name.split("/")[1] for v in block.variables] == ["kernel", "bias"] * 2
    flat = Sequential(
        [
            Input([COLS], dtype="float64"),
            *(Dense(n, a, dtype="float64") for n, a in ((3, "tanh"), (5, "tanh"), (COLS, None))),
        ]
    )
    flat.compile("sgd", "mse")
    flat.set_weights(model.get_weights())
    for m in (model, flat):
        m.fit(X, Y, epochs=3, shuffle=False, verbose=0)
    assert_same_bits(model.get_weights(), flat.get_weights())
    block.trainable = False
    frozen = block.get_weights()
    model.fit(X, Y, verbose=0)
    assert_same_bits(frozen, block.get_weights())


def test_weights_that_no_layer_holds_are_refused():
    class Forgetful(Layer):
        def call(self, inputs):
            return Dense(3, dtype=self.dtype)(inputs)

    with pytest.raises(ValueError, match="does not hold"):
        model_of(Forgetful(dtype="float64"))


def test_an_array_of_a_weight_is_a_snapshot():
    model = model_of(Dense(COLS, dtype="float64"))
    kernel = model.layers[0].kernel
    taken = [np.array(kernel), kernel.numpy(), model.get_weights()[0]]
    before = taken[0].copy()
    model.fit(X, Y, verbose=0)
    assert all(np.array_equal(snapshot, before) for snapshot in taken)
    assert not np.array_equal(kernel, before)
    assert np.asarray(kernel, np.float32).dtype == np.float32


def test_build_by_hand():
    layer = Dense(2, dtype="float64")
    layer.build((None, COLS))
    assert layer.built
    assert layer.kernel.numpy().shape == (COLS, 2)
    before = layer.get_weights()
    model = model_of(layer)
    assert model.count_params() == layer.count_params() == 2 * (COLS + 1)
    assert_same_bits(before, layer.get_weights())


def test_build_that_calls_its_parent():
    class Wider(Dense):
        def build(self, input_shape):
            self.scale = self.add_weight((3,), "ones", "scale")
            super().build(input_shape)

    layer = Wider(2, dtype="float64")
    layer.build((None, COLS))
    assert [v.name.split("/")[1] for v in layer.variables] == ["scale", "kernel", "bias"]
    assert np.array_equal(layer.scale.numpy(), np.ones(3))


def test_a_build_that_fails_leaves_nothing():
    layer = Dense(2, kernel_initializer=lambda shape, dtype: np.zeros((1, 1)))
    with pytest.raises(ValueError, match="initializer"):
        layer.build((None, COLS))
    assert not layer.built
    assert layer.variables == []


def test_activation_and_flatten_are_the_reference():
    model = model_of(
        Dense(6, dtype="float64"),
        Activation("sigmoid", dtype="float64"),
        Flatten(dtype="float64"),
        Dense(COLS, dtype="float64"),
    )
    oracle = Mlp(layers_like(model), "mean_squared_error")
    assert model.evaluate(X, Y) == pytest.approx(oracle.objective(X, Y), rel=1e-12)


ACTIVATION_LAYERS = [
    (layers.ReLU, {}, "relu", {}),
    (
        layers.ReLU,
        {"max_value": 1.5, "negative_slope": 0.25, "threshold": 0.5},
        "relu_general",
        {"max_value": 1.5, "negative_slope": 0.25, "threshold": 0.5},
    ),
    (layers.ReLU, {"negative_slope": 0.25}, "leaky_relu", {"negative_slope": 0.25}),
    (layers.LeakyReLU, {}, "leaky_relu", {"negative_slope": 0.3}),
    (layers.LeakyReLU, {"negative_slope": 0.05}, "leaky_relu", {"negative_slope": 0.05}),
    (layers.ELU, {}, "elu", {"alpha": 1.0}),
    (layers.ELU, {"alpha": 0.5}, "elu", {"alpha": 0.5}),
]


@pytest.mark.parametrize(("kind", "arguments", "name", "hyper"), ACTIVATION_LAYERS)
def test_activation_layers(kind, arguments, name, hyper):
    layer = kind(**arguments, name="mine", dtype="float64")
    model = model_of(Dense(COLS, dtype="float64"), layer)
    kernel, bias = model.get_weights()
    expected = ACTIVATIONS[name].value(X @ kernel + bias, **hyper)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-10, atol=1e-12)
    again = kind.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert arguments.items() <= layer.get_config().items()
    before = model.evaluate(X, Y)
    model.fit(X, Y, epochs=30, verbose=0)
    assert model.evaluate(X, Y) < before


def test_softmax_layer():
    model = model_of(Dense(COLS, dtype="float64"), layers.Softmax(dtype="float64"))
    assert_same_bits(model.predict(X), model_of(Dense(COLS, "softmax", dtype="float64")).predict(X))
    assert layers.Softmax(axis=1).get_config()["axis"] == 1
    with pytest.raises(ValueError, match="axis"):
        layers.Softmax(axis=1)(Input((3, 4)))


def test_old_name_of_the_slope():
    with pytest.warns(DeprecationWarning, match="negative_slope"):
        layer = layers.LeakyReLU(alpha=0.1)
    assert layer.get_config()["negative_slope"] == 0.1


def test_aliases_of_activations():
    assert activations.get("swish") is activations.swish is activations.silu
    assert activations.get("hard_swish") is activations.hard_swish is activations.hard_silu
    assert activations.serialize(activations.swish) == "silu"
    for name in set(activations.__all__) - {"get", "serialize"}:
        found = activations.get(name)
        assert activations.get(activations.serialize(found)) is found


def test_config_round_trip_is_plain_data():
    import json

    layer = Dense(3, "relu", use_bias=False, kernel_initializer="he_normal", name="mine")
    config = json.loads(json.dumps(layer.get_config()))
    again = Dense.from_config(config)
    assert again.get_config() == layer.get_config()
    assert isinstance(again.kernel_initializer, initializers.HeNormal)


@pytest.mark.parametrize("module", ["layers", "models", "optimizers", "losses", "callbacks"])
def test_keras_spelling_of_imports(module):
    alias = importlib.import_module(f"onepass.keras.{module}")
    assert alias is getattr(onepass, module)
    assert importlib.import_module("onepass.keras") is onepass


def test_names_begin_anew_with_a_session():
    onepass.backend.clear_session()
    assert [Dense(1).name, Dense(1).name, Flatten().name] == ["dense", "dense_1", "flatten"]
    onepass.backend.clear_session()
    assert layers.Dense(1).name == "dense"


def test_to_categorical():
    rows = utils.to_categorical([[2], [0]], 4)
    assert np.array_equal(rows, np.eye(4)[[2, 0]])
    assert utils.to_categorical([1, 0]).shape == (2, 2)
    for bad, error in (([0.5], TypeError), ([-1], ValueError), ([4], ValueError)):
        with pytest.raises(error, match="to_categorical"):
            utils.to_categorical(bad, 4)


@pytest.mark.parametrize(
    "activation", [layers.LeakyReLU(negative_slope=0.2), layers.ReLU(max_value=6), "tanh", None]
)
def test_a_layer_as_activation_comes_back_from_its_config(activation):
    x = np.linspace(-9, 9, 12, dtype=np.float32).reshape(3, 4)
    for layer in (
        layers.Dense(4, activation=activation, kernel_initializer="identity"),
        layers.Activation(activation if activation is not None else "linear"),
    ):
        twin = type(layer).from_config(layer.get_config())
        results = [Sequential([Input((4,)), each]).predict(x) for each in (layer, twin)]
        np.testing.assert_array_equal(*results)


def test_an_unknown_layer_as_activation_is_named():
    with pytest.raises(ValueError, match="class_name 'Nonesuch'"):
        layers.Dense(2, activation={"class_name": "Nonesuch", "config": {}})
