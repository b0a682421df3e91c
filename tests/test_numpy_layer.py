"""Layers written in NumPy inside of plans."""

import numpy as np
import pytest

import onepass as keras
from onepass import layers, utils
from strategies import every_backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype("float32")
Y = RNG.normal(size=(30, 3)).astype("float32")


class Tanh(layers.NumpyLayer):
    def forward(self, x):
        return np.tanh(x)

    def backward(self, x, y, dy):
        return dy * (1 - y * y)


class Affine(layers.NumpyLayer):
    """Dense in NumPy."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], self.units), "glorot_uniform", "kernel")
        self.b = self.add_weight((self.units,), "zeros", "bias")

    def forward(self, x):
        return x @ self.w.numpy() + self.b.numpy()

    def backward(self, x, y, dy):
        return dy @ self.w.numpy().T, x.T @ dy, dy.sum(axis=0)


class Product(layers.NumpyLayer):
    def forward(self, a, b):
        return a * b

    def backward(self, a, b, y, dy):
        return dy * b, dy * a


def pair(numpy_first):
    """The same model with layers in NumPy, and with those of the library."""
    utils.set_random_seed(3)
    x = keras.Input([4])
    hidden = (Affine(80) if numpy_first else layers.Dense(80))(x)
    hidden = (Tanh() if numpy_first else layers.Activation("tanh"))(hidden)
    model = keras.Model(x, layers.Dense(3)(hidden))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_it_learns_as_the_compiled_layers_do(batch_size):
    ours, compiled = pair(True), pair(False)
    compiled.set_weights(ours.get_weights())
    for model in (ours, compiled):
        model.fit(X, Y, batch_size=batch_size, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.predict(X), compiled.predict(X), rtol=1e-4, atol=1e-5)


def test_teams_of_threads_wait_for_it():
    results = []
    for _ in every_backend((1, 3)):
        model = pair(True)
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
        results.append(model.get_weights()[0])
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, rtol=1e-4, atol=1e-6)


def test_two_inputs_and_gradients_that_add_up():
    x = keras.Input([4])
    hidden = layers.Dense(4)(x)
    model = keras.Model(x, layers.Dense(1)(Product()([hidden, hidden])))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    y = (X**2).sum(axis=1, keepdims=True)
    start = model.evaluate(X, y)
    model.fit(X, y, epochs=60, verbose=0)
    assert model.evaluate(X, y) < start / 2


def test_calling_it_on_arrays():
    np.testing.assert_allclose(Tanh()(X), np.tanh(X), rtol=1e-6)
    np.testing.assert_allclose(Product()([X, X]), X * X, rtol=1e-6)


class Failing(Tanh):
    calls = 0

    def backward(self, x, y, dy):
        self.calls += 1
        if self.calls == 3:
            raise ZeroDivisionError("the third time")
        return super().backward(x, y, dy)


def test_an_error_ends_the_fit_before_the_step_changes_anything():
    x = keras.Input([4])
    layer = Failing()
    model = keras.Model(x, layers.Dense(3)(layer(layers.Dense(5)(x))))
    model.compile("sgd", "mse")
    seen = []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.get_weights())

    with pytest.raises(ZeroDivisionError, match="third"):
        model.fit(X, Y, batch_size=5, verbose=0, callbacks=[Keep()])
    assert len(seen) == 2
    assert model.optimizer.iterations == 2
    for a, b in zip(seen[-1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X, Y, verbose=0)  # it is still usable


def wrong(**methods):
    layer = type("Wrong", (Tanh,), methods)()
    x = keras.Input([4])
    model = keras.Model(x, layer(layers.Dense(4)(x)))
    model.compile("sgd", "mse")
    return model.fit(X, X, verbose=0)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"gradient of input 0 must have shape \(n, 4\).*\(4, 4\)"):
        wrong(backward=lambda self, x, y, dy: np.ones((4, 4)))
    with pytest.raises(ValueError, match=r"must return 1 gradients.*got 2"):
        wrong(backward=lambda self, x, y, dy: (dy, dy))
    with pytest.raises(ValueError, match=r"output must have shape \(n, 4\)"):
        wrong(forward=lambda self, x: x[:, :3] if len(x) > 1 else x)
    with pytest.raises(ValueError, match="as many samples"):
        wrong(forward=lambda self, x: np.float32(1.0))
