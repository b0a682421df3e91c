"""Models against Keras (JAX backend, float64) and torch: same start, same steps, same numbers."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import onepass

sys.path.insert(0, str(Path(__file__).parent.parent))
from test_training import BOTH, EVALUATE_HOOKS, FIT_HOOKS, LOGS, PREDICT_HOOKS, Recorder, recorded

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own

N, COLS, CLASSES = 64, 7, 4
SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture(autouse=True)
def double():
    before = onepass.config.floatx()
    onepass.config.set_floatx("float64")
    yield
    onepass.config.set_floatx(before)


# The same code makes both libraries' models; {} is what Keras and onepass spell alike.
HIDDEN = {
    "relu": lambda k: k.layers.Dense(20, activation="relu"),
    "leaky_relu": lambda k: k.layers.Dense(20, activation="leaky_relu"),
    "tanh, no bias": lambda k: k.layers.Dense(20, activation="tanh", use_bias=False),
    "sigmoid": lambda k: k.layers.Dense(20, activation="sigmoid"),
}
OUTPUTS = {
    "softmax": ("softmax", CLASSES, SPARSE),
    "one-hot": ("softmax", CLASSES, "categorical_crossentropy"),
    "binary": ("sigmoid", 1, "binary_crossentropy"),
    "several binary": ("sigmoid", CLASSES, "binary_crossentropy"),
    "regression": ("linear", 2, "mean_squared_error"),
}
OPTIMIZERS = {
    "sgd": lambda k: k.optimizers.SGD(0.1),
    "momentum": lambda k: k.optimizers.SGD(0.05, momentum=0.9),
    "nesterov": lambda k: k.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda k: k.optimizers.Adam(0.01),
    "adamw": lambda k: k.optimizers.AdamW(0.01, weight_decay=0.05),
    "clipnorm": lambda k: k.optimizers.SGD(0.1, clipnorm=0.1),
    "global_clipnorm": lambda k: k.optimizers.Adam(0.01, global_clipnorm=0.1),
}


def build(k, hidden, output, columns):
    return k.Sequential(
        [
            k.Input((COLS,)),
            HIDDEN[hidden](k),
            k.layers.Dense(9, activation="tanh"),
            k.layers.Dense(columns, activation=output),
        ]
    )


def pair(keras, hidden="relu", output="softmax", optimizer="sgd", **compile_arguments):
    """Return ours and Keras's model with the same weights."""
    activation, columns, loss = OUTPUTS[output]
    models = []
    keras.utils.set_random_seed(3)  # the same weights whatever ran before
    for k in (onepass, keras):
        model = build(k, hidden, activation, columns)
        made = {
            name: value(k) if callable(value) else value
            for name, value in compile_arguments.items()
        }
        model.compile(optimizer=OPTIMIZERS[optimizer](k), **{"loss": loss, **made})
        models.append(model)
    models[0].set_weights([np.asarray(w) for w in models[1].get_weights()])
    return models


def single(values):
    """Round to what float32 holds: Keras feeds arrays in float32 whatever the model computes in."""
    return np.asarray(values, np.float32).astype(np.float64)


def data(output, n=N, seed=0):
    rng = np.random.default_rng(seed)
    _, columns, loss = OUTPUTS[output]
    x = single(rng.normal(size=(n, COLS)))
    if loss == SPARSE:
        return x, rng.integers(0, columns, n)
    if loss == "categorical_crossentropy":
        return x, np.eye(columns)[rng.integers(0, columns, n)]
    if loss == "binary_crossentropy":
        return x, rng.integers(0, 2, (n, columns)).astype(float)
    return x, single(rng.normal(size=(n, columns)))


def agree(got, expected, rtol=1e-8, atol=1e-10):
    assert list(got) == list(expected)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=rtol, atol=atol, err_msg=name)


def fit_both(models, *arguments, **keywords):
    return [m.fit(*arguments, shuffle=False, verbose=0, **keywords).history for m in models]


def assert_same(models, x):
    """Keras's trainers round in float32 here and there; test_plan.py holds us to 1e-12."""
    ours, theirs = models
    for got, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(got, np.asarray(expected), rtol=0, atol=CLOSE)
    np.testing.assert_allclose(
        ours.predict(x), np.asarray(theirs.predict(x, verbose=0)), rtol=0, atol=CLOSE
    )


CLOSE = 3e-7
# Keras adds metrics up in float32 unless it is asked otherwise; its losses likewise.
LOOSE = 1e-6


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_keras_optimizers(keras, optimizer):
    models = pair(keras, "relu", "softmax", optimizer, metrics=["accuracy"])
    x, y = data("softmax")
    ours, theirs = fit_both(models, x, y, batch_size=16, epochs=5)
    agree_unordered(ours, theirs)
    assert_same(models, x)


