"""Regularizers, constraints, losses and other callables of the user's own in models."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import (
    Input,
    Sequential,
    activations,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    regularizers,
    utils,
)
from onepass.engine.feeding import Feed
from onepass.engine.plan import build_plan
from onepass.engine.replay import Pass, batches
from onepass.engine.rewrites import REWRITES
from strategies import assert_same_bits, central_difference, every_backend

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 5)), RNG.normal(size=(23, 2))


def dense(units, activation=None, **options):
    return layers.Dense(units, activation, dtype="float64", bias_initializer="normal", **options)


def network(*stack, optimizer=None, loss="mse"):
    utils.set_random_seed(2)
    model = Sequential([Input((5,), dtype="float64"), *stack])
    model.compile(optimizer or optimizers.SGD(0.1), loss)
    return model


# Regularizers


def elastic(x):
    return 0.3 * ops.sum(ops.abs(x)) + 0.2 * ops.sum(ops.square(x))


class Groups(regularizers.Regularizer):
    """Norms of the rows, with an argument."""

    def __init__(self, factor=0.1):
        self.factor = factor

    def __call__(self, x):
        return self.factor * ops.sum(ops.sqrt(ops.sum(ops.square(x), axis=1)))

    def get_config(self):
        return {"factor": self.factor}


class TwiceL2(regularizers.L2):
    def __call__(self, x):
        return 2.0 * super().__call__(x)


def spectral(w):
    """Distance of w' w from the identity."""
    gram = ops.matmul(ops.transpose(w), w)
    return 0.01 * ops.sum(ops.square(gram - np.eye(gram.shape[0])))


MATRIX = {  # what a kernel of 5 x 3 can be penalised by, and its value in NumPy
    "elastic": (elastic, lambda w: 0.3 * np.abs(w).sum() + 0.2 * (w * w).sum()),
    "groups": (Groups(), lambda w: 0.1 * np.sqrt((w * w).sum(1)).sum()),
    "columns": (
        lambda w: ops.sum(ops.exp(0.1 * ops.sum(w, axis=0))),
        lambda w: np.exp(0.1 * w.sum(0)).sum(),
    ),
    "means": (
        lambda w: ops.square(ops.mean(w)) + ops.sum(ops.square(w - ops.mean(w, axis=0))),
        lambda w: w.mean() ** 2 + ((w - w.mean(0)) ** 2).sum(),
    ),
    "keepdims": (
        lambda w: ops.sum(ops.square(w / ops.sum(ops.exp(w), axis=0, keepdims=True))),
        lambda w: ((w / np.exp(w).sum(0, keepdims=True)) ** 2).sum(),
    ),
    "norm": (lambda w: ops.sqrt(ops.sum(w**2)), lambda w: np.sqrt((w**2).sum())),
    "parts": (
        lambda w: ops.sum(w[1:, 0] ** 2) + ops.square(w[0, -1]) + ops.sum(ops.exp(w[2])),
        lambda w: (w[1:, 0] ** 2).sum() + w[0, -1] ** 2 + np.exp(w[2]).sum(),
    ),
    "shapes": (
        lambda w: ops.sum(
            ops.square(ops.sum(ops.reshape(ops.concatenate([w, 2 * w], axis=0), (3, 10)), axis=1))
        ),
        lambda w: (np.concatenate([w, 2 * w]).reshape(3, 10).sum(1) ** 2).sum(),
    ),
    "axes": (
        lambda w: ops.sum(ops.squeeze(ops.expand_dims(w, 0)) ** 2, axis=(0, 1)),
        lambda w: (w**2).sum(),
    ),
    "gram": (spectral, lambda w: 0.01 * ((w.T @ w - np.eye(3)) ** 2).sum()),
    "not summed": (lambda w: 0.1 * w * w, lambda w: 0.1 * (w * w).sum()),
    "softmax": (
        lambda w: -ops.sum(ops.log(ops.softmax(w))[:, 0]),
        lambda w: -np.log(np.exp(w[:, 0]) / np.exp(w).sum(1)).sum(),
    ),
    "twice": (TwiceL2(0.5), lambda w: (w * w).sum()),
    "orthogonal": (
        regularizers.OrthogonalRegularizer(0.5),
        lambda w: (
            0.25 * np.abs(np.corrcoef(np.c_[w, -w]) - np.eye(5)).sum() / 10  # of mean 0: cosines
        ),
    ),
    "constant": (lambda w: 1.5, lambda w: 1.5),
    "of a part": (lambda w: regularizers.L1(0.25)(w[:2]), lambda w: 0.25 * np.abs(w[:2]).sum()),
}


