"""Circle loss: values, gradients in both roles, work areas, weights, inside models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import Input, Sequential, _core, kernels, layers, losses, metrics, utils
from reference.circle import circle as reference
from strategies import (
    Guarded,
    assert_same_bits,
    central_difference,
    dtypes,
    every_backend,
    layouts,
    results_by_isa,
    seeds,
)

BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])
sizes = st.sampled_from((0, 1, 2, 5, 16, 17, 33, 60))
options = st.fixed_dictionaries(
    {
        "gamma": st.sampled_from((0.0, 1.0, 20.0, 80.0)),
        "margin": st.sampled_from((-0.3, 0.0, 0.25, 0.4)),
        "remove_diagonal": st.booleans(),
    }
)


def unit(rng, n, c, dtype=np.float64):
    x = rng.normal(size=(n, c))
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return (x / np.where(length == 0, 1, length)).astype(dtype)


def batch(seed, n, c, dtype=np.float64, classes=4):
    rng = np.random.default_rng(seed)
    return rng.integers(-1, classes - 1, n).astype(np.int32), unit(rng, n, c, dtype)


def mean(labels, embeddings, weights=None, **options):
    """Keras's mean: over the rows whose loss is above 0."""
    values = reference(labels, embeddings, **options)
    above = max(1, np.count_nonzero(values > 0))
    return np.sum(values if weights is None else weights * values) / above


@given(sizes, st.sampled_from((1, 3, 16, 70, 300)), dtypes, seeds, options, layouts, layouts)
def test_values_on_every_backend(n, c, dtype, seed, options, in_at, out_at):
    labels, values = batch(seed, n, c, dtype)
    x = Guarded(values, in_at)

    def run():
        found, area = np.full(n, np.nan, dtype), Guarded(np.zeros((n, n), dtype), out_at)
        gradient = Guarded(np.zeros_like(values), out_at)
        per_row = np.empty(_core.circle_numbers * n, dtype)
        given = options["gamma"], options["margin"], options["remove_diagonal"], False
        outputs = found, gradient.rows, 0.25, area.rows, per_row
        _core.circle(labels, x.rows, None, None, *given, None, *outputs)
        area.assert_padding_untouched()
        gradient.assert_padding_untouched()
        return found, gradient.array.copy()

    exact = reference(labels, values, **options)
    slack = np.finfo(dtype).eps * (1 + options["gamma"]) * 50 * (1 + c / 50)
    results = results_by_isa(run)
    for found, _ in results.values():
        np.testing.assert_allclose(found, exact, rtol=slack, atol=slack)
    public = kernels.circle(labels, x.array, scale=0.25, **options)
    assert_same_bits(list(public), list(results[_core.isa()]))


@given(sizes.filter(bool), sizes.filter(bool), dtypes, seeds, options)
def test_references_of_their_own(n, m, dtype, seed, options):
    labels, x = batch(seed, n, 7, dtype)
    others, y = batch(seed + 1, m, 7, dtype)
    exact = reference(labels, x, others, y, **options)
    slack = np.finfo(dtype).eps * (1 + options["gamma"]) * 50
    given = {"ref_labels": others, "ref_embeddings": y, **options}
    for found, _ in results_by_isa(lambda: kernels.circle(labels, x, **given)).values():
        np.testing.assert_allclose(found, exact, rtol=slack, atol=slack)
    if m >= n:  # the first references are the rows themselves: the same memory
        found, _ = kernels.circle(others[:n], y[:n], **given)
        exact = reference(others[:n], y[:n], others, y, **options)
        np.testing.assert_allclose(found, exact, rtol=slack, atol=slack)


@pytest.mark.parametrize("remove_diagonal", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("gamma", "margin"), [(2.0, 0.4), (20.0, 0.25), (5.0, -0.5)])
def test_gradient_is_the_central_difference(own, gamma, margin, remove_diagonal):
    options = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
    labels, x = batch(3, 11, 5)
    x *= 0.9  # no similarity is at the kink at 1
    weights = np.random.default_rng(0).uniform(0, 2, 11)
    references = {} if own else {"ref_labels": labels, "ref_embeddings": x.copy()}
    exact = central_difference(lambda x: reference(labels, x, **references, **options), x, weights)
    for _ in every_backend():
        _, gradient = kernels.circle(labels, x, **references, weights=weights, scale=0.5, **options)
        np.testing.assert_allclose(gradient, 0.5 * exact, rtol=1e-6, atol=1e-7)
        narrow, rest = [a.astype(np.float32) for a in (x, weights)]
        held = {} if own else {"ref_labels": labels, "ref_embeddings": narrow}
        _, rounded = kernels.circle(labels, narrow, **held, weights=rest, scale=0.5, **options)
        np.testing.assert_allclose(rounded, gradient, rtol=1e-3, atol=1e-3 * np.abs(gradient).max())