def agree_unordered(ours, theirs, rtol=LOOSE):
    """Keras orders its logs by name."""
    agree({k: ours[k] for k in sorted(ours)}, {k: theirs[k] for k in sorted(theirs)}, rtol)


@pytest.mark.parametrize(
    ("hidden", "output"),
    [
        ("relu", "softmax"),
        ("leaky_relu", "one-hot"),
        ("tanh, no bias", "regression"),
        ("sigmoid", "several binary"),
        ("relu", "binary"),
    ],
)
def test_keras_models(keras, hidden, output):
    models = pair(keras, hidden, output, "momentum", metrics=["accuracy"])
    x, y = data(output)
    weights = single(np.random.default_rng(3).uniform(0, 2, N))
    vx, vy = data(output, 19, seed=1)
    ours, theirs = fit_both(
        models,
        x,
        y,
        batch_size=16,
        epochs=3,
        sample_weight=weights,
        validation_data=(vx, vy, np.arange(19.0) / 8),
    )
    agree_unordered(ours, theirs)
    assert_same(models, x)
    results = [m.evaluate(vx, vy, return_dict=True, verbose=0, batch_size=4) for m in models]
    agree_unordered(*results)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size"])
def test_keras_reductions(keras, reduction):
    models = pair(keras, loss=lambda k: k.losses.SparseCategoricalCrossentropy(reduction=reduction))
    x, y = data("softmax")
    weights = single(np.random.default_rng(3).uniform(0, 2, N))
    ours, theirs = fit_both(models, x, y, batch_size=16, epochs=2, sample_weight=weights)
    agree_unordered(ours, theirs)
    assert_same(models, x)


def test_keras_from_logits_and_smoothing(keras):
    for loss, output in (
        (lambda k: k.losses.CategoricalCrossentropy(label_smoothing=0.2), "one-hot"),
        (lambda k: k.losses.BinaryCrossentropy(label_smoothing=0.2), "several binary"),
        (lambda k: k.losses.BinaryCrossentropy(from_logits=True), "several binary"),
        (lambda k: k.losses.CategoricalCrossentropy(from_logits=True), "one-hot"),
    ):
        models = pair(keras, output=output, loss=loss)
        x, y = data(output)
        agree_unordered(*fit_both(models, x, y, batch_size=16, epochs=2))
        assert_same(models, x)


def test_keras_class_weights(keras):
    models = pair(keras)
    x, y = data("softmax")
    weights = {0: 3.0, 1: 0.25, 2: 1.0, 3: 1.0}
    agree_unordered(*fit_both(models, x, y, epochs=2, class_weight=weights))
    assert_same(models, x)


def test_keras_weighted_metrics(keras):
    models = pair(
        keras,
        metrics=lambda k: [k.metrics.SparseCategoricalAccuracy("plain")],
        weighted_metrics=lambda k: [k.metrics.SparseCategoricalAccuracy("weighted")],
    )
    x, y = data("softmax")
    weights = single(np.random.default_rng(3).uniform(0, 2, N))
    results = [
        m.evaluate(x, y, sample_weight=weights, return_dict=True, verbose=0, batch_size=10)
        for m in models
    ]
    agree_unordered(*results)


def test_keras_splits_and_steps(keras):
    models = pair(keras, metrics=["accuracy"])
    x, y = data("softmax")
    ours, theirs = fit_both(
        models, x, y, epochs=4, batch_size=8, validation_split=0.25, validation_freq=2
    )
    agree_unordered(ours, theirs)
    ours, theirs = fit_both(
        models,
        *(x, y),
        batch_size=8,
        validation_data=(x, y),
        validation_batch_size=10,
        validation_steps=2,
    )
    agree_unordered(ours, theirs)
    assert_same(models, x)


def test_keras_short_last_batch(keras):
    models = pair(keras, optimizer="nesterov", metrics=["accuracy"])
    x, y = data("softmax", 53)
    agree_unordered(*fit_both(models, x, y, batch_size=9, epochs=3))
    assert_same(models, x)


def test_keras_single_batches(keras):
    models = pair(keras, metrics=["accuracy"])
    x, y = data("softmax")
    for first in (0, 16, 32):
        part = slice(first, first + 16)
        results = [m.train_on_batch(x[part], y[part], return_dict=True) for m in models]
        agree_unordered(*results)
    results = [m.test_on_batch(x, y, return_dict=True) for m in models]
    agree_unordered(*results)


