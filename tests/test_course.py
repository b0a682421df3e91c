"""A short program for each topic of a Keras course on multilayer perceptrons.

Each runs as a reader would write it, with the import changed, on data that ship with the package
or are made here; what it asserts is the point of its topic.
"""

import numpy as np
import pytest

import onepass as keras

RNG = np.random.default_rng(42)


@pytest.fixture(autouse=True)
def fresh():
    keras.backend.clear_session()
    keras.utils.set_random_seed(42)


def digits():
    """8x8 images of ten digits: training, validation and test data."""
    (x, y), (x_test, y_test) = keras.datasets.digits.load_data()
    x, x_test = x / 16.0, x_test / 16.0
    return (x[:-200], y[:-200]), (x[-200:], y[-200:]), (x_test, y_test)


def housing(n=1500):
    """Eight columns of very different scales, and a value that depends on them smoothly."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8))
    y = x[:, 0] + 0.5 * np.tanh(x[:, 1] * x[:, 2]) + 0.3 * x[:, 3] + 0.1 * rng.normal(size=n)
    scales = np.array([3.0, 500.0, 0.1, 1.0, 1000.0, 2.0, 30.0, 100.0])
    x = x * scales + 2 * scales
    return np.split(x, [1000, 1250]), np.split(y, [1000, 1250])


# -- classification and regression with Sequential -------------------------------------------------


def test_image_classifier():
    (x, y), (x_valid, y_valid), (x_test, y_test) = digits()
    model = keras.models.Sequential()
    model.add(keras.layers.Flatten(input_shape=[8, 8]))
    model.add(keras.layers.Dense(300, activation="relu"))
    model.add(keras.layers.Dense(100, activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    hidden1 = model.layers[1]
    assert model.get_layer(hidden1.name) is hidden1
    weights, biases = hidden1.get_weights()
    assert weights.shape == (64, 300)
    assert not biases.any()
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(learning_rate=0.1),
        metrics=["accuracy"],
    )
    history = model.fit(x, y, epochs=30, validation_data=(x_valid, y_valid), verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history.epoch) == 30
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    assert accuracy > 0.92
    probabilities = model.predict(x_test[:3])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=-1) == y_test[:3]).mean() > 0.5


def test_regression_with_normalization_and_rmse():
    (x, x_valid, x_test), (y, y_valid, y_test) = housing()
    norm_layer = keras.layers.Normalization(input_shape=x.shape[1:])
    model = keras.models.Sequential(
        [
            norm_layer,
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    model.compile(loss="mse", optimizer=optimizer, metrics=["RootMeanSquaredError"])
    norm_layer.adapt(x)
    model.fit(x, y, epochs=20, validation_data=(x_valid, y_valid), verbose=0)
    mse, rmse = model.evaluate(x_test, y_test, verbose=0)
    assert rmse == pytest.approx(np.sqrt(mse), rel=1e-4)
    assert rmse < 0.4 < y_test.std()
    assert model.predict(x_test[:3]).shape == (3, 1)


def test_regression_on_the_diabetes_set():
    """Real measurements, if scikit-learn is there; how well a linear model does is the bar."""
    sklearn_datasets = pytest.importorskip("sklearn.datasets", reason="wants sklearn")
    x, y = sklearn_datasets.load_diabetes(return_X_y=True)
    x_train, x_test, y_train, y_test = x[:350], x[350:], y[:350] / 100, y[350:] / 100
    norm = keras.layers.Normalization()
    norm.adapt(x_train)
    model = keras.Sequential([norm, keras.layers.Dense(30, "selu"), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=[keras.metrics.RootMeanSquaredError()])
    model.fit(x_train, y_train, epochs=60, verbose=0, validation_split=0.1)
    design = np.column_stack([x_train, np.ones(len(x_train))])
    weights = np.linalg.lstsq(design, y_train, rcond=None)[0]
    linear = np.column_stack([x_test, np.ones(len(x_test))]) @ weights
    bar = np.sqrt(np.mean((linear - y_test) ** 2))
    assert model.evaluate(x_test, y_test)[1] < 1.15 * bar


# -- functional and subclassed models --------------------------------------------------------------


def wide_and_deep_data():
    (x, x_valid, x_test), (y, y_valid, y_test) = housing()
    parts = [(part[:, :5], part[:, 2:]) for part in (x, x_valid, x_test)]
    return parts, (y, y_valid, y_test)


def test_wide_and_deep_with_one_input():
    (x, x_valid, _), (y, y_valid, _) = housing()
    normalization_layer = keras.layers.Normalization()
    hidden_layer1 = keras.layers.Dense(30, activation="relu")
    hidden_layer2 = keras.layers.Dense(30, activation="relu")
    concat_layer = keras.layers.Concatenate()
    output_layer = keras.layers.Dense(1)
    input_ = keras.layers.Input(shape=x.shape[1:])
    normalized = normalization_layer(input_)
    hidden1 = hidden_layer1(normalized)
    hidden2 = hidden_layer2(hidden1)
    concat = concat_layer([normalized, hidden2])
    model = keras.Model(inputs=[input_], outputs=[output_layer(concat)])
    normalization_layer.adapt(x)
    model.compile(loss="mse", optimizer="adam", metrics=["RootMeanSquaredError"])
    start = model.evaluate(x_valid, y_valid)[0]
    model.fit(x, y, epochs=10, validation_data=(x_valid, y_valid), verbose=0)
    assert model.evaluate(x_valid, y_valid)[0] < start / 3


def test_wide_and_deep_with_two_inputs():
    parts, (y, y_valid, _) = wide_and_deep_data()
    input_wide = keras.layers.Input(shape=[5])
    input_deep = keras.layers.Input(shape=[6])
    norm_layer_wide = keras.layers.Normalization()
    norm_layer_deep = keras.layers.Normalization()
    norm_wide = norm_layer_wide(input_wide)
    norm_deep = norm_layer_deep(input_deep)
    hidden1 = keras.layers.Dense(30, activation="relu")(norm_deep)
    hidden2 = keras.layers.Dense(30, activation="relu")(hidden1)
    concat = keras.layers.concatenate([norm_wide, hidden2])
    output = keras.layers.Dense(1)(concat)
    model = keras.Model(inputs=[input_wide, input_deep], outputs=[output])
    optimizer = keras.optimizers.Adam(learning_rate=1e-2)
    model.compile(loss="mse", optimizer=optimizer, metrics=["RootMeanSquaredError"])
    norm_layer_wide.adapt(parts[0][0])
    norm_layer_deep.adapt(parts[0][1])
    history = model.fit(
        parts[0], y, epochs=10, validation_data=(parts[1], y_valid), verbose=0
    ).history
    assert history["val_loss"][-1] < history["val_loss"][0] / 2
    assert model.predict((parts[2][0][:3], parts[2][1][:3])).shape == (3, 1)


def test_wide_and_deep_with_an_auxiliary_output():
    parts, (y, y_valid, y_test) = wide_and_deep_data()
    scaled = [tuple((a - a.mean(0)) / a.std(0) for a in part) for part in parts]
    input_wide = keras.layers.Input(shape=[5], name="wide")
    input_deep = keras.layers.Input(shape=[6], name="deep")
    hidden = keras.layers.Dense(30, activation="relu")(input_deep)
    hidden = keras.layers.Dense(30, activation="relu")(hidden)
    output = keras.layers.Dense(1, name="main")(keras.layers.concatenate([input_wide, hidden]))
    aux_output = keras.layers.Dense(1, name="aux")(hidden)
    model = keras.Model(inputs=[input_wide, input_deep], outputs=[output, aux_output])
    model.compile(
        loss=("mse", "mse"),
        loss_weights=(0.9, 0.1),
        optimizer="adam",
        metrics=["RootMeanSquaredError", "RootMeanSquaredError"],
    )
    model.fit(scaled[0], (y, y), epochs=10, validation_data=(scaled[1], (y_valid,) * 2), verbose=0)
    results = model.evaluate(scaled[2], (y_test, y_test))
    total, main_loss, aux_loss, main_rmse, aux_rmse = results
    assert total == pytest.approx(0.9 * main_loss + 0.1 * aux_loss, rel=1e-5)
    assert main_rmse == pytest.approx(np.sqrt(main_loss), rel=1e-4)
    assert aux_rmse == pytest.approx(np.sqrt(aux_loss), rel=1e-4)
    y_main, y_aux = model.predict({"wide": scaled[2][0][:3], "deep": scaled[2][1][:3]})
    assert y_main.shape == y_aux.shape == (3, 1)


class WideAndDeepModel(keras.Model):
    """The same, as a subclass."""

    def __init__(self, units=30, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.norm_layer_wide = keras.layers.Normalization()
        self.norm_layer_deep = keras.layers.Normalization()
        self.hidden1 = keras.layers.Dense(units, activation=activation)
        self.hidden2 = keras.layers.Dense(units, activation=activation)
        self.main_output = keras.layers.Dense(1)
        self.aux_output = keras.layers.Dense(1)

    def call(self, inputs):
        input_wide, input_deep = inputs
        norm_wide = self.norm_layer_wide(input_wide)
        norm_deep = self.norm_layer_deep(input_deep)
        hidden1 = self.hidden1(norm_deep)
        hidden2 = self.hidden2(hidden1)
        concat = keras.layers.concatenate([norm_wide, hidden2])
        return self.main_output(concat), self.aux_output(hidden2)


def test_subclassed_wide_and_deep():
    parts, (y, y_valid, _) = wide_and_deep_data()
    model = WideAndDeepModel(30, activation="relu", name="my_cool_model")
    model.compile(
        loss=["mse", "mse"],
        loss_weights=[0.9, 0.1],
        optimizer=keras.optimizers.Adam(learning_rate=1e-2),
        metrics=["RootMeanSquaredError", "RootMeanSquaredError"],
    )
    model.norm_layer_wide.adapt(parts[0][0])
    model.norm_layer_deep.adapt(parts[0][1])
    history = model.fit(
        parts[0], (y, y), epochs=10, validation_data=(parts[1], (y_valid, y_valid)), verbose=0
    ).history
    assert history["val_loss"][-1] < history["val_loss"][0] / 2
    y_main, y_aux = model.predict((parts[2][0][:3], parts[2][1][:3]))
    assert y_main.shape == y_aux.shape == (3, 1)


class ResidualBlock(keras.layers.Layer):
    """A layer made of others."""

    def __init__(self, n_layers, n_neurons, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [
            keras.layers.Dense(n_neurons, activation="elu", kernel_initializer="he_normal")
            for _ in range(n_layers)
        ]

    def call(self, inputs):
        z = inputs
        for layer in self.hidden:
            z = layer(z)
        return inputs + z


def test_layers_made_of_layers():
    (x, _, _), (y, _, _) = housing()
    x = (x - x.mean(0)) / x.std(0)
    model = keras.Sequential(
        [keras.layers.Dense(30, "elu"), ResidualBlock(2, 30), ResidualBlock(2, 30)]
    )
    model.add(keras.layers.Dense(1))
    model.compile("adam", "mse")
    history = model.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    assert len(model.layers[1].trainable_variables) == 4


def test_own_layers_losses_activations_and_metrics():
    """Functions written with operators and ``keras.ops``."""

    def my_softplus(z):
        return keras.ops.log(1.0 + keras.ops.exp(z))

    def huber_fn(y_true, y_pred):
        error = y_true - y_pred
        is_small = keras.ops.minimum(keras.ops.abs(error), 1.0)
        return is_small * (keras.ops.abs(error) - 0.5 * is_small)

    (x, _, _), (y, _, _) = housing()
    x = (x - x.mean(0)) / x.std(0)
    model = keras.Sequential(
        [
            keras.layers.Dense(30, activation=my_softplus),
            keras.layers.Lambda(lambda z: keras.ops.square(z) * 0.1 + z),
            keras.layers.Dense(1),
        ]
    )
    model.compile(loss=huber_fn, optimizer="adam", metrics=["mae", huber_fn])
    history = model.fit(x, y, epochs=5, verbose=0).history
    np.testing.assert_allclose(history["loss"], history["huber_fn"], rtol=1e-4)
    assert history["loss"][-1] < history["loss"][0] / 2
    exact = keras.losses.Huber()(y[:, None], model.predict(x))
    np.testing.assert_allclose(model.evaluate(x, y)[0], exact, rtol=1e-4)


# -- vanishing gradients: initialisation, activations, batch normalisation, clipping ---------------


def test_initialisers_and_leaky_relu():
    dense = keras.layers.Dense(50, activation="relu", kernel_initializer="he_normal")
    dense.build((None, 200))
    assert dense.kernel.numpy().std() == pytest.approx(np.sqrt(2 / 200), rel=0.05)
    he_avg_init = keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_avg", distribution="uniform"
    )
    dense = keras.layers.Dense(50, activation="sigmoid", kernel_initializer=he_avg_init)
    dense.build((None, 200))
    assert dense.kernel.numpy().std() == pytest.approx(np.sqrt(2 / 125), rel=0.05)
    leaky_relu = keras.layers.LeakyReLU(negative_slope=0.2)
    dense = keras.layers.Dense(50, activation=leaky_relu, kernel_initializer="he_normal")
    y = dense(np.ones((2, 20), np.float32))
    assert (y < 0).any()
    with pytest.warns(DeprecationWarning, match="negative_slope"):
        keras.layers.LeakyReLU(alpha=0.2)
    model = keras.Sequential(
        [keras.layers.Dense(8, kernel_initializer="he_normal"), keras.layers.PReLU()]
    )
    model.build((None, 4))
    assert model.count_params() == 4 * 8 + 8 + 8


def test_selu_normalises_itself_through_twenty_layers():
    x = RNG.normal(size=(500, 100)).astype("float32")
    model = keras.Sequential([keras.Input([100])])
    for _ in range(20):
        model.add(keras.layers.Dense(100, activation="selu", kernel_initializer="lecun_normal"))
        model.add(keras.layers.AlphaDropout(rate=0.1))
    z = model(x, training=True)
    assert abs(z.mean()) < 0.2
    assert 0.7 < z.std() < 1.3
    assert not np.array_equal(z, model(x, training=True))


def test_batch_normalised_network():
    model = keras.Sequential(
        [
            keras.layers.Flatten(input_shape=[28, 28]),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(300, activation="relu", kernel_initializer="he_normal"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(100, activation="relu", kernel_initializer="he_normal"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    lines = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    for number in ("271,346", "268,978", "2,368"):
        assert number in text
    assert [(v.name.split("/")[-1], v.trainable) for v in model.layers[1].variables] == [
        ("gamma", True),
        ("beta", True),
        ("moving_mean", False),
        ("moving_variance", False),
    ]


@pytest.mark.parametrize("before_activation", [False, True])
def test_batch_normalisation_helps_a_plain_start(before_activation):
    (x, y), (x_valid, y_valid), _ = digits()
    model = keras.Sequential([keras.layers.Flatten(input_shape=[8, 8])])
    for units in (100, 50):
        if before_activation:
            model.add(keras.layers.Dense(units, use_bias=False))
            model.add(keras.layers.BatchNormalization(axis=1))
            model.add(keras.layers.Activation("relu"))
        else:
            model.add(keras.layers.BatchNormalization())
            model.add(keras.layers.Dense(units, activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=8, verbose=0)
    assert model.evaluate(x_valid, y_valid)[1] > 0.9


@pytest.mark.parametrize("clip", [{"clipvalue": 1.0}, {"clipnorm": 1.0}])
def test_gradient_clipping(clip):
    model = keras.Sequential([keras.layers.Input([2]), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((2, 1))])
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(learning_rate=1.0, **clip))
    # One sample: the gradient is -2 x y = -[0.9, 100].
    model.fit(np.array([[0.009, 1.0]]), np.array([50.0]), epochs=1, verbose=0)
    (moved,) = model.get_weights()
    expected = [0.9, 1.0] if "clipvalue" in clip else [0.00899964, 0.9999595]
    np.testing.assert_allclose(moved[:, 0], expected, rtol=1e-4)


# -- reusing layers --------------------------------------------------------------------------------


def test_transfer_learning_with_frozen_layers():
    (x, y), _, (x_test, y_test) = digits()
    first, others = y >= 2, y < 2
    model_a = keras.Sequential([keras.layers.Flatten(input_shape=[8, 8])])
    for units in (60, 30):
        model_a.add(keras.layers.Dense(units, activation="relu"))
    model_a.add(keras.layers.Dense(8, activation="softmax"))
    model_a.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model_a.fit(x[first], y[first] - 2, epochs=15, verbose=0)

    model_a_clone = keras.models.clone_model(model_a)
    model_a_clone.set_weights(model_a.get_weights())
    model_b_on_a = keras.models.Sequential(model_a_clone.layers[:-1])
    model_b_on_a.add(keras.layers.Dense(1, activation="sigmoid"))
    for layer in model_b_on_a.layers[:-1]:
        layer.trainable = False
    optimizer = keras.optimizers.SGD(learning_rate=0.01)
    model_b_on_a.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    frozen = model_b_on_a.layers[1].get_weights()
    x_b, y_b = x[others][:100], y[others][:100]
    model_b_on_a.fit(x_b, y_b, epochs=4, verbose=0)
    for a, b in zip(frozen, model_b_on_a.layers[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for layer in model_b_on_a.layers[:-1]:
        layer.trainable = True
    model_b_on_a.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    model_b_on_a.fit(x_b, y_b, epochs=16, verbose=0)
    assert not np.array_equal(frozen[0], model_b_on_a.layers[1].get_weights()[0])
    for a, b in zip(model_a.layers[1].get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(a, b)  # the clone has weights of its own
    test = y_test < 2
    assert model_b_on_a.evaluate(x_test[test], y_test[test])[1] > 0.95


# -- regularisation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "regularizer",
    [
        keras.regularizers.l1(0.01),
        keras.regularizers.l2(0.01),
        keras.regularizers.l1_l2(0.01, 0.01),
    ],
    ids=["l1", "l2", "elastic net"],
)
def test_regularizers_keep_weights_small(regularizer):
    (x, y), _, _ = digits()
    norms = []
    for chosen in (None, regularizer):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.layers.Flatten(input_shape=[8, 8]),
                keras.layers.Dense(50, activation="relu", kernel_regularizer=chosen),
                keras.layers.Dense(10, activation="softmax", kernel_regularizer=chosen),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=5, verbose=0)
        norms.append(np.abs(model.layers[1].kernel.numpy()).sum())
    assert norms[1] < 0.8 * norms[0]
    penalty = sum(model.losses)
    plain = keras.losses.SparseCategoricalCrossentropy()(y, model.predict(x))
    assert model.evaluate(x, y) == pytest.approx(plain + penalty, rel=1e-4)


def test_max_norm():
    (x, y), _, _ = digits()
    dense = keras.layers.Dense(
        50, activation="relu", kernel_constraint=keras.constraints.max_norm(1.0)
    )
    model = keras.Sequential([keras.layers.Flatten(input_shape=[8, 8]), dense])
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=3, verbose=0)
    norms = np.linalg.norm(dense.kernel.numpy(), axis=0)
    assert norms.max() == pytest.approx(1.0, rel=1e-5)


def dropout_network(layer=keras.layers.Dropout):
    model = keras.Sequential([keras.layers.Flatten(input_shape=[8, 8])])
    for units in (100, 100):
        model.add(layer(rate=0.2))
        model.add(keras.layers.Dense(units, activation="relu", kernel_initializer="he_normal"))
    model.add(layer(rate=0.2))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_dropout_and_monte_carlo_dropout():
    (x, y), _, (x_test, y_test) = digits()
    model = dropout_network()
    history = model.fit(x, y, epochs=15, verbose=0).history
    loss = model.evaluate(x, y)[0]
    assert loss < history["loss"][-1]  # dropout makes training harder than evaluating
    np.testing.assert_array_equal(model.predict(x_test), model.predict(x_test))

    y_probas = np.stack([model(x_test, training=True) for _ in range(50)])
    y_proba = y_probas.mean(axis=0)
    assert y_probas.std(axis=0).max() > 0.05
    np.testing.assert_allclose(y_proba.sum(axis=1), 1, rtol=1e-4)
    assert (y_proba.argmax(axis=1) == y_test).mean() > 0.92


class MCDropout(keras.layers.Dropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


def test_monte_carlo_dropout_by_a_subclass():
    (x, y), _, (x_test, _) = digits()
    model = dropout_network()
    model.fit(x, y, epochs=5, verbose=0)
    mc_model = keras.Sequential(
        [
            MCDropout(layer.rate) if isinstance(layer, keras.layers.Dropout) else layer
            for layer in model.layers
        ]
    )
    mc_model.build((None, 8, 8))
    mc_model.set_weights(model.get_weights())
    first, second = mc_model.predict(x_test[:20]), mc_model.predict(x_test[:20])
    assert not np.array_equal(first, second)
    mean = np.mean([mc_model.predict(x_test[:20]) for _ in range(100)], axis=0)
    np.testing.assert_allclose(mean, model.predict(x_test[:20]), atol=0.35)


# -- perceptrons -----------------------------------------------------------------------------------

XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_Y = np.array([0, 1, 1, 0], np.float32)


class DenseTranspose(keras.layers.Layer):
    """Decodes with the weights of the layer that encoded."""

    def __init__(self, dense, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.biases = self.add_weight(
            name="bias", shape=(self.dense.kernel.shape[0],), initializer="zeros"
        )
        super().build(input_shape)

    def call(self, inputs):
        z = keras.ops.matmul(inputs, keras.ops.transpose(self.dense.kernel))
        return self.activation(z + self.biases)


def test_an_autoencoder_with_tied_weights():
    keras.utils.set_random_seed(4)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(256, 2)) @ rng.normal(size=(2, 20))).astype(np.float32)  # a plane
    first = keras.layers.Dense(8, activation="tanh")
    second = keras.layers.Dense(2)
    encoder = keras.Sequential([keras.Input((20,)), first, second])
    decoder = keras.Sequential([DenseTranspose(second, "tanh"), DenseTranspose(first)])
    model = keras.Sequential([encoder, decoder])
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(0.01))
    assert len(model.trainable_weights) == 6
    losses = model.fit(x, x, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    z = np.tanh(x @ first.kernel.numpy() + first.bias.numpy()) @ second.kernel.numpy()
    z = np.tanh((z + second.bias.numpy()) @ second.kernel.numpy().T + decoder.get_weights()[0])
    decoded = z @ first.kernel.numpy().T
    biases = [layer.biases.numpy() for layer in decoder.layers]
    np.testing.assert_allclose(model.predict(x), decoded + biases[1], rtol=1e-4, atol=1e-4)


def test_xor_wants_a_hidden_layer():
    single = keras.Sequential([keras.Input([2]), keras.layers.Dense(1, activation="sigmoid")])
    single.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    single.fit(XOR_X, XOR_Y, epochs=500, verbose=0)
    assert single.evaluate(XOR_X, XOR_Y)[1] <= 0.75
    model = keras.Sequential(
        [
            keras.Input([2]),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    model.fit(XOR_X, XOR_Y, epochs=500, verbose=0)
    assert model.evaluate(XOR_X, XOR_Y)[1] == 1.0


def flowers(source):
    """Length and width of petals, and whether they are a setosa's: real, or as if they were."""
    if source == "iris":
        datasets = pytest.importorskip("sklearn.datasets", reason="wants sklearn")
        iris = datasets.load_iris()
        return iris.data[:, 2:], iris.target == 0
    rng = np.random.default_rng(4)
    small = rng.normal([1.4, 0.2], [0.2, 0.1], size=(50, 2))
    large = rng.normal([5.0, 1.8], [0.6, 0.3], size=(50, 2))
    return np.vstack([small, large]), np.repeat([True, False], 50)