def gradients(model, rewrites=REWRITES):
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
    for _ in range(2):  # the second time on buffers that hold the last step
        feed = Feed([(X, 1.0), (Y, 1.0)], len(X))
        work = Pass(plan, feed, batches(len(X), len(X)))
        work.run()
    return [np.array(v.gradient) for v in variables], work.logs()["loss"]


def check_gradients(model):
    got, value = gradients(model)
    assert value == pytest.approx(model.evaluate(X, Y), rel=1e-12)
    for a, b in zip(got, gradients(model, ())[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
    for variable, gradient in zip(model.trainable_variables, got, strict=True):
        at = variable.numpy()

        def loss_at(values, variable=variable):
            variable.assign(values)
            return np.asarray(model.evaluate(X, Y))

        expected = central_difference(loss_at, at, np.float64(1.0))
        variable.assign(at)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", MATRIX)
def test_penalties_of_a_kernel(case) -> None:
    penalty, expected = MATRIX[case]
    model = network(dense(3, "tanh", kernel_regularizer=penalty), dense(2))
    plain = network(dense(3, "tanh"), dense(2))
    value = expected(model.get_weights()[0])
    assert model.evaluate(X, Y, batch_size=8) == pytest.approx(plain.evaluate(X, Y) + value)
    assert np.sum(model.losses) == pytest.approx(value)  # in NumPy, of the same function
    assert penalty(np.float32(model.get_weights()[0])) is not None
    check_gradients(model)


@pytest.mark.parametrize("role", ["bias_regularizer", "kernel_regularizer", "activity_regularizer"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "clipped"])
def test_the_same_as_the_compiled_penalty(role, optimizer) -> None:
    make = {
        "sgd": lambda: optimizers.SGD(0.1),
        "adam": lambda: optimizers.Adam(0.01),
        "clipped": lambda: optimizers.SGD(0.1, global_clipnorm=0.2),
    }[optimizer]
    for _ in every_backend((1, 2)):
        results = []
        for penalty in (elastic, regularizers.L1L2(0.3, 0.2)):
            model = network(dense(70, "tanh", **{role: penalty}), dense(2), optimizer=make())
            logs = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
            results.append([logs["loss"], model.evaluate(X, Y, batch_size=8), *model.get_weights()])
            kernel = model.layers[0].kernel.array
            whole = np.lib.stride_tricks.as_strided(kernel, (5, 80))
            assert not whole[:, 70:].any()
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


ACTIVITY = {
    "sum": elastic,
    "mean": lambda h: 0.5 * ops.mean(ops.square(h)),
    "rows": lambda h: ops.sum(ops.square(h), axis=-1),  # not summed up by the function
    "over the batch": lambda h: ops.sum(ops.square(ops.mean(h, axis=0) - 0.1)),
    "spread": lambda h: ops.sum(ops.square(h - ops.mean(h, axis=0, keepdims=True))),
    "constant": lambda h: 0.5,
}


@pytest.mark.parametrize("case", ACTIVITY)
def test_penalties_of_outputs(case) -> None:
    penalty = ACTIVITY[case]
    model = network(dense(66, "tanh", activity_regularizer=penalty), dense(2))
    w, b, v, c = model.get_weights()
    h = np.tanh(X @ w + b)
    value = np.sum(penalty(h)) / len(X)
    loss = ((h @ v + c - Y) ** 2).mean()
    assert model.evaluate(X, Y, batch_size=len(X)) == pytest.approx(loss + value)
    model = network(dense(3, "tanh", activity_regularizer=penalty), dense(2))
    check_gradients(model)


def test_penalties_of_outputs_of_more_dimensions_and_of_the_model() -> None:
    x, y = RNG.normal(size=(7, 4, 5)), RNG.normal(size=(7, 4, 3))
    results = []
    for penalty in (elastic, regularizers.L1L2(0.3, 0.2)):
        utils.set_random_seed(0)
        options = {"activity_regularizer": penalty}
        model = Sequential([Input((4, 5), dtype="float64"), *(dense(u, **options) for u in (6, 3))])
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0, batch_size=3, shuffle=False)
        results.append([model.evaluate(x, y), *model.get_weights()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


@given(
    st.sampled_from(((), (1,), (7,), (1, 1), (3, 1), (1, 5), (4, 70), (2, 3, 4))),
    st.sampled_from(("float32", "float64")),
    st.integers(0, 2**31),
)
def test_weights_of_any_shape(shape, dtype, seed) -> None:
    """The penalty alone moves a weight that the output does not depend on."""
    values = np.random.default_rng(seed).normal(size=shape).astype(dtype)

    class Spare(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(
                shape, lambda *_, **__: values, regularizer=lambda w: ops.sum(w * w * w)
            )

        def call(self, inputs):
            return 1.0 * inputs

    model = Sequential([Input((2,), dtype=dtype), Spare(dtype=dtype)])
    model.compile(optimizers.SGD(0.5), "mse")
    x = np.ones((3, 2), dtype)
    wide = values.astype(np.float64)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    loss = model.train_on_batch(x, x)
    np.testing.assert_allclose(loss, (wide**3).sum(), rtol=tolerance, atol=tolerance)
    expected = wide - 1.5 * wide**2
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=tolerance, atol=tolerance)


def test_shared_and_frozen_weights() -> None:
    shared, x = dense(5, kernel_regularizer=elastic), Input((5,), dtype="float64")
    model = onepass.Model(x, dense(2)(shared(shared(x))))
    model.compile("sgd", "mse")
    check_gradients(model)
    before, part = model.evaluate(X, Y), sum(model.losses)
    shared.trainable = False
    assert model.losses == []
    assert model.evaluate(X, Y) == pytest.approx(before - part)
    assert "scaled_copy" not in [call.kernel for call in model.plan_for("train").calls]


def test_nothing_in_prediction() -> None:
    model = network(dense(3, kernel_regularizer=elastic, activity_regularizer=elastic), dense(2))
    plain = network(dense(3), dense(2))
    assert_same_bits(model.predict(X), plain.predict(X))
    assert len(model.plan_for("predict").calls) == len(plain.plan_for("predict").calls)


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda w: np.sum(np.abs(w)), TypeError, "no values"),
        (lambda w: "much", TypeError, "got str"),
        (lambda w: ops.sum(w, axis=2), ValueError, "axis 2"),
        (lambda w: w if w > 0 else -w, TypeError, "branch.*ops.where"),
        (lambda w: ops.matmul(w, w), ValueError, "do not fit"),
        (lambda w: ops.reshape(w, (2, 2)), ValueError, r"tensor of shape \(5, 3\)"),
    ],
)
def test_functions_that_are_no_penalties(function, error, words) -> None:
    model = network(dense(3, kernel_regularizer=function), dense(2))
    before = model.get_weights()
    with pytest.raises(error, match=words) as raised:
        model.fit(X, Y, verbose=0)
    assert "'dense" in raised.value.__notes__[0]
    assert "/kernel'" in raised.value.__notes__[0]
    assert_same_bits(model.get_weights(), before)