@BOTH
def test_mean_of_rows_with_a_loss(dtype):
    labels, x = batch(0, 40, 6, dtype, classes=30)
    values, gradient = kernels.circle(labels, x)
    above = np.count_nonzero(values)
    assert 0 < above < 40
    ratio = dtype(40 / above)
    mean_values, mean_gradient = kernels.circle(labels, x, over_positive=True)
    np.testing.assert_array_equal(mean_values, ratio * values)
    np.testing.assert_allclose(mean_gradient, ratio * gradient, rtol=1e-4, atol=1e-5)
    # none at all
    for same in (np.zeros(5, int), np.arange(5)):
        for found in kernels.circle(same, x[:5], over_positive=True):
            assert not found.any()


@pytest.mark.parametrize("own", [True, False])
def test_equal_for_any_team(own):
    labels, x = batch(5, 130, 300, np.float32)
    references = {} if own else {"ref_labels": labels[:77], "ref_embeddings": x[:77]}
    results_by_isa(
        lambda: kernels.circle(labels, x, over_positive=True, **references), teams=(1, 2, 3)
    )


def test_special_values():
    labels, x = batch(2, 9, 4, np.float32)
    huge = x * np.float32(1e30)
    values, gradient = kernels.circle(labels, np.float32(1e-30) * x)
    assert np.isfinite(values).all()
    assert np.isfinite(gradient).all()
    assert kernels.circle(labels, huge)[0].shape == (9,)
    x[3, 1] = np.nan
    values, gradient = kernels.circle(np.arange(9) % 2, x)
    assert np.isnan(values).all()  # it is a partner of every row
    assert np.isnan(gradient).any()
    values, _ = kernels.circle(np.zeros((0, 1), int), x[:0])
    assert values.shape == (0,)
    assert kernels.circle(np.arange(3) % 2, np.zeros((3, 0)))[1].shape == (3, 0)


def test_labels_are_compared_as_whole_numbers():
    _, x = batch(0, 6, 4)
    far = np.array([2**31 - 1, -(2**31), 7, 2**31 - 1, -(2**31), 7])
    near = np.array([0, 1, 2, 0, 1, 2])
    assert_same_bits(kernels.circle(far, x)[0], kernels.circle(near, x)[0])
    assert_same_bits(losses.circle(far.astype(float), x), kernels.circle(near, x)[0])


# The loss


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", None])
def test_on_arrays(reduction, weighted):
    labels, x = batch(1, 30, 5, classes=20)
    w = np.random.default_rng(1).uniform(0, 2, 30) if weighted else None
    loss = losses.Circle(gamma=30.0, margin=0.25, reduction=reduction)
    got = loss(labels[:, None], x, w)
    values = reference(labels, x, gamma=30.0, margin=0.25) * (1 if w is None else w)
    expected = values
    if reduction == "sum":
        expected = values.sum()
    elif reduction is not None:
        expected = mean(labels, x, w, gamma=30.0, margin=0.25)
    np.testing.assert_allclose(got, expected, rtol=1e-10)


def embedder(dtype="float64", **options):
    utils.set_random_seed(0)
    stack = [
        Input((6,), dtype=dtype),
        layers.Dense(5, "tanh", dtype=dtype),
        layers.Dense(4, dtype=dtype),
        layers.UnitNormalization(dtype=dtype),
    ]
    model = Sequential(stack)
    model.compile(onepass.optimizers.SGD(0.05), losses.Circle(**options))
    return model


def forward(x, w, b, v, c):
    z = np.tanh(x @ w + b) @ v + c
    return z / np.linalg.norm(z, axis=1, keepdims=True)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
