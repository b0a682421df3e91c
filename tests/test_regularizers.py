"""Penalties: the kernel, the objects, and what they do to a model's loss and gradients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import Input, Sequential, activations, kernels, layers, regularizers, utils
from onepass.engine.feeding import Feed
from onepass.engine.graph import record
from onepass.engine.ops import DenseOp
from onepass.engine.plan import build_plan
from onepass.engine.replay import Pass, batches
from onepass.engine.rewrites import REWRITES
from reference import regularizing as reference
from strategies import (
    Guarded,
    assert_close,
    assert_same_bits,
    away_from_zero,
    central_difference,
    dtypes,
    every_backend,
    layouts,
    same_result,
    seeds,
    sizes,
    values_of,
)

factors = st.sampled_from((0.0, 1e-3, 0.7, 3.0))
shapes = st.one_of(st.tuples(sizes), st.tuples(sizes, sizes))


# The kernel


@given(shapes, dtypes, seeds, layouts, layouts, factors, factors)
def test_penalty_and_its_gradient(shape, dtype, seed, at, gradient_at, l1, l2):
    values, before = values_of(dtype, shape, seed), values_of(dtype, shape, seed + 1)

    def run():
        x, gradient = Guarded(values, at), Guarded(before, gradient_at)
        value = kernels.penalty(x.array, l1, l2, gradient=gradient.array)
        gradient.assert_padding_untouched()
        x.assert_padding_untouched()
        assert value == kernels.penalty(x.array, l1, l2)
        return gradient.array.copy(), value

    gradient, value = same_result(run)
    wide = values.astype(np.float64)
    assert value == pytest.approx(reference.penalty(wide, l1, l2), rel=1e-13, abs=1e-300)
    added = reference.penalty_gradient(wide, l1, l2)
    bound = np.abs(before) + np.abs(added)
    assert_close(gradient, before.astype(np.float64) + added, absolute=4 * bound)


def test_teams_of_three_and_large_arrays():
    x = values_of(np.float32, (1601, 1001), 0)
    results = []
    for _ in every_backend((1, 2, 3)):
        gradient = np.zeros_like(x)
        results.append((kernels.penalty(x, 0.1, 0.2, gradient=gradient), gradient))
    for other in results:
        assert_same_bits(other, results[0])
    assert results[0][0] == pytest.approx(reference.penalty(x.astype(np.float64), 0.1, 0.2))


def test_gradient_by_central_differences():
    x = away_from_zero(values_of(np.float64, (5, 3), 2))
    gradient = np.zeros_like(x)
    kernels.penalty(x, 0.3, 0.2, gradient=gradient)
    expected = central_difference(
        lambda v: np.asarray(kernels.penalty(v, 0.3, 0.2)), x, np.float64(1)
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    zeros = np.array([0.0, -0.0], dtype)
    gradient = np.zeros(2, dtype)
    assert kernels.penalty(zeros, 1.0, 1.0, gradient=gradient) == 0
    assert not gradient.any()
    odd = np.array([np.inf, -np.inf, 1e30], dtype)
    assert kernels.penalty(odd, 1.0) == np.inf
    gradient = np.zeros(3, dtype)
    assert kernels.penalty(odd, 2.0, gradient=gradient) == np.inf  # no 0 * inf from the squares
    np.testing.assert_array_equal(gradient, dtype([2, -2, 2]))
    gradient = np.zeros(3, dtype)
    kernels.penalty(odd, 0.0, 2.0, gradient=gradient)
    np.testing.assert_array_equal(gradient, dtype([np.inf, -np.inf, dtype(4) * dtype(1e30)]))
    assert kernels.penalty(np.array([1e30], dtype), 0.0, 1.0) == pytest.approx(1e60, rel=1e-6)
    for l1, l2 in ((1.0, 0.0), (0.0, 1.0)):
        gradient = np.zeros(1, dtype)
        assert np.isnan(kernels.penalty(np.array([np.nan], dtype), l1, l2, gradient=gradient))
        assert np.isnan(gradient).all()
    assert kernels.penalty(odd, 0.0, 0.0) == 0
    assert kernels.penalty(np.empty((0, 3), dtype), 1.0, 1.0) == 0


# The objects


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("made", "l1", "l2"),
    [
        (regularizers.L1(), 0.01, 0),
        (regularizers.L2(0.3), 0, 0.3),
        (regularizers.L1L2(0.1, l2=0.2), 0.1, 0.2),
        (regularizers.L1L2(), 0, 0),
        (regularizers.L1(None), 0.01, 0),
    ],
)
def test_a_regularizer_is_a_function(made, l1, l2, dtype):
    w = values_of(dtype, (4, 7), 1)
    value = made(w)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, reference.penalty(w.astype(float), l1, l2), rtol=1e-6)
    with pytest.raises(TypeError, match="x must be float32 or float64, got int64"):
        made(np.arange(3))


def test_names_and_configurations():
    for name in ("l1", "L1", "l2", "L2", "l1l2", "L1L2"):
        found = regularizers.get(name)
        assert type(found).__name__ == name.upper()
        again = regularizers.deserialize(regularizers.serialize(found))
        assert type(again) is type(found)
        assert again.get_config() == found.get_config()
    assert (regularizers.l1, regularizers.l2, regularizers.l1_l2) == (
        regularizers.L1,
        regularizers.L2,
        regularizers.L1L2,
    )
    assert regularizers.get(None) is None
    assert regularizers.serialize(None) is None
    assert regularizers.get(regularizers.L2).l2 == 0.01
    made = regularizers.L1(0.5)
    assert regularizers.get(made) is made
    keras_config = {
        "module": "keras.regularizers",
        "class_name": "L2",
        "config": {"l2": 0.25},
        "registered_name": None,
    }
    assert regularizers.get(keras_config).l2 == 0.25
    assert repr(regularizers.L1L2(0.5)) == "L1L2(l1=0.5, l2=0.0)"


def test_bad_arguments():
    for bad in (-0.1, np.nan, np.inf):
        for make in (regularizers.L1, regularizers.L2, regularizers.L1L2):
            with pytest.raises(ValueError, match=r"l[12] must be a finite number from 0 up"):
                make(bad)
    with pytest.raises(TypeError, match="l2 must be a number, got str"):
        regularizers.L2("0.1")
    with pytest.raises(ValueError, match=r"one of L1, L2, L1L2, .*l1l2.*, got 'l3'"):
        regularizers.get("l3")

    with pytest.raises(ValueError, match="a name, a configuration or a callable, got 3"):
        layers.Dense(3, kernel_regularizer=3)


# In models


def dense(units, activation=None, **options):
    return layers.Dense(units, activation, dtype="float64", bias_initializer="normal", **options)


def network(*stack, optimizer="sgd", loss="mse"):
    utils.set_random_seed(2)
    made = [layer() for layer in stack]
    model = Sequential([Input((5,), dtype="float64"), *made])
    model.compile(optimizer, loss)
    return model


STACKS = {
    "kernel": lambda: [dense(70, "tanh", kernel_regularizer="l2"), dense(2)],
    "kernel and bias": lambda: [
        dense(3, "tanh", kernel_regularizer="l1", bias_regularizer=regularizers.L1L2(0.1, 0.2)),
        dense(2, kernel_regularizer=regularizers.L2(0.1)),
    ],
    "output of a layer": lambda: [dense(66, "tanh", activity_regularizer="l2"), dense(2)],
    "output of the model": lambda: [
        dense(3, "tanh"),
        dense(2, activity_regularizer=regularizers.L1L2(0.05, 0.1)),
    ],
    "a layer of its own": lambda: [
        dense(7, "sigmoid"),
        layers.ActivityRegularization(0.02, 0.3, dtype="float64"),
        dense(2),
    ],
    "twice, with reshapes": lambda: [
        dense(6, "tanh", activity_regularizer="l1"),
        layers.Flatten(dtype="float64"),
        layers.ActivityRegularization(l2=0.3, dtype="float64"),
        dense(2, "tanh", activity_regularizer="l2"),
    ],
    "the input": lambda: [layers.ActivityRegularization(0.1, 0.1, dtype="float64"), dense(2)],
    "no bias": lambda: [dense(2, use_bias=False, kernel_regularizer="l1l2")],
}


def data(rows=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 5)), rng.normal(size=(rows, 2))


def gradients(model, x, y, rewrites):
    """Return all gradients of one batch, by a plan without update, and the loss."""
    variables = model.trainable_variables
    plan = build_plan(
        "train",
        model.record(training=True),
        objectives=model.objectives(),
        trained=variables,
        rewrites=rewrites,
    )
    for variable in variables:
        variable.gradient[...] = np.nan
    work = Pass(plan, Feed([(x, 1.0), (y, 1.0)], len(x)), batches(len(x), len(x)))
    work.run()
    work = Pass(plan, work.feed, batches(len(x), len(x)))  # on buffers that hold the last step
    work.run()
    return [np.array(v.gradient) for v in variables], work.logs()["loss"]


@pytest.mark.parametrize("case", STACKS)
def test_gradients_by_central_differences(case):
    model = network(*[lambda k=k: k for k in STACKS[case]()])
    x, y = data()
    plain, value = gradients(model, x, y, ())
    assert value == pytest.approx(model.evaluate(x, y), rel=1e-12)
    for got, expected in zip(gradients(model, x, y, REWRITES)[0], plain, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
    for variable, got in zip(model.trainable_variables, plain, strict=True):
        at = variable.numpy()

        def loss_at(values, variable=variable):
            variable.assign(values)
            return np.asarray(model.evaluate(x, y))

        expected = central_difference(loss_at, at, np.float64(1.0))
        variable.assign(at)
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", STACKS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_rewritten_plans_train_alike_on_every_team(case, optimizer):
    x, y = data(23)
    results = []
    for _ in every_backend((1, 2, 3)):
        model = network(*[lambda k=k: k for k in STACKS[case]()], optimizer=optimizer)
        start = model.get_weights()
        history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        results.append([*model.get_weights(), history.history["loss"]])
        assert all((a != b).any() for a, b in zip(start, model.get_weights(), strict=True))
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_losses_and_what_is_logged():
    model = network(
        lambda: dense(4, "tanh", kernel_regularizer="l2", activity_regularizer="l1"),
        lambda: dense(2, bias_regularizer="l1"),
    )
    x, y = data(23)
    w, b, v, c = model.get_weights()
    expected = [0.01 * (w * w).sum(), 0.01 * np.abs(c).sum()]
    np.testing.assert_allclose(model.losses, expected)
    np.testing.assert_allclose(model.layers[0].losses, expected[:1])
    h = np.tanh(x @ w + b)
    total = ((h @ v + c - y) ** 2).mean() + sum(expected) + 0.01 * np.abs(h).sum() / len(x)
    for batch in (1, 8, 23):
        assert model.evaluate(x, y, batch_size=batch) == pytest.approx(total)
    weights = np.linspace(0, 2, len(x))
    weighted = ((((h @ v + c - y) ** 2).mean(1)) * weights).mean()
    extra = total - ((h @ v + c - y) ** 2).mean()
    assert model.evaluate(x, y, sample_weight=weights) == pytest.approx(weighted + extra)
    assert model.test_on_batch(x, y) == pytest.approx(total)
    assert model.train_on_batch(x, y) == pytest.approx(total)  # before the step
    assert not np.array_equal(model.get_weights()[0], w)


def test_an_epoch_counts_each_step_by_its_rows():
    """The logged loss is the mean over the steps, with the weights as each step found them."""
    make = lambda: network(lambda: dense(2, kernel_regularizer=regularizers.L2(0.5)))  # noqa: E731
    x, y = data(7)
    model, steps = make(), make()
    logged = model.fit(x, y, batch_size=3, epochs=1, shuffle=False, verbose=0).history["loss"]
    parts = [(slice(0, 3), 3), (slice(3, 6), 3), (slice(6, 7), 1)]
    expected = sum(n * steps.train_on_batch(x[at], y[at]) for at, n in parts) / 7
    assert logged == [pytest.approx(expected)]
    assert_same_bits(model.get_weights(), steps.get_weights())


def test_metrics_and_loss_weights_stand_apart():
    model = network(lambda: dense(2, kernel_regularizer=regularizers.L2(0.5)))
    x, y = data()
    plain = ((model.predict(x) - y) ** 2).mean()
    model.compile("sgd", "mse", loss_weights=0.5, metrics=["mse"])
    found = model.evaluate(x, y, return_dict=True)
    assert found["loss"] == pytest.approx(0.5 * plain + model.losses[0])
    assert found["mse"] == pytest.approx(plain)


def test_frozen_weights_are_not_penalised():
    """As in Keras, where the penalties are those of the trainable weights."""
    model = network(lambda: dense(3, kernel_regularizer="l2"), lambda: dense(2))
    x, y = data()
    before = model.evaluate(x, y)
    (part,) = model.losses
    model.layers[0].trainable = False
    assert model.losses == []
    assert model.evaluate(x, y) == pytest.approx(before - part)
    start = model.get_weights()
    assert model.train_on_batch(x, y) == pytest.approx(before - part)
    assert_same_bits(model.get_weights()[:2], start[:2])
    model.layers[0].trainable = True
    now = model.evaluate(x, y)
    assert model.train_on_batch(x, y) == pytest.approx(now)
    assert (model.get_weights()[0] != start[0]).any()


def test_a_penalty_of_zero_costs_nothing():
    model = network(
        lambda: dense(3, kernel_regularizer=regularizers.L2(0), activity_regularizer="l1l2"),
        lambda: layers.ActivityRegularization(dtype="float64"),
        lambda: dense(2),
    )
    assert "penalty" not in [call.kernel for call in model.plan_for("train").calls]


def test_predicting_knows_no_penalties():
    model = network(lambda: dense(3, kernel_regularizer="l2", activity_regularizer="l2"))
    plain = Sequential([Input((5,), dtype="float64"), dense(3)])
    plain.set_weights(model.get_weights())
    x, _ = data()
    assert_same_bits(model.predict(x), plain.predict(x))
    assert_same_bits(model(x, training=True), plain.predict(x))
    assert "penalty" not in [call.kernel for call in model.plan_for("predict").calls]


class Twice(layers.Layer):
    """One weight, used twice and penalised once."""

    def build(self, input_shape):
        size = input_shape[-1]
        self.w = self.add_weight((size, size), "he_normal", "w", regularizer="l2")

    def call(self, inputs):
        h = activations.tanh(record(DenseOp(self.w, None), [inputs]))
        return record(DenseOp(self.w, None), [h])


def test_a_weight_used_twice_is_penalised_once():
    model = network(lambda: Twice(dtype="float64"), lambda: dense(2))
    x, y = data()
    (w, v, c) = model.get_weights()
    loss = ((np.tanh(x @ w) @ w @ v + c - y) ** 2).mean()
    assert model.evaluate(x, y) == pytest.approx(loss + 0.01 * (w * w).sum())
    got, _ = gradients(model, x, y, REWRITES)

    def loss_at(values):
        model.layers[0].w.assign(values)
        return np.asarray(model.evaluate(x, y))

    np.testing.assert_allclose(got[0], central_difference(loss_at, w, 1.0), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "clip", [{}, {"clipvalue": 0.01}, {"clipnorm": 0.1}, {"weight_decay": 0.1}]
)
def test_the_gradient_is_clipped_with_the_penalty_in_it(clip):
    model = network(
        lambda: dense(2, use_bias=False, kernel_regularizer=regularizers.L1L2(0.3, 0.7))
    )
    model.compile(onepass.optimizers.SGD(0.1, **clip), "mse")
    x, y = data()
    (w,) = model.get_weights()
    g = 2 * x.T @ (x @ w - y) / y.size + 0.3 * np.sign(w) + 1.4 * w
    if "clipvalue" in clip:
        g = np.clip(g, -0.01, 0.01)
    if "clipnorm" in clip:
        g = g * 0.1 / max(0.1, np.sqrt((g * g).sum()))
    model.train_on_batch(x, y)
    decayed = w * (1 - 0.1 * clip.get("weight_decay", 0))
    np.testing.assert_allclose(model.get_weights()[0], decayed - 0.1 * g, rtol=1e-9)


def test_config_of_layers():
    layer = layers.Dense(
        3, kernel_regularizer="l1", bias_regularizer=regularizers.L2(0.5), activity_regularizer="l2"
    )
    config = layer.get_config()
    assert config["kernel_regularizer"] == {"class_name": "L1", "config": {"l1": 0.01}}
    again = layers.Dense.from_config(config)
    assert again.get_config() == config
    assert again.bias_regularizer.l2 == 0.5
    assert layers.Dense(3).get_config()["activity_regularizer"] is None
    own = layers.ActivityRegularization(0.5, 0.25, name="a")
    assert own.get_config() == {**layers.Flatten(name="a").get_config(), "l1": 0.5, "l2": 0.25}
    assert layers.ActivityRegularization.from_config(own.get_config()).l1 == 0.5
    flat = layers.Flatten(activity_regularizer="l2")
    assert layers.Flatten.from_config(flat.get_config()).activity_regularizer.l2 == 0.01
    with pytest.raises(ValueError, match="l1"):
        layers.ActivityRegularization(-1)


def test_a_copy_keeps_its_penalties():
    import pickle

    model = network(lambda: dense(2, kernel_regularizer="l2", kernel_constraint="non_neg"))
    x, y = data()
    model.train_on_batch(x, y)
    again = pickle.loads(pickle.dumps(model))
    assert again.evaluate(x, y) == model.evaluate(x, y)
    assert again.layers[0].kernel.constraint is not None
