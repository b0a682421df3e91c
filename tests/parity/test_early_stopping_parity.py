"""EarlyStopping against Keras's, told the same numbers."""

import inspect

import numpy as np
import pytest

from onepass import callbacks


class Model:
    """Weights that say after which epoch they were taken."""

    stop_training = False
    weights = None

    def get_weights(self):
        return [np.array(self.weights)]

    def set_weights(self, weights):
        self.weights = int(weights[0])


def told(library, values, capsys, **arguments):
    """Return what happened: epochs, best ones, what is printed, and the weights in the end."""
    model = Model()
    stop = library.EarlyStopping("loss", verbose=1, **arguments)
    stop.set_model(model)
    stop.on_train_begin()
    for epoch, value in enumerate(values):
        model.weights = epoch
        stop.on_epoch_end(epoch, {"loss": value})
        if model.stop_training:
            break
    last = epoch
    stop.on_train_end()
    printed = capsys.readouterr().out
    return last, stop.best_epoch, stop.stopped_epoch, stop.wait, model.weights, printed


def test_arguments_are_keras_s():
    keras = pytest.importorskip("keras")
    ours, theirs = (
        inspect.signature(library.EarlyStopping).parameters
        for library in (callbacks, keras.callbacks)
    )
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize("baseline", [None, 0.2, 0.8])
def test_epochs_and_weights_are_keras_s(capsys, mode, restore, baseline):
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    for _ in range(60):
        values = rng.integers(0, 10, rng.integers(1, 12)) / 10
        arguments = {
            "mode": mode,
            "restore_best_weights": restore,
            "baseline": baseline,
            "patience": int(rng.integers(0, 4)),
            "min_delta": float(rng.choice([0.0, 0.15, -0.15])),
            "start_from_epoch": int(rng.integers(0, 3)),
        }
        assert told(callbacks, values, capsys, **arguments) == told(
            keras.callbacks, values, capsys, **arguments
        ), (values, arguments)
