"""Metrics against Keras (JAX backend): streamed values, extremes, logs, arguments, names."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import onepass
from onepass import losses, metrics

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning"),  # Keras's own
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

N, COLS = 90, 5


def binary(rng):
    return rng.integers(0, 2, (N, COLS)), rng.random((N, COLS))


def at_thresholds(rng):
    """Predictions exactly at thresholds, at their neighbours, and beyond them."""
    p = rng.integers(0, 200, (N, COLS)) / 199
    p = np.nextafter(np.float32(p), np.float32(rng.choice([-1, 0, 1, 2], (N, COLS))))
    p[0] = [0, 1, -0.25, 1.25, 0.5]
    return rng.integers(0, 2, (N, COLS)), p


def one_sided(rng):
    return np.zeros((N, COLS), int), rng.random((N, COLS))


def column(rng):
    y, p = binary(rng)
    return y[:, 0], p[:, :1]


def classes(rng):
    return np.eye(COLS)[rng.integers(0, COLS, N)], rng.dirichlet(np.ones(COLS), N)


def ties(rng):
    return np.eye(COLS)[rng.integers(0, COLS, N)], rng.integers(0, 3, (N, COLS)) / 4


def indices(rng):
    return rng.integers(0, COLS, N), rng.dirichlet(np.ones(COLS), N)


def numbers(rng):
    return rng.normal(size=(N, COLS)), 2 * rng.normal(size=(N, COLS))


def counted(rng):
    return rng.poisson(3.0, (N, COLS)), rng.uniform(0.1, 8, (N, COLS))


def far(rng):
    return 1e3 + rng.normal(size=(N, COLS)), 1e3 + rng.normal(size=(N, COLS))


LISTED = [0.7, 0.1, 0.5]
EVEN = [0.0, 0.25, 0.5, 0.75, 1.0]
COUNTERS = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")
LIMITS = (
    ("SensitivityAtSpecificity", "specificity"),
    ("SpecificityAtSensitivity", "sensitivity"),
    ("PrecisionAtRecall", "recall"),
    ("RecallAtPrecision", "precision"),
)
CASES = [
    *(("Accuracy", {}, kind) for kind in (binary, ties)),
    *(("BinaryAccuracy", a, binary) for a in ({}, {"threshold": 0.0}, {"threshold": 0.9})),
    ("BinaryAccuracy", {}, column),
    *((name, {}, kind) for name in ("CategoricalAccuracy",) for kind in (classes, ties)),
    ("SparseCategoricalAccuracy", {}, indices),
    *(("TopKCategoricalAccuracy", {"k": k}, kind) for k in (1, 3, 9) for kind in (classes, ties)),
    ("TopKCategoricalAccuracy", {}, classes),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, indices),
    *((name, a, kind) for name in COUNTERS for a in ({}, {"thresholds": LISTED}) for kind in
      (binary, at_thresholds, one_sided, column)),
    *((name, {"thresholds": EVEN}, kind) for name in COUNTERS for kind in (binary, column)),
    *((name, a, kind) for name in ("Precision", "Recall") for kind in (binary, classes, one_sided)
      for a in (
          {},
          {"thresholds": LISTED},
          {"thresholds": EVEN},
          {"thresholds": 0.2},
          {"class_id": 2},
          {"top_k": 2},
          {"top_k": 2, "class_id": 1},
          {"top_k": 3, "thresholds": 0.3},
      )),
    ("Precision", {"top_k": 2}, ties),
    *((name, {argument: limit, **more}, kind)
      for name, argument in LIMITS
      for limit in (0.0, 0.4, 1.0)
      for more in ({}, {"num_thresholds": 1}, {"num_thresholds": 2}, {"class_id": 0})
      for kind in (binary, one_sided)),
    *(("AUC", {"curve": curve, "summation_method": method}, kind)
      for curve in ("ROC", "PR", "PRGAIN")
      for method in ("interpolation", "minoring", "majoring")
      for kind in (binary, at_thresholds, one_sided, column)),
    *(("AUC", a, binary) for a in (
        {"num_thresholds": 2},
        {"num_thresholds": 3},
        {"thresholds": [0.2, 0.9, 0.5]},
        {"thresholds": [0.25, 0.5, 0.75]},
        {"multi_label": True},
        {"multi_label": True, "num_labels": COLS, "curve": "PR"},
        {"multi_label": True, "label_weights": [1.0, 2.0, 0.0, 3.0, 0.5]},
        {"multi_label": True, "thresholds": [0.2, 0.7]},
        {"label_weights": [1.0, 2.0, 0.0, 3.0, 0.5]},
        {"from_logits": True},
    )),
    *(("FBetaScore", {"average": average, "beta": beta, "threshold": threshold}, kind)
      for average in (None, "micro", "macro", "weighted")
      for beta, threshold in ((1.0, None), (2.0, 0.5), (0.5, 0.25))
      for kind in (binary, ties)),
    *(("F1Score", {"average": average}, classes) for average in (None, "macro")),
    *(("R2Score", {"class_aggregation": a, "num_regressors": n}, kind)
      for a in (None, "uniform_average", "variance_weighted_average") for n in (0, 3, 10**6)
      for kind in (numbers,)),
    ("R2Score", {}, far),
    ("RootMeanSquaredError", {}, numbers),
    ("MeanSquaredError", {}, numbers),
    ("MeanAbsoluteError", {}, far),
    ("MeanAbsolutePercentageError", {}, numbers),
    ("MeanSquaredLogarithmicError", {}, counted),
    ("LogCoshError", {}, numbers),
    ("CosineSimilarity", {}, numbers),
    ("Poisson", {}, counted),
    ("KLDivergence", {}, classes),
    ("Hinge", {}, binary),
    ("SquaredHinge", {}, binary),
    ("CategoricalHinge", {}, classes),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, binary),
    ("BinaryCrossentropy", {"from_logits": True}, binary),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, classes),
    ("SparseCategoricalCrossentropy", {}, indices),
]  # fmt: skip


def ids(value):
    return value.__name__ if callable(value) else str(value)


@pytest.fixture
def double_mean(keras, monkeypatch):
    """Take means in float64: Keras's own rounds them to float32."""
    from jax import numpy as jnp

    monkeypatch.setattr(keras.src.ops, "mean", jnp.mean)


