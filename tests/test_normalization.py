"""Normalization layers in models: training, moving statistics, freezing, sampling, gradients."""

import copy
import pickle

import numpy as np
import pytest

import onepass
from onepass import Input, Sequential, kernels, layers, losses, optimizers, utils
from reference import normalization as reference
from strategies import assert_same_bits
from test_plan import Graph, targets, variables_of

SPARSE = "sparse_categorical_crossentropy"
ROWS_LAYERS = {
    "layer": layers.LayerNormalization,
    "rms": layers.RMSNormalization,
    "unit": layers.UnitNormalization,
}
EVERY_LAYER = [layers.BatchNormalization, *ROWS_LAYERS.values()]


def m2(*widths, optimizer="adam"):
    """Return a classifier with batch norm on the input and behind each hidden layer."""
    stack = [Input((widths[0],)), layers.BatchNormalization()]
    for width in widths[1:-1]:
        stack += [layers.Dense(width, activation="relu"), layers.BatchNormalization()]
    model = Sequential([*stack, layers.Dense(widths[-1], activation="softmax")])
    model.compile(optimizer, SPARSE, metrics=["accuracy"])
    return model


def data(n=100, cols=20, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    x = rng.normal(size=(n, cols)) + 3 * np.eye(classes, cols)[y]
    return (50 + 7 * x).astype(np.float32), y


def weights_of(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def retraced(model):
    """Let a change of ``trainable`` take effect."""
    model._changed()
    return model


def alone(dtype="float32", **options):
    """Return a model whose first layer is a batch norm, and that layer."""
    norm = layers.BatchNormalization(dtype=dtype, **options)
    model = Sequential([Input((6,), dtype=dtype), norm, layers.Dense(2, dtype=dtype)])
    model.compile(optimizers.SGD(0.0), "mse")
    return model, norm


def test_weights_of_a_classifier(capsys):
    model = m2(784, 300, 100, 10)
    model.summary()
    shown = capsys.readouterr().out
    for count in ("Total params: 271,346", "Trainable params: 268,978", "params: 2,368 "):
        assert count in shown
    norm = model.layers[0]
    assert [v.name.split("/")[1] for v in norm.weights] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
    ]
    assert norm.trainable_weights == [norm.gamma, norm.beta]
    assert norm.non_trainable_weights == [norm.moving_mean, norm.moving_variance]
    ones, zeros = np.ones(784), np.zeros(784)
    for weight, start in zip(norm.get_weights(), (ones, zeros, zeros, ones), strict=True):
        np.testing.assert_array_equal(weight, start)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_reduces_the_loss(optimizer):
    utils.set_random_seed(1)
    model = m2(20, 30, 70, 3, optimizer=optimizer)
    x, y = data(200)
    history = model.fit(x, y, epochs=40, batch_size=32, verbose=0).history
    assert history["loss"][-1] < 0.4 * history["loss"][0]
    assert model.evaluate(x, y)[1] > 0.9  # by the moving statistics


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 7, 32, 100])
def test_moving_statistics_follow_the_batches(batch, dtype):
    """A short last batch counts its own rows only."""
    model, norm = alone(dtype, momentum=0.9)
    x = data(100, 6)[0].astype(dtype)
    mean, variance = np.zeros(6), np.ones(6)
    model.fit(x, np.zeros((100, 2)), batch_size=batch, epochs=3, shuffle=False, verbose=0)
    for _ in range(3):
        for first in range(0, 100, batch):
            part = x[first : first + batch].astype(np.float64)
            mean = 0.9 * mean + 0.1 * part.mean(axis=0)
            variance = 0.9 * variance + 0.1 * part.var(axis=0)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(norm.moving_mean.numpy(), mean, rtol=tolerance)
    np.testing.assert_allclose(norm.moving_variance.numpy(), variance, rtol=tolerance)


def test_only_training_moves_the_statistics():
    model = m2(20, 70, 3)
    x, y = data()
    model.train_on_batch(x, y)
    before = weights_of(model)
    model.evaluate(x, y)
    model.test_on_batch(x, y)
    model.predict(x)
    model(x, training=True)
    assert_same_bits(weights_of(model), before)


