"""Losses and metrics that are functions or own classes, recorded in the plan."""

import copy

import numpy as np
import pytest

from onepass import Input, Model, Sequential, config, layers, losses, ops, optimizers, utils
from strategies import assert_same_bits


def squared(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def absolute(y_true, y_pred):
    return ops.abs(y_true - y_pred)


def log_cosh(y_true, y_pred):
    e = y_pred - y_true
    return ops.mean(e + ops.softplus(-2.0 * e) - np.log(2.0), axis=-1, keepdims=True)


def crossentropy(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


class Weighted(losses.Loss):
    def __init__(self, weight=2.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, y_true, y_pred):
        e = y_true - y_pred
        return ops.mean(ops.maximum(self.weight * e, -e), axis=-1)


TWINS = {
    "squared": (squared, "mean_squared_error"),
    "absolute": (absolute, "mean_absolute_error"),
    "log_cosh": (log_cosh, "log_cosh"),
    "sum": (losses.FunctionLoss(squared, "sum"), losses.MeanSquaredError("sum")),
    "class": (Weighted(3.0, name="w"), None),
}


def data(rows=21, cols=3, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(rows, 5)), rng.normal(size=(rows, cols))
    return x, y, rng.uniform(0.2, 2.0, rows)


def net(loss, cols=3, last=None, dtype="float64", **options):
    utils.set_random_seed(3)
    model = Sequential(
        [
            Input((5,), dtype=dtype),
            layers.Dense(70, "tanh", dtype=dtype),
            layers.Dense(cols, last, dtype=dtype),
        ]
    )
    model.compile(optimizers.SGD(0.1), loss, **options)
    return model


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [name for name, (_, twin) in TWINS.items() if twin])
def test_a_function_trains_like_the_compiled_loss(name, weighted) -> None:
    x, y, weights = data()
    results = []
    for loss in TWINS[name]:
        model = net(loss, metrics=[squared, "mae"], weighted_metrics=[absolute])
        options = {"sample_weight": weights} if weighted else {}
        logs = [
            model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, **options).history,
            model.evaluate(x, y, return_dict=True, **options),
        ]
        results.append((logs, model.get_weights()))
    (own_logs, own), (compiled_logs, compiled) = results
    for a, b in zip(own, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    for a, b in zip(own_logs, compiled_logs, strict=True):
        assert list(a) == list(b)
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-9)


def test_metrics_that_are_functions_are_those_of_the_library() -> None:
    x, y, weights = data()
    model = net("mse", metrics=[squared, "mse", absolute, "mae"], weighted_metrics=[squared, "mse"])
    logs = model.evaluate(x, y, sample_weight=weights, return_dict=True, batch_size=4)
    assert set(logs) == {
        *("loss", "squared", "mse", "absolute", "mae", "weighted_squared", "weighted_mse")
    }
    for own, named in (
        ("squared", "mse"),
        ("absolute", "mae"),
        ("weighted_squared", "weighted_mse"),
    ):
        np.testing.assert_allclose(logs[own], logs[named], rtol=1e-12)


def test_a_class_of_ones_own() -> None:
    x, y, weights = data()
    loss = Weighted(3.0, name="w")
    model = net(loss, metrics=[Weighted(3.0)])
    p = model.predict(x)
    rows = np.maximum(3 * (y - p), p - y).mean(-1)
    logs = model.evaluate(x, y, return_dict=True)
    np.testing.assert_allclose([logs["loss"], logs["weighted"]], rows.mean(), rtol=1e-12)
    np.testing.assert_allclose(
        model.evaluate(x, y, sample_weight=weights)[0], (rows * weights).mean()
    )
    np.testing.assert_allclose(loss(y, p), rows.mean(), rtol=1e-12)
    np.testing.assert_allclose(loss(y, p, weights), (rows * weights).mean(), rtol=1e-12)
    np.testing.assert_allclose(Weighted(3.0, reduction="sum")(y, p), rows.sum(), rtol=1e-12)
    np.testing.assert_allclose(Weighted(3.0, reduction=None)(y, p), rows, rtol=1e-12)


@pytest.mark.parametrize("function", [squared, absolute, log_cosh, Weighted(2.5), crossentropy])
def test_gradients_against_differences(function) -> None:
    x, y, weights = data(7)
    last = "sigmoid" if function is crossentropy else None
    y = (y > 0).astype(float) if last else y
    model = net(function, last=last)
    model.optimizer.learning_rate = 1.0
    rng = np.random.default_rng(1)
    before = model.get_weights()
    model.train_on_batch(x, y, sample_weight=weights)
    steps = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
    for i, step in enumerate(steps):
        direction = rng.normal(size=step.shape)

        def loss_at(t, i=i, direction=direction):
            model.set_weights([*before[:i], before[i] + t * direction, *before[i + 1 :]])
            return model.evaluate(x, y, sample_weight=weights)

        slope = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
        np.testing.assert_allclose(np.sum(step * direction), slope, rtol=1e-5, atol=1e-8)


