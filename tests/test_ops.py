"""Operators and functions on symbolic tensors: values against NumPy, gradients, shapes, errors."""

from types import SimpleNamespace

import numpy as np
import pytest

import onepass
from onepass import (
    Input,
    Model,
    config,
    initializers,
    layers,
    losses,
    ops,
    optimizers,
    regularizers,
    utils,
)

NUMPY = SimpleNamespace(
    **{
        name: getattr(np, name)
        for name in (
            *("abs", "absolute", "add", "clip", "concatenate", "divide", "exp", "expand_dims"),
            *("expm1", "log", "log1p", "matmul", "maximum", "mean", "minimum", "multiply"),
            *("negative", "power", "reciprocal", "reshape", "sign", "sqrt", "square", "squeeze"),
            *("subtract", "sum", "tanh", "true_divide", "where", "zeros_like", "ones_like"),
            *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
            *("logical_and", "logical_or", "logical_not"),
        )
    },
    relu=lambda x: np.maximum(x, 0),
    sigmoid=lambda x: 1 / (1 + np.exp(-x)),
    softmax=lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
)
COLUMN = np.linspace(-1, 1, 6)

# Functions of k (ops or NumPy), tensors x and y (n, 6) and t (n, 3, 6), and weights w: six (6,),
# one (1,), steps (3, 1) and matrix (6, 4).
EXPRESSIONS = {
    "numbers": lambda k, x, y, t, w: 2 * x - y / 3 + (1 - x) * 0.5 - (-y) + 4 / (5 + y * y),
    "tensors": lambda k, x, y, t, w: x * y - y / (x * x + 2) + x + x,
    "arrays": lambda k, x, y, t, w: COLUMN * x + y * COLUMN - (COLUMN - y),
    "weights": lambda k, x, y, t, w: x * w.six + y / (w.one * y + 9) - w.six + w.one * x,
    "weights of steps": lambda k, x, y, t, w: t * w.steps + w.six - w.one,
    "a weight twice": lambda k, x, y, t, w: x * w.six + k.exp(y - w.six),
    "product": lambda k, x, y, t, w: k.tanh(x @ w.matrix) + k.matmul(y, w.matrix),
    "rows over steps": lambda k, x, y, t, w: t * x[:, None] + y[:, None, :],
    "a column over columns": lambda k, x, y, t, w: t * t[:, :, :1] + x[:, None, 2:3],
    "both spread": lambda k, x, y, t, w: t[..., 1:2] * x[:, None, :] - y[:, None, :],
    "powers": lambda k, x, y, t, w: x**2 + (y * y + 1) ** 0.5 + (x * x + 1) ** y + 2.0**x,
    "whole powers": lambda k, x, y, t, w: x**3 + x**1 + (y * y + 1) ** (-2) + k.power(y, 4),
    "larger": lambda k, x, y, t, w: k.maximum(x, y) + k.minimum(x, 0.25) * y,
    "functions": lambda k, x, y, t, w: k.exp(x) + k.log(y * y + 1) - k.sqrt(x * x + 1) * 2,
    "more functions": lambda k, x, y, t, w: k.log1p(x * x) + k.expm1(y) - k.abs(x) * k.sign(y),
    "clipped": lambda k, x, y, t, w: k.clip(x, -0.5, 0.5) + abs(y) + k.reciprocal(y * y + 1),
    "activations": lambda k, x, y, t, w: k.relu(x) + k.sigmoid(y) * k.tanh(x) + k.softmax(y),
    "sums": lambda k, x, y, t, w: x / k.sum(k.exp(y), axis=-1, keepdims=True),
    "means": lambda k, x, y, t, w: k.mean(t, axis=1) * k.mean(x, axis=1, keepdims=True),
    "several axes": lambda k, x, y, t, w: k.sum(t * t, axis=(1, 2), keepdims=True) * t,
    "last of three": lambda k, x, y, t, w: k.expand_dims(k.sum(t, -1), -1) * x[:, None, :],
    "slices": lambda k, x, y, t, w: x[:, 1:4] * y[:, 2:5] - t[:, 0, 3:] + x[:, -1:] + x[:, :3],
    "slices of steps": lambda k, x, y, t, w: t[:, 1:] * t[:, :2] + t[:, -1:, :],
    "joined": lambda k, x, y, t, w: k.concatenate([x, y[:, :2], x * y], axis=-1),
    "joined steps": lambda k, x, y, t, w: k.concatenate([t, x[:, None], t * t], axis=1),
    "joined before others": lambda k, x, y, t, w: k.concatenate([x, y], axis=1)[:, 3:9] * x * y,
    "standardised": lambda k, x, y, t, w: (
        (x - k.mean(x, axis=-1, keepdims=True))
        / k.sqrt(k.mean(k.square(x), axis=-1, keepdims=True) + 0.1)
    ),
    "reshaped": lambda k, x, y, t, w: k.reshape(x, (-1, 3, 2)) * k.reshape(y, (-1, 3, 2)),
    "squeezed": lambda k, x, y, t, w: k.squeeze(t[:, 1:2], axis=1) * x + k.subtract(x, y),
    "chosen": lambda k, x, y, t, w: k.where(k.abs(x) < 1, 0.5 * x * x, k.abs(x) - 0.5),
    "chosen numbers": lambda k, x, y, t, w: (
        k.where(x > y, x, 0.25) + k.where(x >= 0.1, 1.0, y) * k.where(y > 0, 2.0, 3.0)
    ),
    "chosen by arrays": lambda k, x, y, t, w: (
        k.where(COLUMN > 0, x, y) * k.where(COLUMN > 0, x, w.six) + k.where(True, COLUMN, y)
    ),
    "chosen weights": lambda k, x, y, t, w: k.where(y < 0.2, w.six, w.one) * x,
    "chosen steps": lambda k, x, y, t, w: k.where(x[:, None] > 0, t, w.steps) + y[:, None],
    "chosen where it is defined": lambda k, x, y, t, w: k.where(
        x > 0.1, k.log(k.where(x > 0.1, x, 1.0)), -1.0
    ),
    "comparisons": lambda k, x, y, t, w: (
        k.less(x, y) * x
        + k.less_equal(w.six, x) * y
        + k.greater(x, 0.1) * y
        - k.equal(x, x)
        + k.greater_equal(0.3, y) * x
        + k.not_equal(x, y) * y
        + k.not_equal(y, y)
    ),
    "operators of comparisons": lambda k, x, y, t, w: (
        (x < y) * x + (w.six <= x) * y + (x > 0.1) * y + (y <= 0.3) * x + (x >= COLUMN) * y
    ),
    "logic": lambda k, x, y, t, w: (
        ((x > 0) & (y < 0.3)) * x
        + ((x > 0.5) | (y > 0)) * y
        + ~(x > 0) * y
        + k.logical_and(x, y > 0) * y
        + k.logical_or(x > 0, COLUMN > 0) * x
        + k.logical_not(y > 0) * x
        + ((COLUMN > 0) & (x > 0)) * y
    ),
    "equality": lambda k, x, y, t, w: (x == x) * y + (x != y) * x + (y == 0.5) + (x != COLUMN) * y,
    "functions of weights": lambda k, x, y, t, w: (
        x * k.exp(w.six) + k.square(w.one) - k.softmax(w.six) * y + k.maximum(w.six, w.one)
    ),
    "operators of weights": lambda k, x, y, t, w: (
        (1 - w.six) * x
        + w.six**2 * y
        - w.one / 2
        + (-w.one) * abs(w.six)
        + 2.0**w.one * x
        + (w.six > 0) * x
        + (w.one <= w.six) * y
        + (w.six != 0) * x
        + 1 / (w.six * w.six + 1)
        + (w.six + w.one) * (w.six - w.one)
    ),
    "parts of weights": lambda k, x, y, t, w: (
        w.matrix[:, 1] * x
        + w.six[2:3] * y
        + k.concatenate([w.six[:3], w.one, w.six[4:]]) * x
        + k.reshape(w.matrix[:3], (12,))[:6] * y
    ),
    "sums of weights": lambda k, x, y, t, w: (
        k.sum(k.square(w.matrix)) * x + k.mean(w.matrix, axis=1) * y + k.sum(w.six * w.six)
    ),
    "weights chosen": lambda k, x, y, t, w: (
        k.where(w.six > 0, w.six, 0.1 * w.six) * x + k.where(k.logical_not(w.six > 0), 1.0, w.one)
    ),
    "zeros and ones": lambda k, x, y, t, w: (
        x * k.ones_like(y) + k.zeros_like(x) + k.where(x > 0, x, k.zeros_like(x))
    ),
    "used often": lambda k, x, y, t, w: x * x * x + x[:, :1] * x[:, 1:2] + k.add(x, x),
    "by name": lambda k, x, y, t, w: k.multiply(k.negative(x), k.true_divide(y, 2.0)),
}