def as_keras_takes(name, target):
    return target if "Sparse" in name else np.asarray(target, np.float64)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "arguments", "kind"), CASES, ids=ids)
def test_streamed_values(keras, double_mean, name, arguments, kind, weighted):
    """Batches of 40, 40 and 10, with and without weights."""
    rng = np.random.default_rng(7)
    target, prediction = kind(rng)
    # At thresholds single numbers are compared: Keras rounds double ones to these on the way.
    dtype = "float32" if kind is at_thresholds else "float64"
    prediction = np.asarray(prediction, dtype)
    weights = rng.integers(0, 5, N) / 4 if weighted else None
    ours = getattr(metrics, name)(**arguments)
    theirs = getattr(keras.metrics, name)(dtype=dtype, **arguments)
    close = {"R2Score": 1e-6}.get(name, 1e-9 if dtype == "float64" else 2e-6)
    for start in range(0, N, 40):
        part = slice(start, start + 40)
        w = None if weights is None else weights[part]
        ours.update_state(target[part], prediction[part], w)
        theirs.update_state(as_keras_takes(name, target[part]), prediction[part], w)
        expected = np.asarray(theirs.result())
        np.testing.assert_allclose(ours.result(), expected, rtol=close, atol=close / 100)
    assert np.shape(ours.result()) == expected.shape


@pytest.mark.parametrize("name", ["AUC", *COUNTERS])
def test_counts_of_single_numbers_at_even_thresholds_are_keras_s(keras, name):
    """In float32, for predictions on and beside the steps: count by count."""
    target, prediction = at_thresholds(np.random.default_rng(3))
    even = [i / 199 for i in range(200)]
    arguments = {"thresholds": even} if name in COUNTERS else {}
    ours, theirs = (
        getattr(k.metrics, name)(dtype="float32", **arguments) for k in (onepass, keras)
    )
    ours(target, prediction)
    theirs(target, prediction)
    if name == "AUC":
        counts = ours.counts_of(ours._sums)
        for mine, variable in zip(
            (counts.tp, counts.fp, counts.tn, counts.fn), theirs.variables, strict=True
        ):
            np.testing.assert_array_equal(mine, np.asarray(variable))
    else:
        np.testing.assert_array_equal(ours.result(), np.asarray(theirs.result()))


