"""Regularizers, constraints and self-normalising noise against Keras (JAX backend, float64)."""

from __future__ import annotations

import numpy as np
import pytest

import onepass

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own

# Keras feeds arrays and adds up its loss in float32 whatever the model computes in; Adam enlarges
# such errors where a gradient is near 0.
CLOSE, LOOSE = 1e-5, 1e-6


@pytest.fixture(autouse=True)
def double():
    before = onepass.config.floatx()
    onepass.config.set_floatx("float64")
    yield
    onepass.config.set_floatx(before)


WEIGHTS = np.random.default_rng(1).normal(size=(6, 9))
PENALTIES = {
    "l1": lambda k: k.regularizers.L1(0.3),
    "l2": lambda k: k.regularizers.l2(0.2),
    "both": lambda k: k.regularizers.l1_l2(l1=0.1, l2=0.4),
    "default": lambda k: k.regularizers.get("l1"),
    "nothing": lambda k: k.regularizers.get("L1L2"),
}
CONSTRAINTS = {
    "max_norm": lambda k: k.constraints.MaxNorm(1.5),
    "default": lambda k: k.constraints.get("max_norm"),
    "rows": lambda k: k.constraints.max_norm(1.5, axis=1),
    "non_neg": lambda k: k.constraints.NonNeg(),
    "unit_norm": lambda k: k.constraints.unit_norm(axis=-1),
    "min_max_norm": lambda k: k.constraints.MinMaxNorm(2.0, 2.2, rate=0.3),
}


@pytest.mark.parametrize("case", PENALTIES)
def test_penalties(keras, case):
    got, expected = (PENALTIES[case](k)(WEIGHTS) for k in (onepass, keras))
    np.testing.assert_allclose(got, expected, rtol=1e-7)  # Keras holds the l1 of L1 in float32


@pytest.mark.parametrize("case", CONSTRAINTS)
def test_constraints(keras, case):
    got, expected = (CONSTRAINTS[case](k)(WEIGHTS) for k in (onepass, keras))
    np.testing.assert_allclose(got, expected, rtol=1e-14)


MODELS = {
    "l1, l2": lambda k: [
        k.layers.Dense(70, "tanh", kernel_regularizer="l2", bias_regularizer="l1"),
        k.layers.Dense(3, "softmax", kernel_regularizer=k.regularizers.L1L2(0.01, 0.02)),
    ],
    "outputs": lambda k: [
        k.layers.Dense(9, "sigmoid", activity_regularizer="l1"),
        k.layers.ActivityRegularization(0.01, 0.02),
        k.layers.Dense(3, "softmax", activity_regularizer=k.regularizers.L2(0.1)),
    ],
    "max_norm": lambda k: [
        k.layers.Dense(70, "tanh", kernel_constraint=k.constraints.MaxNorm(0.5)),
        k.layers.Dense(3, "softmax", kernel_constraint="unit_norm", bias_constraint="non_neg"),
    ],
    "all": lambda k: [
        k.layers.Dense(
            20,
            "tanh",
            kernel_regularizer=k.regularizers.L2(0.05),
            activity_regularizer=k.regularizers.L1(0.05),
            kernel_constraint=k.constraints.MinMaxNorm(0.3, 0.8, 0.5),
        ),
        k.layers.Dense(3, "softmax", kernel_constraint=k.constraints.MaxNorm(1, axis=1)),
    ],
}
OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda k: k.optimizers.Adam(0.01, clipvalue=0.05),
    "clipnorm": lambda k: k.optimizers.SGD(0.1, global_clipnorm=0.3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", MODELS)
def test_training(keras, case, optimizer):
    models = []
    for k in (onepass, keras):
        model = k.Sequential([k.Input((7,)), *MODELS[case](k)])
        model.compile(OPTIMIZERS[optimizer](k), "sparse_categorical_crossentropy")
        models.append(model)
    rng = np.random.default_rng(0)
    # No weight is 0, where the slope of |w| is a matter of taste.
    start = [rng.normal(size=np.shape(w)) * 0.3 for w in models[1].get_weights()]
    x = rng.normal(size=(50, 7)).astype(np.float32).astype(float)
    y = rng.integers(0, 3, 50)
    logs = []
    for model in models:
        model.set_weights(start)
        history = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0).history
        logs.append([*history["loss"], model.evaluate(x, y, batch_size=8, verbose=0)])
    np.testing.assert_allclose(*logs, rtol=LOOSE)
    ours, theirs = (model.get_weights() for model in models)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, np.asarray(expected), rtol=0, atol=CLOSE)
    if "outputs" not in case and case != "all":
        np.testing.assert_allclose(
            sorted(models[0].losses), sorted(map(float, models[1].losses)), rtol=LOOSE
        )


def test_frozen_layers(keras):
    logs = []
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32).astype(float)
    for k in (onepass, keras):
        model = k.Sequential(
            [
                k.Input((4,)),
                k.layers.Dense(3, kernel_initializer="ones", kernel_regularizer="l2"),
                k.layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l1"),
            ]
        )
        model.layers[0].trainable = False
        model.compile("sgd", "mse")
        logs.append([model.evaluate(x, x[:, :1], verbose=0), float(sum(model.losses))])
    np.testing.assert_allclose(*logs, rtol=LOOSE)
