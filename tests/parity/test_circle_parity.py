"""Circle loss against Keras (JAX backend, float64): values, gradients, reductions, models."""

import numpy as np
import pytest

import onepass
from onepass import kernels, losses

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own

N, COLS = 12, 5
OPTIONS = [
    {},
    {"gamma": 4.0, "margin": 0.25},
    {"gamma": 8.0, "remove_diagonal": False},
    {"gamma": 2.0, "margin": -0.6},
]


def batch(seed, classes=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, COLS))
    return rng.integers(0, classes, N), x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", None])
@pytest.mark.parametrize("classes", [1, 2, 8, 1000])  # 1 and 1000: no partners of one kind
def test_keras_values_and_gradients(keras, reduction, options, classes):
    import jax

    for seed in range(3):
        y, x = batch(seed, classes)
        w = np.random.default_rng(seed).uniform(0, 2, N)
        theirs = keras.losses.Circle(reduction=reduction, dtype="float64", **options)
        ours = losses.Circle(reduction=reduction, **options)
        for weights in (None, w):
            expected = np.asarray(theirs(y, x, sample_weight=weights))
            np.testing.assert_allclose(ours(y, x, weights), expected, rtol=1e-10, atol=1e-12)
            slopes = np.asarray(
                jax.grad(lambda x, y=y, w=weights, f=theirs: f(y, x, sample_weight=w).sum())(x)
            )
            mean = reduction in ("mean", "sum_over_batch_size")
            _, gradient = kernels.circle(
                y, x, weights=weights, scale=1 / N if mean else 1, over_positive=mean, **options
            )
            bound = 1e-10 * max(1, np.abs(slopes).max())
            np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=bound)


@pytest.mark.parametrize("options", OPTIONS)
def test_keras_references(keras, options):
    import jax

    (y, x), (labels, references) = batch(0), batch(1)
    for m in (N, 7):
        held = labels[:m], references[:m]
        expected = np.asarray(keras.losses.circle(y, x, *held, **options))
        np.testing.assert_allclose(losses.circle(y, x, *held, **options), expected, rtol=1e-10)
        total = lambda x: keras.losses.circle(y, x, *held, **options).sum()  # noqa: B023, E731
        slopes = np.asarray(jax.grad(total)(x))
        _, gradient = kernels.circle(y, x, ref_labels=held[0], ref_embeddings=held[1], **options)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-9)
    with_labels = losses.circle(y, x, labels, **options)
    np.testing.assert_allclose(with_labels, keras.losses.circle(y, x, labels, **options))


def test_keras_at_the_kinks(keras):
    """Two equal embeddings: a similarity of exactly 1 has half of the slope, as on JAX."""
    import jax

    y = np.array([0, 0, 1, 1])
    x = np.eye(4)[[0, 0, 1, 0]]
    for diagonal in (True, False):
        theirs = keras.losses.Circle(4.0, remove_diagonal=diagonal, dtype="float64")
        slopes = np.asarray(jax.grad(lambda x, f=theirs: f(y, x))(x))
        _, gradient = kernels.circle(
            y, x, gamma=4.0, remove_diagonal=diagonal, scale=1 / 4, over_positive=True
        )
        np.testing.assert_allclose(gradient, slopes, rtol=1e-10, atol=1e-12)


def test_keras_training(keras):
    """Steps of a model with sample weights, the last batch short; and what is reported."""
    y, x = batch(5)
    w = np.random.default_rng(0).uniform(0.5, 2, N)
    weights = np.random.default_rng(1).normal(size=(COLS, 4)), np.full(4, 0.1)
    results = []
    for library in (keras, onepass):
        dense = library.layers.Dense(4, dtype="float64")
        norm = library.layers.UnitNormalization(dtype="float64")
        model = library.Sequential([library.layers.Input((COLS,), dtype="float64"), dense, norm])
        model.set_weights(weights)
        model.compile(library.optimizers.SGD(0.01), library.losses.Circle(16.0, dtype="float64"))
        history = model.fit(x, y, batch_size=8, epochs=3, sample_weight=w, shuffle=False, verbose=0)
        results.append((history.history["loss"], model.get_weights()))
    (theirs, expected), (ours, got) = results
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)  # Keras reports float32
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)  # UnitNormalization's epsilon