def test_only_penalties_of_outputs_sum_over_the_batch() -> None:
    x = Input((3,))
    for wrong in (lambda: ops.sum(x), lambda: ops.mean(x, axis=0), lambda: ops.transpose(x)):
        with pytest.raises(ValueError, match=r"batch|regularizer"):
            wrong()


# Constraints


class Symmetric(constraints.Constraint):
    def __call__(self, w):
        return (w + w.T) / 2


class Bounded(constraints.NonNeg):
    def __call__(self, w):
        return np.minimum(super().__call__(w), 0.5)


CONSTRAINTS = {
    "class": Symmetric(),
    "function": lambda w: np.clip(w, -0.1, 0.1),
    "subclass": Bounded(),
    "integers": lambda w: np.round(w).astype(int),
}


@pytest.mark.parametrize("case", CONSTRAINTS)
@pytest.mark.parametrize("width", [5, 70])
def test_a_constraint_behind_every_update(case, width) -> None:
    made = CONSTRAINTS[case]
    if case == "class" and width != 5:
        return
    for _ in every_backend((1, 2)):
        model = network(dense(width, "tanh", kernel_constraint=made), dense(2))
        free = network(dense(width, "tanh"), dense(2))
        for _ in range(3):
            model.train_on_batch(X, Y)
            free.train_on_batch(X, Y)
            w, *others = free.get_weights()
            free.set_weights([made(w), *others])
        for got, exact in zip(model.get_weights(), free.get_weights(), strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-12)


