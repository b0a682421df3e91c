"""Callbacks that set the learning rate: when, to what, and what the logs say."""

from __future__ import annotations

import math

import numpy as np
import pytest

import onepass
from onepass import layers, metrics, optimizers
from onepass.callbacks import Callback, LearningRateScheduler, ReduceLROnPlateau
from onepass.callbacks.monitor import MonitorCallback
from onepass.optimizers import schedules

X = np.random.default_rng(0).normal(size=(40, 4))
Y = np.random.default_rng(1).normal(size=(40, 2))


def model_with(optimizer=None, **compiled):
    onepass.utils.set_random_seed(3)
    model = onepass.Sequential(
        [layers.Input((4,), dtype="float64"), layers.Dense(2, dtype="float64")]
    )
    model.compile(optimizer or optimizers.SGD(0.4), **{"loss": "mse", **compiled})
    return model


class Told(Callback):
    """Write numbers into the logs, as if they had been measured."""

    def __init__(self, **numbers):
        super().__init__()
        self.numbers = numbers

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: values[epoch] for name, values in self.numbers.items()})


def rates_for(values, name="loss", rate=1.0, **arguments):
    """Return the learning rates of the epochs, given what is monitored, and the last one."""
    model = model_with(optimizers.SGD(rate))
    plateau = ReduceLROnPlateau(name, **arguments)
    history = model.fit(
        X, Y, epochs=len(values), verbose=0, callbacks=[Told(**{name: values}), plateau]
    )
    return [*history.history["learning_rate"], float(model.optimizer.learning_rate)]


# LearningRateScheduler


def test_a_rate_an_epoch():
    asked = []

    def schedule(epoch, rate):
        asked.append((epoch, rate))
        assert type(rate) is float
        return rate / 2

    model, other = model_with(), model_with()
    callbacks = [LearningRateScheduler(schedule)]
    history = model.fit(
        X, Y, epochs=4, initial_epoch=1, verbose=0, shuffle=False, callbacks=callbacks
    )
    assert asked == [(1, 0.4), (2, 0.2), (3, 0.1)]
    assert history.history["learning_rate"] == [0.2, 0.1, 0.05]
    assert all(type(rate) is float for rate in history.history["learning_rate"])
    for rate in (0.2, 0.1, 0.05):
        other.optimizer.learning_rate = rate
        other.fit(X, Y, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch: [0.5, 0.25][epoch],
        [0.5, 0.25].__getitem__,
        schedules.ExponentialDecay(0.5, 1, 0.5),
        lambda epoch, rate=None: 0.5 / (1 + epoch),
        lambda *given: np.float32(0.5 / (1 + given[0])),
        lambda epoch: np.array(0.5 / (1 + epoch)),
    ],
)
def test_functions_of_the_epoch(schedule):
    history = model_with().fit(
        X, Y, epochs=2, verbose=0, callbacks=[LearningRateScheduler(schedule)]
    )
    assert history.history["learning_rate"] == [0.5, 0.25]


def test_an_error_of_the_schedule_is_its_own():
    def schedule(epoch, rate):
        return rate + "a"

    with pytest.raises(TypeError, match="unsupported operand"):
        model_with().fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(schedule)])


@pytest.mark.parametrize(
    ("returned", "error"),
    [(None, TypeError), ("a", TypeError), (-1.0, ValueError), (math.nan, ValueError)],
)
def test_what_is_no_rate_is_refused(returned, error):
    model = model_with()
    before = model.get_weights()
    with pytest.raises(error, match="learning rate that schedule returned for epoch 0 must be"):
        model.fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: returned)])
    assert model.optimizer.learning_rate == 0.4
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_optimizers_with_a_schedule_are_refused():
    for callback, words in (
        (LearningRateScheduler(lambda epoch: 0.1), "follows ExponentialDecay"),
        (ReduceLROnPlateau("loss"), "ReduceLROnPlateau cannot .* follows ExponentialDecay"),
    ):
        model = model_with(optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5)))
        with pytest.raises(TypeError, match=words):
            model.fit(X, Y, verbose=0, callbacks=[callback])
        assert model.optimizer.iterations == 0


def test_what_is_printed(capsys):
    model = model_with()
    callbacks = [
        Told(loss=[1.0, 1.0]),
        LearningRateScheduler(lambda epoch: 0.5, verbose=1),
        ReduceLROnPlateau("loss", 0.5, patience=1, verbose=1),
    ]
    model.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1: LearningRateScheduler setting learning rate to 0.5.",
        "Epoch 2: LearningRateScheduler setting learning rate to 0.5.",
        "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.25.",
    ]
    for quiet in callbacks[1:]:
        quiet.verbose = 0
    model.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks)
    assert capsys.readouterr().out == ""


# ReduceLROnPlateau


