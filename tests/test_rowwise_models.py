"""Models with activations over rows: gradients against central differences, shapes, refusals."""

import numpy as np
import pytest

from onepass import Input, Sequential, activations, layers, optimizers, utils
from strategies import every_backend

NAMES = ("log_softmax", "sparsemax", "glu")
QUIET = {"verbose": 0}


def model_of(name, dtype="float64", width=6):
    utils.set_random_seed(3)
    model = Sequential(
        [
            Input((4,), dtype=dtype),
            layers.Dense(width, name, kernel_initializer="normal", dtype=dtype),
            layers.Dense(3, dtype=dtype),
        ]
    )
    model.compile("sgd", "mse")
    return model


def data(dtype="float64", n=11):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype(dtype), rng.normal(size=(n, 3)).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_follows_the_gradient(name):
    x, y = data()
    model = model_of(name)
    start = model.get_weights()
    steps = []
    for k, weight in enumerate(start):
        slopes = np.zeros_like(weight)
        for at in np.ndindex(weight.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [w.copy() for w in start]
                moved[k][at] += step
                model.set_weights(moved)
                values.append(model.evaluate(x, y, batch_size=len(x)))
            slopes[at] = (values[0] - values[1]) / 2e-6
        steps.append(slopes)
    model.set_weights(start)
    model.train_on_batch(x, y)
    for before, after, slope in zip(start, model.get_weights(), steps, strict=True):
        np.testing.assert_allclose((before - after) / 0.01, slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_predictions_and_padded_rows(name, dtype):
    """70 columns lie in rows of 80."""
    x, y = data(dtype, 37)
    results = []
    for _ in every_backend():
        model = model_of(name, dtype, 70)
        first = model.layers[0]
        hidden = x @ first.kernel.numpy() + first.bias.numpy()
        kernel, bias = model.layers[1].get_weights()
        expected = getattr(activations, name)(hidden) @ kernel + bias
        close = 1e-4 if dtype == "float32" else 1e-10
        np.testing.assert_allclose(model.predict(x), expected, rtol=close, atol=close)
        model.compile(optimizers.SGD(1e-4), "mse")
        model.fit(x, y, epochs=2, batch_size=8, **QUIET)
        results.append(model.predict(x))
        assert np.isfinite(results[-1]).all()
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=close, atol=close)


def test_shapes():
    model = Sequential([Input((5, 8)), layers.Activation("glu")])
    assert model.output_shape == (None, 5, 4)
    x = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x), activations.glu(x))
    with pytest.raises(ValueError, match=r"even, got shape \(None, 5\)"):
        activations.glu(Input((5,)))
    for name in NAMES:
        with pytest.raises(ValueError, match=rf"{name}: axis must be the last one in a model"):
            getattr(activations, name)(Input((4, 6)), axis=1)
    with pytest.raises(ValueError, match=r"even last dimension"):
        activations.glu(np.ones((2, 3)))