class Expression(layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def build(self, input_shape):
        self.six = self.add_weight((6,), "normal", "six")
        self.one = self.add_weight((1,), "normal", "one")
        self.steps = self.add_weight((3, 1), "normal", "steps")
        self.matrix = self.add_weight((6, 4), "normal", "matrix")

    def call(self, inputs):
        return self.function(ops, *inputs, self)


@pytest.fixture
def float64():
    before = config.floatx()
    config.set_floatx("float64")
    yield
    config.set_floatx(before)


def model_of(function, width=6):
    """The function of three tensors that are made by trained layers."""
    utils.set_random_seed(5)
    given = Input((4,))
    x, y = layers.Dense(6, name="x")(given), layers.Dense(6, "tanh", name="y")(given)
    t = layers.Reshape((3, 6))(layers.Dense(18, name="t")(given))
    tensors = Model(given, [x, y, t])
    expression = Expression(function)
    output = expression([x, y, t])
    model = Model(given, layers.Flatten()(output))
    model.compile(optimizers.SGD(1.0), "mse")
    return model, tensors, expression


def data_for(model, rows=5):
    rng = np.random.default_rng(2)
    return rng.normal(size=(rows, 4)), rng.normal(size=(rows, model.output_shape[-1]))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_values_are_numpys(name, float64) -> None:
    """With the weights that there were when it was recorded, and with others."""
    model, tensors, expression = model_of(EXPRESSIONS[name])
    data, _ = data_for(model)
    parts = ("six", "one", "steps", "matrix")
    for factor in (1.0, -1.5):
        for part in parts:
            getattr(expression, part).assign(factor * getattr(expression, part).numpy())
        weights = SimpleNamespace(**{part: getattr(expression, part).numpy() for part in parts})
        expected = EXPRESSIONS[name](NUMPY, *tensors.predict(data), weights)
        np.testing.assert_allclose(
            model.predict(data), expected.reshape(len(data), -1), rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_gradients_against_differences(name, float64) -> None:
    """A step of SGD at rate 1 is the gradient; the second step finds the first one's buffers."""
    model, _, _ = model_of(EXPRESSIONS[name])
    data, target = data_for(model)
    rng = np.random.default_rng(4)
    for _ in range(2):
        before = model.get_weights()
        model.train_on_batch(data, target)
        steps = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
        for i, step in enumerate(steps):
            direction = rng.normal(size=step.shape)

            def loss_at(t, i=i, start=before, direction=direction):
                moved = start[i] + t * direction
                model.set_weights([*start[:i], moved, *start[i + 1 :]])
                return model.evaluate(data, target)

            slope = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
            np.testing.assert_allclose(np.sum(step * direction), slope, rtol=2e-5, atol=1e-7)
        model.set_weights([old - 0.01 * step for old, step in zip(before, steps, strict=True)])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_arrays_give_arrays(name) -> None:
    rng = np.random.default_rng(3)
    x, y, t = rng.normal(size=(5, 6)), rng.normal(size=(5, 6)), rng.normal(size=(5, 3, 6))
    shapes = {"six": 6, "one": 1, "steps": (3, 1), "matrix": (6, 4)}
    weights = SimpleNamespace(**{part: rng.normal(size=shape) for part, shape in shapes.items()})
    expected = EXPRESSIONS[name](NUMPY, x, y, t, weights)
    result = EXPRESSIONS[name](ops, x, y, t, weights)
    assert isinstance(result, np.ndarray)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


def test_types_of_arrays() -> None:
    whole, single = np.arange(4), np.arange(4, dtype=np.float32)
    double = single.astype(np.float64)
    assert ops.add(whole, whole).dtype == ops.add(single, 1.5).dtype == np.float32
    assert ops.add(single, whole).dtype == ops.sum(whole).dtype == np.float32
    assert ops.add(double, 1).dtype == ops.add(single, double).dtype == np.float64
    assert ops.mean(single) == 1.5
    assert ops.sum(double.reshape(2, 2), axis=0, keepdims=True).shape == (1, 2)
    assert ops.square([1, 2]).tolist() == [1, 4]
    np.testing.assert_array_equal(ops.concatenate([whole, whole]), [0, 1, 2, 3] * 2)


@pytest.mark.parametrize("width", [1, 63, 64, 100])
def test_wide_rows_are_padded_inside(width) -> None:
    """Bands of matrices whose rows have gaps, beside tensors whose rows have none."""
    x, y = Input((width,)), Input((width,))
    both = ops.concatenate([x, y], axis=-1)
    outputs = [both[:, width:], both * both, ops.reshape(both, (-1, 2, width))[:, 0] - y]
    model = Model([x, y], outputs)
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(7, width)).astype(np.float32) for _ in range(2))
    second, squares, difference = model.predict([a, b])
    np.testing.assert_array_equal(second, b)
    np.testing.assert_array_equal(squares, np.concatenate([a, b], 1) ** 2)
    np.testing.assert_array_equal(difference, a - b)


