"""fit, evaluate and their relatives: what they compute, report and leave behind."""

from __future__ import annotations

import copy
import math
import pickle
import time

import numpy as np
import pytest

import rule_cases
from onepass import (
    Input,
    Sequential,
    _formulas,
    _random,
    config,
    initializers,
    losses,
    metrics,
    optimizers,
    utils,
)
from onepass.callbacks import Callback, History
from onepass.engine import replay
from onepass.layers import Activation, Dense, Flatten
from reference import losses as reference_losses
from reference.mlp import Mlp, layers_like
from strategies import assert_same_bits, every_backend, helper_seconds

N, COLS, CLASSES = 43, 6, 4
SPARSE = "sparse_categorical_crossentropy"
F64 = {"dtype": "float64"}
QUIET = {"verbose": 0, "shuffle": False}

ADAM = {"rule": "adam", "options": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}}
RATES = {"sgd": 0.1, "nesterov": 0.05, "ftrl": 0.1, "ftrl_power": 0.1}  # 0.01 the others


def new_optimizer(rule):
    kind, arguments = rule_cases.CASES[rule]
    return kind(**arguments, learning_rate=RATES.get(rule, 0.01), weight_decay=0.1)


def make(optimizer="sgd", loss=SPARSE, output="softmax", dtype="float64", **compile_arguments):
    utils.set_random_seed(5)
    columns = 1 if loss == "binary_crossentropy" else CLASSES
    model = Sequential(
        [
            Input((COLS,), dtype=dtype),
            Dense(9, "tanh", dtype=dtype, bias_initializer="normal"),
            Dense(columns, output, dtype=dtype),
        ]
    )
    model.compile(optimizer, loss, **compile_arguments)
    return model


def data(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, COLS)), rng.integers(0, CLASSES, n)


def oracle_of(model, **optimizer):
    return Mlp(layers_like(model), model.loss.formula, **optimizer)


def assert_weights(model, oracle, rtol=1e-10):
    for variable, expected in zip(model.variables, oracle.weights, strict=True):
        np.testing.assert_allclose(
            variable.numpy(), expected, rtol=rtol, atol=1e-12, err_msg=variable.name
        )


def iterations(model):
    return model.optimizer.iterations


# Reproducibility


def wide_model():
    utils.set_random_seed(1)
    model = Sequential([Input((64,)), Dense(150, "relu"), Dense(70, "tanh"), Dense(10, "softmax")])
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return model


def wide_data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(600, 64)).astype(np.float32), rng.integers(0, 10, 600)


def test_a_seed_decides_every_bit_on_all_backends():
    x, y = wide_data()
    found = {}
    for isa, threads in every_backend():
        for _ in range(2):
            model = wide_model()
            history = model.fit(x, y, batch_size=64, epochs=2, validation_split=0.1, verbose=0)
            result = [*model.get_weights(), *map(np.array, history.history.values())]
            assert_same_bits(found.setdefault(isa, result), result, f"{isa}, {threads} threads")
    for result in found.values():
        np.testing.assert_allclose(result[0], found[config.isa()][0], rtol=1e-3, atol=1e-4)


def test_another_seed_gives_other_weights():
    x, y = wide_data()
    results = []
    for seed in (1, 2):
        model = wide_model()
        utils.set_random_seed(seed)
        model.fit(x, y, verbose=0)
        results.append(model.get_weights()[0])
    assert not np.array_equal(*results)


def test_a_fit_uses_helpers_for_worthwhile_steps():
    config.set_device("cpu")  # whatever device the tests run on
    config.set_threads(2)
    x, y = wide_data()
    model = wide_model()
    before, until = helper_seconds(), time.monotonic() + 20
    while helper_seconds() - before < 1e-3:  # helpers stand back while others want the cores
        assert time.monotonic() < until, "no helper had any work"
        model.fit(x, y, batch_size=64, verbose=0)


def test_where_native_calls_end_does_not_matter(monkeypatch):
    rate = {"learning_rate": lambda step: 0.1 / (1 + step)}
    x, y = data()
    results = []
    for seconds in (0.05, 1e-9):
        monkeypatch.setattr(replay, "_SECONDS", seconds)
        model = make(optimizers.SGD(**rate, momentum=0.5), metrics=["accuracy"])
        history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, validation_split=0.2)
        results.append([*model.get_weights(), *map(np.array, history.history.values())])
        results[-1].append(model.predict(x, batch_size=5))
    assert_same_bits(*results)


# The reference


@pytest.mark.parametrize("rule", rule_cases.CASES)
@pytest.mark.parametrize("batch_size", [1, 7, 32, N, N + 9, None])
def test_fit_is_the_epoch_loop(rule, batch_size):
    optimizer = new_optimizer(rule)
    rate = optimizer.learning_rate
    model = make(optimizer)
    x, y = data()
    oracle = oracle_of(model, **rule_cases.specification_of(optimizer))
    history = model.fit(x, y, batch_size=batch_size, epochs=3, **QUIET)
    expected = [oracle.epoch(x, y, batch_size or 32, rate) for _ in range(3)]
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-10)
    assert_weights(model, oracle)
    assert iterations(model) == 3 * math.ceil(N / (batch_size or 32))


def test_shuffling_takes_every_sample_once_an_epoch():
    """A linear model with x = one-hot rows: after SGD each sample moved only its own weight."""
    n = 50
    utils.set_random_seed(0)
    model = Sequential(
        [Input((n,), **F64), Dense(1, use_bias=False, kernel_initializer="zeros", **F64)]
    )
    model.compile(optimizers.SGD(0.25), "mse")
    model.fit(np.eye(n), np.arange(n), batch_size=1, epochs=1, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][:, 0], np.arange(n) / 2, rtol=1e-12)


def test_shuffling_changes_from_epoch_to_epoch():
    order = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            order.append(round(logs["loss"] * (batch + 1) - sum(order[-batch:] if batch else [])))

    n = 20
    utils.set_random_seed(0)
    model = Sequential(
        [Input((1,), **F64), Dense(1, use_bias=False, kernel_initializer="ones", **F64)]
    )
    model.compile(optimizers.SGD(0.0), "mse")
    x = np.sqrt(np.arange(n))[:, None]
    model.fit(x, np.zeros(n), batch_size=1, epochs=2, verbose=0, callbacks=[Watch()])
    first, second = order[:n], order[n:]
    assert sorted(first) == sorted(second) == list(range(n))
    assert first != second
    assert first != sorted(first)


