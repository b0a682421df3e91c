"""Metrics on arrays and in models: streams, weights, states, names, configurations, errors."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import onepass
from onepass import Input, Sequential, losses, metrics
from onepass.layers import Activation
from reference import losses as reference_losses
from reference import metrics as reference
from reference.reduce import row_accuracy
from strategies import dtypes, every_backend, seeds

BINARY, DENSE, SPARSE, NUMBERS = "binary", "dense", "sparse", "numbers"


def data(kind, n, c, dtype, seed):
    """Return targets, predictions (some at thresholds) and weights in quarters, some 0."""
    rng = np.random.default_rng(seed)
    prediction = (rng.integers(0, 200, (n, c)) / 199).astype(dtype)
    if seed % 2:
        prediction = rng.random((n, c)).astype(dtype)
    target = {
        BINARY: lambda: rng.integers(0, 2, (n, c)).astype(dtype),
        DENSE: lambda: np.eye(c, dtype=dtype)[rng.integers(0, c, n)],
        SPARSE: lambda: rng.integers(0, c, n),
        NUMBERS: lambda: rng.normal(size=(n, c)).astype(dtype),
    }[kind]()
    return target, prediction, rng.integers(0, 8, n) / 4


def counts(thresholds, **more):
    """Return what is expected of counts at thresholds, summed over the columns."""

    def of(y, p, w):
        each = reference.counts(y, p, thresholds, w, more.get("top_k"))
        keep = (
            slice(None) if "class_id" not in more else slice(more["class_id"], more["class_id"] + 1)
        )
        return [v[keep].sum(0) for v in each]

    return of


def share(a, b):
    whole = a + b
    return np.where(whole == 0, 0.0, a / np.where(whole == 0, 1, whole))


def mean_of(values):
    def expected(y, p, w):
        return np.sum(values(y, p) * w) / w.sum() if w.sum() else 0.0

    return expected


def roc(y, p, w):
    tp, fp, tn, fn = counts(200)(y, p, w)
    tp[0], fp[0] = tp[0] + fn[0], fp[0] + tn[0]  # every number exceeds the first
    fn[0] = tn[0] = 0
    x, height = share(fp, tn), share(tp, fn)
    return np.sum((x[:-1] - x[1:]) * (height[:-1] + height[1:]) / 2)


# name: (metric, kind of target, expected of (y, p, w) in float64)
CASES = {
    "Accuracy": (metrics.Accuracy, BINARY, mean_of(lambda y, p: np.mean(y == p, -1))),
    "BinaryAccuracy": (
        lambda: metrics.BinaryAccuracy(threshold=0),
        BINARY,
        mean_of(lambda y, p: row_accuracy(y, p, "binary", 0)),
    ),
    "CategoricalAccuracy": (
        metrics.CategoricalAccuracy,
        DENSE,
        mean_of(lambda y, p: row_accuracy(y, p, "categorical", 0)),
    ),
    "SparseCategoricalAccuracy": (
        metrics.SparseCategoricalAccuracy,
        SPARSE,
        mean_of(lambda y, p: row_accuracy(y, p, "sparse_categorical", 0)),
    ),
    "TopKCategoricalAccuracy": (
        lambda: metrics.TopKCategoricalAccuracy(2),
        DENSE,
        mean_of(lambda y, p: row_accuracy(y, p, "top_k_categorical", 0, 2)),
    ),
    "SparseTopKCategoricalAccuracy": (
        lambda: metrics.SparseTopKCategoricalAccuracy(3),
        SPARSE,
        mean_of(lambda y, p: row_accuracy(y, p, "sparse_top_k_categorical", 0, 3)),
    ),
    "MeanSquaredError": (
        metrics.MeanSquaredError,
        NUMBERS,
        mean_of(lambda y, p: reference_losses.mean_squared_error(y, p)[0]),
    ),
    "RootMeanSquaredError": (
        metrics.RootMeanSquaredError,
        NUMBERS,
        lambda y, p, w: np.sqrt(mean_of(lambda y, p: np.mean((y - p) ** 2, -1))(y, p, w)),
    ),
    "TruePositives": (metrics.TruePositives, BINARY, lambda *a: counts([0.5])(*a)[0][0]),
    "FalsePositives": (
        lambda: metrics.FalsePositives([0.7, 0.1]),
        BINARY,
        lambda *a: counts([0.7, 0.1])(*a)[1],
    ),
    "TrueNegatives": (metrics.TrueNegatives, DENSE, lambda *a: counts([0.5])(*a)[2][0]),
    "FalseNegatives": (
        lambda: metrics.FalseNegatives([0, 0.25, 0.5, 0.75, 1]),
        BINARY,
        lambda *a: counts(5)(*a)[3],
    ),
    "Precision": (
        lambda: metrics.Precision(class_id=1, thresholds=0.2),
        DENSE,
        lambda *a: share(*counts([0.2], class_id=1)(*a)[:2])[0],
    ),
    "Recall": (
        lambda: metrics.Recall(top_k=2),
        DENSE,
        lambda *a: share(*np.array(counts([-1e10], top_k=2)(*a))[[0, 3]])[0],
    ),
    "AUC": (metrics.AUC, BINARY, roc),
    "R2Score": (
        lambda: metrics.R2Score(None),
        NUMBERS,
        reference.r2,
    ),
    "FBetaScore": (
        lambda: metrics.FBetaScore(beta=2.0, threshold=0.4),
        BINARY,
        lambda y, p, w: reference.f_beta(y, p, 2.0, p.dtype.type(0.4), w),
    ),
    "F1Score": (
        lambda: metrics.F1Score("macro"),
        DENSE,
        lambda y, p, w: reference.f_beta(y, p, 1.0, None, w).mean(),
    ),
}


def wide(y, p, w):
    return y.astype(np.float64) if y.dtype.kind == "f" else y, p, w


@pytest.mark.parametrize("name", CASES)
@given(
    n=st.sampled_from((2, 5, 17, 40)),
    c=st.sampled_from((2, 3, 8)),
    dtype=dtypes,
    seed=seeds,
    weighted=st.booleans(),
    batch=st.sampled_from((1, 7, 100)),
)
def test_streamed_values(name, n, c, dtype, seed, weighted, batch):
    make, kind, expected_of = CASES[name]
    target, prediction, weights = data(kind, n, c, dtype, seed)
    if name == "R2Score":
        assume(not weighted or np.count_nonzero(weights) > 2)
        assume(n > 2)
    metric = make()
    for start in range(0, n, batch):
        part = slice(start, start + batch)
        metric.update_state(target[part], prediction[part], weights[part] if weighted else None)
    got = metric.result()
    expected = expected_of(*wide(target, prediction, weights if weighted else np.ones(n)))
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    if name == "R2Score":
        tolerance *= 100  # a difference of sums
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    assert got.dtype == np.float64
    metric.reset_state()
    again = metric(target, prediction, weights if weighted else None)
    np.testing.assert_allclose(again, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_in_a_model_as_on_arrays(name):
    make, kind, _ = CASES[name]
    target, prediction, weights = data(kind, 45, 5, np.float32, 4)
    loss = "sparse_categorical_crossentropy" if kind == SPARSE else "mse"
    results = []
    for isa, threads in every_backend():
        metric = make()
        metric.name = "it"
        model = Sequential([Input((5,)), Activation("linear")])
        model.compile("sgd", loss, metrics=[metric], weighted_metrics=[metric])
        got = model.evaluate(
            prediction, target, batch_size=16, sample_weight=weights, return_dict=True
        )
        for key, w in (("it", None), ("weighted_it", weights)):
            metric.reset_state()
            expected = metric(target, prediction, w)
            np.testing.assert_allclose(got[key], expected, rtol=1e-12, err_msg=f"{isa} {threads}")
        results.append(got)
    for other in results[1:]:
        np.testing.assert_equal(other, results[0])


def test_several_numbers_in_the_logs(capsys):
    target, prediction, _ = data(BINARY, 30, 3, np.float32, 1)
    model = Sequential([Input((3,)), onepass.layers.Dense(3, "sigmoid")])
    listed = [metrics.Precision([0.2, 0.6]), metrics.F1Score()]
    model.compile("sgd", "binary_crossentropy", metrics=listed)
    history = model.fit(
        prediction, target, validation_split=0.5, epochs=2, verbose=2, batch_size=4
    ).history
    for name, size in (("precision", 2), ("f1_score", 3)):
        for key in (name, f"val_{name}"):
            key = next(k for k in history if k.startswith(key))
            assert np.shape(history[key]) == (2, size)
    assert "f1_score: [0." in capsys.readouterr().out


def test_names_are_numbered_where_none_is_given():
    onepass.backend.clear_session()
    made = [metrics.Precision(), metrics.Precision(), metrics.AUC(), metrics.Mean(None)]
    assert [m.name for m in made] == ["precision", "precision_1", "auc", "mean"]


def test_an_area_is_the_share_of_right_rankings():
    rng = np.random.default_rng(0)
    target, weights = rng.integers(0, 2, 300), rng.random(300)
    prediction = np.clip(target * 0.2 + rng.random(300) * 0.8, 0, 1)
    exact = reference.ranking_auc(target == 1, prediction, weights)
    got = metrics.AUC(num_thresholds=2000)(target, prediction, weights)
    assert got == pytest.approx(exact, abs=1e-3)
    assert metrics.AUC()([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]) == 0.75  # Keras's own example
    assert metrics.AUC()([0, 1], [0, 0]) == 0.5
    assert metrics.AUC()([0, 1], [np.nan, np.nan]) == 0  # above no threshold


def test_mean_and_sum():
    mean, total = metrics.Mean(), metrics.Sum("loss")
    assert (mean.result(), total.result(), total.name) == (0, 0, "loss")
    for metric in (mean, total):
        metric.update_state([1, 3, 5, 7])
        metric.update_state(4.0, sample_weight=2.0)
    assert mean.result() == 24 / 6
    assert total.result() == 24
    mean.reset_state()
    assert mean(np.arange(6.0).reshape(2, 3), [1, 3]) == (1 + 4 * 3) / 4
    assert metrics.Mean()([1, 3, np.nan], [1, 1, 0]) == 2
    assert metrics.MeanMetricWrapper(lambda y, p: np.abs(y - p))([1, 2], [3, 5]) == 2.5
    with pytest.raises(ValueError, match=r"sample_weight of shape \(3,\)"):
        metrics.Mean()([1, 2], [1, 2, 3])


def test_shapes_that_keras_takes():
    y, p = [0, 1, 1, 0], [0.2, 0.7, 0.3, 0.9]
    for metric in (metrics.BinaryAccuracy, metrics.Accuracy, metrics.RootMeanSquaredError):
        expected = metric()(y, p)
        column = np.reshape(p, (4, 1))
        assert metric()(np.reshape(y, (4, 1)), column) == metric()(y, column) == expected
        assert metric()(y, p, 0.5) == expected
    assert metrics.MeanSquaredError()(y, p) == pytest.approx(losses.mean_squared_error(y, p))
    cube = np.random.default_rng(0).random((3, 4, 5))
    truth = cube.argmax(-1)
    truth[0, 0] = (truth[0, 0] + 1) % 5
    assert metrics.SparseCategoricalAccuracy()(truth, cube) == pytest.approx(11 / 12)
    assert metrics.SparseCategoricalAccuracy()(truth[..., None], cube, [0, 1, 1]) == 1
    assert metrics.CategoricalAccuracy()(np.eye(5)[truth], cube) == pytest.approx(11 / 12)


def test_results_before_anything_was_counted():
    for name in metrics.__all__:
        cls = getattr(metrics, name)
        if not isinstance(cls, type) or name in ("Metric", "MeanLoss", "MeanMetricWrapper"):
            continue
        metric = make_of(name)
        if name != "R2Score":
            assert np.all(metric.result() == 0)


REQUIRED = {
    "SensitivityAtSpecificity": {"specificity": 0.4},
    "SpecificityAtSensitivity": {"sensitivity": 0.4},
    "PrecisionAtRecall": {"recall": 0.4},
    "RecallAtPrecision": {"precision": 0.4},
    "MeanLoss": {"loss": losses.Huber(0.5)},
    "MeanMetricWrapper": {"fn": losses.mean_squared_error},
}
OTHERS = {
    "AUC": {"num_thresholds": 7, "curve": "PR", "summation_method": "minoring"},
    "BinaryAccuracy": {"threshold": 0.0},
    "TopKCategoricalAccuracy": {"k": 2},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "Precision": {"thresholds": [0.1, 0.3], "top_k": 2, "class_id": 1},
    "Recall": {"thresholds": 0.1},
    "FBetaScore": {"average": "micro", "beta": 2.0, "threshold": 0.3},
    "F1Score": {"average": "weighted"},
    "R2Score": {"class_aggregation": None, "num_regressors": 2},
    "BinaryCrossentropy": {"from_logits": True, "label_smoothing": 0.1},
    "CategoricalCrossentropy": {"from_logits": True, "label_smoothing": 0.1},
    "SparseCategoricalCrossentropy": {"from_logits": True},
}


def make_of(which, **arguments):
    return getattr(metrics, which)(**{**REQUIRED.get(which, {}), **arguments})


@pytest.mark.parametrize(
    "name", [n for n in metrics.__all__ if isinstance(getattr(metrics, n), type)]
)
def test_configurations(name):
    if name == "Metric":
        return
    for arguments in ({}, {"name": "other", "dtype": "float64", **OTHERS.get(name, {})}):
        metric = make_of(name, **arguments)
        config = metric.get_config()
        assert arguments.items() <= config.items()
        for made in (
            type(metric).from_config(config),
            metrics.get(metrics.serialize(metric)),
            metrics.deserialize({"module": "keras.metrics", **metrics.serialize(metric)}),
            pickle.loads(pickle.dumps(metric)) if name != "MeanMetricWrapper" else metric,
            copy.deepcopy(metric),
        ):
            assert type(made) is type(metric)
            assert made.get_config() == config


def test_a_copy_counts_on_its_own():
    metric = metrics.Precision()
    metric([1, 0], [0.9, 0.8])
    other = pickle.loads(pickle.dumps(metric))
    assert other.result() == 0.5
    assert other([0, 0], [0.9, 0.8]) == 0.25
    assert metric.result() == 0.5


def test_get():
    assert type(metrics.get("mae")) is metrics.MeanAbsoluteError
    assert type(metrics.get("rmse")) is metrics.RootMeanSquaredError
    assert type(metrics.get("f_beta_score")) is metrics.FBetaScore
    assert type(metrics.get("Accuracy")) is metrics.Accuracy
    assert type(metrics.get(metrics.AUC)) is metrics.AUC
    assert metrics.get("huber").loss.name == "huber"
    metric = metrics.get({"class_name": "AUC", "config": {"curve": "PR", "name": "pr"}})
    assert (metric.curve, metric.name) == ("PR", "pr")
    function = metrics.get(losses.cosine_similarity)
    assert function.name == "cosine_similarity"
    y, p = np.eye(3), np.ones((3, 3))
    assert function(y, p) == -metrics.CosineSimilarity()(y, p) == pytest.approx(-(3**-0.5))


def test_names_and_functions_in_a_model():
    target, prediction, _ = data(DENSE, 20, 4, np.float32, 0)
    model = Sequential([Input((4,)), Activation("linear")])
    listed = ["mae", "Accuracy", metrics.categorical_accuracy, losses.huber, metrics.AUC]
    listed += [losses.Huber(0.5), {"class_name": "Precision", "config": {"name": "p"}}]
    listed += [metrics.MeanMetricWrapper(metrics.top_k_categorical_accuracy, "top", k=2)]
    listed += ["precision"]
    onepass.backend.clear_session()
    model.compile("sgd", losses.mean_squared_error, metrics=listed)
    got = model.evaluate(prediction, target, return_dict=True)
    assert list(got)[:5] == ["loss", "mae", "Accuracy", "categorical_accuracy", "huber"]
    assert list(got)[6:] == ["huber_loss", "p", "top", "precision"]
    assert got["Accuracy"] == got["categorical_accuracy"]
    assert got["loss"] == pytest.approx(losses.mse(target, prediction).mean())
    assert got["top"] == pytest.approx(
        metrics.top_k_categorical_accuracy(target, prediction, k=2).mean()
    )


def test_accuracy_functions():
    y, p = np.array([[1, 0, 1]]), np.array([[0.2, 0.7, 0.9]])
    np.testing.assert_array_equal(metrics.binary_accuracy(y, p), [[0, 0, 1]])
    np.testing.assert_array_equal(metrics.binary_accuracy(y, p, 0.1), [[1, 0, 1]])
    np.testing.assert_array_equal(metrics.binary_accuracy([1, 0], [0.9, 0.8]), [1, 0])
    np.testing.assert_array_equal(metrics.sparse_categorical_accuracy([2.0], p), [1])
    np.testing.assert_array_equal(metrics.sparse_top_k_categorical_accuracy([0], p, k=2), [0])


class Largest(metrics.Metric):
    """A user's own metric, in NumPy."""

    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.seen = max(self.seen, float(np.max(np.abs(np.subtract(y_true, y_pred)))))

    def result(self):
        return self.seen

    def reset_state(self):
        self.seen = 0.0