def test_one_sample_or_many_threads_or_one_give_the_same_bits() -> None:
    model, _, _ = model_of(EXPRESSIONS["several axes"])
    data, _ = data_for(model, 65)
    whole = model.predict(data)
    single = np.concatenate([model.predict(data[i : i + 1]) for i in range(len(data))])
    np.testing.assert_array_equal(whole, single)
    weights = []
    for threads in (1, 2, 3):
        before = config.threads()
        config.set_threads(threads)
        try:
            model, _, _ = model_of(EXPRESSIONS["weights of steps"])
            x, y = data_for(model, 65)
            model.fit(x, 0.01 * y, batch_size=16, epochs=1, shuffle=False, verbose=0)
            weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
        finally:
            config.set_threads(before)
    for other in weights[1:]:
        np.testing.assert_array_equal(other, weights[0])


# Shapes and errors

X, T = Input((6,)), Input((3, 6))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: X + 1, (None, 6)),
        (lambda: X[:, 2], (None,)),
        (lambda: X[:, -2:], (None, 2)),
        (lambda: X[..., None], (None, 6, 1)),
        (lambda: T[:, 1], (None, 6)),
        (lambda: T[:, :, 0], (None, 3)),
        (lambda: T[..., 0], (None, 3)),
        (lambda: T[:, None, 1:], (None, 1, 2, 6)),
        (lambda: T[:], (None, 3, 6)),
        (lambda: ops.sum(T, axis=1), (None, 6)),
        (lambda: ops.mean(T, axis=(-1, 1)), (None,)),
        (lambda: ops.mean(T, axis=-1, keepdims=True), (None, 3, 1)),
        (lambda: ops.concatenate([T, T, T], axis=1), (None, 9, 6)),
        (lambda: ops.reshape(T, (-1, 9, 2)), (None, 9, 2)),
        (lambda: ops.reshape(T, (None, -1)), (None, 18)),
        (lambda: ops.expand_dims(X, 1), (None, 1, 6)),
        (lambda: ops.squeeze(ops.expand_dims(X, -1)), (None, 6)),
        (lambda: T + X[:, None], (None, 3, 6)),
        (lambda: np.ones(6) * X, (None, 6)),
        (lambda: np.float32(2) * X, (None, 6)),
        (lambda: [1, 2, 3, 4, 5, 6] - X, (None, 6)),
    ],
)
def test_shapes(make, shape) -> None:
    assert make().shape == shape


