"""Samples that a GPU does not reach are sent there in portions, while it is at work.

Copies on their own stream may be early or late: late ones are read by kernels that did not wait for
them, early ones overwrite what kernels still read.
"""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

import onepass
from onepass import Sequential, _core, _gpu, config, layers, optimizers
from onepass.engine import replay
from strategies import assert_same_bits

PLAYED = "onepass._cuda_fibers"
MODULE = os.environ.get("ONEPASS_TEST_GPU", PLAYED)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None, reason="built without the GPU's kernels as fibers"
)
played = pytest.mark.skipif(MODULE != PLAYED, reason="only fibers copy when they are told to")


@pytest.fixture(autouse=True, params=["copies early", "copies late"])
def gpu(monkeypatch, request):
    monkeypatch.setattr(_gpu, "MODULE", MODULE)
    if request.param == "copies early":
        monkeypatch.setenv("ONEPASS_FIBERS_COPY_EARLY", "1")
    config.set_device("cuda")
    _core.set_isa("baseline")


@pytest.fixture
def too_large(monkeypatch):
    """All data is larger than a quarter of the GPU's memory."""

    def say(larger: bool) -> None:
        monkeypatch.setattr(_gpu, "memory_bytes", lambda: 1 if larger else 10**9)

    return say


def network(optimizer=None):
    onepass.utils.set_random_seed(1)
    model = Sequential(
        [
            onepass.Input([20]),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )
    model.compile(
        optimizer or optimizers.Adam(0.01),
        onepass.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def data(samples, dtype="float32"):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (samples, 20)).astype(dtype)
    return x, rng.integers(0, 10, samples)


def trained(x, y, **fit):
    model = network()
    onepass.utils.set_random_seed(3)
    history = model.fit(x, y, verbose=0, **fit).history
    return [*model.get_weights(), *map(np.array, history.values())]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("samples", "batch_size"),
    [(1, 32), (7, 32), (64, 32), (65, 32), (330, 10), (801, 4), (300, 1)],
)
def test_training_has_the_bits_of_data_that_fits(too_large, samples, batch_size, shuffle) -> None:
    x, y = data(samples)
    results = []
    for larger in (False, True):
        too_large(larger)
        results.append(trained(x, y, batch_size=batch_size, epochs=3, shuffle=shuffle))
    assert_same_bits(*results)


def every_other(x):
    return np.repeat(x, 2, axis=0)[::2]


def in_a_file(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("kept", ["gapless", "every other row", "file"])
def test_samples_as_they_lie(too_large, tmp_path, kept, dtype) -> None:
    x, y = data(330, dtype)
    too_large(False)
    expected = trained(x, y, batch_size=10, sample_weight=np.linspace(0, 1, 330))
    too_large(True)
    x = {"gapless": x, "every other row": every_other(x), "file": in_a_file(x, tmp_path)}[kept]
    assert_same_bits(expected, trained(x, y, batch_size=10, sample_weight=np.linspace(0, 1, 330)))


def test_evaluating_and_predicting(too_large) -> None:
    x, y = data(333)
    model, results = network(), []
    for larger in (False, True):
        too_large(larger)
        losses = model.evaluate(x, y, batch_size=10, verbose=0)
        results.append([np.array(losses), model.predict(x, batch_size=10, verbose=0)])
    assert_same_bits(*results)


@pytest.mark.parametrize("seconds", [0.05, 1e-3, 1e-5])
def test_larger_data_behind_smaller_one(too_large, monkeypatch, seconds) -> None:
    """Portions with more samples, or fewer, also behind calls that end with one on its way."""
    monkeypatch.setattr(replay, "_SECONDS", seconds)
    weights = []
    for larger in (False, True):
        too_large(larger)
        model = network()
        for samples, batch_size in [(40, 4), (400, 4), (4, 4), (400, 2), (900, 4)]:
            model.fit(*data(samples), batch_size=batch_size, verbose=0)
        weights.append(model.get_weights())
    assert_same_bits(*weights)


def test_an_interrupted_epoch_goes_on(too_large) -> None:
    x, y = data(400)

    class Interrupting(onepass.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None) -> None:
            if batch == 13:
                raise KeyboardInterrupt

    models = []
    for larger in (False, True):
        too_large(larger)
        model = network()
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=4, verbose=0, callbacks=[Interrupting()], shuffle=False)
        model.fit(x, y, batch_size=4, verbose=0, shuffle=False)
        models.append(model.get_weights())
    assert_same_bits(*models)


@played
def test_no_memory_to_send_to_is_said(too_large, monkeypatch) -> None:
    x, y = data(400)
    model = network()
    before = model.get_weights()
    too_large(True)
    monkeypatch.setenv("ONEPASS_FIBERS_ROOM", "100")
    with pytest.raises(MemoryError, match="GPU has no memory left for"):
        model.fit(x, y, batch_size=4, verbose=0)
    monkeypatch.delenv("ONEPASS_FIBERS_ROOM")
    assert_same_bits(before, model.get_weights())
    model.fit(x, y, batch_size=4, verbose=0)
