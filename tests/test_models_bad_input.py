"""Mistakes: which error they raise, what its message names, and that the model stays as it was."""

from __future__ import annotations

import re

import numpy as np
import pytest

import onepass
from onepass import Input, Sequential, activations, config, layers, losses, metrics, optimizers
from onepass.callbacks import Callback
from onepass.layers import Activation, Dense, Flatten
from strategies import assert_same_bits

N, COLS, CLASSES = 12, 4, 3
SPARSE = "sparse_categorical_crossentropy"
X = np.random.default_rng(0).normal(size=(N, COLS)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, CLASSES, N)
ONE_HOT = np.eye(CLASSES)[Y]


def make(loss=SPARSE, **arguments):
    model = Sequential([Input((COLS,)), Dense(5, "relu"), Dense(CLASSES, "softmax", name="out")])
    model.compile("adam", loss, **arguments)
    return model


class Picky(Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise AssertionError("no epoch should end")


# What is done to a compiled model that reads class indices.
ON_A_MODEL = {
    # Data
    "x too wide": (lambda m: m.fit(X[:, :3], Y), ValueError, ["x", "(12, 3)", "(n, 4)"]),
    "x of another rank": (lambda m: m.fit(X[0], Y), ValueError, ["x", "(4,)", "(n, 4)"]),
    "x a number": (lambda m: m.fit(1.5, Y), ValueError, ["x", "batch dimension"]),
    "x None": (lambda m: m.fit(None, Y), TypeError, ["x", "object"]),
    "x text": (lambda m: m.fit(np.full((N, COLS), "a"), Y), TypeError, ["x", "real numbers"]),
    "x complex": (lambda m: m.fit(X * 1j, Y), TypeError, ["x", "real numbers", "complex"]),
    "x of objects": (lambda m: m.fit(X.astype(object), Y), TypeError, ["x", "object"]),
    "x ragged": (lambda m: m.fit([[1, 2], [3]], Y[:2]), ValueError, ["inhomogeneous"]),
    "x of dates": (
        lambda m: m.fit(np.zeros((N, COLS), "datetime64[s]"), Y),
        TypeError,
        ["x", "datetime64"],
    ),
    "y missing": (lambda m: m.fit(X), ValueError, ["y is missing"]),
    "y short": (lambda m: m.fit(X, Y[:5]), ValueError, ["x has 12", "y has 5"]),
    "y too large": (lambda m: m.fit(X, Y + 1), ValueError, ["y", "0 to 2", "3 outputs", "got 3"]),
    "y negative": (lambda m: m.fit(X, Y - 1), ValueError, ["y", "0 to 2", "got -1"]),
    "y fractions": (lambda m: m.fit(X, Y + 0.5), ValueError, ["y", "whole class indices"]),
    "y NaN": (lambda m: m.fit(X, np.full(N, np.nan)), ValueError, ["y", "NaN"]),
    "y infinite": (lambda m: m.fit(X, np.full(N, np.inf)), ValueError, ["y", "inf"]),
    "y huge": (
        lambda m: m.fit(X, np.full(N, 2**64 - 1, np.uint64)),
        ValueError,
        ["y", "18446744073709551615"],
    ),
    "y beyond int32": (lambda m: m.fit(X, Y + 2**32), ValueError, ["y", "429496729"]),
    "y one-hot": (lambda m: m.fit(X, ONE_HOT), ValueError, ["y", "(12, 3)", "class indices"]),
    "y text": (lambda m: m.fit(X, ["a"] * N), TypeError, ["y", "real numbers"]),
    "no samples": (lambda m: m.fit(X[:0], Y[:0]), ValueError, ["x", "no samples"]),
    "no batch": (lambda m: m.train_on_batch(X[:0], Y[:0]), ValueError, ["x", "no samples"]),
    "predict too wide": (lambda m: m.predict(X[:, :2]), ValueError, ["x", "(12, 2)", "(n, 4)"]),
    "call one sample": (lambda m: m(X[0]), ValueError, ["x", "(4,)", "(n, 4)"]),
    "evaluate y": (lambda m: m.evaluate(X, Y[:4]), ValueError, ["x has 12", "y has 4"]),
    # Arguments of fit
    "metrics as loss_weights": (
        lambda m: m.compile("sgd", m.loss, ["accuracy"]),
        TypeError,
        ["loss_weights", "number", "list"],
    ),
    "metric typo": (
        lambda m: m.compile("sgd", m.loss, metrics=["acuracy"]),
        ValueError,
        ["metric", "acuracy", "accuracy"],
    ),
    "eager": (lambda m: m.compile("sgd", m.loss, run_eagerly=True), ValueError, ["run_eagerly"]),
    "plan typo": (lambda m: m.summary(plan="trian"), ValueError, ["plan", "trian", "train"]),
    "built otherwise": (lambda m: m.build((None, 9)), ValueError, ["(None, 4)", "(None, 9)"]),
    "Dense typo": (lambda m: layers.Dense(3, activaton="relu"), TypeError, ["Dense", "activaton"]),
    "regularizer": (
        lambda m: layers.Dense(3, kernel_regularizer=3),
        ValueError,
        ["regularizer", "callable"],
    ),
    "functional": (lambda m: onepass.Model(inputs=1), TypeError, ["inputs", "outputs"]),
    "a layer for layers": (lambda m: onepass.Sequential(3), TypeError, ["layers", "list", "3"]),
    "objects": (
        lambda m: m.predict(np.full((2, 4), None)),
        TypeError,
        ["x", "object", "astype"],
    ),
    "evaluate nothing": (lambda m: m.evaluate(X[:0], Y[:0]), ValueError, ["x", "no samples"]),
    "class_weight None": (
        lambda m: m.fit(X, Y, class_weight={1: None}),
        TypeError,
        ["class_weight[1]", "number"],
    ),
    "class_weight text": (
        lambda m: m.fit(X, Y, class_weight={1: "q"}),
        TypeError,
        ["class_weight[1]", "str"],
    ),
    "class_weight key": (
        lambda m: m.fit(X, Y, class_weight={1.5: 1.0}),
        TypeError,
        ["class_weight", "1.5"],
    ),
    "batch_size 0": (lambda m: m.fit(X, Y, batch_size=0), ValueError, ["batch_size", "1", "0"]),
    "batch_size float": (lambda m: m.fit(X, Y, batch_size=8.0), TypeError, ["batch_size", "float"]),
    "batch_size True": (lambda m: m.fit(X, Y, batch_size=True), TypeError, ["batch_size", "bool"]),
    "batch_size text": (lambda m: m.fit(X, Y, batch_size="8"), TypeError, ["batch_size", "str"]),
    "epochs negative": (lambda m: m.fit(X, Y, epochs=-1), ValueError, ["epochs", "-1"]),
    "epochs None": (lambda m: m.fit(X, Y, epochs=None), TypeError, ["epochs", "NoneType"]),
    "verbose 3": (lambda m: m.fit(X, Y, verbose=3), ValueError, ["verbose", "3"]),
    "verbose text": (lambda m: m.fit(X, Y, verbose="much"), ValueError, ["verbose", "much"]),
    "split 1": (lambda m: m.fit(X, Y, validation_split=1.0), ValueError, ["validation_split"]),
    "split text": (lambda m: m.fit(X, Y, validation_split="a"), TypeError, ["validation_split"]),
    "split of all": (
        lambda m: m.fit(X[:1], Y[:1], validation_split=0.5),
        ValueError,
        ["validation_split", "too few"],
    ),
    "validation array": (
        lambda m: m.fit(X, Y, validation_data=X),
        ValueError,
        ["validation_data", "(x, y)", "ndarray"],
    ),
    "validation of one": (
        lambda m: m.fit(X, Y, validation_data=(X,)),
        ValueError,
        ["validation_data", "length 1"],
    ),
    "validation y": (
        lambda m: m.fit(X, Y, validation_data=(X, Y + 9)),
        ValueError,
        ["validation y", "0 to 2"],
    ),
    "validation x": (
        lambda m: m.fit(X, Y, validation_data=(X[:, :2], Y)),
        ValueError,
        ["validation x", "(12, 2)"],
    ),
    "validation lengths": (
        lambda m: m.fit(X, Y, validation_data=(X, Y[:2])),
        ValueError,
        ["validation x has 12", "validation y has 2"],
    ),
    "validation_freq 0": (
        lambda m: m.fit(X, Y, validation_data=(X, Y), validation_freq=0),
        ValueError,
        ["validation_freq"],
    ),
    "steps_per_epoch 0": (
        lambda m: m.fit(X, Y, steps_per_epoch=0),
        ValueError,
        ["steps_per_epoch"],
    ),
    "initial_epoch": (lambda m: m.fit(X, Y, initial_epoch=-1), ValueError, ["initial_epoch"]),
    "sample_weight short": (
        lambda m: m.fit(X, Y, sample_weight=np.ones(3)),
        ValueError,
        ["sample_weight", "(3,)", "(12,)"],
    ),
    "sample_weight wide": (
        lambda m: m.fit(X, Y, sample_weight=np.ones((N, 2))),
        ValueError,
        ["sample_weight", "(12, 2)", "(12,)"],
    ),
    "sample_weight text": (
        lambda m: m.fit(X, Y, sample_weight=["a"] * N),
        TypeError,
        ["sample_weight", "real numbers"],
    ),
    "class_weight list": (
        lambda m: m.fit(X, Y, class_weight=[1, 2, 3]),
        TypeError,
        ["class_weight", "dict", "list"],
    ),
    "class_weight unknown": (
        lambda m: m.fit(X, Y, class_weight={3: 1.0}),
        ValueError,
        ["class_weight", "3", "0 to 2"],
    ),
    "callback function": (
        lambda m: m.fit(X, Y, callbacks=[print]),
        TypeError,
        ["callbacks[0]", "Callback"],
    ),
    "callback class": (
        lambda m: m.fit(X, Y, callbacks=[Picky]),
        TypeError,
        ["callbacks[0]", "Picky", "()"],
    ),
    "unknown argument": (lambda m: m.fit(X, Y, epoch=3), TypeError, ["epoch"]),
    # Arguments of the others
    "evaluate steps": (lambda m: m.evaluate(X, Y, steps=0), ValueError, ["steps"]),
    "evaluate batch_size": (lambda m: m.evaluate(X, Y, batch_size=-1), ValueError, ["batch_size"]),
    "evaluate verbose": (lambda m: m.evaluate(X, Y, verbose=9), ValueError, ["verbose"]),
    "evaluate callbacks": (
        lambda m: m.evaluate(X, Y, callbacks=[1]),
        TypeError,
        ["callbacks[0]", "int"],
    ),
    "predict batch_size": (lambda m: m.predict(X, batch_size=0), ValueError, ["batch_size"]),
    "predict steps": (lambda m: m.predict(X, steps=-1), ValueError, ["steps"]),
    "predict callbacks": (lambda m: m.predict(X, callbacks="x"), TypeError, ["callbacks[0]"]),
    # compile
    "unknown optimizer": (lambda m: m.compile("adamax2", "mse"), ValueError, ["adamax2", "sgd"]),
    "optimizer number": (lambda m: m.compile(0.1, "mse"), ValueError, ["optimizer", "0.1"]),
    "optimizer class": (lambda m: m.compile(optimizers.SGD, "mse"), ValueError, ["optimizer"]),
    "unknown loss": (lambda m: m.compile("sgd", "msee"), ValueError, ["msee", "known"]),
    "loss number": (lambda m: m.compile("sgd", 3), TypeError, ["loss", "int"]),
    "loss without reduction": (
        lambda m: m.compile("sgd", losses.MeanSquaredError(reduction=None)),
        ValueError,
        ["reduction"],
    ),
    "metrics text": (
        lambda m: m.compile("sgd", "mse", metrics="accuracy"),
        TypeError,
        ["metrics", "['accuracy']"],
    ),
    "weighted_metrics text": (
        lambda m: m.compile("sgd", "mse", weighted_metrics="mse"),
        TypeError,
        ["weighted_metrics", "['mse']"],
    ),
    # Weights and layers
    "too few weights": (lambda m: m.set_weights([X]), ValueError, ["expected 4", "got 1"]),
    "weights of another shape": (
        lambda m: m.set_weights([w.T for w in m.get_weights()]),
        ValueError,
        ["kernel", "(4, 5)", "(5, 4)"],
    ),
    "last weight of another shape": (
        lambda m: m.set_weights([np.zeros(w.shape) for w in m.get_weights()[:3]] + [X]),
        ValueError,
        ["out/bias", "(3,)", "(12, 4)"],
    ),
    "weights of text": (
        lambda m: m.set_weights([np.full(w.shape, "a") for w in m.get_weights()]),
        TypeError,
        ["kernel", "real numbers"],
    ),
    "weights complex": (
        lambda m: m.set_weights([w * 1j for w in m.get_weights()]),
        TypeError,
        ["kernel", "real numbers", "complex"],
    ),
    "assign another shape": (
        lambda m: m.layers[0].kernel.assign(np.zeros(3)),
        ValueError,
        ["kernel", "(4, 5)", "(3,)"],
    ),
    "assign a number": (lambda m: m.layers[0].kernel.assign(1.0), ValueError, ["(4, 5)", "()"]),
    "unknown layer": (lambda m: m.get_layer("no"), ValueError, ["'no'", "out"]),
    "layer place": (lambda m: m.get_layer(index=9), IndexError, []),
    "add a class": (lambda m: m.add(Dense), TypeError, ["layer", "()"]),
    "add a number": (lambda m: m.add(3), TypeError, ["layer", "3"]),
    "add a name twice": (lambda m: m.add(Dense(2, name="out")), ValueError, ["'out'"]),
    "add the same layer": (lambda m: m.add(m.layers[0]), ValueError, ["dense"]),
    "add an input late": (lambda m: m.add(Input((4,))), ValueError, ["input", "first"]),
    "add an output": (
        lambda m: m.add(Dense(2)(Input((4,)))),
        ValueError,
        ["layers", "output of calling"],
    ),
}


@pytest.mark.parametrize("case", ON_A_MODEL)
def test_a_mistake_is_named_and_changes_nothing(case, capsys):
    call, error, words = ON_A_MODEL[case]
    model = make()
    model.fit(X, Y, verbose=0, shuffle=False)
    before, value = model.get_weights(), model.evaluate(X, Y)
    optimizer, iterations = model.optimizer, model.optimizer.iterations
    stack = model.layers
    with pytest.raises(error) as caught:
        call(model)
    for word in words:
        assert word in str(caught.value)
    assert_same_bits(before, model.get_weights())
    assert model.layers == stack
    assert model.optimizer is optimizer
    assert model.optimizer.iterations == iterations
    assert model.evaluate(X, Y) == value
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""


def dense_model(loss, columns=3, output=None, **arguments):
    model = Sequential([Input((COLS,)), Dense(columns, output)])
    model.compile("sgd", loss, **arguments)
    return model


OTHERWISE = {
    # Models that are not ready
    "predict without layers": (lambda: Sequential().predict(X), ValueError, ["no layers"]),
    "weights before building": (
        lambda: Sequential([Dense(2)]).get_weights(),
        ValueError,
        ["no weights yet", "Input"],
    ),
    "count before building": (
        lambda: Sequential([Dense(2)]).count_params(),
        ValueError,
        ["no weights yet"],
    ),
    "build without shape": (lambda: Sequential([Dense(2)]).build(), ValueError, ["input_shape"]),
    "fit without compile": (
        lambda: Sequential([Input((COLS,)), Dense(1)]).fit(X, Y),
        ValueError,
        ["compile", "loss"],
    ),
    "train without compile": (
        lambda: Sequential([Input((COLS,)), Dense(1)]).train_on_batch(X, Y),
        ValueError,
        ["compile", "loss"],
    ),
    "evaluate without loss": (
        lambda: dense_model(None).evaluate(X, Y),
        ValueError,
        ["compile", "loss"],
    ),
    "pop nothing": (lambda: Sequential().pop(), ValueError, ["no layers"]),
    # Sequential
    "input after a layer": (
        lambda: Sequential([Dense(2), Input((3,))]),
        ValueError,
        ["input", "first"],
    ),
    "two inputs": (lambda: Sequential([Input((3,)), Input((3,))]), ValueError, ["once"]),
    "names twice": (
        lambda: Sequential([Dense(2, name="a"), Dense(2, name="a")]),
        ValueError,
        ["'a'"],
    ),
    "a class as layer": (lambda: Sequential([Dense]), TypeError, ["Dense", "()"]),
    "a text as layer": (lambda: Sequential(["dense"]), TypeError, ["'dense'"]),
    "mixed dtypes": (
        lambda: Sequential([Input((3,)), Dense(2, dtype="float64")]),
        TypeError,
        ["float64", "float32", "dtype"],
    ),
    "another width": (
        lambda: (lambda d: [Sequential([Input((w,)), d]) for w in (3, 4)])(Dense(2, name="both")),
        ValueError,
        ["both", "3 columns", "(None, 4)"],
    ),
    # Targets of dense losses
    "dense target shape": (
        lambda: dense_model("mse").fit(X, Y),
        ValueError,
        ["y", "(12,)", "(n, 3)"],
    ),
    "dense target columns": (
        lambda: dense_model("mse").fit(X, ONE_HOT[:, :2]),
        ValueError,
        ["y", "(12, 2)", "(n, 3)"],
    ),
    "dense target text": (
        lambda: dense_model("mse", 1).fit(X, ["a"] * N),
        TypeError,
        ["y", "real numbers"],
    ),
    "class weights of no classes": (
        lambda: dense_model("mse", 1).fit(X, Y + 5.0, class_weight={0: 1.0}),
        ValueError,
        ["class_weight", "class indices"],
    ),
    # Metrics
    "unknown metric": (
        lambda: dense_model("mse", metrics=["accurracy"]).evaluate(X, ONE_HOT),
        ValueError,
        ["accurracy", "accuracy"],
    ),
    "sparse metric": (
        lambda: dense_model("mse", metrics=["sparse_categorical_accuracy"]).evaluate(X, ONE_HOT),
        ValueError,
        ["sparse_categorical_accuracy", "'mse'", "class indices"],
    ),
    "dense metric": (
        lambda: dense_model(SPARSE, 3, "softmax", metrics=["mse"]).evaluate(X, Y),
        ValueError,
        ["mse", SPARSE],
    ),
    "metric number": (
        lambda: dense_model("mse", metrics=[3]).evaluate(X, ONE_HOT),
        TypeError,
        ["metrics", "int"],
    ),
    "threshold": (lambda: metrics.BinaryAccuracy(threshold="0"), TypeError, ["threshold", "str"]),
    # Losses
    "loss reduction": (
        lambda: losses.MeanSquaredError(reduction="average"),
        ValueError,
        ["reduction", "average"],
    ),
    "smoothing": (
        lambda: losses.BinaryCrossentropy(label_smoothing=2.0),
        ValueError,
        ["label_smoothing", "2.0"],
    ),
    "delta": (lambda: losses.Huber(delta=-1.0), ValueError, ["huber_loss", "delta", "-1.0"]),
    "quantile": (lambda: losses.Quantile(1.5), ValueError, ["quantile", "gamma", "1.5"]),
    "focal gamma": (
        lambda: losses.BinaryFocalCrossentropy(gamma="2"),
        TypeError,
        ["gamma", "str"],
    ),
    "focal alpha": (
        lambda: losses.BinaryFocalCrossentropy(alpha=2.0),
        ValueError,
        ["alpha", "from 0 to 1", "2.0"],
    ),
    "focal balancing": (
        lambda: losses.BinaryFocalCrossentropy(0.25),
        TypeError,
        ["apply_class_balancing", "float"],
    ),
    "focal axis": (
        lambda: losses.BinaryFocalCrossentropy(axis=0),
        ValueError,
        ["axis", "-1", "0"],
    ),
    "from_logits": (
        lambda: losses.CategoricalCrossentropy(from_logits=1),
        TypeError,
        ["from_logits", "int"],
    ),
    "loss call": (
        lambda: losses.MeanSquaredError()(np.zeros((2, 3)), np.zeros((2, 4))),
        ValueError,
        ["(2, 3)", "(2, 4)"],
    ),
    # Layers
    "units 0": (lambda: Dense(0), ValueError, ["units", "0"]),
    "units float": (lambda: Dense(3.0), TypeError, ["units", "float"]),
    "units bool": (lambda: Dense(True), TypeError, ["units", "bool"]),
    "units text": (lambda: Dense("3"), TypeError, ["units", "str"]),
    "unknown activation": (lambda: Dense(2, "rellu"), ValueError, ["rellu", "relu"]),
    "activation number": (lambda: Dense(2, 3), TypeError, ["activation", "int"]),
    "no activation": (lambda: Activation("none"), ValueError, ["none", "known"]),
    "unknown initializer": (
        lambda: Dense(2, kernel_initializer="glorot"),
        ValueError,
        ["initializer", "'glorot'"],
    ),
    "layer dtype": (lambda: Dense(2, dtype="float16"), ValueError, ["dtype", "float16"]),
    "unknown layer argument": (lambda: Dense(2, unit=3), TypeError, ["unit"]),
    "initializer of another shape": (
        lambda: Dense(2, kernel_initializer=lambda shape, dtype: np.zeros(3))(Input((4,))),
        ValueError,
        ["kernel", "(3,)", "(4, 2)"],
    ),
    "slope": (lambda: activations.leaky_relu(X, -1.0), ValueError, ["negative_slope", "-1.0"]),
    "slope in a model": (
        lambda: activations.leaky_relu(Input((4,)), -1.0),
        ValueError,
        ["negative_slope", "-1.0"],
    ),
    "alpha": (lambda: activations.elu(X, 0), ValueError, ["alpha", "got 0"]),
    "alpha of a layer": (lambda: layers.ELU(-1.0), ValueError, ["alpha", "above 0", "-1.0"]),
    "slope of a layer": (lambda: layers.LeakyReLU(-1.0), ValueError, ["negative_slope", "-1.0"]),
    "no slope": (lambda: layers.LeakyReLU(None), TypeError, ["negative_slope", "NoneType"]),
    "maximum of a layer": (lambda: layers.ReLU(-6.0), ValueError, ["max_value", "-6.0"]),
    "threshold of a layer": (
        lambda: layers.ReLU(threshold=-1.0),
        ValueError,
        ["threshold", "-1.0"],
    ),
    "maximum": (lambda: activations.relu(X, max_value=np.nan), ValueError, ["max_value", "nan"]),
    "b": (lambda: activations.squareplus(X, -1), ValueError, ["b must", "-1"]),
    "b as text": (lambda: activations.squareplus(X, "4"), TypeError, ["b must", "str"]),
    "softmax axis": (
        lambda: activations.softmax(Input((3, 4)), axis=1),
        ValueError,
        ["axis", "last"],
    ),
    "NumPy in a model": (
        lambda: Dense(2, lambda x: np.maximum(x, 0))(Input((4,))),
        TypeError,
        ["symbolic", "NumPy"],
    ),
    "a branch in a model": (
        lambda: Dense(2, lambda x: x if x else 0)(Input((4,))),
        TypeError,
        ["symbolic", "branch"],
    ),
    # Shapes
    "input shape text": (lambda: Input("ab"), TypeError, ["shape"]),
    "input shape float": (lambda: Input((2.0,)), TypeError, ["shape", "2.0"]),
    "input shape 0": (lambda: Input((0,)), ValueError, ["shape", "positive"]),
    "input shape None": (lambda: Input((None, 3)), TypeError, ["shape", "None"]),
    "input_shape": (lambda: Dense(2, input_shape=(-1,)), ValueError, ["shape", "-1"]),
    # Settings
    "floatx": (lambda: config.set_floatx("float16"), ValueError, ["float16", "float32"]),
    "isa": (lambda: config.set_isa("sse9"), ValueError, ["sse9", "baseline"]),
    "isa number": (lambda: config.set_isa(2), TypeError, ["set_isa", "int"]),
    "threads 0": (lambda: config.set_threads(0), ValueError, ["set_threads", "0"]),
    "threads many": (lambda: config.set_threads(5000), ValueError, ["1024", "5000"]),
    "threads text": (lambda: config.set_threads("2"), TypeError, ["set_threads", "str"]),
    "threads float": (lambda: config.set_threads(2.0), TypeError, ["set_threads", "float"]),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_a_mistake_is_named(case):
    call, error, words = OTHERWISE[case]
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    assert not re.search(r"<.* at 0x", str(caught.value)), "an address helps nobody"


def test_a_compile_that_is_refused_keeps_the_old_one():
    model = make(metrics=["accuracy"])
    expected = model.evaluate(X, Y, return_dict=True)
    for arguments in (
        {"optimizer": "sgd", "loss": "no"},
        {"optimizer": "no", "loss": "mse"},
        {"optimizer": "sgd", "loss": "mse", "metrics": "mse"},
        {"optimizer": "sgd", "loss": "mse", "loss_weights": "heavy"},
    ):
        with pytest.raises((TypeError, ValueError)):
            model.compile(**arguments)
        assert model.evaluate(X, Y, return_dict=True) == expected
    assert type(model.optimizer) is optimizers.Adam


def test_a_failing_prediction_leaves_an_unbuilt_model_for_the_right_data():
    model = Sequential([Flatten(), Dense(2)])
    with pytest.raises(TypeError, match="real numbers"):
        Sequential([Input((3,)), layers.Dense(2)]).predict(np.full((2, 3), "a"))
    assert not model.built
    assert model.predict(np.zeros((3, 5))).shape == (3, 2)


@pytest.mark.parametrize(
    ("make", "name", "meant"),
    [
        (lambda: optimizers.SGD(lr=0.1), "lr", "learning_rate"),
        (lambda: optimizers.Adam(beta1=0.9), "beta1", "beta_1"),
        (lambda: optimizers.Adam(eps=1e-8), "eps", "epsilon"),
        (lambda: optimizers.AdamW(use_emma=True), "use_emma", "use_ema"),
        (lambda: layers.Dense(3, activaton="relu"), "activaton", "activation"),
        (lambda: layers.Dense(3, input_dim=4), "input_dim", "input_shape"),
        (lambda: layers.Dropout(0.5, tranable=False), "tranable", "trainable"),
    ],
)
def test_arguments_of_other_names_are_guessed(make, name, meant):
    expected = f"unexpected keyword argument '{name}' (did you mean '{meant}'?)"
    with pytest.raises(TypeError, match=re.escape(expected)):
        make()


def test_arguments_like_no_other_are_not_guessed():
    with pytest.raises(TypeError, match=r"SGD\(\) got an unexpected keyword argument 'zzz'$"):
        optimizers.SGD(zzz=1)


def test_class_indices_for_a_loss_of_rows_are_recognised():
    model = make("categorical_crossentropy")
    with pytest.raises(ValueError, match=r"y has shape \(12,\).*sparse_categorical_crossentropy"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match=r"as the model's output$"):
        model.fit(X, np.linspace(0.1, 0.9, N), verbose=0)