def in_a_call(function):
    return onepass.Sequential([Input((6,)), layers.Lambda(function)])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: X + Input((5,)), ValueError, ["add", "(None, 6)", "(None, 5)"]),
        (lambda: X + T, ValueError, ["add", "(None, 6)", "(None, 3, 6)"]),
        (lambda: X * np.ones((2, 6)), ValueError, ["multiply", "(None, 6)", "(2, 6)"]),
        (lambda: X * np.ones((1, 1, 6)), ValueError, ["multiply", "(1, 1, 6)"]),
        (lambda: X[:, 0] - X, ValueError, ["subtract", "(None,)", "(None, 6)"]),
        (lambda: X[:, 0] - np.ones(3), ValueError, ["subtract", "(None,)", "(3,)"]),
        (lambda: Input((2, 3, 4)) * Input((1, 3, 4)), ValueError, ["(None, 1, 3, 4)", "reshape"]),
        (lambda: X + "1", TypeError, ["add", "str"]),
        (lambda: X * 1j, TypeError, ["multiply", "complex"]),
        (lambda: X + Input((6,), dtype="float64"), TypeError, ["float32", "float64"]),
        (lambda: max(X, X), TypeError, ["branch"]),
        (lambda: X > "a", TypeError, ["less", "str"]),
        (lambda: list(X), TypeError, ["iterated"]),
        (lambda: len(X), TypeError, ["length"]),
        (lambda: bool(X), TypeError, ["branch"]),
        (lambda: np.exp(X), TypeError, ["symbolic tensor has no values"]),
        (lambda: X[0], IndexError, ["batch", "0"]),
        (lambda: X[1:], IndexError, ["batch"]),
        (lambda: X[:, 6], IndexError, ["6", "axis 1"]),
        (lambda: X[:, ::2], IndexError, ["steps of 1"]),
        (lambda: X[:, 3:3], IndexError, ["nothing"]),
        (lambda: X[:, 1, 2], IndexError, ["too many"]),
        (lambda: X[:, [0, 1]], TypeError, ["whole numbers", "list"]),
        (lambda: ops.sum(X), ValueError, ["axis=None", "batch", "axis=-1"]),
        (lambda: ops.mean(X, axis=0), ValueError, ["mean", "batch"]),
        (lambda: ops.sum(X, axis=2), ValueError, ["axis 2", "2 dimensions"]),
        (lambda: ops.sum(X, axis=1.0), TypeError, ["axis", "1.0"]),
        (lambda: ops.concatenate([X, T]), ValueError, ["batch"]),
        (lambda: ops.concatenate([X, T], axis=-1), ValueError, ["(None, 6)", "(None, 3, 6)"]),
        (lambda: ops.concatenate([X, np.ones((2, 6))], 1), TypeError, ["ndarray"]),
        (lambda: ops.reshape(X, (-1, 4)), ValueError, ["(None, 6)", "(4,)"]),
        (lambda: ops.reshape(X, (6, -1)), ValueError, ["batch"]),
        (lambda: ops.squeeze(X, 1), ValueError, ["(None, 6)"]),
        (lambda: ops.matmul(X, np.ones((6, 2))), TypeError, ["weight", "call", "ndarray"]),
        (lambda: in_a_call(lambda x: x @ np.ones((5, 2))), ValueError, ["(None, 6)", "(5, 2)"]),
        (lambda: in_a_call(lambda x: x @ np.ones((2, 6, 2))), TypeError, ["ndarray", "(2, 6, 2)"]),
        (lambda: in_a_call(lambda x: x @ np.full((6, 2), "a")), TypeError, ["matmul"]),
        (lambda: ops.matmul(X, Input((2,))), TypeError, ["matrix", "(None, 2)"]),
        (lambda: X @ X, TypeError, ["weight"]),
    ],
)
def test_errors(make, error, words) -> None:
    with pytest.raises(error) as raised:
        make()
    for word in words:
        assert word in str(raised.value)


def test_constants_are_copied() -> None:
    factor = np.ones(6)
    model = Model(X, X * factor)
    factor[:] = 5
    data = np.ones((2, 6), np.float32)
    np.testing.assert_array_equal(model.predict(data), data)


def test_weights_of_another_type_are_refused() -> None:
    layer = layers.Dense(6, dtype="float64")
    layer.build((None, 6))
    for make in (lambda: X * layer.bias, lambda: X @ layer.kernel):
        with pytest.raises(TypeError, match=r"float64.*float32"):
            make()


def test_ops_are_kerass_by_name() -> None:
    assert onepass.keras.ops is ops
    assert all(callable(getattr(ops, name)) for name in ops.__all__)
    assert ops.__all__ == sorted(ops.__all__)