def test_constraints_of_vectors_and_of_other_weights() -> None:
    seen = []

    def watched(w):
        seen.append(w.shape)
        return np.zeros_like(w)

    model = network(
        dense(70, bias_constraint=watched),
        layers.BatchNormalization(gamma_constraint=watched, dtype="float64"),
        dense(2),
    )
    model.fit(X, Y, batch_size=12, epochs=2, verbose=0)
    assert seen.count((70,)) == 8
    assert not model.layers[0].bias.numpy().any()
    assert not model.layers[1].gamma.numpy().any()


def test_errors_in_constraints() -> None:
    calls = []

    def failing(w):
        calls.append(w)
        if len(calls) == 2:
            raise ZeroDivisionError("the second time")
        return w

    model = network(dense(3, kernel_constraint=failing), dense(2))
    with pytest.raises(ZeroDivisionError, match="the second"):
        model.fit(X, Y, batch_size=8, verbose=0)
    assert len(calls) == 2
    model.fit(X, Y, verbose=0)
    for wrong in (lambda w: w[:1], lambda w: None, lambda w: w * 1j):
        model = network(dense(3, kernel_constraint=wrong), dense(2))
        with pytest.raises((ValueError, TypeError)):
            model.fit(X, Y, verbose=0)
    with pytest.raises(
        ValueError, match=r"kernel' must return numbers of shape \(5, 3\).*\(1, 3\)"
    ):
        network(dense(3, kernel_constraint=lambda w: w[:1]), dense(2)).fit(X, Y, verbose=0)


def test_configurations_and_copies_keep_them() -> None:
    layer = layers.Dense(
        3,
        kernel_regularizer=Groups(0.5),
        bias_regularizer=elastic,
        activity_regularizer=Groups,
        kernel_constraint=Symmetric(),
        kernel_initializer=lambda shape, dtype=None: np.full(shape, 0.5, dtype),
    )
    again = layers.Dense.from_config(layer.get_config())
    assert again.kernel_regularizer is layer.kernel_regularizer
    assert again.bias_regularizer is elastic
    assert isinstance(again.activity_regularizer, Groups)
    assert again.kernel_constraint is layer.kernel_constraint
    made = regularizers.OrthogonalRegularizer(0.5, "columns")
    for same in (
        regularizers.deserialize(regularizers.serialize(made)),
        regularizers.get("orthogonal_regularizer"),
    ):
        assert isinstance(same, regularizers.OrthogonalRegularizer)
    model = network(dense(3, kernel_regularizer=Groups(), kernel_constraint=Bounded()), dense(2))
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.evaluate(X, Y) == model.evaluate(X, Y)