@pytest.mark.parametrize(
    ("values", "arguments", "expected"),
    [
        ([4, 3, 2, 1], {"patience": 1}, [1, 1, 1, 1, 1]),
        ([1, 1, 1, 1], {"patience": 1, "factor": 0.5}, [1, 1, 0.5, 0.25, 0.125]),
        ([1, 1, 1, 1], {"patience": 2, "factor": 0.5}, [1, 1, 1, 0.5, 0.5]),
        ([1, 1, 1, 1], {"patience": 0, "factor": 0.5}, [1, 1, 0.5, 0.25, 0.125]),
        ([1, 1, 1, 1, 1], {"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25]),
        ([1, 1, 1, 1], {"patience": 1, "factor": 0.5, "min_lr": 0.3}, [1, 1, 0.5, 0.3, 0.3]),
        ([3, 2.95, 2.92, 2.9], {"patience": 1, "factor": 0.5, "min_delta": 0.09}, None),
        ([1, 2, 3], {"patience": 1, "factor": 0.5, "mode": "max"}, [1, 1, 1, 1]),
        ([1, 1, 1], {"patience": 1, "factor": 0.5, "mode": "max"}, [1, 1, 0.5, 0.25]),
        ([math.nan, 1, math.nan], {"patience": 1, "factor": 0.5}, [1, 0.5, 0.5, 0.25]),
        ([math.inf, 1, -math.inf], {"patience": 1, "factor": 0.5}, [1, 1, 1, 1]),
        ([1, 1, 1], {"patience": 1, "factor": 0.0}, [1, 1, 0, 0]),
    ],
)
def test_reductions(values, arguments, expected):
    got = rates_for(values, **arguments)
    if arguments.get("cooldown"):
        expected = [1, 1, 0.5, 0.5, 0.25, 0.25]
    # 2.92 and 2.95 are no improvements over 3, 2.9 is one.
    assert got == ([1, 1, 0.5, 0.25, 0.25] if expected is None else expected)


def test_training_anew_counts_anew():
    model = model_with(optimizers.SGD(1.0))
    plateau = ReduceLROnPlateau("loss", 0.5, patience=2)
    for _ in range(3):
        told = Told(loss=[1.0, 1.0])
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[told, plateau])
        assert plateau.wait == 1
    assert model.optimizer.learning_rate == 1.0


def test_validation_loss_is_the_default():
    model = model_with(optimizers.SGD(1e-12))
    plateau = ReduceLROnPlateau(patience=1, min_delta=1e-3)
    history = model.fit(X, Y, epochs=3, validation_split=0.25, verbose=0, callbacks=[plateau])
    np.testing.assert_allclose(history.history["learning_rate"], [1e-12, 1e-12, 1e-13])
    assert list(history.history) == ["loss", "val_loss", "learning_rate"]
    with pytest.warns(UserWarning, match="monitors 'val_loss', which is not there.* loss"):
        model.fit(X, Y, epochs=1, verbose=0, callbacks=[ReduceLROnPlateau()])


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("mae", "down"),
        (metrics.MeanSquaredError(name="mine"), "down"),
        (metrics.CosineSimilarity(), "up"),
        ("accuracy", "up"),
        (metrics.AUC(), "up"),
        (metrics.Precision(), "up"),
        (metrics.RecallAtPrecision(0.5), "up"),
        (metrics.R2Score(), "up"),
        (metrics.F1Score(), "up"),
        (metrics.TruePositives(), None),
        (lambda y_true, y_pred: onepass.ops.mean(y_true - y_pred, axis=-1), None),
    ],
)
def test_auto_asks_the_metrics(metric, direction):
    model = model_with(loss="binary_crossentropy", metrics=[metric])
    x, y = X, (Y > 0).astype(float)
    history = model.fit(x, y, epochs=1, verbose=0)
    name = next(name for name in history.history if name != "loss")
    for monitor in (name, f"val_{name}"):
        callback = MonitorCallback(monitor)
        callback.set_model(model)
        if direction is None:
            with pytest.raises(ValueError, match="pass mode='max' or mode='min'"):
                callback.improves(1.0)
            continue
        assert callback.improves(1.0)
        callback.best = 1.0
        assert callback.improves(2.0) == (direction == "up")
        assert callback.improves(0.0) == (direction == "down")
        assert not callback.improves(1.0)


def test_auto_with_several_outputs():
    inputs = onepass.Input((4,))
    model = onepass.Model(
        inputs, [layers.Dense(2, name="a")(inputs), layers.Dense(2, name="b")(inputs)]
    )
    model.compile("sgd", ["mse", "mse"], metrics=[["mae"], ["cosine_similarity"]])
    expected = {
        "loss": "down",
        "a_loss": "down",
        "a_mae": "down",
        "b_cosine_similarity": "up",
        "c_loss": None,
    }
    assert {name: model.direction_of(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"monitor": 3}, TypeError, "monitor must be a string"),
        ({"factor": 1.0}, ValueError, "factor must be below 1"),
        ({"factor": -0.5}, ValueError, "factor"),
        ({"factor": "half"}, TypeError, "factor"),
        ({"patience": -1}, ValueError, "patience"),
        ({"patience": 1.5}, TypeError, "patience"),
        ({"cooldown": -1}, ValueError, "cooldown"),
        ({"mode": "most"}, ValueError, "mode must be one of auto, min, max"),
        ({"min_delta": math.nan}, ValueError, "min_delta"),
        ({"min_lr": -0.1}, ValueError, "min_lr"),
    ],
)
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        ReduceLROnPlateau(**arguments)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="schedule must be a callable, got float"):
        LearningRateScheduler(0.1)
