"""What diagnosis reports, and the patterns that it knows."""

import numpy as np
import pytest

import onepass as keras
from onepass import diagnosis, layers, utils

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 8)).astype("float32")
Y = (X[:, :1] * 2 + X[:, 1:2]).astype("float32")


@pytest.fixture(autouse=True)
def seed():
    utils.set_random_seed(0)


def network(*stack, optimizer="sgd", loss="mse"):
    model = keras.Sequential([keras.Input([8]), *stack])
    model.compile(optimizer, loss)
    return model


def fitted(model, epochs=1, **options):
    watch = keras.callbacks.TrainingDiagnosis(verbose=False)
    model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[watch], **options)
    return watch


def test_norms_are_those_of_weights_and_gradients():
    keras.config.set_floatx("float64")
    try:
        model = network(layers.Dense(4, activation="tanh"), layers.Dense(1))
        before = model.get_weights()
        report = diagnosis.diagnose(model, X, Y)
        (w1, b1, w2, b2), n = before, len(X)
        hidden = np.tanh(X @ w1 + b1)
        error = 2 * (hidden @ w2 + b2 - Y) / n
        dz = error @ w2.T * (1 - hidden**2)
        gradients = [[X.T @ dz, dz.sum(0)], [hidden.T @ error, error.sum(0)]]
        for layer, own, weights in zip(report.layers, gradients, [(w1, b1), (w2, b2)], strict=True):
            norm = np.sqrt(sum((g**2).sum() for g in own))
            size = sum(g.size for g in own)
            assert layer.gradient_norm == pytest.approx(norm, rel=1e-6)
            assert layer.gradient_size == pytest.approx(norm / np.sqrt(size), rel=1e-6)
            assert layer.weight_norm == pytest.approx(np.sqrt(sum((w**2).sum() for w in weights)))
            assert layer.update_ratio is None
        assert report.loss == pytest.approx(model.evaluate(X, Y))
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        keras.config.set_floatx("float32")


def test_the_callback_changes_nothing():
    def weights(callbacks):
        utils.set_random_seed(3)
        stack = [layers.BatchNormalization(), layers.Dense(9, "relu"), layers.Dense(1)]
        model = network(*stack, optimizer="adam")
        model.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks)
        return model.get_weights()

    watched = weights([keras.callbacks.TrainingDiagnosis()])
    for a, b in zip(weights([]), watched, strict=True):
        np.testing.assert_array_equal(a, b)


def test_update_ratios_and_dead_and_saturated_units():
    dense = layers.Dense(10, activation="relu")
    model = network(dense, layers.Dense(5), layers.Activation("tanh"), layers.Dense(1))
    w, b = dense.get_weights()
    b[:4] = -1e3
    dense.set_weights([w, b])
    wide = model.layers[1].get_weights()
    model.layers[1].set_weights([wide[0] * 1e3, wide[1]])
    old = model.get_weights()
    watch = fitted(model)
    first, second, last = watch.reports[0].layers
    assert first.dead == pytest.approx(0.4)
    assert first.saturated is None
    assert second.saturated > 0.9
    assert second.dead is None
    assert last.dead is None
    assert last.saturated is None
    new = model.get_weights()
    moved = np.sqrt(((new[0] - old[0]) ** 2).sum() + ((new[1] - old[1]) ** 2).sum())
    norm = np.sqrt((old[0] ** 2).sum() + (old[1] ** 2).sum())
    assert first.update_ratio == pytest.approx(moved / norm, rel=1e-4)
    assert any("saturated" in text for _, text in watch.warnings)


def deep(activation, initializer, batch_norm=False):
    stack = []
    for _ in range(10):
        stack.append(layers.Dense(30, kernel_initializer=initializer, use_bias=not batch_norm))
        if batch_norm:
            stack.append(layers.BatchNormalization())
        stack.append(layers.Activation(activation))
    return network(*stack, layers.Dense(1))