def perceptron():
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss="perceptron",
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
    )
    return model


@pytest.mark.parametrize("source", ["made", "iris"])
def test_a_perceptron_tells_setosas_apart(source):
    x, y = flowers(source)
    model = perceptron()
    model.fit(x, y, batch_size=1, epochs=20, verbose=0)
    assert model.evaluate(x, y)[1] == 1.0
    step = keras.Sequential([*model.layers, keras.layers.Activation("heaviside")])
    np.testing.assert_array_equal(step.predict(x)[:, 0] > 0, y)


def test_a_perceptron_cannot_learn_xor():
    model = perceptron()
    model.fit(XOR_X, XOR_Y, batch_size=1, epochs=200, verbose=0)
    assert model.evaluate(XOR_X, XOR_Y)[1] <= 0.75


# -- unbalanced classes and several labels ---------------------------------------------------------


def test_class_weights_lift_the_recall_of_a_rare_class():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3000, 5)).astype("float32")
    y = (x[:, 0] + x[:, 1] + rng.normal(size=3000) > 3.2).astype("int64")
    assert 0.01 < y.mean() < 0.1
    recalls = []
    for weights in (None, {0: 1.0, 1: (1 - y.mean()) / y.mean()}):
        keras.utils.set_random_seed(2)
        model = keras.Sequential(
            [keras.Input([5]), keras.layers.Dense(16, "relu"), keras.layers.Dense(1, "sigmoid")]
        )
        metrics = [keras.metrics.Recall(name="recall"), keras.metrics.AUC(name="auc")]
        model.compile("adam", "binary_crossentropy", metrics=metrics)
        model.fit(x, y, epochs=10, class_weight=weights, verbose=0)
        logs = model.evaluate(x, y, return_dict=True)
        recalls.append(logs["recall"])
        assert logs["auc"] > 0.85
    assert recalls[1] > recalls[0] + 0.2


def test_several_labels_for_each_sample():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1000, 6)).astype("float32")
    labels = (x @ rng.normal(size=(6, 3)) > 0).astype("float32")
    model = keras.Sequential(
        [keras.Input([6]), keras.layers.Dense(20, "relu"), keras.layers.Dense(3, "sigmoid")]
    )
    model.compile("adam", "binary_crossentropy", metrics=["binary_accuracy"])
    model.fit(x, labels, epochs=20, verbose=0)
    assert model.evaluate(x, labels)[1] > 0.93
    assert ((model.predict(x) > 0.5) == labels).mean() > 0.93
