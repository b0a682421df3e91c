"""A user's own regularizers, constraints, losses and metrics, the same source for both libraries.

Keras on JAX, in float64.
"""

from __future__ import annotations

import numpy as np
import pytest

import onepass

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own

# Keras feeds arrays and adds up its loss in float32 whatever the model computes in.
CLOSE, LOOSE = 1e-5, 1e-6


@pytest.fixture(autouse=True)
def double():
    before = onepass.config.floatx()
    onepass.config.set_floatx("float64")
    yield
    onepass.config.set_floatx(before)


def groups(k):
    class Groups(k.regularizers.Regularizer):
        def __call__(self, x):
            return 0.1 * k.ops.sum(k.ops.sqrt(k.ops.sum(k.ops.square(x), axis=0)))

    return Groups()


def spectral(k):
    def penalty(w):
        gram = k.ops.matmul(k.ops.transpose(w), w)
        return 0.01 * k.ops.sum(k.ops.square(gram - np.eye(gram.shape[0])))

    return penalty


def elastic(k):
    return lambda x: 0.1 * k.ops.sum(k.ops.abs(x)) + 0.2 * k.ops.mean(k.ops.square(x))


def bounded(k):
    class Bounded(k.constraints.Constraint):
        def __call__(self, w):
            return k.ops.clip(w, -0.2, 0.2)

    return Bounded()


def dense(role, make):
    return lambda k: [
        k.layers.Dense(9, "tanh", **{role: make(k)}),
        k.layers.Dense(3, "softmax", **{role: make(k)}),
    ]


STACKS = {
    "groups": dense("kernel_regularizer", groups),
    "gram": dense("kernel_regularizer", spectral),
    "rows": dense("kernel_regularizer", lambda k: k.regularizers.OrthogonalRegularizer(0.5)),
    "columns": dense(
        "kernel_regularizer", lambda k: k.regularizers.OrthogonalRegularizer(0.5, "columns")
    ),
    "bias": dense("bias_regularizer", elastic),
    "outputs": dense("activity_regularizer", elastic),
    "constraint": dense("kernel_constraint", bounded),
    "constraint function": dense("bias_constraint", lambda k: lambda w: 0.5 * w),
    "initializer": dense("kernel_initializer", lambda k: lambda shape, dtype=None: np.ones(shape)),
    "activation": lambda k: [
        k.layers.Dense(9, lambda x: x * k.ops.sigmoid(x)),
        k.layers.Dense(3, "softmax"),
    ],
}


def mixed(k):
    def loss(y_true, y_pred):
        wrong = k.losses.mean_squared_error(y_true, y_pred)
        return wrong + 0.1 * k.losses.huber(y_true, y_pred, delta=0.2)

    return loss


def blend(k):
    class Blend(k.losses.Loss):
        def __init__(self, share, name="blend", **kwargs):
            super().__init__(name, **kwargs)
            self.share = share

        def call(self, y_true, y_pred):
            a = k.losses.categorical_crossentropy(y_true, y_pred)
            b = k.losses.mean_absolute_error(y_true, y_pred)
            return self.share * a + (1 - self.share) * b

    return Blend(0.3)


def rows(k):
    return lambda y_true, y_pred: k.ops.mean(k.ops.square(y_true - y_pred), axis=-1)


LOSSES = {"function": rows, "mixed": mixed, "class": blend}


def metric(k):
    class Distance(k.metrics.Metric):
        def __init__(self, name="distance", **kwargs):
            super().__init__(name=name, **kwargs)
            self.total = self.add_weight(name="total", initializer="zeros")
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            values = k.ops.mean(k.ops.abs(y_true - y_pred), axis=-1)
            weights = values * 0 + 1 if sample_weight is None else sample_weight
            self.total.assign_add(k.ops.sum(values * weights))
            self.count.assign(self.count + k.ops.sum(weights))

        def result(self):
            return self.total / self.count

    return Distance()


def train(k, stack, loss, start=None, **options):
    model = k.Sequential([k.Input((7,)), *stack(k)])
    model.compile(k.optimizers.SGD(0.1, momentum=0.9), loss(k), **options)
    if start is not None:
        model.set_weights(start)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 7)).astype(np.float32).astype(float)
    y = np.eye(3)[rng.integers(0, 3, 50)]
    weights = rng.uniform(0.5, 2, 50)
    given = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, sample_weight=weights, **given).history
    results = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    return model, history, {name: float(value) for name, value in results.items()}


def compare(keras, stack, loss, metrics=None):
    model = keras.Sequential([keras.Input((7,)), *stack(keras)])
    rng = np.random.default_rng(1)
    start = [rng.normal(size=np.shape(w)) * 0.3 for w in model.get_weights()]
    made = []
    for k in (onepass, keras):
        options = {} if metrics is None else {name: [make(k)] for name, make in metrics.items()}
        made.append(train(k, stack, loss, start, **options))
    (ours, logs, results), (theirs, expected_logs, expected) = made
    assert set(logs) == set(expected_logs)
    for name, values in logs.items():
        np.testing.assert_allclose(values, expected_logs[name], rtol=LOOSE, err_msg=name)
    for name, value in results.items():
        np.testing.assert_allclose(value, expected[name], rtol=LOOSE, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=0, atol=CLOSE)
    return ours, theirs


@pytest.mark.parametrize("case", STACKS)
def test_functions_of_weights_and_outputs(keras, case):
    ours, theirs = compare(keras, STACKS[case], lambda k: "categorical_crossentropy")
    if "regularizer" in case or case in ("groups", "gram", "rows", "columns", "bias"):
        np.testing.assert_allclose(ours.losses, [float(v) for v in theirs.losses], rtol=LOOSE)


@pytest.mark.parametrize("case", LOSSES)
def test_losses(keras, case):
    compare(keras, STACKS["activation"], LOSSES[case])


def test_metrics(keras):
    compare(
        keras,
        STACKS["activation"],
        lambda k: "mse",
        {"metrics": metric, "weighted_metrics": metric},
    )