def test_orthogonal_regularizer_of_little() -> None:
    regularizer = regularizers.OrthogonalRegularizer()
    assert regularizer(np.ones((1, 3))) == 0
    assert regularizer(np.zeros((3, 3))) == 0
    with pytest.raises(ValueError, match="mode"):
        regularizers.OrthogonalRegularizer(mode="row")
    with pytest.raises(ValueError, match="factor"):
        regularizers.OrthogonalRegularizer(-1)
    with pytest.raises(ValueError, match=r"a matrix is expected, got shape \(3,\)"):
        regularizer(np.ones(3))
    model = network(dense(3, kernel_regularizer=regularizer, kernel_initializer="zeros"), dense(2))
    model.fit(X, Y, verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()


# Initializers and activations


def test_initializers_and_activations_that_are_functions() -> None:
    layer = dense(
        3,
        lambda x: x * ops.sigmoid(2.0 * x),
        kernel_initializer=lambda shape, dtype=None: np.full(shape, 0.25, dtype),
    )
    w, b = network(layer).get_weights()
    np.testing.assert_array_equal(w, np.full((5, 3), 0.25))
    z = X @ w + b
    np.testing.assert_allclose(layer(X), z / (1 + np.exp(-2 * z)), rtol=1e-12)


# Losses made of losses


def mixed(y_true, y_pred):
    return losses.mean_squared_error(y_true, y_pred) + 0.1 * ops.mean(ops.abs(y_pred), axis=-1)


class Mixed(losses.Loss):
    """Keras's order of positional arguments."""

    def __init__(self, share=0.5, name="mixed", reduction="sum_over_batch_size", dtype=None):
        super().__init__(name, reduction, dtype)
        self.share = share
        self.inner = losses.Huber(0.5, reduction=None)

    def call(self, y_true, y_pred):
        own = losses.mean_absolute_error(y_true, y_pred) * losses.log_cosh(y_true, y_pred)
        return self.share * own + self.inner(y_true, y_pred)


def after_sigmoid(y_true, y_pred):
    return losses.binary_crossentropy(y_true, y_pred, label_smoothing=0.1)


def after_softmax(y_true, y_pred):
    return losses.categorical_crossentropy(y_true, y_pred) + losses.kl_divergence(y_true, y_pred)


@pytest.mark.parametrize(
    ("loss", "last"),
    [(mixed, None), (Mixed(), "tanh"), (after_sigmoid, "sigmoid"), (after_softmax, "softmax")],
)
def test_losses_made_of_losses(loss, last) -> None:
    y = np.abs(Y) / np.abs(Y).sum(1, keepdims=True)
    model = network(dense(70, "tanh"), dense(2, last), loss=loss)
    p = model.predict(X)
    rows = loss.call(y, p) if isinstance(loss, Mixed) else loss(y, p)
    model.compile(optimizers.SGD(1.0), loss, metrics=[loss])
    logs = model.evaluate(X, y, batch_size=8, return_dict=True)
    np.testing.assert_allclose(list(logs.values()), np.mean(rows), rtol=1e-9)
    weights = RNG.uniform(0.5, 2.0, len(X))
    before = model.get_weights()
    model.train_on_batch(X, y, sample_weight=weights)
    for i, (old, new) in enumerate(zip(before, model.get_weights(), strict=True)):
        direction = RNG.normal(size=old.shape)

        def loss_at(t, i=i, direction=direction):
            model.set_weights([*before[:i], before[i] + t * direction, *before[i + 1 :]])
            return model.evaluate(X, y, sample_weight=weights)[0]

        slope = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
        model.set_weights(before)
        np.testing.assert_allclose(np.sum((old - new) * direction), slope, rtol=1e-5, atol=1e-8)


def test_a_loss_that_only_wraps_another_is_that_one() -> None:
    x, y = RNG.normal(size=(9, 4, 5)), RNG.normal(size=(9, 4, 2))
    results = []
    for loss in (lambda t, p: losses.mean_squared_error(t, p), "mse"):
        utils.set_random_seed(0)
        model = Sequential([Input((4, 5), dtype="float64"), dense(2)])
        model.compile(optimizers.SGD(0.1), loss)
        model.fit(x, y, verbose=0, batch_size=4, shuffle=False)
        results.append([model.evaluate(x, y), *model.get_weights()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (lambda t, p: losses.MeanSquaredError()(t, p), TypeError, "reduction=None"),
        (lambda t, p: losses.dice(t, p), TypeError, "whole batch"),
        (lambda t, p: losses.sparse_categorical_crossentropy(t, p), TypeError, "class indices"),
        (lambda t, p: losses.mean_squared_error(t[:, :1], p), ValueError, r"\(None, 1\)"),
        (lambda t, p: losses.mean_squared_error(p, t), ValueError, "y_true depends on weights"),
        (lambda t, p: losses.mean_squared_error(np.zeros(2), p), TypeError, "both be tensors"),
    ],
)
def test_losses_that_cannot_be_parts(loss, error, words) -> None:
    model = network(dense(2), loss=loss)
    before = model.get_weights()
    with pytest.raises(error, match=words):
        model.fit(X, Y, verbose=0)
    assert_same_bits(model.get_weights(), before)


def test_the_order_of_arguments_is_that_of_keras() -> None:
    loss = Mixed(0.25, "mine", "sum")
    assert (loss.name, loss.reduction) == ("mine", "sum")
    with pytest.raises(TypeError, match="name must be a string"):
        losses.Loss(3)


# Names and data


@pytest.mark.parametrize(
    ("get", "wrong", "right"),
    [
        (activations.get, "rellu", "relu"),
        (losses.get, "mean_square_error", "mean_squared_error"),
        (metrics.get, "acuracy", "accuracy"),
        (optimizers.get, "Adan", "adam"),
        (initializers.get, "glorot_unifrom", "glorot_uniform"),
        (regularizers.get, "l1_l2", "l1l2|L1L2"),
        (constraints.get, "nonneg", "NonNeg"),
    ],
)
def test_names_that_nearly_exist(get, wrong, right) -> None:
    with pytest.raises(ValueError, match=f"{wrong}.*did you mean '({right})'"):
        get(wrong)
    with pytest.raises(ValueError, match="qqq") as raised:
        get("qqqqqqqq")
    assert "did you mean" not in str(raised.value)


def test_what_was_meant_to_bring_batches() -> None:
    model = network(dense(2))

    def generate():
        yield X, Y

    with pytest.raises(TypeError, match=r"x is a function: call it, generate\(\)"):
        model.fit(generate)
    with pytest.raises(TypeError, match=r"x is a list of batches \(x, y\)"):
        model.fit([(X, Y), (X, Y)])
    model.fit(iter([(X, Y), (X, Y)]), verbose=0)


def test_inputs_with_more_keys_than_are_read() -> None:
    a, b = Input((5,), name="a"), Input((5,), name="b")
    model = onepass.Model({"a": a, "b": b}, layers.Dense(2)(layers.add([a, b])))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"x holds \['c'\]"):
        model.fit({"a": X, "b": X, "c": X}, Y, verbose=0)
    with pytest.raises(ValueError, match="dict of"):
        model.fit({"a": X, "c": X}, Y, verbose=0)


def test_names_of_metrics() -> None:
    model = Sequential([Input((5,)), layers.Dense(2)])
    assert model.metrics_names == []
    model.compile("sgd", "mse", metrics=["mae", losses.mean_absolute_error])
    assert model.metrics_names == ["loss", "mae", "mean_absolute_error"]
    assert Sequential([layers.Dense(2)]).metrics_names == []
