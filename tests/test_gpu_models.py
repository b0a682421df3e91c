"""Models on a GPU, which queues of fibers on the CPU play: all is as on the CPU."""

from __future__ import annotations

import copy
import ctypes
import gc
import importlib.util
import os
import pickle
import threading
import weakref

import numpy as np
import pytest

import onepass
from onepass import Sequential, _core, _gpu, config, layers, metrics, optimizers
from test_plan import blocks_of, padding_of

PLAYED = "onepass._cuda_fibers"
MODULE = os.environ.get("ONEPASS_TEST_GPU", PLAYED)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None, reason="built without the GPU's kernels as fibers"
)
played = pytest.mark.skipif(MODULE != PLAYED, reason="only fibers fail when they are told to")


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    monkeypatch.setattr(_gpu, "MODULE", MODULE)
    config.set_device("cuda")
    _core.set_isa("baseline")  # products without fused instructions, as close as they come


def data(samples=150, inputs=20, classes=10, dtype="float32"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, inputs)).astype(dtype), rng.integers(0, classes, samples)


def network(device, dtype="float32", **compiled):
    """Return a model with normalization and dropout on a device, the same on each."""
    config.set_device(device)
    onepass.utils.set_random_seed(1)
    model = Sequential(
        [
            onepass.Input([20], dtype=dtype),
            layers.Dense(30, activation="relu", kernel_regularizer="l2", dtype=dtype),
            layers.BatchNormalization(dtype=dtype),
            layers.Dropout(0.3, dtype=dtype),
            layers.Dense(10, activation="softmax", kernel_constraint="max_norm", dtype=dtype),
        ]
    )
    compiled = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | compiled
    model.compile(**compiled)
    return model


def weights_close(a, b, dtype="float32"):
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


RULES = {
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(),
    "clipped by all": lambda: optimizers.Adam(global_clipnorm=0.1),
    "clipped by each": lambda: optimizers.AdamW(clipnorm=0.1),
    "averaged": lambda: optimizers.SGD(use_ema=True, ema_momentum=0.9),
    "accumulating": lambda: optimizers.SGD(gradient_accumulation_steps=2),
    "lamb": lambda: optimizers.Lamb(),
    "adafactor": lambda: optimizers.Adafactor(),
    "muon": lambda: optimizers.Muon(),
    "learning its rate": lambda: optimizers.AdamHD(),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES)
