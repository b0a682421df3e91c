"""Metrics of the user's own in NumPy: in plans, with Keras's variables, and their errors."""

import copy
import pickle

import numpy as np
import pytest

from onepass import Input, Model, Sequential, callbacks, layers, metrics, optimizers, utils
from strategies import every_backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(37, 5))
Y = RNG.normal(size=(37, 3))
LABELS = RNG.integers(0, 3, 37)


class Distance(metrics.Metric):
    """As Keras's guides write one."""

    def __init__(self, name="mean_error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = np.mean(np.abs(y_true - y_pred), axis=-1)
        weights = np.ones(len(values)) if sample_weight is None else sample_weight
        self.total.assign_add(np.sum(values * weights))
        self.count.assign_add(np.sum(weights))

    def result(self):
        return self.total / self.count


class Hits(metrics.SparseCategoricalAccuracy):
    """A subclass of a metric with kernels, which it calls from within the plan."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, np.roll(y_pred, 1, axis=-1), sample_weight)


class Largest(metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(np.max(y_pred, axis=-1), sample_weight)


class Columns(metrics.Metric):
    """A dict, an array and whole numbers."""

    def __init__(self, as_dict, **kwargs):
        super().__init__(**kwargs)
        self.as_dict = as_dict
        self.sums = self.add_variable((3,), "zeros", dtype="int64", name="sums")

    def update_state(self, y_true, y_pred):
        self.sums.assign_add(np.sum(y_pred > y_true, axis=0))

    def result(self):
        return {f"above_{i}": n for i, n in enumerate(self.sums)} if self.as_dict else self.sums


def net(loss="mse", last=None, dtype="float64", **options):
    utils.set_random_seed(3)
    model = Sequential(
        [
            Input((5,), dtype=dtype),
            layers.Dense(70, "tanh", dtype=dtype),
            layers.Dense(3, last, dtype=dtype),
        ]
    )
    model.compile(optimizers.SGD(0.1), loss, **options)
    return model


def test_it_counts_as_the_compiled_metric_does() -> None:
    weights = RNG.uniform(0.2, 2.0, len(X))
    model = net(metrics=[Distance(), "mae"], weighted_metrics=[Distance(), "mae"])
    options = {"batch_size": 8, "sample_weight": weights}
    history = model.fit(X, Y, epochs=3, verbose=0, validation_split=0.2, **options).history
    for prefix in ("", "val_", "weighted_", "val_weighted_"):
        own, compiled = (
            history[prefix.replace("weighted_", "") + "weighted_" * ("weighted" in prefix) + name]
            for name in ("mean_error", "mae")
        )
        np.testing.assert_allclose(own, compiled, rtol=1e-12)
    logs = model.evaluate(X, Y, return_dict=True, **options)
    assert logs["mean_error"] == pytest.approx(logs["mae"], rel=1e-12)
    assert logs["weighted_mean_error"] == pytest.approx(logs["weighted_mae"], rel=1e-12)
    assert logs["weighted_mean_error"] != pytest.approx(logs["mean_error"])
    assert list(logs) == model.metrics_names
    for call in (model.test_on_batch, model.train_on_batch):
        single = call(X[:9], Y[:9], return_dict=True)
        assert single["mean_error"] == pytest.approx(single["mae"], rel=1e-12)


def test_what_it_computes_changes_nothing_else() -> None:
    results = []
    for given in ([], [Distance()]):
        for _ in every_backend((2,)):
            model = net(metrics=given)
            losses = model.fit(X, Y, epochs=2, verbose=0, shuffle=False).history["loss"]
            results.append((losses, model.get_weights()))
    half = len(results) // 2
    for (losses, weights), (others, more) in zip(results[:half], results[half:], strict=True):
        assert losses == others
        for a, b in zip(weights, more, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_class_indices_and_subclasses_of_metrics_with_kernels(dtype) -> None:
    model = net(
        "sparse_categorical_crossentropy",
        "softmax",
        dtype,
        metrics=[Hits("hits"), Largest("largest")],
    )
    for _ in every_backend():
        logs = model.evaluate(X, LABELS, batch_size=8, return_dict=True)
        p = model.predict(X)
        assert logs["hits"] == np.mean(np.roll(p, 1, axis=1).argmax(1) == LABELS)
        assert logs["largest"] == pytest.approx(p.max(1).mean(), rel=1e-6)
    model.fit(X, LABELS, verbose=0, epochs=2)


def test_several_numbers() -> None:
    model = net(metrics=[Columns(True), Columns(False, name="above")])
    logs = model.evaluate(X, Y, return_dict=True, batch_size=8)
    expected = (model.predict(X) > Y).sum(0)
    assert [logs[f"above_{i}"] for i in range(3)] == expected.tolist()
    np.testing.assert_array_equal(logs["above"], expected)
    history = model.fit(X, Y, verbose=0).history
    assert len(history["above_0"]) == 1


def test_outputs_of_more_dimensions_and_streams() -> None:
    seen = []

    class Shapes(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            seen.append((y_true.shape, y_pred.shape, sample_weight.shape))

        def result(self):
            return len(seen)

    x = RNG.normal(size=(7, 4, 5))
    model = Sequential([Input((4, 5)), layers.Dense(2)])
    model.compile("sgd", "mse", weighted_metrics=[Shapes()])
    batches = [(x[:4], x[:4, :, :2], np.ones(4)), (x[4:], x[4:, :, :2], np.ones(3))]
    model.fit(iter(batches), verbose=0)
    assert seen == [((n, 4, 2), (n, 4, 2), (n, 4)) for n in (4, 3)]


def test_resets_between_epochs_and_batches_of_a_stream() -> None:
    model = net(metrics=[Distance(), "mae"])
    history = model.fit(
        ((X[i : i + 5], Y[i : i + 5]) for _ in range(3) for i in range(0, 35, 5)),
        steps_per_epoch=7,
        epochs=3,
        verbose=0,
        validation_data=(X, Y),
    ).history
    np.testing.assert_allclose(history["mean_error"], history["mae"], rtol=1e-12)
    np.testing.assert_allclose(history["val_mean_error"], history["val_mae"], rtol=1e-12)


def test_each_batch_in_callbacks() -> None:
    seen = []

    class Keep(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((logs["mean_error"], logs["mae"]))

    net(metrics=[Distance(), "mae"]).fit(X, Y, verbose=0, callbacks=[Keep()], batch_size=8)
    assert len(seen) == 5
    np.testing.assert_allclose(*np.transpose(seen), rtol=1e-12)


def test_two_outputs() -> None:
    x = Input((5,), dtype="float64")
    outputs = [layers.Dense(3, dtype="float64", name=name)(x) for name in "ab"]
    model = Model(x, outputs)
    model.compile("sgd", "mse", metrics=[[Distance()], [Distance(), "mae"]])
    logs = model.evaluate(X, [Y, 2 * Y], return_dict=True)
    assert logs["b_mean_error"] == pytest.approx(logs["b_mae"])
    assert logs["a_mean_error"] != pytest.approx(logs["b_mae"])


def test_an_error_ends_the_fit_and_leaves_the_model_usable() -> None:
    class Failing(Distance):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_true, y_pred)
            if self.count == 16:
                raise ZeroDivisionError("the second time")

    model = net(metrics=[Failing()])
    with pytest.raises(ZeroDivisionError, match="the second"):
        model.fit(X, Y, batch_size=8, verbose=0)
    assert model.optimizer.iterations == 1
    assert model.evaluate(X[:9], Y[:9])[1] == pytest.approx(
        np.abs(model.predict(X[:9]) - Y[:9]).mean()
    )


def test_a_function_in_numpy_is_told_what_to_do() -> None:
    def worst(y_true, y_pred):
        return np.max(np.abs(y_true - y_pred))

    def sure(y_true, y_pred):
        return 1.0 if y_pred > 0.5 else 0.0

    for function in (worst, sure):
        model = net(metrics=[function])
        with pytest.raises(TypeError, match=f"metric '{function.__name__}'.*ops.*metrics.Metric"):
            model.evaluate(X, Y)


def test_metrics_that_say_too_little() -> None:
    class Nothing(metrics.Metric):
        pass

    for metric, words in ((Nothing(), "must override"), (metrics.Mean(), "is of values")):
        with pytest.raises(NotImplementedError, match=words):
            net(metrics=[metric]).evaluate(X, Y)


def test_copies_and_pickles() -> None:
    model = net(metrics=[Distance()])
    before = model.evaluate(X, Y)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.evaluate(X, Y) == before


def test_no_metric_of_the_library_counts_in_python() -> None:
    for name in set(metrics.names()) - {"accuracy", "acc"}:
        try:
            metric = metrics.get(name)
        except TypeError:  # needs arguments
            continue
        assert not metric.on_host


def test_variables() -> None:
    metric = Distance()
    total, count = metric.variables
    assert (total.name, total.shape, total.dtype) == ("total", (), "float64")
    total.assign(3)
    count.assign_add(4.0)
    count.assign_sub(2)
    assert metric.result() == 1.5
    assert (total + 1, 1 - total, total > count, float(total), int(count)) == (4, -2, True, 3.0, 2)
    assert bool(total)
    assert total.numpy() == total.value == 3
    total += 2
    assert metric.total is total
    assert total == 5
    assert np.sqrt(total - 1) == 2
    assert "total" in repr(total)
    metric.reset_state()
    assert (total, count) == (0, 0)
    table = metric.add_variable(3, lambda shape, dtype=None: np.arange(3.0))
    assert len(table) == 3
    assert table[1] == 1
    assert table.name == "variable_2"
    np.testing.assert_array_equal(table.assign([1, 2, 3]) @ table, 14)
    with pytest.raises(ValueError, match=r"'variable_2' has shape \(3,\), got .* \(2,\)"):
        table.assign([1, 2])
    with pytest.raises(ValueError, match="initializer"):
        metric.add_weight(initializer="zeroes")