def test_what_is_not_chosen_may_be_nan() -> None:
    x = Input((3,))
    y = ops.where(x > 0, ops.log(x), ops.sqrt(-x))
    given = np.array([[-4.0, 1.0, np.e]], np.float32)
    np.testing.assert_allclose(Model(x, y).predict(given), [[2.0, 0.0, 1.0]], rtol=1e-6)
    kept = ops.where(ops.not_equal(x, x), 0.0, x)  # NaN out
    got = Model(x, kept).predict(np.array([[np.nan, np.inf, 2.0]], np.float32))
    np.testing.assert_array_equal(got, [[0.0, np.inf, 2.0]])


def test_nan_compares_as_in_numpy() -> None:
    x = Input((3,))
    given = np.array([[np.nan, 1.0, -1.0]], np.float32)
    for symbolic, plain in (
        (x < 0, given < 0),
        (x >= 0, given >= 0),
        (ops.equal(x, x), np.equal(given, given)),
        (ops.not_equal(x, 1.0), given != 1.0),
        (ops.cast(x, "bool"), given.astype(bool)),
    ):
        np.testing.assert_array_equal(Model(x, symbolic).predict(given), plain)


def test_comparisons_of_arrays_are_bools() -> None:
    x = np.array([1.0, 2.0, 3.0], np.float32)
    for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"):
        got = getattr(ops, name)(x, 2)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, getattr(np, name)(x, 2))
    chosen = ops.where(x > 1, x, 0)
    assert chosen.dtype == np.float32
    np.testing.assert_array_equal(chosen, [0, 2, 3])
    assert ops.cast(x > 1, "float64").dtype == np.float64


def test_casts_of_tensors() -> None:
    x = Input((3,))
    mask = x > 0
    assert ops.cast(mask, "float32") is mask
    assert ops.cast(mask, "bool") is mask
    assert ops.cast(x, "float64").dtype == "float32"
    with pytest.raises(TypeError, match=r"cast: a symbolic tensor holds floats.*'int32'"):
        ops.cast(x, "int32")


def test_python_cannot_branch_on_a_comparison() -> None:
    x = Input((3,))
    with pytest.raises(TypeError, match="Python cannot branch"):
        bool(x > 0)
    with pytest.raises(TypeError, match="Python cannot branch"):
        0 < x < 1  # noqa: B015


def huber(y_true, y_pred):
    error = y_true - y_pred
    small = ops.abs(error) < 1
    return ops.where(small, ops.square(error) / 2, ops.abs(error) - 0.5)


