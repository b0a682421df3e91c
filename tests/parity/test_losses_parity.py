"""Losses against Keras (JAX backend, float64): values, gradients, names and configurations."""

import inspect

import numpy as np
import pytest

import onepass
from onepass import _formulas, kernels, losses, metrics

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own

N, COLS = 9, 5

# What a loss reads: (target, prediction) of random numbers.
DATA = {
    "numbers": lambda rng: (rng.normal(size=(N, COLS)), 2.0 * rng.normal(size=(N, COLS))),
    "counts": lambda rng: (rng.poisson(3.0, (N, COLS)), rng.uniform(0.1, 8.0, (N, COLS))),
    "signs": lambda rng: (rng.choice([-1, 1], (N, COLS)), 2.0 * rng.normal(size=(N, COLS))),
    "bits": lambda rng: (rng.integers(0, 2, (N, COLS)), 2.0 * rng.normal(size=(N, COLS))),
    "shares": lambda rng: (rng.dirichlet(np.ones(COLS), N), rng.dirichlet(np.ones(COLS), N)),
    "labels": lambda rng: (rng.integers(0, 2, (N, COLS)), rng.uniform(0.01, 0.99, (N, COLS))),
    "classes": lambda rng: (np.eye(COLS)[rng.integers(0, COLS, N)], rng.normal(size=(N, COLS))),
    "ties": lambda rng: (np.eye(COLS)[rng.integers(0, COLS, N)], rng.integers(0, 2, (N, COLS)) / 2),
    "small": lambda rng: (rng.normal(size=(N, COLS)), 1e-8 * rng.normal(size=(N, COLS))),
    "classy": lambda rng: (np.eye(COLS)[rng.integers(0, COLS, N)], rng.uniform(0, 1, (N, COLS))),
    "indices": lambda rng: (rng.integers(0, COLS, N), rng.dirichlet(np.ones(COLS), N)),
}
FOCAL = {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1}
CASES = [
    ("MeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "counts"),  # zeros among the targets
    ("MeanSquaredLogarithmicError", {}, "counts"),
    ("MeanSquaredLogarithmicError", {}, "numbers"),  # below the limit
    ("Huber", {}, "numbers"),
    ("Huber", {"delta": 0.3}, "numbers"),
    ("LogCosh", {}, "numbers"),
    ("Poisson", {}, "counts"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "bits"),
    ("SquaredHinge", {}, "signs"),
    ("SquaredHinge", {}, "bits"),
    ("KLDivergence", {}, "shares"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "labels"),
    ("BinaryCrossentropy", {"from_logits": True}, "bits"),
    ("BinaryFocalCrossentropy", {}, "labels"),
    ("BinaryFocalCrossentropy", {"gamma": 0.0}, "labels"),
    ("BinaryFocalCrossentropy", FOCAL, "labels"),
    ("BinaryFocalCrossentropy", {"from_logits": True}, "bits"),
    ("BinaryFocalCrossentropy", {"from_logits": True, **FOCAL}, "bits"),
    ("CategoricalFocalCrossentropy", {}, "shares"),
    (
        "CategoricalFocalCrossentropy",
        {"alpha": 0.7, "gamma": 0.5, "label_smoothing": 0.1},
        "classy",
    ),
    ("CategoricalFocalCrossentropy", {"gamma": 0.0}, "shares"),
    ("CategoricalFocalCrossentropy", {"from_logits": True}, "classes"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 3.5}, "classes"),
    ("CategoricalGeneralizedCrossEntropy", {}, "indices"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.8}, "indices"),
    ("Dice", {"axis": -1}, "labels"),
    ("Dice", {}, "labels"),
    ("Dice", {}, "shares"),
    ("Tversky", {}, "labels"),
    ("Tversky", {"alpha": 0.2, "beta": 1.3}, "shares"),
    ("Tversky", {"alpha": 0.2, "beta": 1.3, "axis": -1}, "labels"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "classes"),
    ("CategoricalCrossentropy", {}, "shares"),
    ("SparseCategoricalCrossentropy", {}, "indices"),
    ("CategoricalHinge", {}, "classes"),
    ("CategoricalHinge", {}, "ties"),
    ("CategoricalHinge", {}, "signs"),
    ("CosineSimilarity", {}, "numbers"),
    ("CosineSimilarity", {}, "small"),  # where lengths have their limit
]
NOT_IN_KERAS = {"Loss", "FunctionLoss", "Quantile", "Perceptron"}
NOT_THERE = {"ctc"}
OF_PAIRS = {"Circle": "indices"}  # values and gradients: test_circle_parity.py
CLASSES = sorted({name for name, _, _ in CASES} | OF_PAIRS.keys())


@pytest.fixture
def double_mean(keras, monkeypatch):
    """Take means in float64: Keras's own rounds them to float32."""
    from jax import numpy as jnp

    monkeypatch.setattr(keras.src.ops, "mean", jnp.mean)


