"""Training that ends where it gets no further."""

import math

import numpy as np
import pytest

import onepass
from onepass.callbacks import Callback, EarlyStopping
from onepass.layers import Dense

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 4)).astype("float32"), RNG.normal(size=(64, 1)).astype("float32")


class Told(Callback):
    """Write numbers into the logs, as if they had been measured, and keep each epoch's weights."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values, self.weights = name, values, []

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]
        self.weights.append(self.model.get_weights())


def trained(values, name="loss", initial_epoch=0, **arguments):
    """Return what was told, the callback and the model, trained for as many epochs as it was."""
    onepass.utils.set_random_seed(1)
    model = onepass.Sequential([onepass.Input([4]), Dense(1)])
    model.compile("adam", "mse", metrics=["mae", "accuracy"])
    told, stop = Told(name, values), EarlyStopping(name, **arguments)
    model.fit(
        X, Y, epochs=len(values), initial_epoch=initial_epoch, verbose=0, callbacks=[told, stop]
    )
    return told, stop, model


@pytest.mark.parametrize(
    ("values", "arguments", "epochs"),
    [
        ([4, 3, 2, 1], {}, 4),
        ([1, 1, 1, 1], {}, 2),
        ([1, 1, 1, 1], {"patience": 1}, 2),
        ([1, 1, 1, 1], {"patience": 2}, 3),
        ([3, 4, 2, 4, 4, 4], {"patience": 2}, 5),
        ([3, 2.95, 2.92, 2.9], {"min_delta": 0.09, "patience": 2}, 3),
        ([3, 2.95, 2.9, 2.8], {"min_delta": -0.09, "patience": 2}, 4),
        ([1, 2, 3, 3], {"mode": "max"}, 4),
        ([5, 4, 3, 2, 1], {"baseline": 0.5, "patience": 2}, 5),
        ([5, 4, 3, 3, 3], {"baseline": 3.5, "patience": 2}, 5),
        ([5, 5, 5, 5, 5], {"start_from_epoch": 2, "patience": 1}, 4),
        ([1, math.nan, math.nan, 0.5], {"patience": 2}, 3),
        ([math.nan, math.nan, math.nan], {"patience": 1}, 2),
        ([math.inf, 1, -math.inf], {}, 3),
    ],
)
def test_epochs(values, arguments, epochs):
    told, stop, _ = trained(values, **arguments)
    assert len(told.weights) == epochs
    assert epochs == len(values) or stop.stopped_epoch == epochs - 1


@pytest.mark.parametrize(
    ("values", "arguments", "best"),
    [
        ([3, 2, 4, 4], {"patience": 2}, 1),
        ([3, 2, 4], {"patience": 5}, 1),  # training was not ended, yet its best is restored
        ([3, 2, 1], {}, 2),
        ([math.nan, math.nan], {}, 0),
        ([9, 8, 7, 7], {"start_from_epoch": 1}, 2),
    ],
)
def test_the_best_weights_come_back(values, arguments, best):
    told, stop, model = trained(values, restore_best_weights=True, **arguments)
    assert stop.best_epoch == best
    for ours, kept in zip(model.get_weights(), told.weights[best], strict=True):
        np.testing.assert_array_equal(ours, kept)
    told, _, model = trained(values, **arguments)
    for ours, last in zip(model.get_weights(), told.weights[-1], strict=True):
        np.testing.assert_array_equal(ours, last)


def test_metrics_say_what_is_better():
    assert len(trained([1, 2, 3], "accuracy")[0].weights) == 3
    assert len(trained([1, 2, 3], "mae")[0].weights) == 2
    with pytest.raises(ValueError, match="'mine' should be large or small is not known"):
        trained([1, 2, 3], "mine")


def test_validation_loss_is_the_default_and_training_anew_counts_anew():
    onepass.utils.set_random_seed(1)
    model = onepass.Sequential([onepass.Input([4]), Dense(1)])
    model.compile(onepass.optimizers.SGD(0.0), "mse")
    stop = EarlyStopping(patience=2)
    for _ in range(2):
        history = model.fit(
            X, Y, epochs=9, validation_split=0.25, verbose=0, callbacks=[stop]
        ).history
        assert len(history["val_loss"]) == 3
    with pytest.warns(UserWarning, match="monitors 'val_loss', which is not there.* loss"):
        model.fit(X, Y, epochs=1, verbose=0, callbacks=[stop])


def test_what_is_printed(capsys):
    trained([3, 2, 4, 4], patience=2, verbose=1, restore_best_weights=True)
    assert capsys.readouterr().out == (
        "Epoch 4: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    )
    trained([3, 2, 4, 4], patience=2, restore_best_weights=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"monitor": 3}, TypeError),
        ({"patience": -1}, ValueError),
        ({"patience": 1.5}, TypeError),
        ({"mode": "low"}, ValueError),
        ({"baseline": "best"}, TypeError),
        ({"min_delta": None}, TypeError),
        ({"restore_best_weights": 1}, TypeError),
        ({"start_from_epoch": -2}, ValueError),
    ],
)
def test_bad_arguments_are_named(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        EarlyStopping(**arguments)