def test_a_loss_that_chooses_is_hubers() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(64, 4)), 3 * rng.normal(size=(64, 1))
    weights = []
    for loss in (huber, "huber"):
        utils.set_random_seed(1)
        model = onepass.Sequential([Input((4,)), layers.Dense(5, "tanh"), layers.Dense(1)])
        model.compile(optimizers.SGD(0.1), loss)
        model.fit(x, y, epochs=3, verbose=0)
        weights.append(model.get_weights())
    for got, expected in zip(*weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


class Scaled(layers.Layer):
    def build(self, input_shape):
        self.k = self.add_weight(input_shape[-1:], "zeros")

    def call(self, inputs):
        return inputs * ops.exp(self.k)


@pytest.mark.parametrize("rows", [1, 3, 700, 5000])
def test_predictions_follow_functions_of_weights(rows) -> None:
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    model = onepass.Sequential([Input((3,)), Scaled(), layers.Dense(2)])
    scaled, dense = model.layers
    for value in (0.0, 1.0, -0.5):
        scaled.k.assign(np.full(3, value))
        for got in (model.predict(x), model(x), model.sample(x), dense(scaled(x))):
            expected = x * np.exp(np.float32(value)) @ dense.kernel.numpy()
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


class Prototypes(layers.Layer):
    """Adds the mean of what a layer makes of rows that are learned, too."""

    def __init__(self, applied):
        super().__init__()
        self.applied = applied

    def build(self, input_shape):
        self.rows = self.add_weight((4, input_shape[-1]), "zeros")

    def call(self, inputs):
        return inputs + ops.mean(self.applied(self.rows), axis=0, keepdims=True)


class Cube(layers.NumpyLayer):
    def forward(self, x):
        return x**3

    def backward(self, x, y, dy):
        return 3 * x**2 * dy


def test_layers_on_weights_follow_their_values() -> None:
    """A layer that is called on a weight alone is no constant, and teaches it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, 3)).astype(np.float32)
    rows = rng.normal(size=(4, 3)).astype(np.float32)
    inner = layers.Dense(3, use_bias=False)
    add = layers.Add()
    for applied in (
        inner,
        layers.LeakyReLU(),
        layers.Softmax(),
        layers.LayerNormalization(),
        Cube(),
        lambda w: add([w, w]),
    ):
        layer = Prototypes(applied)
        model = onepass.Sequential([Input((3,)), layer])
        model.compile(optimizers.SGD(0.0), "mse")
        for value in (rows, 2 * rows):
            layer.rows.assign(value)
            expected = x + applied(value).mean(0)
            for got in (model.predict(x), model(x), model.sample(x)):
                np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
            loss = model.train_on_batch(x, np.zeros((9, 3)))
            assert loss == pytest.approx(np.square(expected).mean(), rel=1e-5)


def test_layers_on_weights_teach_them() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(9, 3)).astype(np.float32)
    inner = layers.Dense(3, use_bias=False)
    layer = Prototypes(inner)
    model = onepass.Sequential([Input((3,)), layer])
    model.compile(optimizers.SGD(1.0), "mse")
    rows, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 3), (3, 3)))
    layer.rows.assign(rows)
    inner.kernel.assign(kernel)
    slope = 2 * (x + (rows @ kernel).mean(0)).mean(0) / 3  # of the loss, by the mean that is added
    model.train_on_batch(x, np.zeros((9, 3)))
    expected = rows - np.broadcast_to(slope / 4, (4, 3)) @ kernel.T
    np.testing.assert_allclose(layer.rows.numpy(), expected, rtol=1e-4, atol=1e-5)
    expected = kernel - np.outer(rows.mean(0), slope)
    np.testing.assert_allclose(inner.kernel.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("noise", [layers.Dropout(0.5), layers.GaussianNoise(1.0), layers.RReLU()])
def test_noise_is_for_samples(noise) -> None:
    with pytest.raises(TypeError, match=r"only a batch.*\(4, 3\).*weights alone"):
        onepass.Sequential([Input((3,)), Prototypes(noise)])


@pytest.mark.parametrize(
    "frozen",
    [
        lambda x, w: x @ np.transpose(w),
        lambda x, w: x @ np.array(w),
        lambda x, w: x + np.square(w)[0],
        lambda x, w: x + losses.mean_squared_error(w, w)[0],
        lambda x, w: x + regularizers.L2(0.1)(w),
    ],
)
def test_weights_are_no_arrays_while_a_call_is_recorded(frozen) -> None:
    """What NumPy made of them would stay what it was, whatever becomes of the weight."""

    class Frozen(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((3, 3), "ones")

        def call(self, inputs):
            return frozen(inputs, self.w)

    with pytest.raises(TypeError, match="no array while a call is recorded"):
        onepass.Sequential([Input((3,)), Frozen()])


def test_arguments_of_inner_layers_stay_themselves() -> None:
    class Fills(layers.Layer):
        def call(self, inputs, given, weight=None):
            given.append(inputs * 2.0)
            assert weight.numpy().shape == (3,)
            return inputs + 1.0

    class Outer(layers.Layer):
        def build(self, input_shape):
            self.inner, self.w = Fills(), self.add_weight((3,), "ones")

        def call(self, inputs):
            made = []
            return self.inner(inputs, made, weight=self.w) + made[0]

    model = onepass.Sequential([Input((3,)), Outer()])
    np.testing.assert_allclose(model.predict(np.ones((2, 3))), 4.0)


@pytest.mark.parametrize("rows", [1, 8])
def test_activity_penalties_of_what_is_made_of_weights(rows) -> None:
    """Divided by their own first dimension, whatever the batch's."""
    layer = Prototypes(layers.ActivityRegularization(l1=0.5, l2=1.0))
    model = onepass.Sequential([Input((3,)), layer, layers.Lambda(lambda x: 0.0 * x)])
    model.compile(optimizers.SGD(1.0), "mse")
    layer.rows.assign(np.full((4, 3), 2.0))
    loss = model.train_on_batch(np.zeros((rows, 3)), np.zeros((rows, 3)))
    assert loss == pytest.approx(12 * (0.5 * 2 + 4) / 4)
    np.testing.assert_allclose(layer.rows.numpy(), 2 - (0.5 + 4) / 4, rtol=1e-6)


def test_noise_of_weights_that_is_not_drawn() -> None:
    layer = Prototypes(lambda w: layers.Dropout(0.5)(w, training=False))
    model = onepass.Sequential([Input((3,)), layer])
    layer.rows.assign(np.ones((4, 3)))
    np.testing.assert_allclose(model.predict(np.zeros((2, 3))), 1.0)


class Tied(layers.Layer):
    """Through a weight, and back through its transpose, or the other way round."""

    def __init__(self, units, turned_first=False):
        super().__init__()
        self.units, self.turned_first = units, turned_first

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.k = self.add_weight(shape[::-1] if self.turned_first else shape)

    def call(self, inputs):
        if self.turned_first:
            return ops.tanh(inputs @ ops.transpose(self.k)) @ self.k
        return ops.tanh(inputs @ self.k) @ ops.transpose(self.k)


class Masked(layers.Layer):
    """Two products with what is made of a weight."""

    def build(self, input_shape):
        self.k = self.add_weight((input_shape[-1], 5))
        self.mask = np.arange(5) % 2 == 0

    def call(self, inputs):
        return inputs @ (self.k * self.mask) + inputs @ ops.square(self.k)


class TurnedAndMasked(layers.Layer):
    """The transpose of what is made of a weight, of which the input is used twice."""

    def build(self, input_shape):
        self.k = self.add_weight((4, input_shape[-1]))

    def call(self, inputs):
        doubled = self.k * 2.0
        return ops.exp(inputs @ ops.transpose(doubled)) @ doubled + inputs


class Projected(layers.Layer):
    """A product with an array."""

    def build(self, input_shape):
        self.p = np.random.default_rng(2).normal(size=(input_shape[-1], 3))
        self.s = self.add_weight((input_shape[-1],), "ones")

    def call(self, inputs):
        return (inputs * self.s) @ self.p


PRODUCTS = {
    "tied": (lambda cols: Tied(4), lambda x, k: np.tanh(x @ k) @ k.T),
    "tied wide": (lambda cols: Tied(130), lambda x, k: np.tanh(x @ k) @ k.T),
    "turned first": (lambda cols: Tied(5, True), lambda x, k: np.tanh(x @ k.T) @ k),
    "masked": (lambda cols: Masked(), lambda x, k: x @ (k * [1, 0, 1, 0, 1] + k * k)),
    "turned": (
        lambda cols: TurnedAndMasked(),
        lambda x, k: np.exp(2 * x @ k.T) @ (2 * k) + x,
    ),
    "array": (
        lambda cols: Projected(),
        lambda x, s: (x * s) @ np.random.default_rng(2).normal(size=(x.shape[1], 3)),
    ),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 3), (9, 7), (33, 300), (6, 2, 7)])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_products_with_what_is_made_of_weights(kind, shape, threads, float64) -> None:
    """Values, and gradients by central differences, of the weight and of what lies before it."""
    config.set_threads(threads)
    make, reference = PRODUCTS[kind]
    rng = np.random.default_rng(0)
    utils.set_random_seed(3)
    x = 0.3 * rng.normal(size=shape)
    before, layer = layers.Rescaling(1.0), make(shape[-1])
    scale = layers.PReLU(initializers.Constant(0.5), shared_axes=list(range(1, len(shape))))
    model = onepass.Sequential([Input(shape[1:]), before, scale, layer])
    weight = layer.weights[0]
    weight.assign(0.3 * rng.normal(size=weight.shape))
    y = rng.normal(size=model.predict(x).shape)
    model.compile(optimizers.SGD(1.0), "mse")
    if kind.startswith("tied"):  # a weight's transpose is never made
        assert all(call.kernel != "host" for call in model.plan_for("train").calls)

    def predicted(w, alpha):
        given = np.where(x > 0, x, alpha * x).reshape(-1, shape[-1])
        return reference(given, w).reshape(y.shape)

    def loss(w, alpha):
        return np.square(predicted(w, alpha) - y).mean()

    start, alpha = weight.numpy().astype(np.float64), 0.5
    for value in (start, 1.5 * start, start):
        weight.assign(value)
        np.testing.assert_allclose(model.predict(x), predicted(value, alpha), rtol=1e-9, atol=1e-9)
    model.train_on_batch(x, y)
    moved = start - weight.numpy(), alpha - float(scale.weights[0].numpy().ravel()[0])
    step = 1e-6
    for at in list(np.ndindex(start.shape))[:: max(1, start.size // 7)]:
        change = np.zeros_like(start)
        change[at] = step
        slope = (loss(start + change, alpha) - loss(start - change, alpha)) / (2 * step)
        assert moved[0][at] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    slope = (loss(start, alpha + step) - loss(start, alpha - step)) / (2 * step)
    assert moved[1] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_losses_and_penalties_may_read_other_weights() -> None:
    """As a loss that closes over a kernel, or a regularizer over another layer's."""
    x, y = np.ones((8, 3)), np.zeros((8, 2))
    first, last = layers.Dense(3, use_bias=False), layers.Dense(2, use_bias=False)

    def loss(y_true, y_pred):
        return ops.square(y_true - y_pred) + ops.sum(ops.square(first.kernel))

    model = onepass.Sequential([Input((3,)), first, last])
    model.compile(optimizers.SGD(0.0), loss)
    for _ in range(2):
        model.set_weights([np.full((3, 3), 0.5), np.full((3, 2), 0.1)])
        assert model.evaluate(x, y) == pytest.approx(0.45**2 + 9 * 0.25)
        model.set_weights([np.zeros((3, 3)), np.zeros((3, 2))])
        assert model.evaluate(x, y) == pytest.approx(0.0, abs=1e-7)
    model.compile(optimizers.SGD(0.5), loss)
    model.set_weights([np.full((3, 3), 0.5), np.zeros((3, 2))])
    model.train_on_batch(x, y)
    np.testing.assert_allclose(first.kernel.numpy(), np.zeros((3, 3)), atol=1e-6)  # 0.5 - 0.5 * 1

    tied = layers.Dense(3, kernel_regularizer=lambda w: ops.sum(ops.square(w - 1 * first.kernel)))
    model = onepass.Sequential([Input((3,)), first, tied])
    model.compile(optimizers.SGD(0.25), "mse")
    first.kernel.assign(np.zeros((3, 3)))
    tied.kernel.assign(np.ones((3, 3)))
    model.train_on_batch(np.zeros((4, 3)), np.zeros((4, 3)))
    np.testing.assert_allclose(tied.kernel.numpy(), 0.5)
    np.testing.assert_allclose(first.kernel.numpy(), 0.5)


def test_operators_of_weights_give_arrays_at_once() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    layer.kernel.assign(np.arange(6.0).reshape(3, 2))
    k, values = layer.kernel, layer.kernel.numpy()
    for got, expected in (
        (k + 1, values + 1),
        (1 - k, 1 - values),
        (k * values, values * values),
        (values / (k + 1), values / (values + 1)),
        (-k, -values),
        (abs(k - 2), abs(values - 2)),
        (k**2, values**2),
        (2.0**k, 2.0**values),
        (k > 1, values > 1),
        (k <= 2, values <= 2),
        (k == 3, values == 3),
        (k != values, values != values),
        (k[1], values[1]),
        (np.stack(list(k)), values),
        (np.ones((2, 3)) @ k, np.ones((2, 3)) @ values),
        (k @ k[:2], values @ values[:2]),
        (ops.exp(k), np.exp(values)),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert len(k) == 3
    assert layer.add_weight((), "zeros")
    assert (k == k) is True
    assert (k == layer.bias) is False
    assert k != "kernel"
    assert k in [layer.bias, k]
    k.assign_add(1.0)
    k.assign_sub(np.ones(2))
    np.testing.assert_array_equal(k.numpy(), values)


def test_what_is_no_number_equals_no_tensor() -> None:
    x = Input((3,))
    assert x != "mse"
    assert (x == None) is False  # noqa: E711
    assert {x: 1}[x] == 1


def test_focal_loss_of_labels_that_are_compared() -> None:
    def focal(y_true, y_pred):
        right = ops.where(y_true == 1, y_pred, 1 - y_pred)
        return -((1 - right) ** 2) * ops.log(right)

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(64, 4)), rng.integers(0, 2, (64, 1))
    model = onepass.Sequential([Input((4,)), layers.Dense(1, "sigmoid")])
    model.compile("sgd", focal, metrics=[lambda a, b: ops.cast((b > 0.5) == a, "float32")])
    loss, accuracy = model.evaluate(x, y)
    predicted = model.predict(x)
    assert loss == pytest.approx(focal(y, predicted).mean(), rel=1e-5)
    assert accuracy == pytest.approx(((predicted > 0.5) == y).mean())


def test_a_layers_own_functions_meet_arrays_while_a_model_is_recorded() -> None:
    class Own(layers.NumpyLayer):
        def build(self, input_shape):
            self.k = self.add_weight(input_shape[-1:], "ones")

        def forward(self, x):
            return x * self.k + np.where(x > self.k, ops.exp(self.k), 0.0) * self.k[0]

        def backward(self, x, y, dy):
            return dy * self.k, dy.sum(0)

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner, self.own = layers.Dense(3), Own()

        def build(self, input_shape):
            self.inner.build(input_shape)
            self.inner.kernel.assign(ops.clip(self.inner.kernel, 0.0, 1.0))
            assert float(ops.sum(self.inner.kernel)) > 0
            tied = lambda shape, dtype: ops.transpose(self.inner.kernel)  # noqa: E731
            self.tied = self.add_weight((3, 3), tied)

        def call(self, x):
            assert isinstance(self.own(np.ones((1, 3), np.float32)), np.ndarray)
            return self.own(self.inner(x)) @ self.tied

    model = onepass.Sequential([Input((3,)), Outer()])
    assert model.predict(np.ones((4, 3))).shape == (4, 3)


def test_weights_as_conditions_follow_their_values(float64) -> None:
    class Masked(layers.Layer):
        def build(self, input_shape):
            self.m = self.add_weight(input_shape[-1:], "ones", trainable=False)

        def call(self, x):
            return (
                ops.where(self.m, x, 0.0)
                + ops.where(self.m, 1.0, x)
                + ops.where(self.m, 2.0, 3.0)
                + ops.logical_and(x, self.m)
                + ops.logical_or(self.m, x > 0)
                + ((x > 0) & self.m)
            )

    model = onepass.Sequential([Input((3,)), Masked()])
    x = np.array([[-1.0, 0.0, 2.0]])
    for mask in ([1, 1, 1], [0, 1, 0], [0, 0, 0.5]):
        model.layers[0].m.assign(mask)
        m = np.array(mask) != 0
        expected = np.where(m, x, 0) + np.where(m, 1, x) + np.where(m, 2, 3)
        expected = expected + ((x != 0) & m) + (m | (x > 0)) + ((x > 0) & m)
        np.testing.assert_array_equal(model.predict(x), expected)


def test_numbers_take_on_the_type_of_arrays_and_weights() -> None:
    p = np.float32([0.1, 0.3, 0.7])
    x = Input((3,))
    model = Model(x, [ops.equal(x, 0.1), ops.greater(x, 0.3), 2 * x])
    layer = layers.Dense(3, use_bias=True)
    layer.build((None, 1))
    layer.bias.assign(p)
    for eager in (p, layer.bias):
        recorded = model.predict(p[None])
        for got, expected in zip(
            (ops.equal(eager, 0.1), ops.greater(eager, 0.3), 2 * eager), recorded, strict=True
        ):
            np.testing.assert_array_equal(got, expected[0])
            assert got.dtype in (bool, np.float32)


def test_functional_models_keep_masks_of_weights() -> None:
    x, dense = Input((3,)), layers.Dense(3)
    h = dense(x)
    model = Model(x, ops.where(dense.bias, h, 0.0) * dense.bias)
    data = np.ones((2, 3), np.float32)
    for bias in ([0, 1, 2], [3, 0, 1]):
        dense.bias.assign(bias)
        np.testing.assert_allclose(model.predict(data), dense(data) * np.array(bias), rtol=1e-6)


def test_outputs_need_a_batch() -> None:
    class Constant(layers.Layer):
        def build(self, input_shape):
            self.k = self.add_weight((3,), "ones")

        def call(self, inputs):
            return ops.exp(self.k)

    with pytest.raises(TypeError, match="must depend on its inputs"):
        onepass.Sequential([Input((3,)), Constant()])