def test_fit_goes_on_where_it_stopped():
    x, y = data()
    for shuffle in (False, True):
        once, twice = make("adam"), make("adam")
        for model, parts in ((once, [4]), (twice, [1, 2, 1])):
            utils.set_random_seed(3)
            for epochs in parts:
                model.fit(x, y, epochs=epochs, batch_size=10, shuffle=shuffle, verbose=0)
        assert iterations(once) == iterations(twice) == 20
        assert_same_bits(once.get_weights(), twice.get_weights())


def test_compiling_again_keeps_states_only_with_the_same_optimizer():
    x, y = data()
    shared = optimizers.Adam(0.01)
    once, again, fresh = make(optimizers.Adam(0.01)), make(shared), make(optimizers.Adam(0.01))
    once.fit(x, y, epochs=4, **QUIET)
    again.fit(x, y, epochs=2, **QUIET)
    again.compile(shared, SPARSE, metrics=["accuracy"])
    again.fit(x, y, epochs=2, **QUIET)
    assert_same_bits(once.get_weights(), again.get_weights())
    fresh.fit(x, y, epochs=2, **QUIET)
    fresh.compile(optimizers.Adam(0.01), SPARSE)
    assert iterations(fresh) == 0
    oracle = oracle_of(fresh, **ADAM)
    fresh.fit(x, y, epochs=2, **QUIET)
    for _ in range(2):
        oracle.epoch(x, y, 32, 0.01)
    assert_weights(fresh, oracle)


# Weights of samples and classes


CLASS_WEIGHT = {0: 0.5, 2: 3.0}
SAMPLE_WEIGHT = np.random.default_rng(9).uniform(0, 2, N)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("given", ["sample", "class", "both"])
def test_sample_and_class_weights(given, one_hot):
    model = make(loss="categorical_crossentropy" if one_hot else SPARSE)
    x, y = data()
    arguments, expected = {}, np.ones(N)
    if given != "class":
        arguments["sample_weight"] = SAMPLE_WEIGHT
        expected = expected * SAMPLE_WEIGHT
    if given != "sample":
        arguments["class_weight"] = CLASS_WEIGHT
        expected = expected * np.array([CLASS_WEIGHT.get(c, 1.0) for c in y])
    oracle = oracle_of(model)
    target = np.eye(CLASSES)[y] if one_hot else y
    history = model.fit(x, target, epochs=2, batch_size=8, **QUIET, **arguments)
    losses_ = [oracle.epoch(x, y, 8, 0.01, expected) for _ in range(2)]
    np.testing.assert_allclose(history.history["loss"], losses_, rtol=1e-10)
    assert_weights(model, oracle)


def test_class_weights_of_a_binary_model():
    model = make(loss="binary_crossentropy", output="sigmoid")
    x, y = data()
    y = y % 2
    oracle = oracle_of(model)
    weights = np.where(y == 1, 5.0, 0.25)
    model.fit(x, y, class_weight={0: 0.25, 1: 5.0}, **QUIET)
    oracle.epoch(x, y[:, None].astype(float), 32, 0.01, weights)
    assert_weights(model, oracle)


def test_a_weight_of_zero_removes_a_sample():
    x, y = data()
    weights = np.where(np.arange(N) % 2, 0.0, 2.0)
    weighted, reduced = make(), make()
    weighted.fit(x, y, sample_weight=weights, batch_size=N, **QUIET)
    kept = weights > 0
    oracle = oracle_of(reduced)
    oracle.step(x[kept], y[kept], 0.01, np.full(kept.sum(), 2 * kept.sum() / N))
    assert_weights(weighted, oracle)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean"])
def test_reductions(reduction):
    model = make(loss=losses.SparseCategoricalCrossentropy(reduction=reduction))
    x, y = data()
    oracle = oracle_of(model, reduction="sum" if reduction == "sum" else "mean")
    history = model.fit(x, y, batch_size=16, sample_weight=SAMPLE_WEIGHT, **QUIET)
    expected = oracle.epoch(x, y, 16, 0.01, SAMPLE_WEIGHT)
    np.testing.assert_allclose(history.history["loss"], [expected], rtol=1e-10)
    assert_weights(model, oracle)


def test_loss_weight_scales_the_gradient():
    model = make(loss_weights=2.5)
    x, y = data()
    oracle = oracle_of(model, loss_weight=2.5)
    model.fit(x, y, **QUIET)
    oracle.epoch(x, y, 32, 0.01)
    assert_weights(model, oracle)


# Validation


def test_validation_split_takes_the_last_samples_before_shuffling():
    x, y = data()
    split, apart = make(metrics=["accuracy"]), make(metrics=["accuracy"])
    kept = int(N * 0.7)
    utils.set_random_seed(8)
    got = split.fit(x, y, validation_split=0.3, epochs=2, verbose=0)
    utils.set_random_seed(8)
    expected = apart.fit(
        x[:kept], y[:kept], validation_data=(x[kept:], y[kept:]), epochs=2, verbose=0
    )
    assert got.history == expected.history
    assert_same_bits(split.get_weights(), apart.get_weights())


def test_validation_split_splits_the_sample_weights():
    x, y = data()
    split, apart = make(), make()
    kept = int(N * 0.8)
    got = split.fit(x, y, validation_split=0.2, sample_weight=SAMPLE_WEIGHT, **QUIET)
    expected = apart.fit(
        x[:kept],
        y[:kept],
        sample_weight=SAMPLE_WEIGHT[:kept],
        validation_data=(x[kept:], y[kept:], SAMPLE_WEIGHT[kept:]),
        **QUIET,
    )
    assert got.history == expected.history


def test_validation_data_with_weights_and_a_batch_size():
    x, y = data()
    model = make(metrics=["accuracy"], weighted_metrics=[metrics.SparseCategoricalAccuracy("wacc")])
    vx, vy = data(17, seed=1)
    weights = np.random.default_rng(2).uniform(size=17)
    history = model.fit(x, y, validation_data=(vx, vy, weights), validation_batch_size=5, **QUIET)
    p = model.predict(vx)
    right = np.argmax(p, 1) == vy
    loss = -np.log(p[np.arange(17), vy])
    expected = {
        "val_loss": (loss * weights).sum() / 17,
        "val_accuracy": right.mean(),
        "val_wacc": (right * weights).sum() / weights.sum(),
    }
    for name, value in expected.items():
        assert history.history[name] == [pytest.approx(value, rel=1e-12)]


def test_validation_steps_and_frequency():
    x, y = data()
    model = make()
    history = model.fit(
        *(x, y),
        epochs=5,
        validation_data=(x[:20], y[:20]),
        validation_batch_size=4,
        validation_steps=2,
        validation_freq=2,
        **QUIET,
    )
    assert len(history.history["loss"]) == 5
    assert len(history.history["val_loss"]) == 2  # after epochs 2 and 4
    again = make()
    expected = []
    for epoch in range(5):
        again.fit(x, y, **QUIET)
        if epoch in (1, 3):
            expected.append(again.evaluate(x[:8], y[:8]))
    assert history.history["val_loss"] == pytest.approx(expected, rel=1e-14)