def test_gradients_that_vanish_and_what_heals_them():
    sick = fitted(deep("sigmoid", "random_normal"), epochs=2)
    assert any("gradients vanish" in text for _, text in sick.warnings)
    healthy = fitted(deep("relu", "he_normal", batch_norm=True), epochs=2)
    assert not any("vanish" in text for _, text in healthy.warnings)
    sizes = [layer.gradient_size for layer in healthy.reports[-1].layers]
    assert min(sizes) > 1e-3 * max(sizes)


def test_weights_that_explode():
    model = network(layers.Dense(30), layers.Dense(1), optimizer=keras.optimizers.SGD(3.0))
    watch = fitted(model, epochs=3)
    assert any("exploded" in text for _, text in watch.warnings)
    assert watch.reports[-1].layers[0].non_finite > 0


def test_weights_that_grow():
    reports = [
        diagnosis.Report(1.0, [diagnosis.LayerReport("d", 1, 4.0**n, 1, 0.1, None, None, 0)])
        for n in range(3)
    ]
    assert "weights of 'd' grow" in diagnosis.warnings_of(reports)[0]
    assert diagnosis.warnings_of(reports[:2]) == []


def test_lower_layers_that_stay_where_they_are():
    model = network(*(layers.Dense(8, "elu") for _ in range(4)), layers.Dense(1))
    watch = keras.callbacks.TrainingDiagnosis(verbose=False)

    class Freeze(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for layer, old in zip(model.layers[:2], kept, strict=True):
                layer.set_weights(old)

    kept = [layer.get_weights() for layer in model.layers[:2]]
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[Freeze(), watch])
    (text,) = [text for _, text in watch.warnings if "upper layers move" in text]
    assert repr(model.layers[0].name) in text


def test_a_loss_that_is_stuck():
    model = network(layers.Dense(1), optimizer=keras.optimizers.SGD(1e-9))
    watch = fitted(model, epochs=8)
    assert [epoch for epoch, text in watch.warnings if "stuck" in text] == [5]


def test_a_healthy_training_has_no_warnings(capsys):
    model = network(layers.Dense(30, "relu", kernel_initializer="he_normal"), layers.Dense(1))
    watch = keras.callbacks.TrainingDiagnosis()
    model.fit(X, Y, epochs=10, verbose=0, callbacks=[watch])
    assert watch.warnings == []
    assert capsys.readouterr().out == ""
    assert len(watch.reports) == 10
    assert "gradient" in str(watch.reports[-1])


def test_warnings_are_printed_once(capsys):
    model = deep("sigmoid", "random_normal")
    watch = keras.callbacks.TrainingDiagnosis(every=2)
    model.fit(X, Y, epochs=6, verbose=0, callbacks=[watch])
    assert capsys.readouterr().out.count("gradients vanish:") == 1
    assert len(watch.reports) == 3


def test_several_outputs_and_nested_models():
    inner = keras.Sequential([layers.Dense(6, "relu"), layers.Dense(6, "tanh")])
    x = keras.Input([8])
    hidden = inner(x)
    model = keras.Model(x, [layers.Dense(1)(hidden), layers.Dense(1)(hidden)])
    model.compile("sgd", ["mse", "mae"])
    report = diagnosis.diagnose(model, X, [Y, Y])
    assert [layer.name for layer in report.layers][:2] == [layer.name for layer in inner.layers]
    assert report.layers[0].dead is not None
    assert report.layers[1].saturated is not None


def test_a_stream_needs_samples_to_look_at():
    model = network(layers.Dense(1))
    stream = iter([(X, Y)])
    with pytest.raises(ValueError, match="data="):
        model.fit(stream, verbose=0, callbacks=[keras.callbacks.TrainingDiagnosis()])
    watch = keras.callbacks.TrainingDiagnosis(data=(X[:50], Y[:50]), verbose=False)
    model.fit(iter([(X, Y)]), verbose=0, callbacks=[watch])
    assert len(watch.reports) == 1