def test_plans_of_prediction_see_new_statistics():
    model, norm = alone()
    x = data(100, 6)[0]
    first = model.predict(x)
    model.fit(x, np.zeros((100, 2)), epochs=2, verbose=0)
    assert not np.allclose(model.predict(x), first)
    norm.set_weights([np.ones(6), np.zeros(6), np.zeros(6), np.ones(6)])
    assert_same_bits(model.predict(x), first)
    norm.moving_mean.assign(x.mean(axis=0))
    norm.moving_variance.assign(x.var(axis=0))
    w, b = (a.astype(np.float64) for a in model.layers[1].get_weights())
    h = reference.normalized(x, x.mean(axis=0), x.var(axis=0), 1e-3)
    np.testing.assert_allclose(model.predict(x), h @ w + b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("samples", [3, 100, 1500])
def test_a_model_called_in_training_takes_the_statistics_of_all_samples(samples):
    model = Sequential([Input((6,)), layers.BatchNormalization()])
    x = data(samples, 6)[0]
    expected = reference.batch_norm(x.astype(np.float64), np.ones(6), np.zeros(6), 1e-3)
    np.testing.assert_allclose(model(x, training=True), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(x), x / np.sqrt(1 + 1e-3), rtol=1e-5)


def test_a_sample_is_predicted_alike_in_every_batch():
    model = m2(20, 30, 70, 3)
    x, y = data(700)
    model.fit(x, y, verbose=0)
    whole = model.predict(x)
    assert_same_bits(model.predict(x, batch_size=7), whole)
    assert_same_bits(np.concatenate([model.predict(x[k : k + 1]) for k in range(20)]), whole[:20])


def frozen_pair():
    """Return a trained model and its twin whose batch norms are frozen."""
    utils.set_random_seed(4)
    model = m2(20, 70, 3, optimizer=optimizers.SGD(0.05))
    x, y = data()
    model.fit(x, y, epochs=3, verbose=0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return retraced(model), x, y


def test_a_frozen_layer_normalizes_as_in_inference_and_stays():
    model, x, y = frozen_pair()
    norms = [k for k in model.layers if isinstance(k, layers.BatchNormalization)]
    assert not any(k.trainable_weights for k in norms)
    before = [k.get_weights() for k in norms]
    evaluated = model.evaluate(x, y)[0]
    trained = model.train_on_batch(x, y)[0]
    assert trained == pytest.approx(evaluated, rel=1e-6)  # the loss before the step
    for norm, weights in zip(norms, before, strict=True):
        assert_same_bits(norm.get_weights(), weights)
    assert_same_bits(model(x, training=True), model.predict(x))


def test_trainable_can_be_toggled():
    model, x, y = frozen_pair()
    norm = model.layers[0]
    mean = norm.moving_mean.numpy()
    model.train_on_batch(x, y)
    assert_same_bits(norm.moving_mean.numpy(), mean)
    norm.trainable = True
    retraced(model).train_on_batch(x, y)
    assert (norm.moving_mean.numpy() != mean).all()
    norm.trainable = False
    mean = norm.moving_mean.numpy()
    retraced(model).train_on_batch(x, y)
    assert_same_bits(norm.moving_mean.numpy(), mean)


def test_without_weights_statistics_still_move():
    model, norm = alone(center=False, scale=False)
    assert (norm.gamma, norm.beta, len(norm.weights)) == (None, None, 2)
    x = data(100, 6)[0]
    model.fit(x, np.zeros((100, 2)), epochs=1, verbose=0)
    assert (norm.moving_mean.numpy() != 0).all()


def test_threads_do_not_matter():
    x, y = data(333)
    results = []
    threads = onepass.config.threads()
    try:
        for n in (1, 2, 3):
            onepass.config.set_threads(n)
            utils.set_random_seed(2)
            model = m2(20, 300, 70, 3)
            model.add(layers.LayerNormalization())
            model.add(layers.RMSNormalization())
            model.compile("adam", "mse")
            model.fit(x, np.eye(3)[y], epochs=2, verbose=0)
            results.append(weights_of(model))
    finally:
        onepass.config.set_threads(threads)
    for other in results[1:]:
        assert_same_bits(other, results[0])


def test_statistics_change_with_the_parameters_or_not_at_all():
    """They come in the last phase, which a step that is interrupted has not begun."""
    calls = m2(20, 70, 3).plan_for("train").calls
    kinds = [call.updates for call in calls]
    assert kinds == sorted(kinds)
    names = [call.kernel for call in calls if call.updates]
    assert names.count("moving_statistics") == 2
    assert "dense_update" in names


def test_several_rows_a_sample():
    """All axes but the last are the batch."""
    utils.set_random_seed(0)
    x = data(60, 5)[0].reshape(12, 5, 5)
    norm = layers.BatchNormalization(momentum=0.0)
    model = Sequential([Input((5, 5)), norm, layers.Flatten(), layers.Dense(1)])
    model.compile(optimizers.SGD(0.0), "mse")
    model.fit(x, np.zeros(12), batch_size=12, verbose=0)
    np.testing.assert_allclose(norm.moving_mean.numpy(), x.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(norm.moving_variance.numpy(), x.var(axis=(0, 1)), rtol=1e-5)


@pytest.mark.parametrize("norm", ROWS_LAYERS)
@pytest.mark.parametrize("shape", [(9,), (70,), (3, 8)])
def test_rows_are_normalized(norm, shape):
    layer = ROWS_LAYERS[norm]()
    model = Sequential([Input(shape), layer])
    x = data(11, int(np.prod(shape)))[0].reshape(11, *shape)
    rng = np.random.default_rng(3)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    gamma, beta = [*layer.get_weights(), 1.0, 0.0][:2] if norm == "layer" else (1.0, 0.0)
    if norm == "rms":
        gamma = layer.scale.numpy()
    rows = x.reshape(-1, shape[-1]).astype(np.float64)
    expected = reference.row_norm(rows, gamma, beta, norm, 1e-3 if norm == "layer" else 1e-6)
    got = model.predict(x).reshape(rows.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    assert_same_bits(model(x, training=True), model.predict(x))


# Gradients, through graphs that Sequential does not make


def start():
    utils.set_random_seed(5)
    return Input((4,), dtype="float64"), np.random.default_rng(5).normal(size=(6, 4))


def called(layer, x, training=None):
    """Call a layer as ``layer(x)`` does, by the batch's statistics or by the moving ones."""
    layer.build(x.shape)
    rng = np.random.default_rng(len(x.name))
    layer.set_weights([rng.uniform(0.5, 2.0, w.shape) for w in layer.get_weights()])
    return layer.call(x, training) if isinstance(layer, layers.BatchNormalization) else layer(x)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", EVERY_LAYER)
def test_gradients(kind, training):
    x, given = start()
    first, norm = layers.Dense(5, "tanh", dtype="float64"), kind(dtype="float64")
    last = layers.Dense(3, "softmax", dtype="float64")
    y = last(called(norm, first(x), training))
    variables = [v for v in variables_of(first, norm, last) if v.trainable]
    Graph(x, [(y, "categorical_crossentropy")], variables).assert_gradients([given, targets(y)])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", EVERY_LAYER)
def test_gradients_on_the_input_and_of_a_layer_used_twice(kind, training):
    x, given = start()
    shared, last = kind(dtype="float64"), layers.Dense(3, dtype="float64")
    h = called(shared, x, training)
    again = shared.call(h, training) if kind is layers.BatchNormalization else shared(h)
    y = last(again)
    variables = [v for v in variables_of(shared, last) if v.trainable]
    graph = Graph(x, [(y, "mse"), (h, "mse")], variables)
    graph.assert_gradients([given, targets(y), targets(h)])


def test_a_frozen_layer_passes_gradients_on():
    x, given = start()
    first, norm = layers.Dense(5, dtype="float64"), layers.BatchNormalization(dtype="float64")
    last = layers.Dense(3, dtype="float64")
    norm.trainable = False
    y = last(called(norm, first(x), training=True))
    graph = Graph(x, [(y, losses.MeanSquaredError())], variables_of(first, last))
    calls = [c for c in graph.calls(()) if c.kernel == "batch_norm_backward"]
    assert [sorted(c.writes) for c in calls] == [["dx"]]
    assert calls[0].attributes["fixed"]
    graph.assert_gradients([given, targets(y)])


# Arguments and configurations


def test_configurations_come_back():
    norm = layers.BatchNormalization(
        momentum=0.5, epsilon=0.1, scale=False, moving_mean_initializer="ones", name="n"
    )
    twin = layers.BatchNormalization.from_config(norm.get_config())
    assert twin.get_config() == norm.get_config()
    assert twin.get_config()["moving_mean_initializer"]["class_name"] == "Ones"
    for kind in EVERY_LAYER:
        config = kind().get_config()
        assert kind.from_config(config).get_config() == config


def test_models_with_normalization_are_copied():
    model = m2(20, 70, 3)
    x, y = data()
    model.fit(x, y, verbose=0)
    expected = model.predict(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same_bits(twin.predict(x), expected)


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "words"),
    [
        (layers.BatchNormalization, {"momentum": 1.5}, ValueError, "momentum.*1.5"),
        (layers.BatchNormalization, {"momentum": "x"}, TypeError, "momentum.*str"),
        (layers.BatchNormalization, {"epsilon": -1.0}, ValueError, "epsilon.*-1.0"),
        (layers.BatchNormalization, {"epsilon": np.nan}, ValueError, "epsilon"),
        (layers.BatchNormalization, {"renorm": True}, ValueError, "renorm"),
        (layers.BatchNormalization, {"synchronized": True}, ValueError, "synchronized"),
        (layers.BatchNormalization, {"axis": 1.0}, TypeError, "axis.*1.0"),
        (layers.BatchNormalization, {"gamma_initializer": "one hot"}, ValueError, "one hot"),
        (layers.BatchNormalization, {"fused": True}, TypeError, "fused"),
        (layers.LayerNormalization, {"axis": "last"}, TypeError, "axis.*last"),
        (layers.RMSNormalization, {"epsilon": -1e-6}, ValueError, "epsilon"),
        (layers.UnitNormalization, {"axis": None}, TypeError, "axis"),
    ],
)
def test_bad_arguments(kind, arguments, error, words):
    with pytest.raises(error, match=words):
        kind(**arguments)


@pytest.mark.parametrize("kind", EVERY_LAYER)
def test_only_the_last_axis(kind):
    assert Sequential([Input((5,)), kind(axis=1)]).output_shape == (None, 5)
    assert Sequential([Input((4, 5)), kind(axis=-1)]).output_shape == (None, 4, 5)
    for axis in (0, 1, -2, 3):
        with pytest.raises(ValueError, match=rf"axis must be the last one, -1 or 2.*{axis}"):
            Sequential([Input((4, 5)), kind(axis=axis)])


def test_another_number_of_columns_is_refused():
    norm = layers.BatchNormalization()
    norm(Input((5,)))
    with pytest.raises(ValueError, match="built for 5 columns"):
        norm(Input((6,)))


def test_a_kernel_and_a_layer_agree():
    x = data(40, 6)[0]
    y = kernels.batch_norm_forward(x)[0]
    model = Sequential([Input((6,)), layers.BatchNormalization()])
    assert_same_bits(model(x, training=True), y)


def test_gamma_and_beta_may_be_regularised_and_constrained():
    norm = layers.BatchNormalization(
        gamma_regularizer="l2",
        beta_regularizer=onepass.regularizers.L1(0.5),
        gamma_constraint="non_neg",
    )
    model = onepass.Sequential([onepass.Input([3]), norm, layers.Dense(1)])
    model.compile(onepass.optimizers.SGD(0.1), "mse")
    norm.beta.assign([1.0, -2.0, 0.0])
    assert sum(model.losses) == pytest.approx(0.01 * 3 + 0.5 * 3)
    x = np.random.default_rng(0).normal(size=(20, 3))
    data = model.predict(x), model.evaluate(x, np.zeros((20, 1)))
    assert data[1] == pytest.approx(np.mean(data[0] ** 2) + 1.53, rel=1e-5)
    norm.gamma.assign([-1.0, 0.5, 2.0])
    model.fit(x, np.zeros((20, 1)), epochs=1, verbose=0)
    assert norm.gamma.numpy().min() >= 0
    again = layers.BatchNormalization.from_config(norm.get_config())
    assert again.get_config() == norm.get_config()