def test_a_loss_with_layers_of_its_own_output_and_three_dimensions() -> None:
    """Steps are rows of their own; a function may also average over all of a row's columns."""
    x = np.random.default_rng(0).normal(size=(6, 4, 5))
    y = np.random.default_rng(1).normal(size=(6, 4, 2))
    results = []
    for loss in (squared, "mse", absolute, "mae"):
        utils.set_random_seed(1)
        model = Sequential([Input((4, 5), dtype="float64"), layers.Dense(2, dtype="float64")])
        model.compile(optimizers.SGD(0.1), loss)
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        results.append([*model.get_weights(), model.evaluate(x, y)])
    for own, compiled in (results[:2], results[2:]):
        for a, b in zip(own, compiled, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_several_outputs_each_with_a_function() -> None:
    x, y, _ = data()
    given = Input((5,), dtype="float64")
    h = layers.Dense(4, "tanh", dtype="float64")(given)
    outputs = [layers.Dense(3, dtype="float64", name=name)(h) for name in ("a", "b")]
    weights = []
    for chosen in ([squared, absolute], ["mse", "mae"], [squared, "mae"]):
        utils.set_random_seed(2)
        model = Model(given, outputs)
        model.set_weights([np.random.default_rng(5).normal(size=w.shape) for w in model.weights])
        model.compile(optimizers.SGD(0.1), chosen, loss_weights=[1.0, 0.5])
        model.fit(x, [y, 2 * y], batch_size=8, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_threads_do_not_matter() -> None:
    x, y, _ = data(100)
    weights = []
    before = config.threads()
    for threads in (1, 2, 3):
        config.set_threads(threads)
        try:
            model = net(Weighted(), dtype="float32")
            model.fit(x, y, batch_size=32, epochs=2, shuffle=False, verbose=0)
            weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
        finally:
            config.set_threads(before)
    for other in weights[1:]:
        assert_same_bits(other, weights[0])


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda t, p: 1.0, TypeError, ["symbolic tensor", "float"]),
        (lambda t, p: np.mean(t - p), TypeError, ["symbolic tensor"]),
        (lambda t, p: ops.mean(t - p), ValueError, ["axis=None", "axis=-1"]),
        (lambda t, p: (t - p)[:, None, :], ValueError, ["one number a row", "(None, 1, 3)"]),
        (lambda t, p: t[:, :2] - p, ValueError, ["(None, 2)", "(None, 3)"]),
    ],
)
def test_functions_that_are_no_losses(function, error, words) -> None:
    x, y, _ = data()
    model = net(function)
    before = model.get_weights()
    with pytest.raises(error) as raised:
        model.fit(x, y, verbose=0)
    for word in words:
        assert word in str(raised.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_and_configurations() -> None:
    loss = losses.get(squared)
    assert (loss.name, loss.reduction, loss.sparse) == ("squared", "sum_over_batch_size", False)
    assert losses.FunctionLoss(**loss.get_config()).function is squared
    assert Weighted().name == "weighted"
    assert losses.get(Weighted(name="x")).name == "x"
    with pytest.raises(TypeError, match="function"):
        losses.FunctionLoss(3)
    with pytest.raises(TypeError, match="loss"):
        losses.get(3)
    with pytest.raises(NotImplementedError, match="call"):
        losses.Loss().call(1, 2)
    model = net(squared)
    x, y, _ = data()
    np.testing.assert_array_equal(copy.deepcopy(model).evaluate(x, y), model.evaluate(x, y))


def test_targets_of_a_function_are_those_of_the_output() -> None:
    x, y, _ = data(cols=1)
    model = net(absolute, cols=1)
    assert model.evaluate(x, y[:, 0]) == model.evaluate(x, y)
    with pytest.raises(ValueError, match=r"\(21, 2\)"):
        model.evaluate(x, np.zeros((21, 2)))


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", None])
def test_reductions_of_a_loss_of_elements_are_kerass(reduction) -> None:
    class Squares(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.square(y_true - y_pred)

    rng = np.random.default_rng(0)
    y, p = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    elements = (y - p) ** 2
    expected = {"sum": elements.sum(), "sum_over_batch_size": elements.mean(), None: elements}
    np.testing.assert_allclose(Squares(reduction=reduction)(y, p), expected[reduction], rtol=1e-6)
    weights = np.arange(8.0)
    weighted = elements * weights[:, None]
    expected = {"sum": weighted.sum(), "sum_over_batch_size": weighted.mean(), None: weighted}
    got = Squares(reduction=reduction)(y, p, sample_weight=weights)
    np.testing.assert_allclose(got, expected[reduction], rtol=1e-6)
    if reduction is None:
        return
    model = Sequential([Input((2,)), layers.Activation("linear")])
    model.compile("sgd", Squares(reduction=reduction))
    expected = {"sum": elements.sum(), "sum_over_batch_size": elements.mean()}
    assert model.evaluate(p, y, batch_size=8) == pytest.approx(expected[reduction], rel=1e-5)