@pytest.mark.parametrize("thresholds", [EVEN, [*EVEN, 0.1]])
def test_zero_exceeds_no_threshold_from_zero_on(keras, thresholds):
    target, prediction = np.ones(3), np.array([0.0, 0.5, 0.75])
    theirs = keras.metrics.TruePositives(thresholds)(target, prediction)
    ours = metrics.TruePositives(thresholds)(target, prediction)
    np.testing.assert_array_equal(ours, np.asarray(theirs))
    np.testing.assert_array_equal(ours[:5], [2, 2, 1, 0, 0])


def test_mean_and_sum(keras):
    rng = np.random.default_rng(0)
    for values, weights in (
        (3.5, None),
        (3.5, 2.0),
        (rng.random(4), None),
        (rng.random(4), rng.random(4)),
        (rng.random(4), 0.5),
        (rng.random((4, 3)), None),
        (rng.random((4, 3)), rng.random(4)),
        (rng.random((4, 3)), rng.random((4, 3))),
        (rng.random((4, 3)), rng.random((4, 1))),
        (rng.random((4, 3, 2)), rng.random((4, 3))),
    ):
        for name in ("Mean", "Sum"):
            ours, theirs = (getattr(k.metrics, name)(dtype="float64") for k in (onepass, keras))
            for _ in range(2):
                expected = float(theirs(values, sample_weight=weights))
                assert ours(values, sample_weight=weights) == pytest.approx(expected, rel=1e-6)


def test_shapes(keras):
    """One dimension, columns, cubes, weights that are numbers."""
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 6), rng.random(6)
    cube, truth = rng.random((4, 3, 5)), rng.integers(0, 2, (4, 3, 5))
    classes = rng.integers(0, 5, (4, 3))
    calls = [
        *((name, (y, p)) for name in ("Accuracy", "BinaryAccuracy", "RootMeanSquaredError")),
        *((name, (y, p)) for name in ("MeanSquaredError", "KLDivergence", "Hinge")),
        *((name, (y, p[:, None])) for name in ("BinaryAccuracy", "Precision", "AUC")),
        *((name, (y[:, None], p)) for name in ("BinaryAccuracy", "Recall")),
        ("BinaryAccuracy", (y, p, 0.5)),
        ("Precision", (y, p, rng.random(6))),
        *((name, (truth, cube)) for name in ("BinaryAccuracy", "MeanAbsoluteError", "Precision")),
        *((name, (truth, cube, rng.random(4))) for name in ("BinaryAccuracy", "MeanSquaredError")),
        ("BinaryCrossentropy", (truth, cube, rng.random((4, 3)))),
        ("SparseCategoricalAccuracy", (classes, cube)),
        ("SparseCategoricalAccuracy", (classes[..., None], cube, rng.random(4))),
        ("CategoricalAccuracy", (truth, cube)),
    ]
    for name, arguments in calls:
        theirs = getattr(keras.metrics, name)(dtype="float64")
        y_true, *rest = arguments
        expected = float(theirs(y_true if "Sparse" in name else y_true.astype(float), *rest))
        got = getattr(metrics, name)()(*arguments)
        assert got == pytest.approx(expected, rel=1e-6), (name, [np.shape(a) for a in arguments])


MODEL_CASES = [
    (binary, "binary_crossentropy", "sigmoid", ["AUC", "precision", "Recall", "accuracy", "mae"]),
    (classes, "categorical_crossentropy", "softmax", ["acc", "f1_score", "auc", "mse"]),
    (indices, "sparse_categorical_crossentropy", "softmax", ["accuracy"]),
    (numbers, "mse", "linear", ["r2_score", "root_mean_squared_error", "cosine_similarity"]),
]