def test_training_as_on_the_cpu(rule, dtype):
    x, y = data(dtype=dtype)
    seen = {}
    for device in ("cpu", "cuda"):
        model = network(device, dtype, optimizer=RULES[rule]())
        history = model.fit(x, y, epochs=2, batch_size=32, validation_split=0.2, verbose=0)
        assert model.plan_for("train").device == device
        assert {variable.device for variable in model.variables} == {device}
        seen[device] = (model, history.history, model.predict(x, verbose=0))
    cpu, cuda = seen["cpu"], seen["cuda"]
    weights_close(cpu[0], cuda[0], dtype)
    for name, values in cpu[1].items():
        np.testing.assert_allclose(values, cuda[1][name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(cpu[2], cuda[2], rtol=1e-4, atol=1e-6)
    assert cpu[0].optimizer.calls == cuda[0].optimizer.calls == 8


def test_metrics_as_on_the_cpu():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(70, 4)).astype("f4"), rng.integers(0, 2, (70, 3)).astype("f4")
    results = {}
    for device in ("cpu", "cuda"):
        config.set_device(device)
        onepass.utils.set_random_seed(1)
        model = Sequential([onepass.Input([4]), layers.Dense(3, activation="sigmoid")])
        model.compile(
            loss="binary_crossentropy",
            metrics=[
                "accuracy",
                "mae",
                metrics.AUC(name="auc"),
                metrics.Precision([0.3, 0.6], name="p"),
            ],
        )
        results[device] = model.evaluate(x, y, batch_size=32, verbose=0, return_dict=True)
    for name, value in results["cpu"].items():
        np.testing.assert_allclose(value, results["cuda"][name], rtol=1e-6, err_msg=name)


def test_a_model_moves_in_the_middle_of_its_training():
    x, y = data()
    stays, moves = (network("cpu", optimizer=optimizers.Adam()) for _ in range(2))
    for device in ("cpu", "cuda", "cpu", "cuda"):
        assert moves.to(device) is moves
        assert {variable.device for variable in moves.variables} == {device}
        for model in (stays, moves):
            model.fit(x, y, batch_size=32, shuffle=False, verbose=0)
        np.testing.assert_allclose(
            stays.predict(x, verbose=0), moves.predict(x, verbose=0), rtol=1e-4, atol=1e-6
        )
    weights_close(stays, moves)
    assert stays.optimizer.calls == moves.optimizer.calls


def test_a_layer_that_two_models_share_moves_with_one_of_them():
    shared = layers.Dense(3)
    first, second = Sequential([onepass.Input([4]), shared]), Sequential([shared])
    x = np.ones((2, 4), "f4")
    before = second.predict(x, verbose=0)
    first.to("cpu")
    shared.kernel.assign(np.zeros((4, 3)))
    assert before.any()
    assert not second.predict(x, verbose=0).any()


def test_weights_on_two_devices_are_named():
    model = network("cpu")
    model.layers[0].to("cuda")
    with pytest.raises(ValueError, match=r"several devices.*to\(\).*dense.*/kernel' on cuda"):
        model.predict(data()[0], verbose=0)
    assert model.to("cuda").predict(data()[0], verbose=0).shape == (150, 10)


def test_weights_are_arrays_on_every_device():
    model = network("cuda")
    (x, _), kernel = data(), model.layers[0].kernel
    kernel.assign(np.zeros(kernel.shape))
    assert not kernel.numpy().any()
    kernel.array[...] = 1
    before = model.predict(x, verbose=0)
    kernel.array[...] = 2
    assert not np.array_equal(before, model.predict(x, verbose=0))


def test_a_pickled_model_lies_where_the_setting_says():
    model = network("cuda")
    saved = pickle.dumps(model)
    x = data()[0]
    for device in ("cpu", "cuda"):
        config.set_device(device)
        loaded = pickle.loads(saved)
        assert {variable.device for variable in loaded.variables} == {device}
        np.testing.assert_allclose(
            loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-7
        )


def test_functions_of_the_user_see_what_kernels_wrote():
    class Doubled(layers.NumpyLayer):
        def forward(self, x):
            return 2 * x

        def backward(self, x, y, dy):
            return 2 * dy

    x, y = data()
    models = []
    for device in ("cpu", "cuda"):
        config.set_device(device)
        onepass.utils.set_random_seed(1)
        model = Sequential(
            [onepass.Input([20]), layers.Dense(8, activation="tanh"), Doubled(), layers.Dense(10)]
        )
        model.compile(loss="mse", optimizer="sgd")
        model.fit(x, np.eye(10, dtype="f4")[y], batch_size=32, shuffle=False, verbose=0)
        models.append(model)
    weights_close(*models)


@pytest.mark.parametrize("kept_on_device", [True, False])
def test_data_that_is_too_large_is_copied_batch_by_batch(monkeypatch, kept_on_device):
    x, y = data(samples=400)
    size = 10**9 if kept_on_device else x.nbytes
    monkeypatch.setattr(_gpu, "memory_bytes", lambda: size)
    copies = []
    copied_to = _core.copied_to
    monkeypatch.setattr(_core, "copied_to", lambda a, d: copies.append(a) or copied_to(a, d))
    models = [network(device, optimizer="adam") for device in ("cpu", "cuda")]
    for model in models:
        onepass.utils.set_random_seed(3)
        model.fit(x[::2], y[::2], epochs=3, batch_size=32, verbose=0)
    weights_close(*models)
    assert len(copies) == (2 if kept_on_device else 0)


@played
def test_no_memory_for_the_weights_leaves_them_where_they_are(monkeypatch):
    model, x = network("cpu"), data()[0]
    before = model.predict(x, verbose=0)
    monkeypatch.setenv("ONEPASS_FIBERS_MEMORY", "100")
    with pytest.raises(MemoryError, match="GPU has no memory left for"):
        model.to("cuda")
    assert {variable.device for variable in model.variables} == {"cpu"}
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


@played
def test_no_memory_for_training_leaves_the_weights(monkeypatch):
    model, (x, y) = network("cuda", optimizer="adam"), data()
    before = model.get_weights()
    monkeypatch.setenv("ONEPASS_FIBERS_MEMORY", "100")
    with pytest.raises(MemoryError, match="GPU has no memory left for"):
        model.fit(x, y, verbose=0)
    monkeypatch.delenv("ONEPASS_FIBERS_MEMORY")
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.fit(x, y, verbose=0)


@played
def test_what_went_wrong_on_the_gpu_is_said(monkeypatch):
    model, (x, y) = network("cuda", optimizer="adam"), data()
    model.fit(x, y, verbose=0)
    monkeypatch.setenv("ONEPASS_FIBERS_FAIL", "1")
    with pytest.raises(RuntimeError, match="the GPU failed: invalid argument"):
        model.fit(x, y, verbose=0)
    monkeypatch.delenv("ONEPASS_FIBERS_FAIL")
    assert np.isfinite(model.to("cpu").predict(x, verbose=0)).all()


def fit_alone_and_in_two_threads():
    """Require that models end with the same bits whoever trains beside them."""
    x, y = data()
    options = {"epochs": 2, "shuffle": False, "verbose": 0}
    alone, *models = (network("cuda", optimizer="adam") for _ in range(3))
    alone.fit(x, y, **options)
    threads = [threading.Thread(target=m.fit, args=(x, y), kwargs=options) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        for one, other in zip(alone.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_two_models_in_two_threads():
    fit_alone_and_in_two_threads()


def test_moves_leave_no_memory_behind():
    model, x = network("cuda", optimizer="adam"), data()[0]
    plans = []
    for device in ("cpu", "cuda", "cpu", "cuda"):
        model.to(device)
        model.predict(x, verbose=0)
        model.layers[0](x[:2])
        plans.append(weakref.ref(model.plan_for("predict")))
        plans.append(weakref.ref(next(iter(model.layers[0].eager_plans.values()))[1]))
    gc.collect()
    assert [plan() is None for plan in plans] == [True] * 6 + [False] * 2


def test_a_model_does_not_move_while_it_is_fitted():
    class Moves(onepass.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.to("cpu")

    model, (x, y) = network("cuda", optimizer="adam"), data()
    with pytest.raises(RuntimeError, match="cannot move while fit trains it"):
        model.fit(x, y, verbose=0, callbacks=[Moves()])
    assert {variable.device for variable in model.to("cpu").variables} == {"cpu"}


def test_many_rows_are_predicted_in_turn():
    rows = np.random.default_rng(2).normal(size=(40_000, 3)).astype("f4")
    model = Sequential([onepass.Input([3]), layers.Dense(2, activation="tanh")])
    on_gpu = model.predict(rows, verbose=0)
    np.testing.assert_allclose(on_gpu, model.to("cpu").predict(rows, verbose=0), atol=1e-6)


def test_a_copy_lies_where_the_model_does():
    model = network("cuda")
    config.set_device("cpu")
    assert {variable.device for variable in copy.deepcopy(model).variables} == {"cuda"}


@pytest.mark.parametrize("name", ["gpu", "CUDA", None, 0])
def test_unknown_devices(name):
    model = network("cpu")
    with pytest.raises(ValueError, match='to: name must be "cpu" or "cuda"'):
        model.to(name)


def test_a_model_without_weights_does_not_move():
    with pytest.raises(ValueError, match="no weights yet"):
        Sequential([layers.Dense(3)]).to("cuda")
    with pytest.raises(ValueError, match="no weights to move"):
        layers.Dense(3).to("cuda")


def graphs():
    """Return how many graphs were made and how many launched so far."""
    fibers = ctypes.CDLL(importlib.util.find_spec(PLAYED).origin)
    fibers.onepass_fibers_graphs_made.restype = ctypes.c_long
    fibers.onepass_fibers_graphs_launched.restype = ctypes.c_long
    return fibers.onepass_fibers_graphs_made(), fibers.onepass_fibers_graphs_launched()


@played
@pytest.mark.parametrize(
    ("optimizer", "many"),
    [
        (optimizers.Adam, True),
        (lambda: optimizers.SGD(global_clipnorm=0.1), True),
        (lambda: optimizers.Adam(clipnorm=0.01), True),
        (lambda: optimizers.Adam(clipvalue=0.01, weight_decay=0.1), True),
        (optimizers.Lamb, False),
        (lambda: optimizers.SGD(skip_nonfinite=True), False),
    ],
)
def test_many_steps_become_one_graph(optimizer, many) -> None:
    x, y = data()
    before = graphs()
    models = []
    for device in ("cpu", "cuda"):
        models.append(network(device, optimizer=optimizer()))
        models[-1].fit(x, y, epochs=8, batch_size=10, verbose=0)
    made, launched = (now - then for now, then in zip(graphs(), before, strict=True))
    weights_close(*models)
    if many:  # eight epochs of 15 steps, two a graph; it is made once and then brought up to date
        assert 8 <= launched <= 56  # the pace decides
        assert made == 1
    else:
        assert made == launched == 0


@played
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda rate: optimizers.Nadam(rate),
        lambda rate: optimizers.AdamW(rate, weight_decay=0.1),
        lambda rate: optimizers.SGD(rate, momentum=0.9, global_clipnorm=0.5, use_ema=True),
        lambda rate: optimizers.Adam(
            rate, clipnorm=0.5, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=5
        ),
    ],
)
@pytest.mark.parametrize("kept_on_device", [True, False])
def test_kernels_in_graphs_know_place_count_and_rate(monkeypatch, optimizer, kept_on_device):
    """Dropout's masks, batches, bias corrections and a rate that changes at every step."""
    x, y = data(samples=205)
    monkeypatch.setattr(_gpu, "memory_bytes", lambda: 10**9 if kept_on_device else x.nbytes)
    weights, before = {}, graphs()
    for device in ("cpu", "cuda"):
        config.set_device(device)
        onepass.utils.set_random_seed(1)
        model = Sequential(
            [
                onepass.Input([20]),
                layers.Dropout(0.2),
                layers.Dense(32, activation="relu"),
                layers.Dropout(0.3),
                layers.BatchNormalization(),
                layers.GaussianNoise(0.1),
                layers.Dense(8),
                layers.RReLU(),
                layers.AlphaDropout(0.1),
                layers.Dense(10),
            ]
        )
        rate = optimizers.schedules.ExponentialDecay(0.05, 5, 0.5)
        model.compile(
            loss=onepass.losses.SparseCategoricalCrossentropy(from_logits=True),
            optimizer=optimizer(rate),
            metrics=["accuracy"],
        )
        history = model.fit(x, y, epochs=3, batch_size=10, verbose=0).history
        weights[device] = (model.get_weights(), history)
    assert graphs()[1] - before[1] >= 6
    for one, other in zip(weights["cpu"][0], weights["cuda"][0], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(weights["cuda"][1]["loss"], weights["cpu"][1]["loss"], rtol=1e-4)
    assert weights["cuda"][1]["accuracy"] == weights["cpu"][1]["accuracy"]


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm"])
def test_padding_stays_zero_where_a_clip_is_nan(clip) -> None:
    model = Sequential([onepass.Input([70]), layers.Dense(70, "tanh"), layers.Dense(5)])
    model.compile(optimizers.Adam(**{clip: 1.0}), "mse")
    x = np.random.default_rng(0).normal(size=(40, 70)).astype("f4")
    x[3, 2] = np.nan
    model.fit(x, np.zeros((40, 5), "f4"), batch_size=16, verbose=0)
    assert np.isnan(model.get_weights()[0]).any()
    paddings = [padding_of(block, views) for block, views in blocks_of(model)]
    assert sum(p.size for p in paddings) > 70 * 10
    assert all((p == 0).all() for p in paddings)