def test_keras_freezing(keras):
    models = pair(keras, optimizer="momentum")
    x, y = data("softmax")
    fit_both(models, x, y)
    for model, k in zip(models, (onepass, keras), strict=True):
        model.layers[0].trainable = False
        model.compile(OPTIMIZERS["momentum"](k), SPARSE)  # Keras cannot go on with the old one
    assert len(models[0].trainable_variables) == len(models[1].trainable_variables) == 4
    before = models[0].get_weights()
    agree_unordered(*fit_both(models, x, y, epochs=2))
    assert np.array_equal(before[0], models[0].get_weights()[0])
    assert_same(models, x)


def test_keras_hooks(keras):
    """The list that test_training.py holds us to is what Keras does."""

    class Theirs(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.calls = []

    for name in [n for n in vars(Recorder) if n.startswith("on_")]:
        setattr(Theirs, name, vars(Recorder)[name])
    _, model = pair(keras, metrics=["accuracy"])
    x, y = data("softmax")
    fit, evaluate, predict = recorded(model, x, y, Theirs)
    assert fit == FIT_HOOKS
    assert evaluate == EVALUATE_HOOKS
    assert predict == PREDICT_HOOKS
    assert BOTH[:2] == LOGS


def course_model(k):
    return k.Sequential(
        [
            k.Input((28, 28)),
            k.layers.Flatten(),
            k.layers.Dense(300, activation="relu"),
            k.layers.Dense(100, activation="relu"),
            k.layers.Dense(10, activation="softmax"),
        ]
    )


def test_keras_summary(keras):
    texts = []
    for k in (onepass, keras):
        text = io.StringIO()
        model = course_model(k)
        model.summary(print_fn=lambda line, text=text: text.write(line + "\n"))
        texts.append(text.getvalue())
        assert model.count_params() == 266_610
    numbers = [
        re.findall(r"(?:Total|Trainable|Non-trainable) params: ([\d,]+)", text) for text in texts
    ]
    assert numbers[0] == numbers[1] == ["266,610", "266,610", "0"]
    for count in ("235,500", "30,100", "1,010"):
        assert all(count in text for text in texts)


# torch


TORCH = {
    "sgd": (lambda: onepass.optimizers.SGD(0.1), lambda t, p: t.optim.SGD(p, 0.1)),
    "momentum": (
        lambda: onepass.optimizers.SGD(0.05, momentum=0.9, convention="torch"),
        lambda t, p: t.optim.SGD(p, 0.05, momentum=0.9),
    ),
    "adam": (
        lambda: onepass.optimizers.Adam(0.01, convention="torch"),
        lambda t, p: t.optim.Adam(p, 0.01),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", TORCH)
def test_torch(optimizer, dtype):
    torch = pytest.importorskip("torch")
    onepass.config.set_floatx(dtype)
    ours, theirs = TORCH[optimizer]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 30)).astype(dtype)
    y = rng.integers(0, 10, 200)
    model = onepass.Sequential(
        [
            onepass.Input((30,)),
            onepass.layers.Dense(64, "relu"),
            onepass.layers.Dense(70, "tanh"),
            onepass.layers.Dense(10, "softmax"),
        ]
    )
    model.compile(ours(), SPARSE)
    kind = getattr(torch, dtype)
    layers = [torch.nn.Linear(30, 64), torch.nn.Linear(64, 70), torch.nn.Linear(70, 10)]
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.Tanh(), layers[2]).to(
        kind
    )
    with torch.no_grad():
        for ours_, theirs_ in zip(model.layers, layers, strict=True):
            theirs_.weight.copy_(torch.from_numpy(ours_.kernel.numpy().T))
            theirs_.bias.copy_(torch.from_numpy(ours_.bias.numpy()))
    stepper = theirs(torch, net.parameters())
    expected = []
    for _ in range(3):
        total = 0.0
        for first in range(0, 200, 32):
            a = torch.from_numpy(x[first : first + 32])
            b = torch.from_numpy(y[first : first + 32])
            stepper.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(a), b)
            loss.backward()
            stepper.step()
            total += float(loss.detach()) * len(a)
        expected.append(total / 200)
    history = model.fit(x, y, batch_size=32, epochs=3, shuffle=False, verbose=0)
    tolerance = 1e-9 if dtype == "float64" else 2e-4
    np.testing.assert_allclose(history.history["loss"], expected, rtol=tolerance)
    for ours_, theirs_ in zip(model.layers, layers, strict=True):
        np.testing.assert_allclose(
            ours_.kernel.numpy(), theirs_.weight.detach().numpy().T, rtol=tolerance, atol=tolerance
        )
    with torch.no_grad():
        p = torch.softmax(net(torch.from_numpy(x)), 1).numpy()
    np.testing.assert_allclose(model.predict(x), p, rtol=10 * tolerance, atol=tolerance)