@pytest.mark.parametrize(("kind", "loss", "output", "listed"), MODEL_CASES, ids=ids)
def test_logs(keras, kind, loss, output, listed):
    rng = np.random.default_rng(1)
    target, x = kind(rng)
    x, weights = x.astype(np.float32), (rng.integers(0, 5, N) / 4).astype(np.float32)
    y = target if target.ndim == 1 else target.astype(np.float32)
    models = []
    for k in (onepass, keras):
        model = k.Sequential([k.Input((COLS,)), k.layers.Dense(COLS, output)])
        wrapped = [k.metrics.TopKCategoricalAccuracy(2)] if kind is classes else []
        wrapped += [k.metrics.Precision([0.2, 0.6], name="two")] if kind is binary else []
        model.compile(
            k.optimizers.SGD(0.1), loss, metrics=[*listed, *wrapped], weighted_metrics=listed[:2]
        )
        models.append(model)
    models[0].set_weights([np.asarray(w) for w in models[1].get_weights()])
    logs = [
        m.fit(
            x,
            y,
            batch_size=16,
            epochs=2,
            shuffle=False,
            sample_weight=weights,
            validation_data=(x[:19], y[:19]),
            verbose=0,
        ).history
        for m in models
    ]
    assert sorted(logs[0]) == sorted(logs[1])
    for name, theirs in logs[1].items():
        np.testing.assert_allclose(logs[0][name], np.asarray(theirs), rtol=2e-5, err_msg=name)
    ours, theirs = (m.evaluate(x, y, 16, 0, weights, return_dict=True) for m in models)
    for name in theirs:
        np.testing.assert_allclose(ours[name], np.asarray(theirs[name]), rtol=2e-5, err_msg=name)


CLASSES = [n for n in metrics.__all__ if isinstance(getattr(metrics, n), type) and n != "MeanLoss"]
MISSING = {"iou", "binaryiou", "meaniou", "onehotiou", "onehotmeaniou"}
MISSING |= {"concordancecorrelation", "pearsoncorrelation"}
REQUIRED = {name: {argument: 0.4} for name, argument in LIMITS}


@pytest.mark.parametrize("name", CLASSES)
def test_arguments(keras, name):
    """Names, order and defaults of arguments are Keras's, and so are configurations."""
    theirs, ours = (
        inspect.signature(getattr(k.metrics, name).__init__).parameters for k in (keras, onepass)
    )
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
    if name in ("Metric", "MeanMetricWrapper"):
        return
    arguments = REQUIRED.get(name, {})
    mine = getattr(metrics, name)(name="it", dtype="float32", **arguments)
    whole = getattr(keras.metrics, name)(name="it", dtype="float32", **arguments)
    config = whole.get_config()
    assert mine.get_config() == config
    assert getattr(metrics, name).from_config(config).get_config() == config


def test_names(keras):
    """What Keras knows by name and we do not is what the changelog says is not there yet."""
    from keras.src.metrics import ALL_OBJECTS_DICT

    missing = {*ALL_OBJECTS_DICT} - {*metrics.names(), "Metric", "metric"}
    assert {name.replace("_", "").lower() for name in missing} == MISSING
    for name in {*ALL_OBJECTS_DICT} - missing - {"Metric", "metric"}:
        theirs = ALL_OBJECTS_DICT[name]
        if not inspect.isclass(theirs) or theirs.__name__ in (*REQUIRED, "MeanMetricWrapper"):
            continue
        assert type(metrics.get(name)).__name__ == theirs.__name__


def test_public_names(keras):
    """All that ``keras.metrics`` and ``keras.losses`` hand out is here, but for what is missing."""
    for ours, theirs in ((metrics, keras.metrics), (losses, keras.losses)):
        public = {n for n in dir(theirs) if n[0] != "_"}
        left = {n.replace("_", "").lower() for n in public - set(dir(ours))}
        assert left <= {*MISSING, "circle", "ctc"}


def test_functions(keras):
    rng = np.random.default_rng(0)
    y, p = binary(rng)
    one_hot, q = ties(rng)
    index, r = indices(rng)
    for name, arguments, more in (
        ("binary_accuracy", (y, p), {"threshold": 0.3}),
        ("categorical_accuracy", (one_hot, q), {}),
        ("sparse_categorical_accuracy", (index, r), {}),
        ("top_k_categorical_accuracy", (one_hot, q), {"k": 2}),
        ("sparse_top_k_categorical_accuracy", (index, r), {"k": 2}),
    ):
        expected = np.asarray(getattr(keras.metrics, name)(*arguments, **more))
        got = getattr(metrics, name)(*arguments, **more)
        np.testing.assert_array_equal(got, expected)