def test_training_follows_the_gradient(reduction):
    """Two batches, one of them short, against central differences of the written-out network."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(13, 6)), rng.integers(100, 103, 13)
    weights = rng.uniform(0.5, 2.0, 13)
    model = embedder(gamma=8.0, reduction=reduction)
    parameters = model.get_weights()
    total, expected = 0.0, [p.copy() for p in parameters]
    for rows in (slice(0, 8), slice(8, 13)):

        def loss(*p, rows=rows):
            values = reference(y[rows], forward(x[rows], *p), gamma=8.0) * weights[rows]
            above = np.count_nonzero(values > 0)
            return values.sum() / (1 if reduction == "sum" else max(1, above))

        total += loss(*expected) * len(x[rows])
        steps = []
        for i, p in enumerate(expected):
            others = [expected[:i], expected[i + 1 :]]
            steps.append(
                central_difference(
                    lambda q, others=others: np.array(loss(*others[0], q, *others[1])), p, 1.0
                )
            )
        expected = [p - 0.05 * step for p, step in zip(expected, steps, strict=True)]
    history = model.fit(
        x, y, batch_size=8, epochs=1, shuffle=False, sample_weight=weights, verbose=0
    )
    assert history.history["loss"][0] == pytest.approx(total / 13, rel=1e-6)
    for got, exact in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-7)


def test_class_weights_of_any_label():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 6)), rng.integers(-2, 2, 12) * 1000
    weight = {-2000: 3.0, 1000: 0.5}
    rows = np.array([weight.get(int(label), 1.0) for label in y])
    one, other = embedder(gamma=8.0), embedder(gamma=8.0)
    one.fit(x, y, class_weight=weight, epochs=2, verbose=0, shuffle=False)
    other.fit(x, y, sample_weight=rows, epochs=2, verbose=0, shuffle=False)
    assert_same_bits(one.get_weights(), other.get_weights())
    with pytest.raises(TypeError, match="class_weight: classes must be ints"):
        one.fit(x, y, class_weight={0.5: 1.0}, verbose=0)


@BOTH
def test_threads_and_replays(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 6)).astype(dtype), rng.integers(0, 9, 100)
    weights = {}
    for isa, _ in every_backend((1, 2, 3)):
        model = embedder(np.dtype(dtype).name)
        model.fit(x, y, batch_size=32, epochs=2, verbose=0)
        model.fit(x[:7], y[:7], batch_size=4, verbose=0)
        found = np.concatenate([w.ravel() for w in model.get_weights()])
        assert np.isfinite(found).all()
        assert_same_bits(weights.setdefault(isa, found), found, isa)


def test_evaluate_and_metric():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 6)), rng.integers(0, 15, 20) * 7
    model = embedder()
    model.compile("sgd", "circle", metrics=[losses.circle])
    p = model.predict(x)
    loss, metric = model.evaluate(x, y, batch_size=20)
    values = reference(y, p)
    assert loss == pytest.approx(mean(y, p), rel=1e-10)
    assert metric == pytest.approx(values.mean(), rel=1e-10)
    loss, metric = model.evaluate(x, y, batch_size=8)
    parts = [(y[a : a + 8], p[a : a + 8]) for a in (0, 8, 16)]
    assert loss == pytest.approx(sum(mean(*part) * len(part[0]) for part in parts) / 20)
    assert metric == pytest.approx(sum(reference(*part).sum() for part in parts) / 20)
    many = rng.integers(0, 500, 1500), unit(rng, 1500, 3)
    assert metrics.get(losses.circle)(*many) == pytest.approx(reference(*many).mean(), rel=1e-9)


def test_it_separates_classes():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 300)
    x = (rng.normal(size=(5, 6))[y] + 0.5 * rng.normal(size=(300, 6))).astype(np.float32)
    model = embedder("float32", gamma=16.0)
    model.compile("adam", losses.Circle(gamma=16.0))
    history = model.fit(x, y, batch_size=64, epochs=60, verbose=0)
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    p = model.predict(x)
    nearest = np.argsort(-(p @ p.T), axis=1)[:, 1]
    assert (y[nearest] == y).mean() > 0.9


def test_bad_arguments():
    for argument, bad, error in (
        ("gamma", -1.0, ValueError),
        ("gamma", np.nan, ValueError),
        ("gamma", "80", TypeError),
        ("margin", np.inf, ValueError),
        ("remove_diagonal", 1, TypeError),
        ("reduction", "best", ValueError),
    ):
        with pytest.raises(error, match=f"circle: {argument}"):
            losses.Circle(**{argument: bad})
    _, x = batch(0, 4, 3)
    with pytest.raises(ValueError, match="y_true must hold whole numbers"):
        losses.circle([0.5, 1, 2, 3], x)
    with pytest.raises(ValueError, match="ref_labels must be given for 2 references"):
        losses.circle(np.arange(4), x, ref_embeddings=x[:2])
    with pytest.raises(ValueError, match=r"embeddings must have shape \(n, c\)"):
        losses.circle(np.zeros((2, 3), int), np.zeros((2, 3, 4)))
    model = embedder()
    data = np.zeros((3, 6))
    before = model.get_weights()
    with pytest.raises(ValueError, match="y must hold integers of 32 bits, got 4294967296"):
        model.fit(data, np.array([0, 1, 2**32]), verbose=0)
    with pytest.raises(ValueError, match="y must hold whole class indices"):
        model.fit(data, [0.5, 1, 2], verbose=0)
    model.compile("sgd", "circle", metrics=["accuracy"])  # which reads columns by their number
    with pytest.raises(ValueError, match="from 0 to 3"):
        model.fit(data, [0, 1, 4], verbose=0)
    assert_same_bits(model.get_weights(), before)
    deep = Sequential([Input((3, 6)), layers.Dense(4)])
    deep.compile("sgd", "circle")
    with pytest.raises(ValueError, match="circle: y_pred must have shape"):
        deep.fit(np.zeros((2, 3, 6)), np.zeros((2, 3)), verbose=0)