def test_a_metric_in_numpy_works_on_arrays_and_in_a_model():
    metric = Largest()
    assert metric([1, 2], [3, 5]) == 3
    model = Sequential([Input((1,)), Activation("linear")])
    model.compile("sgd", "mse", metrics=[metric])
    x = np.ones((3, 1))
    assert model.evaluate(x, x + 2, return_dict=True) == {"loss": 4, "largest": 2}
    assert model.evaluate(x, x, return_dict=True)["largest"] == 0


BAD = {
    "shape": (lambda: metrics.MeanSquaredError()([[1, 2]], [[1, 2, 3]]), ValueError, ["(1, 3)"]),
    "scalar": (lambda: metrics.Accuracy()(1, 1), ValueError, ["y_pred", "batch"]),
    "text": (lambda: metrics.Accuracy()(["a"], [1]), TypeError, ["y_true", "<U1"]),
    "weights": (
        lambda: metrics.Accuracy()([1, 2], [1, 2], [1, 2, 3]),
        ValueError,
        ["sample_weight", "(2,)", "(3,)"],
    ),
    "class": (
        lambda: metrics.SparseCategoricalAccuracy()([3], [[1, 2, 3]]),
        IndexError,
        ["y_true", "0 to 2", "3"],
    ),
    "fraction": (
        lambda: metrics.SparseCategoricalAccuracy()([0.5], [[1, 2, 3]]),
        ValueError,
        ["y_true", "fractions"],
    ),
    "index shape": (
        lambda: metrics.SparseCategoricalAccuracy()([1, 2], [[1, 2, 3]]),
        ValueError,
        ["y_true", "(1,)", "(2,)"],
    ),
    "class_id": (lambda: metrics.Recall(class_id=3)([[1, 0]], [[1, 0]]), ValueError, ["2 columns"]),
    "negative class_id": (lambda: metrics.Recall(class_id=-1), ValueError, ["class_id", "-1"]),
    "top_k": (lambda: metrics.Precision(top_k=0), ValueError, ["top_k", "0"]),
    "thresholds": (lambda: metrics.Precision([0.1, 1.5]), ValueError, ["thresholds", "1.5"]),
    "no thresholds": (lambda: metrics.Precision([]), ValueError, ["thresholds", "none"]),
    "curve": (lambda: metrics.AUC(curve="RO"), ValueError, ["curve", "ROC, PR", "RO"]),
    "method": (lambda: metrics.AUC(summation_method="x"), ValueError, ["summation_method"]),
    "steps": (lambda: metrics.AUC(num_thresholds=1), ValueError, ["num_thresholds", "2"]),
    "labels": (lambda: metrics.AUC(num_labels=3), ValueError, ["num_labels", "multi_label"]),
    "label_weights": (
        lambda: metrics.AUC(label_weights=[1.0, 2.0])([[1]], [[0.5]]),
        ValueError,
        ["label_weights", "2 columns", "1"],
    ),
    "average": (lambda: metrics.F1Score("mean"), ValueError, ["average", "micro", "mean"]),
    "beta": (lambda: metrics.FBetaScore(beta=0.0), ValueError, ["beta", "above 0"]),
    "threshold": (lambda: metrics.F1Score(threshold=1.5), ValueError, ["threshold", "1.5"]),
    "aggregation": (lambda: metrics.R2Score("sum"), ValueError, ["class_aggregation", "sum"]),
    "regressors": (lambda: metrics.R2Score(num_regressors=-1), ValueError, ["num_regressors"]),
    "specificity": (
        lambda: metrics.SensitivityAtSpecificity(1.5),
        ValueError,
        ["specificity", "1.5"],
    ),
    "k": (lambda: metrics.TopKCategoricalAccuracy(0), ValueError, ["k", "0"]),
    "sorted": (
        lambda: metrics.SparseTopKCategoricalAccuracy(from_sorted_ids=True),
        ValueError,
        ["from_sorted_ids"],
    ),
    "dtype": (lambda: metrics.Accuracy(dtype="float16"), ValueError, ["dtype", "float16"]),
    "name": (lambda: metrics.Accuracy(name=3), TypeError, ["name", "int"]),
    "unknown": (lambda: metrics.get("acuracy"), ValueError, ["acuracy", "accuracy"]),
    "class_name": (lambda: metrics.get({"class_name": "X"}), ValueError, ["class_name", "X"]),
    "other": (lambda: metrics.get(3), TypeError, ["int"]),
    "loss class_name": (lambda: losses.get({"class_name": "X"}), ValueError, ["class_name", "X"]),
    "loss number": (lambda: losses.get(3), TypeError, ["int"]),
    "dice sum": (lambda: losses.Dice("sum"), ValueError, ["dice", "reduction", "axis"]),
    "dice axis": (lambda: losses.Dice(axis=1), ValueError, ["dice", "axis", "1"]),
    "q": (lambda: losses.CategoricalGeneralizedCrossEntropy(1.0), ValueError, ["q", "1.0"]),
    "loss axis": (lambda: losses.BinaryCrossentropy(axis=0), ValueError, ["axis", "-1", "0"]),
    "ignore_class": (
        lambda: losses.SparseCategoricalCrossentropy(ignore_class=0),
        ValueError,
        ["ignore_class", "None"],
    ),
    "loss dtype": (lambda: losses.Huber(dtype="float16"), ValueError, ["dtype", "float16"]),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named(case):
    run, error, words = BAD[case]
    with pytest.raises(error) as raised:
        run()
    for word in words:
        assert word in str(raised.value)


def test_a_mistake_changes_nothing():
    metric = metrics.F1Score()
    metric(np.eye(3), np.eye(3))
    before = metric.result()
    with pytest.raises(ValueError, match=r"reset_state\(\)"):
        metric.update_state(np.eye(4), np.eye(4))
    with pytest.raises(ValueError, match=r"sample_weight"):
        metric.update_state(np.eye(3), np.eye(3), [1, 2])
    np.testing.assert_array_equal(metric.result(), before)


@pytest.mark.parametrize(
    "name", [n for n in losses.__all__ if isinstance(getattr(losses, n), type)]
)
def test_configurations_of_losses(name):
    if name in ("Loss", "FunctionLoss"):  # have no formula of their own
        return
    for arguments in ({}, {"name": "other", "reduction": "none"}):
        loss = getattr(losses, name)(**arguments)
        config = loss.get_config()
        assert arguments.items() <= config.items()
        for made in (
            type(loss).from_config(config),
            losses.get(losses.serialize(loss)),
            losses.deserialize({"module": "keras.losses", **losses.serialize(loss)}),
            losses.get(type(loss)),
        ):
            assert type(made) is type(loss)
            assert made.get_config() == (
                config if made.name == loss.name else type(loss)().get_config()
            )


def test_every_loss_has_its_function():
    from onepass.losses.functions import ALIASES, CLASS_OF

    classes = {n for n in losses.__all__ if isinstance(getattr(losses, n), type)}
    classes -= {"Loss", "FunctionLoss"}
    assert {kind.__name__ for kind in CLASS_OF.values()} == classes
    for function, kind in CLASS_OF.items():
        assert getattr(losses, function.__name__) is function
        assert losses.get(function).name == function.__name__
        assert type(losses.get(function.__name__)) is kind
    for alias, function in ALIASES.items():
        assert losses.get(alias).name == alias
        assert type(losses.get(alias)) is CLASS_OF[function]


def test_loss_functions_give_a_value_a_row():
    rng = np.random.default_rng(0)
    y, p = rng.random((4, 3, 5)), rng.random((4, 3, 5))
    assert losses.mean_squared_error(y, p).shape == (4, 3)
    assert losses.huber(y[0, 0], p[0, 0], delta=0.1).shape == ()
    index = rng.integers(0, 5, (4, 3))
    assert losses.sparse_categorical_crossentropy(index, p).shape == (4, 3)
    assert np.shape(losses.dice(y, p)) == ()
    assert losses.tversky(y, p, alpha=0.3, beta=0.7, axis=-1).shape == (4, 3)
    np.testing.assert_allclose(losses.mae(y, p), np.abs(y - p).mean(-1))


def test_a_loss_of_the_whole_batch_is_one_value():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (6, 5)), rng.random((6, 5))
    dice = losses.Dice()
    value = 1 - 2 * (y * p).sum() / (y.sum() + p.sum() + 1e-7)
    assert dice(y, p) == pytest.approx(value, rel=1e-12)
    assert losses.Dice("none")(y, p) == pytest.approx(value, rel=1e-12)
    weights = rng.random(6)
    assert dice(y, p, weights) == pytest.approx(value * weights.mean(), rel=1e-12)
    rows = 1 - 2 * (y * p).sum(-1) / (y.sum(-1) + p.sum(-1) + 1e-7)
    np.testing.assert_allclose(losses.Dice("none", axis=-1)(y, p), rows)