def test_validation_changes_no_weights():
    x, y = data()
    with_, without = make("adam"), make("adam")
    utils.set_random_seed(8)
    with_.fit(x, y, epochs=3, validation_data=(x, y), verbose=0)
    utils.set_random_seed(8)
    without.fit(x, y, epochs=3, verbose=0)
    assert_same_bits(with_.get_weights(), without.get_weights())


# What fit returns and prints


def test_history():
    x, y = data()
    model = make(metrics=["accuracy", SPARSE])
    history = model.fit(x, y, epochs=3, validation_split=0.25, **QUIET)
    assert isinstance(history, History)
    # sorted, as Keras has it
    names = ["accuracy", "loss", SPARSE]
    assert list(history.history) == [*names, *(f"val_{name}" for name in names)]
    assert all(len(values) == 3 for values in history.history.values())
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert history.epoch == [0, 1, 2]
    assert history.model is model
    assert model.history is history
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 1}
    np.testing.assert_allclose(history.history["loss"], history.history[SPARSE], rtol=1e-6)
    assert model.fit(x, y, epochs=0, **QUIET).history == {}


def test_initial_epoch_counts_on():
    x, y = data()
    model, plain = make("adam"), make("adam")
    seen = []

    class Watch(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(epoch)

    history = model.fit(x, y, initial_epoch=3, epochs=5, callbacks=[Watch()], **QUIET)
    plain.fit(x, y, epochs=2, **QUIET)
    assert seen == history.epoch == [3, 4]
    assert_same_bits(model.get_weights(), plain.get_weights())
    assert model.fit(x, y, initial_epoch=5, epochs=5, **QUIET).epoch == []


def test_steps_per_epoch_ends_an_epoch_early():
    x, y = data()
    model, part = make(), make()
    history = model.fit(x, y, batch_size=10, steps_per_epoch=2, **QUIET)
    part.fit(x[:20], y[:20], batch_size=10, **QUIET)
    assert iterations(model) == 2
    assert history.params["steps"] == 2
    assert_same_bits(model.get_weights(), part.get_weights())


def test_steps_per_epoch_goes_on_where_the_last_epoch_stopped():
    x, y = data()  # 5 batches of 10, or fewer rows in the last
    batch = -(-len(x) // 5)
    model, whole = make(), make()
    model.fit(x, y, batch_size=batch, steps_per_epoch=2, epochs=5, **QUIET)
    whole.fit(x, y, batch_size=batch, epochs=2, **QUIET)  # 10 steps each
    assert iterations(model) == iterations(whole) == 10
    assert_same_bits(model.get_weights(), whole.get_weights())


def test_a_learning_rate_is_asked_for_once_a_step_in_order():
    x, y = data()
    asked, seen = [], []

    def by_step(step):
        asked.append(step)
        return 0.01

    def by_iterations():
        seen.append(optimizer.iterations)
        return 0.01

    model = make()
    model.compile(optimizers.SGD(by_step), model.loss)
    model.fit(x, y, batch_size=1, epochs=3, **QUIET)
    assert asked == list(range(3 * len(x)))
    optimizer = optimizers.SGD(by_iterations)
    model.compile(optimizer, model.loss)
    model.fit(x, y, batch_size=1, epochs=2, **QUIET)
    assert seen == list(range(2 * len(x)))


def test_verbosity(capsys):
    x, y = data()
    model = make(metrics=["accuracy"])

    def output(verbose, **arguments):
        capsys.readouterr()
        model.fit(x, y, batch_size=8, verbose=verbose, **arguments)
        out, err = capsys.readouterr()
        assert err == ""
        return out

    assert output(0, epochs=2) == ""
    lines = output(2, epochs=2, validation_split=0.2).splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"Epoch {number}/2 - ")
        for word in ("/step", "loss: ", "accuracy: ", "val_loss: ", "val_accuracy: "):
            assert word in line
    for verbose in (1, "auto", True):
        text = output(verbose, epochs=2)
        assert "Epoch 1/2" in text
        assert "Epoch 2/2" in text
        assert text.count("6/6") >= 2
        assert "accuracy: " in text
    assert output(False) == ""
    model.evaluate(x, y)
    model.predict(x)
    assert capsys.readouterr().out == ""
    model.evaluate(x, y, verbose=1)
    assert "loss: " in capsys.readouterr().out
    model.predict(x, verbose=1)
    assert "1/1" in capsys.readouterr().out


# Learning rates


def test_learning_rate_callables_get_the_step():
    x, y = data()
    rates = [0.3 / (1 + step) for step in range(12)]
    for callable_ in (lambda step: rates[step], rates.__getitem__):
        model = make(optimizers.SGD(callable_))
        oracle = oracle_of(model)
        model.fit(x, y, batch_size=8, epochs=2, **QUIET)
        given = iter(rates)
        for _ in range(2):
            for first in range(0, N, 8):
                oracle.step(x[first : first + 8], y[first : first + 8], next(given))
        assert_weights(model, oracle)
        assert iterations(model) == 12
        with pytest.raises(IndexError):
            model.fit(x, y, batch_size=8, **QUIET)
        assert iterations(model) == 12
        assert_weights(model, oracle)


def test_learning_rate_callables_without_argument_and_assignment():
    x, y = data()
    value = [0.2]
    model = make(optimizers.SGD(lambda: value[0]))
    oracle = oracle_of(model)
    for rate in (0.2, 0.05):
        value[0] = rate
        model.fit(x, y, **QUIET)
        oracle.epoch(x, y, 32, rate)
    model.optimizer.learning_rate = 0.5
    model.fit(x, y, **QUIET)
    oracle.epoch(x, y, 32, 0.5)
    assert_weights(model, oracle)


def test_a_callback_may_set_the_learning_rate():
    x, y = data()

    class Halve(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = self.model.optimizer.learning_rate / 2

    class EachBatch(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.1 / (1 + batch)

    model = make(optimizers.SGD(0.4))
    oracle = oracle_of(model)
    model.fit(x, y, epochs=3, callbacks=[Halve()], **QUIET)
    for rate in (0.4, 0.2, 0.1):
        oracle.epoch(x, y, 32, rate)
    assert_weights(model, oracle)
    model.fit(x, y, batch_size=16, callbacks=[EachBatch()], **QUIET)
    for batch, first in enumerate(range(0, N, 16)):
        oracle.step(x[first : first + 16], y[first : first + 16], 0.1 / (1 + batch))
    assert_weights(model, oracle)


# Metrics


def test_metrics_of_a_classifier():
    x, y = data()
    one_hot = np.eye(CLASSES)[y]
    sparse = make(metrics=["accuracy", "acc", "sparse_categorical_accuracy", SPARSE])
    p = sparse.predict(x)
    right = (p.argmax(1) == y).mean()
    cross = -np.log(p[np.arange(N), y]).mean()
    assert sparse.evaluate(x, y) == pytest.approx([cross, right, right, right, cross], rel=1e-12)
    dense = make(
        loss="categorical_crossentropy",
        metrics=[
            *("accuracy", "categorical_accuracy", "mse", "mean_squared_error"),
            metrics.BinaryAccuracy("over", threshold=0.3),
            losses.CategoricalCrossentropy(label_smoothing=0.2, name="smooth"),
        ],
    )
    smooth = one_hot * 0.8 + 0.05
    expected = {
        "loss": cross,
        "accuracy": right,
        "categorical_accuracy": right,
        "mse": ((p - one_hot) ** 2).mean(),
        "mean_squared_error": ((p - one_hot) ** 2).mean(),
        "over": ((p > 0.3) == one_hot).mean(),
        "smooth": -(smooth * np.log(p)).sum(1).mean(),
    }
    got = dense.evaluate(x, one_hot, return_dict=True)
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-6), name


def test_metrics_of_a_binary_model_and_a_regression():
    x, y = data()
    binary = make(loss="binary_crossentropy", output="sigmoid", metrics=["accuracy", "mse"])
    p, t = binary.predict(x)[:, 0], y % 2
    cross = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    expected = [cross, ((p > 0.5) == t).mean(), ((p - t) ** 2).mean()]
    assert binary.evaluate(x, t) == pytest.approx(expected, rel=1e-12)
    assert binary.evaluate(x, t[:, None].astype(bool)) == pytest.approx(expected, rel=1e-12)
    regression = make(loss="mse", output="linear")
    target = np.random.default_rng(0).normal(size=(N, CLASSES))
    value = ((regression.predict(x) - target) ** 2).mean()
    result = regression.evaluate(x, target)
    assert type(result) is float
    assert result == pytest.approx(value, rel=1e-12)


REGRESSIONS = ("mse", "mae", "mape", "huber", "log_cosh", "logcosh", "quantile", "pinball")
REGRESSIONS += ("cosine_similarity",)
COUNTS = ("poisson", "msle")
MARGINS = ("hinge", "squared_hinge", "perceptron")
SHARES = ("binary_focal_crossentropy", "kld", "kl_divergence", "categorical_hinge")
SHARES += ("categorical_focal_crossentropy", "dice", "tversky")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [*REGRESSIONS, *COUNTS, *MARGINS, *SHARES])
def test_every_loss_trains_as_the_oracle_and_gets_smaller(loss, dtype):
    x, y = data()
    target = {
        REGRESSIONS: 1.0 + np.abs(x[:, :CLASSES]),
        COUNTS: np.random.default_rng(1).poisson(3.0, (N, CLASSES)),
        MARGINS: np.where(x[:, :CLASSES] > 0, 1, 0),
        SHARES: np.eye(CLASSES)[y],
    }
    (kind,) = (kind for kind in target if loss in kind)
    output = {SHARES: "sigmoid", COUNTS: "sigmoid"}.get(kind, "linear")
    model = make(loss=loss, output=output, dtype=dtype, metrics=[loss])
    truth = target[kind].astype(dtype)
    before, metric = model.evaluate(x.astype(dtype), truth, batch_size=N)
    sign = -1 if loss == "cosine_similarity" else 1  # the metric is the cosine itself
    assert before == pytest.approx(sign * metric, rel=1e-6)
    expected, _ = reference_losses.LOSSES[model.loss.formula](
        truth.astype(float),
        model.predict(x.astype(dtype)).astype(float),
        **dict(zip(_formulas.LOSSES[model.loss.formula].hyper, model.loss.hyper, strict=True)),
    )
    assert before == pytest.approx(expected.mean(), rel=1e-5 if dtype == "float32" else 1e-10)
    model.compile(optimizers.Adam(0.01), loss)
    history = model.fit(x.astype(dtype), truth, epochs=20, batch_size=8, **QUIET).history["loss"]
    assert history[-1] < before - 0.05 * abs(before)


def test_metric_classes_are_means_of_their_losses():
    x, _ = data()
    target = np.abs(x[:, :CLASSES])
    kinds = [
        *(metrics.MeanSquaredError, metrics.MeanAbsoluteError, metrics.Poisson),
        *(metrics.MeanAbsolutePercentageError, metrics.MeanSquaredLogarithmicError),
        *(metrics.KLDivergence, metrics.LogCoshError, metrics.Hinge, metrics.SquaredHinge),
        *(metrics.BinaryCrossentropy, metrics.CategoricalCrossentropy),
    ]
    made = [kind() for kind in kinds]
    model = make(loss="mae", output="sigmoid", metrics=made)
    got = model.evaluate(x, target, return_dict=True)
    prediction = model.predict(x)
    for metric in made:
        expected = metric.loss(target, prediction)
        assert got[metric.name] == pytest.approx(expected, rel=1e-10), metric
        assert type(metric)(**metric.get_config()).get_config() == metric.get_config()
    smooth = metrics.BinaryCrossentropy("smooth", label_smoothing=0.25)
    own = {"from_logits": False, "label_smoothing": 0.25}
    assert smooth.get_config() == {"name": "smooth", "dtype": None, **own}
    sparse = make(metrics=[metrics.SparseCategoricalCrossentropy("cross")])
    result = sparse.evaluate(*data(), return_dict=True)
    assert result["cross"] == pytest.approx(result["loss"], rel=1e-12)


def test_a_perceptron_learns_from_weights_of_zero():
    x, _ = data(200)
    y = np.where(x @ [1.0, -2.0, 0.5, 1.0, 0.0, 3.0] > 0, 1, -1)
    model = Sequential([Input((COLS,)), Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "perceptron")
    model.fit(x, y, batch_size=1, epochs=30, **QUIET)
    assert (np.sign(model.predict(x)[:, 0]) == y).mean() > 0.98


@pytest.mark.parametrize("batch_size", [1, 4, N])
def test_weighted_metrics(batch_size):
    x, y = data()
    model = make(metrics=["accuracy"], weighted_metrics=["acc", SPARSE])
    p = model.predict(x)
    right, cross = p.argmax(1) == y, -np.log(p[np.arange(N), y])
    w = SAMPLE_WEIGHT
    expected = [
        (cross * w).sum() / N,
        right.mean(),
        (right * w).sum() / w.sum(),
        (cross * w).sum() / w.sum(),
    ]
    got = model.evaluate(x, y, sample_weight=w, batch_size=batch_size)
    assert got == pytest.approx(expected, rel=1e-10)
    expected = [cross.mean(), right.mean(), right.mean(), cross.mean()]
    assert model.evaluate(x, y, batch_size=batch_size) == pytest.approx(expected, rel=1e-10)


def test_training_metrics_are_means_over_the_steps_before_each_update():
    x, y = data()
    fitted, stepped = make(metrics=["accuracy"]), make(metrics=["accuracy"])
    history = fitted.fit(x, y, batch_size=8, **QUIET)
    right = cross = 0.0
    for first in range(0, N, 8):
        a, b = x[first : first + 8], y[first : first + 8]
        p = stepped.predict(a)
        right += (p.argmax(1) == b).sum()
        cross -= np.log(p[np.arange(len(b)), b]).sum()
        stepped.train_on_batch(a, b)
    assert history.history["loss"] == pytest.approx([cross / N], rel=1e-10)
    assert history.history["accuracy"] == [right / N]
    assert_same_bits(fitted.get_weights(), stepped.get_weights())


def test_evaluate():
    x, y = data()
    model = make(metrics=["accuracy"])
    before = model.get_weights()
    as_list = model.evaluate(x, y)
    assert model.evaluate(x, y, return_dict=True) == dict(
        zip(["loss", "accuracy"], as_list, strict=True)
    )
    for batch_size in (1, 5, 100):
        assert model.evaluate(x, y, batch_size=batch_size) == pytest.approx(as_list, rel=1e-12)
    assert model.evaluate(x, y, batch_size=5, steps=2) == pytest.approx(
        model.evaluate(x[:10], y[:10]), rel=1e-12
    )
    assert_same_bits(before, model.get_weights())
    assert iterations(model) == 0


# Single batches


def test_batches_by_hand():
    x, y = data()
    model = make("adam", metrics=["accuracy"])
    oracle = oracle_of(model, **ADAM)
    first = oracle.objective(x, y, SAMPLE_WEIGHT)
    got = model.train_on_batch(x, y, sample_weight=SAMPLE_WEIGHT, return_dict=True)
    assert list(got) == ["loss", "accuracy"]
    assert got["loss"] == pytest.approx(first, rel=1e-10)
    oracle.step(x, y, 0.001, SAMPLE_WEIGHT)
    class_weights = np.array([CLASS_WEIGHT.get(c, 1.0) for c in y])
    second = oracle.objective(x, y, class_weights)
    got = model.train_on_batch(x, y, class_weight=CLASS_WEIGHT)
    assert got[0] == pytest.approx(second, rel=1e-10)
    oracle.step(x, y, 0.001, class_weights)
    assert_weights(model, oracle)
    assert iterations(model) == 2
    assert_same_bits(model.predict_on_batch(x), model.predict(x))
    assert_same_bits(model(x), model.predict(x))

    model.test_on_batch(x[:20], y[:20])
    assert model.test_on_batch(x, y) == pytest.approx(model.evaluate(x, y), rel=1e-12)


# Weights, freezing, sharing


def test_get_and_set_weights():
    x, y = data()
    a, b = make(), make()
    a.fit(x, y, epochs=2, **QUIET)
    assert not np.array_equal(a.predict(x), b.predict(x))
    b.set_weights(a.get_weights())
    assert_same_bits(a.predict(x), b.predict(x))
    kept = a.get_weights()
    kept[0][...] = 0  # a copy
    assert_same_bits(a.predict(x), b.predict(x))
    a.layers[0].set_weights(kept[:2])
    assert (a.get_weights()[0] == 0).all()
    assert (a.layers[0].kernel.numpy() == 0).all()


def test_freezing_takes_effect_at_the_next_fit():
    x, y = data()
    model = make("adam")
    model.fit(x, y, **QUIET)
    frozen = model.layers[0]
    frozen.trainable = False
    assert [v.name for v in model.non_trainable_variables] == [v.name for v in frozen.variables]
    before = model.get_weights()
    states = [s.copy() for v in frozen.variables for s in model._bound._kept_for(v)]
    model.fit(x, y, epochs=2, **QUIET)
    model.train_on_batch(x, y)
    after = model.get_weights()
    assert_same_bits(before[:2], after[:2])
    assert not np.array_equal(before[2], after[2])
    kept = [s for v in frozen.variables for s in model._bound._kept_for(v)]
    assert_same_bits(states, kept)
    assert all(np.abs(s).max() > 0 for s in states)


def test_unfreezing_goes_on_from_the_states():
    x, y = data()
    model = make(optimizers.SGD(0.05, momentum=0.9))
    oracle = oracle_of(model, rule="momentum", options={"momentum": 0.9, "dampening": 0.0})
    model.fit(x, y, **QUIET)
    oracle.epoch(x, y, 32, 0.05)
    velocity = [dict(state) for state in oracle.stepper.states]
    model.layers[0].trainable = False
    model.fit(x, y, **QUIET)
    kept = [a.copy() for a in (oracle.layers[0].w, oracle.layers[0].b)]
    for first in (0, 32):
        oracle.step(x[first : first + 32], y[first : first + 32], 0.05)
        # Undone: the reference has no freezing in the middle of training.
        oracle.layers[0].w, oracle.layers[0].b = kept[0].copy(), kept[1].copy()
        oracle.stepper.params[:2] = [kept[0].copy(), kept[1].copy()]
        oracle.stepper.states[:2] = [dict(state) for state in velocity[:2]]
    assert_weights(model, oracle)
    model.layers[0].trainable = True
    model.fit(x, y, **QUIET)
    oracle.epoch(x, y, 32, 0.05)
    assert_weights(model, oracle)
    assert iterations(model) == 6


def test_freezing_and_unfreezing_without_training_changes_nothing():
    x, y = data()
    toggled, plain = make("adam"), make("adam")
    for model in (toggled, plain):
        model.fit(x, y, **QUIET)
    toggled.layers[1].trainable = False
    toggled.evaluate(x, y)
    toggled.layers[1].trainable = True
    for model in (toggled, plain):
        model.fit(x, y, **QUIET)
    assert_same_bits(toggled.get_weights(), plain.get_weights())


def test_a_model_with_everything_frozen_reports_but_does_not_move():
    x, y = data()
    model = make("adam")
    for layer in model.layers:
        layer.trainable = False
    before = model.get_weights()
    history = model.fit(x, y, **QUIET)
    assert_same_bits(before, model.get_weights())
    assert history.history["loss"] == [pytest.approx(model.evaluate(x, y), rel=1e-12)]


def test_layers_in_two_models_share_weights():
    x, y = data()
    model = make()
    features = Sequential([Input((COLS,), **F64), *model.layers[:1]])
    before = features.predict(x)
    model.fit(x, y, epochs=2, **QUIET)
    after = features.predict(x)
    assert not np.array_equal(before, after)
    w, b, *_ = model.get_weights()
    np.testing.assert_allclose(after, np.tanh(x @ w + b), rtol=1e-12)
    other = Sequential([Input((COLS,), **F64), model.layers[0], Dense(2, **F64)])
    other.compile("sgd", "mse")
    other.layers[0].trainable = False
    other.fit(x, np.zeros((N, 2)), **QUIET)
    assert_same_bits(after, features.predict(x))
    other.layers[0].trainable = True
    other.fit(x, np.zeros((N, 2)), **QUIET)
    assert not np.array_equal(after, features.predict(x))
    assert_same_bits(model.get_weights()[:2], other.get_weights()[:2])


# Building


def test_a_model_without_input_is_built_by_its_data():
    x, y = data()
    utils.set_random_seed(5)
    model = Sequential([Dense(9, "tanh", **F64), Dense(CLASSES, "softmax", **F64)])
    model.compile("sgd", SPARSE)
    assert not model.built
    model.fit(x, y, **QUIET)
    assert model.built
    assert model.input_shape == (None, COLS)
    utils.set_random_seed(5)
    known = Sequential(
        [Input((COLS,), **F64), Dense(9, "tanh", **F64), Dense(CLASSES, "softmax", **F64)]
    )
    known.compile("sgd", SPARSE)
    known.fit(x, y, **QUIET)
    assert_same_bits(model.get_weights(), known.get_weights())
    by_predict = Sequential([Flatten(), Dense(3)])
    assert by_predict.predict(np.zeros((2, 4, 5), np.float32)).shape == (2, 3)
    assert by_predict.layers[1].kernel.shape == (20, 3)
    by_call = Sequential([Dense(3)])
    by_call.build((None, 7))
    assert by_call.count_params() == 24
    by_argument = Sequential([Dense(3, input_shape=(7,))])
    assert by_argument.built


def test_add_and_pop():
    x, y = data()
    model = Sequential()
    model.add(Input((COLS,)))
    model.add(Dense(5, "relu"))
    assert model.output_shape == (None, 5)
    first = model.predict(x)
    model.add(Dense(CLASSES))
    model.add(Activation("softmax"))
    assert model.output_shape == (None, CLASSES)
    model.compile("adam", SPARSE)
    model.fit(x, y, **QUIET)
    model.pop()
    logits = model.predict(x)
    assert (logits < 0).any()
    assert isinstance(model.pop(), Dense)
    assert len(model.layers) == 1
    assert model.predict(x).shape == first.shape
    model.add(Dense(CLASSES, "softmax"))
    model.fit(x, y, **QUIET)
    assert model.count_params() == COLS * 5 + 5 + 5 * CLASSES + CLASSES
    assert model.evaluate(x, y) > 0


def test_states_of_kept_layers_survive_add_and_pop():
    x, y = data()
    model, plain = make("adam"), make("adam")
    for m in (model, plain):
        m.fit(x, y, **QUIET)
    last = model.pop()
    model.add(last)
    for m in (model, plain):
        m.fit(x, y, **QUIET)
    assert_same_bits(model.get_weights(), plain.get_weights())


# Callbacks


class Recorder(Callback):
    """Notes every hook with its place and the names in its logs."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _recording(name):
    def hook(self, *arguments, logs=None):
        place = [a for a in arguments if isinstance(a, int)]
        given = next((a for a in arguments if isinstance(a, dict)), logs) or {}
        self.calls.append((name, *place, *sorted(given)))

    return hook


for _hook in [name for name in dir(Callback) if name.startswith("on_")]:
    if _hook not in ("on_batch_begin", "on_batch_end"):
        setattr(Recorder, _hook, _recording(_hook))

LOGS = ("accuracy", "loss")
BOTH = ("accuracy", "loss", "val_accuracy", "val_loss")


def batch_hooks(mode, count, logs=LOGS):
    """One pass of begin and end hooks over batches."""
    return [
        entry
        for k in range(count)
        for entry in ((f"on_{mode}_batch_begin", k), (f"on_{mode}_batch_end", k, *logs))
    ]


# As Keras 3.15 calls them (tests/parity/test_models_parity.py holds it against Keras itself).
FIT_HOOKS = [
    ("on_train_begin",),
    ("on_epoch_begin", 0),
    *batch_hooks("train", 3),
    ("on_epoch_end", 0, *LOGS),
    ("on_epoch_begin", 1),
    *batch_hooks("train", 3),
    ("on_test_begin",),
    *batch_hooks("test", 2),
    ("on_test_end", *LOGS),
    ("on_epoch_end", 1, *BOTH),
    ("on_train_end", *BOTH),
]
EVALUATE_HOOKS = [("on_test_begin",), *batch_hooks("test", 2), ("on_test_end", *LOGS)]
PREDICT_HOOKS = [
    ("on_predict_begin",),
    *batch_hooks("predict", 2, ("outputs",)),
    ("on_predict_end",),
]


def recorded(model, x, y, kind=Recorder):
    """Return the hooks of a fit, an evaluation and a prediction, of a model here or of Keras."""
    results = []
    for run in (
        lambda recorder: model.fit(
            *(x[:20], y[:20]),
            batch_size=8,
            epochs=2,
            verbose=0,
            callbacks=[recorder],
            validation_data=(x[:8], y[:8]),
            validation_batch_size=4,
            validation_freq=2,
        ),
        lambda recorder: model.evaluate(
            x[:8], y[:8], batch_size=4, verbose=0, callbacks=[recorder]
        ),
        lambda recorder: model.predict(x[:8], batch_size=4, verbose=0, callbacks=[recorder]),
    ):
        recorder = kind()
        run(recorder)
        results.append(recorder.calls)
    return results


def test_hooks_are_called_in_the_order_of_keras():
    model = make(metrics=["accuracy"])
    fit, evaluate, predict = recorded(model, *data())
    assert fit == FIT_HOOKS
    assert evaluate == EVALUATE_HOOKS
    assert predict == PREDICT_HOOKS


def test_batch_hooks_do_not_change_the_result():
    x, y = data()
    with_, without = make("adam", metrics=["accuracy"]), make("adam", metrics=["accuracy"])
    arguments = {"batch_size": 8, "epochs": 2, "validation_split": 0.2, "verbose": 0}
    utils.set_random_seed(8)
    a = with_.fit(x, y, callbacks=[Recorder()], **arguments)
    utils.set_random_seed(8)
    b = without.fit(x, y, **arguments)
    assert a.history == b.history
    assert_same_bits(with_.get_weights(), without.get_weights())
    assert_same_bits(with_.predict(x, batch_size=7, callbacks=[Recorder()]), without.predict(x))


def test_logs_of_a_batch_are_running_means_and_iterations_are_current():
    x, y = data()
    model, by_hand = make(metrics=["accuracy"]), make(metrics=["accuracy"])
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((dict(logs), self.model.optimizer.iterations))

    model.fit(x, y, batch_size=8, callbacks=[Watch()], **QUIET)
    expected = []
    sums = {"loss": 0.0, "accuracy": 0.0}
    for first in range(0, N, 8):
        a, b = x[first : first + 8], y[first : first + 8]
        logs = by_hand.train_on_batch(a, b, return_dict=True)
        sums = {name: total + len(a) * logs[name] for name, total in sums.items()}
        means = {name: total / min(first + 8, N) for name, total in sums.items()}
        expected.append((means, iterations(by_hand)))
    assert [i for _, i in seen] == [i for _, i in expected]
    for (got, _), (wanted, _) in zip(seen, expected, strict=True):
        assert got == pytest.approx(wanted, rel=1e-12)


def test_predicted_batches_reach_their_hook():
    x, _ = data()
    model = make()
    seen = []

    class Watch(Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(logs["outputs"].copy())

    result = model.predict(x, batch_size=20, callbacks=[Watch()])
    assert [len(part) for part in seen] == [20, 20, 3]
    assert_same_bits(result, np.concatenate(seen))


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_end", "on_epoch_begin"])
def test_stop_training(hook):
    x, y = data()
    model = make()

    def stop(self, *arguments):
        self.model.stop_training = True

    recorder = Recorder()
    stopper = type("Stopper", (Callback,), {hook: stop})()
    history = model.fit(
        x, y, batch_size=8, epochs=5, callbacks=[stopper, recorder], validation_split=0.2, **QUIET
    )
    assert history.epoch == [0]
    assert "val_loss" in history.history
    assert iterations(model) == (5 if hook == "on_epoch_end" else 1)
    assert recorder.calls[-1][0] == "on_train_end"
    model.fit(x, y, batch_size=8, epochs=2, **QUIET)  # the wish does not outlive its fit
    assert model.history.epoch == [0, 1]


@pytest.mark.parametrize(
    ("hook", "steps"),
    [
        ("on_train_begin", 0),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 1),
        ("on_test_begin", 6),
        ("on_epoch_end", 6),
        ("on_train_end", 12),
    ],
)
def test_an_exception_in_a_callback_leaves_a_usable_model(hook, steps):
    x, y = data()
    model, plain = make("adam"), make("adam")

    def fail(self, *arguments):
        raise RuntimeError("mine")

    failing = type("Failing", (Callback,), {hook: fail})()
    arguments = {"batch_size": 8, **QUIET}
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[failing], **arguments)
    assert iterations(model) == steps
    for k in range(steps):
        first = k % 6 * 8
        plain.train_on_batch(x[first : first + 8], y[first : first + 8])
    assert_same_bits(model.get_weights(), plain.get_weights())
    for m in (model, plain):
        m.fit(x, y, epochs=2, **arguments)
    assert_same_bits(model.get_weights(), plain.get_weights())


def test_a_callback_may_change_weights_and_evaluate():
    x, y = data()
    model = make()
    seen = []

    class Meddler(Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.evaluate(x, y))
            self.model.predict(x)
            self.model.layers[1].bias.assign(np.zeros(CLASSES))

    model.fit(x, y, epochs=2, callbacks=[Meddler()], **QUIET)
    assert len(seen) == 2
    assert (model.layers[1].bias.numpy() == 0).all()


# Failing calls


X, Y = data()
BAD_FITS = [
    {"x": X[:5]},
    {"x": X[:, :3]},
    {"x": "text"},
    {"y": Y[:5]},
    {"y": Y + 10},
    {"y": None},
    {"epochs": -1},
    {"epochs": 1.5},
    {"batch_size": 0},
    {"verbose": 7},
    {"callbacks": [print]},
    {"callbacks": 3},
    {"validation_split": 1.0},
    {"validation_split": -0.1},
    {"validation_data": X},
    {"validation_data": (X, Y[:3])},
    {"validation_data": (X, Y), "validation_freq": 0},
    {"validation_data": (X, Y), "validation_batch_size": 0},
    {"validation_data": (X, Y), "validation_steps": 0},
    {"class_weight": {9: 1.0}},
    {"class_weight": [1.0, 2.0]},
    {"sample_weight": np.ones(3)},
    {"sample_weight": "text"},
    {"initial_epoch": -1},
    {"steps_per_epoch": 0},
]


@pytest.mark.parametrize("bad", BAD_FITS, ids=lambda bad: "-".join(bad))
def test_a_fit_that_is_refused_changes_nothing(bad):
    model, plain = make("adam"), make("adam")
    for m in (model, plain):
        m.fit(X, Y, **QUIET)
    history, generator = model.history, _random.generator().bit_generator.state
    before = model.get_weights()
    recorder = Recorder()
    arguments = {"x": X, "y": Y, "epochs": 2, "verbose": 0, "callbacks": [recorder], **bad}
    with pytest.raises((TypeError, ValueError)):
        model.fit(**arguments)
    assert recorder.calls == []
    assert model.history is history
    assert iterations(model) == 2
    assert _random.generator().bit_generator.state == generator
    assert_same_bits(before, model.get_weights())
    for m in (model, plain):
        m.fit(X, Y, **QUIET)
    assert_same_bits(model.get_weights(), plain.get_weights())


def test_an_initializer_that_fails_leaves_the_model_unbuilt():
    def fails(shape, dtype=None):
        raise RuntimeError("no values")

    model = Sequential([Dense(3), Dense(2, kernel_initializer=fails)])
    with pytest.raises(RuntimeError, match="no values"):
        model.predict(np.zeros((2, 4)))
    assert not model.built
    model.layers[1].kernel_initializer = initializers.get("zeros")
    assert model.predict(np.zeros((2, 4))).shape == (2, 2)


def test_nan_in_the_data_is_visible():
    x, y = data()
    x = x.copy()
    x[3, 2] = np.nan
    model = make()
    history = model.fit(x, y, **QUIET)
    assert math.isnan(history.history["loss"][0])
    assert np.isnan(model.get_weights()[0]).any()


def test_a_frozen_kernel_lets_its_bias_learn():
    x, y = data()
    model, oracle_like = make(), make()
    for m in (model, oracle_like):
        m.fit(x, y, **QUIET)
    kernel = model.layers[-1].kernel
    kernel.trainable = False
    before = kernel.numpy()
    model.train_on_batch(x, y)
    oracle_like.train_on_batch(x, y)
    assert np.array_equal(kernel.numpy(), before)
    # The bias moves by this batch's gradient, as it does beside a kernel that learns.
    assert_same_bits(model.layers[-1].bias.numpy(), oracle_like.layers[-1].bias.numpy())


def test_trainable_of_a_model_is_that_of_its_layers():
    x, y = data()
    model = make()
    model.trainable = False
    before = model.get_weights()
    model.fit(x, y, **QUIET)
    assert_same_bits(before, model.get_weights())
    assert not model.trainable
    model.trainable = True
    assert all(layer.trainable for layer in model.layers)


def test_loss_weights_scale_loss_and_gradient():
    x, y = data()
    plain, doubled = make(), make()
    doubled.compile("sgd", doubled.loss, loss_weights=2.0)
    assert doubled.evaluate(x, y) == pytest.approx(2 * plain.evaluate(x, y), rel=1e-12)
    plain.optimizer.learning_rate = 2 * doubled.optimizer.learning_rate
    for m in (plain, doubled):
        m.fit(x, y, **QUIET)
    for a, b in zip(plain.get_weights(), doubled.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_metrics_of_one_name_are_told_apart():
    x, y = data()
    model = make()
    twice = ["accuracy", "accuracy"]
    model.compile("sgd", model.loss, metrics=twice, weighted_metrics=["accuracy"])
    logs = model.evaluate(x, y, return_dict=True)
    assert list(logs) == ["loss", "accuracy", "accuracy_1", "weighted_accuracy"]
    assert len(model.evaluate(x, y)) == 4


def test_a_layer_that_does_not_fit_leaves_the_model_built():
    x, _ = data()
    model = make()
    before = model.predict(x)
    other = "float32" if model.layers[0].dtype == "float64" else "float64"
    with pytest.raises(TypeError):
        model.add(Dense(3, dtype=other))
    assert model.built
    assert_same_bits(before, model.predict(x))


@pytest.mark.parametrize(
    "bad_x", [None, 3.0, [[1.0], [1.0, 2.0]], ["a", "b"], np.zeros((3, 4))], ids=str
)
def test_refused_data_do_not_build_a_model(bad_x):
    x, y = data()
    model = Sequential([Dense(8)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises((TypeError, ValueError)):
        model.fit(bad_x, y, **QUIET)
    assert not model.built
    model.fit(x.astype(np.float32), y, **QUIET)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_a_model_go_on_alike_and_apart(copied):
    x, y = data()
    model = make("adam", metrics=["accuracy"])
    model.fit(x, y, **QUIET)
    twin = copied(model)
    assert_same_bits(model.predict(x), twin.predict(x))
    before = model.get_weights()
    twin.fit(x, y, **QUIET)
    assert_same_bits(before, model.get_weights())
    model.fit(x, y, **QUIET)
    assert_same_bits(model.get_weights(), twin.get_weights())
    assert iterations(model) == iterations(twin)


def test_class_weights_are_for_training_only():
    x, y = data()
    weighted, plain = make(), make()
    a = weighted.fit(x, y, validation_split=0.3, class_weight=CLASS_WEIGHT, **QUIET)
    kept = int(len(x) * 0.7)
    b = plain.fit(
        x[:kept],
        y[:kept],
        validation_data=(x[kept:], y[kept:]),
        sample_weight=np.array([CLASS_WEIGHT.get(c, 1.0) for c in y[:kept]]),
        **QUIET,
    )
    assert_same_bits(weighted.get_weights(), plain.get_weights())
    assert a.history == b.history


def test_steps_without_a_batch_size_take_all_samples():
    x, y = data()
    model, whole = make(), make()
    assert model.evaluate(x, y, steps=3) == pytest.approx(model.evaluate(x, y), rel=1e-12)
    model.fit(x, y, steps_per_epoch=4, epochs=2, **QUIET)
    whole.fit(x, y, batch_size=-(-N // 4), epochs=2, **QUIET)
    assert_same_bits(model.get_weights(), whole.get_weights())
    assert iterations(model) == 8
    assert model.predict(x, steps=2).shape == (N, CLASSES)


def test_steps_that_callbacks_take_count():
    x, y = data()
    model, by_hand = make("adam"), make("adam")

    class More(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                self.model.train_on_batch(x[:5], y[:5])

    model.fit(x[:20], y[:20], batch_size=10, callbacks=[More()], **QUIET)
    for part in (slice(0, 10), slice(0, 5), slice(10, 20)):
        by_hand.train_on_batch(x[part], y[part])
    assert iterations(model) == iterations(by_hand) == 3
    assert_same_bits(model.get_weights(), by_hand.get_weights())


def test_targets_that_change_during_a_fit_do_not_matter():
    x, y = data()
    y = np.ascontiguousarray(y, np.int32)
    model, plain = make(), make()
    plain.fit(x, y.copy(), epochs=2, **QUIET)

    class Vandal(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            y[:] = 2**30

    model.fit(x, y, epochs=2, callbacks=[Vandal()], **QUIET)
    assert_same_bits(model.get_weights(), plain.get_weights())


def test_an_optimizer_belongs_to_one_model():
    x, y = data()
    optimizer = optimizers.Adam()
    model, other = make(optimizer), make(optimizer)
    model.fit(x, y, **QUIET)
    before = other.get_weights()
    with pytest.raises(ValueError, match="already belongs"):
        other.fit(x, y, **QUIET)
    assert_same_bits(before, other.get_weights())
    assert len(optimizer.variables) == 2 * len(model.variables)
    model.compile(optimizer, model.loss)  # again for the same model
    model.fit(x, y, **QUIET)
    assert iterations(model) == 4


def test_arguments_of_compile_that_keras_has():
    model = make()
    model.compile("sgd", "MSE", jit_compile=True, steps_per_execution=8)
    assert model.loss.formula == "mean_squared_error"
    for name in ("bce", "BCE", "MeanSquaredError", "SparseCategoricalCrossentropy"):
        losses.get(name)


def test_a_list_of_the_one_input():
    x, y = data()
    model, plain = make(), make()
    model.fit([x], y, **QUIET)
    plain.fit(x, y, **QUIET)
    assert_same_bits(model.get_weights(), plain.get_weights())
    assert_same_bits(model.predict([x]), plain.predict(x))