def test_every_loss_is_compared():
    classes = {n for n in losses.__all__ if isinstance(getattr(losses, n), type)}
    assert classes == {*CLASSES} | NOT_IN_KERAS


@pytest.mark.parametrize(("name", "arguments", "kind"), CASES)
def test_keras_values_and_gradients(keras, double_mean, name, arguments, kind):
    import jax

    for seed in range(3):
        target, prediction = DATA[kind](np.random.default_rng(seed))
        given = target if kind == "indices" else target.astype(float)
        theirs = getattr(keras.losses, name)(reduction="none", dtype="float64", **arguments)
        ours = getattr(losses, name)(reduction="none", **arguments)
        expected = np.asarray(theirs(given, prediction))
        np.testing.assert_allclose(ours(target, prediction), expected, rtol=1e-10, atol=1e-12)

        def total(p, theirs=theirs, given=given):
            return theirs(given, p).sum()

        slopes = np.asarray(jax.grad(total)(jax.numpy.asarray(prediction)))
        hyper = dict(zip(_formulas.LOSSES[ours.formula].hyper, ours.hyper, strict=True))
        scale = 1 / N if ours.whole_batch else 1  # each row has the value of all
        _, gradient = kernels.loss(given, prediction, ours.formula, scale=scale, **hyper)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean"])
@pytest.mark.parametrize("name", ["MeanAbsoluteError", "KLDivergence", "Hinge", "Dice"])
def test_keras_reductions_and_weights(keras, double_mean, name, reduction):
    target, prediction = DATA["shares"](np.random.default_rng(0))
    weights = np.random.default_rng(1).uniform(0, 2, N)
    if name == "Dice" and reduction == "sum":
        return  # refused: there is one value
    theirs = getattr(keras.losses, name)(reduction=reduction, dtype="float64")
    ours = getattr(losses, name)(reduction=reduction)
    for w in (None, weights):
        expected = float(theirs(target, prediction, sample_weight=w))
        assert ours(target, prediction, w) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", CLASSES)
def test_keras_arguments(keras, name):
    """Order, defaults and configurations are Keras's; a configuration makes the same loss."""
    theirs = inspect.signature(getattr(keras.losses, name).__init__).parameters
    ours = inspect.signature(getattr(losses, name).__init__).parameters
    assert list(ours) == list(theirs)
    for argument in ours:
        assert ours[argument].default == theirs[argument].default
    config = getattr(losses, name)().get_config()
    whole = getattr(keras.losses, name)().get_config()
    assert {key: whole.get(key, config[key]) for key in config} == config  # Huber's has no delta
    assert whole.keys() <= config.keys()
    assert getattr(losses, name)(**config).get_config() == config
    assert getattr(losses, name).from_config(whole).name == whole["name"]


def test_keras_functions(keras, double_mean):
    """Functions have Keras's arguments and values: one a row."""
    from onepass.losses.functions import CLASS_OF

    kinds = {**{name: kind for name, _, kind in CASES}, **OF_PAIRS}
    for function, cls in CLASS_OF.items():
        if cls.__name__ in NOT_IN_KERAS:
            continue
        theirs = getattr(keras.losses, function.__name__)
        ours, other = (inspect.signature(f).parameters for f in (function, theirs))
        assert list(ours) == list(other)
        assert [p.default for p in ours.values()] == [p.default for p in other.values()]
        target, prediction = DATA[kinds[cls.__name__]](np.random.default_rng(0))
        given = target if kinds[cls.__name__] == "indices" else target.astype(float)
        more = {"q": 0.3} if "q" in ours else {}
        expected = np.asarray(theirs(given, prediction, **more))
        got = function(target, prediction, **more)
        assert np.shape(got) == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_keras_names(keras):
    """What Keras knows by name and we do not is what the changelog says is not there yet."""
    from keras.src.losses import ALL_OBJECTS_DICT

    missing = {*ALL_OBJECTS_DICT} - {*losses.names(), "Loss", "LossFunctionWrapper"}
    assert {name.replace("_", "").lower() for name in missing} == NOT_THERE


def test_keras_cosine_similarity_as_a_metric(keras):
    """As a metric it is the cosine itself, in Keras as here."""
    target, prediction = DATA["numbers"](np.random.default_rng(0))
    theirs = keras.metrics.CosineSimilarity(dtype="float64")
    expected = float(theirs(target, prediction))
    for metric in ("cosine_similarity", metrics.CosineSimilarity()):
        model = onepass.Sequential([onepass.Input((COLS,), dtype="float64")])
        model.add(onepass.layers.Activation("linear", dtype="float64"))
        model.compile("sgd", "cosine_similarity", metrics=[metric])
        loss, cosine = model.evaluate(prediction, target)
        assert (-loss, cosine) == pytest.approx((expected, expected), rel=1e-6)
