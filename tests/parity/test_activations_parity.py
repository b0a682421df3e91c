"""Every activation against Keras (JAX backend, float64): values, derivatives, extremes, layers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import onepass
from onepass import activations, kernels

pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # Keras's own

OURS_ALONE = {"heaviside", "sign"}  # steps; Keras has them among its operations
ROWWISE = ("softmax", "log_softmax", "sparsemax", "glu")
NAMES = sorted(set(activations.__all__) - {"get", "serialize", *ROWWISE} - OURS_ALONE)
CASES = [(name, {}) for name in NAMES if name != "threshold"]
CASES += [
    ("relu", {"negative_slope": 0.3}),
    ("relu", {"max_value": 1.5}),
    ("relu", {"threshold": 0.75}),
    ("relu", {"threshold": -0.75}),
    ("relu", {"max_value": 2.0, "threshold": -0.75}),
    ("relu", {"negative_slope": 0.2, "max_value": 2.0}),
    ("relu", {"negative_slope": 0.2, "max_value": 2.0, "threshold": 0.75}),
    ("relu", {"negative_slope": 0.2, "threshold": 0.75}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("gelu", {"approximate": True}),
    ("elu", {"alpha": 0.4}),
    ("celu", {"alpha": 2.5}),
    ("hard_shrink", {"threshold": 1.25}),
    ("soft_shrink", {"threshold": 1.25}),
    ("threshold", {"threshold": 0.25, "default_value": -3.0}),
    ("threshold", {"threshold": -1.0, "default_value": 7.0}),
    ("squareplus", {"b": 1}),
]
# Limits that Keras misses: it multiplies or divides an infinity by 0 or itself, or overflows.
BETTER = {"silu", "swish", "hard_silu", "hard_swish", "mish", "softsign", "gelu", "squareplus"}
SINGLE = {"tanh"}  # Keras computes it in float32 whatever it is given


def ids(value):
    return value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items())


def grid():
    """Random inputs of several sizes, and exact ones that lie on no kink."""
    rng = np.random.default_rng(0)
    x = np.concatenate([scale * rng.normal(size=400) for scale in (0.1, 1.0, 5.0, 50.0)])
    return np.concatenate([x, [1e4, -1e4, 30.0, -30.0, 700.0, -700.0]])


def in_keras(keras, name, x, arguments):
    # as a tensor: given an array, some of its functions compute in float32
    tensor = keras.ops.convert_to_tensor(x, dtype=x.dtype.name)
    return np.asarray(getattr(keras.activations, name)(tensor, **arguments))


def names_of(parameters):
    return {n: p.default for n, p in parameters.items() if n != "x"}


@pytest.mark.parametrize("name", [*NAMES, *ROWWISE])
def test_signature(keras, name):
    ours = inspect.signature(getattr(activations, name)).parameters
    theirs = inspect.signature(getattr(keras.activations, name)).parameters
    assert names_of(ours) == names_of(theirs)
    assert list(ours) == list(theirs)
    assert activations.get(name).__name__ == keras.activations.get(name).__name__


def test_all_of_keras_are_here(keras):
    theirs = {n for n, f in vars(keras.activations).items() if inspect.isfunction(f)}
    assert theirs - set(activations.__all__) == {"deserialize"}


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=ids)
def test_values(keras, name, arguments):
    for dtype, close in ((np.float64, 1e-13), (np.float32, 1e-6)):
        x = grid().astype(dtype)
        if name == "squareplus":
            x = x[x > -5]  # below, Keras's sum cancels
        ours = getattr(activations, name)(x, **arguments)
        theirs = in_keras(keras, name, x, arguments)
        assert ours.dtype == dtype
        if name in SINGLE:
            close = 1e-6
        np.testing.assert_allclose(ours, theirs, rtol=10 * close, atol=close)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=ids)
def test_extremes(keras, name, arguments):
    x = np.array([np.inf, -np.inf, 1e300, -1e300, 0.0, 1e-300, -1e-300])
    ours = getattr(activations, name)(x, **arguments)
    with np.errstate(all="ignore"):
        theirs = in_keras(keras, name, x, arguments)
    limited = np.abs(x) > 1 if name in BETTER else np.zeros(len(x), bool)
    smallest = 1e-45 if name in SINGLE else 1e-300
    np.testing.assert_allclose(ours[~limited], theirs[~limited], rtol=1e-13, atol=smallest)
    assert not np.isnan(ours).any()
    assert np.isnan(getattr(activations, name)(np.array([np.nan]), **arguments)).all()


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=ids)
def test_derivatives(keras, name, arguments):
    import jax

    x = grid()
    function = jax.grad(lambda v: getattr(keras.activations, name)(v, **arguments))
    theirs = jax.vmap(function)(jax.numpy.asarray(x, dtype="float64"))
    close = 1e-6 if name in SINGLE else 1e-13
    np.testing.assert_allclose(slope(name, arguments, x), theirs, rtol=10 * close, atol=close)


def slope(name, arguments, x):
    """Return the derivative by the kernel that a model would call."""
    result = getattr(activations, name)(onepass.Input((1,), dtype="float64"), **arguments)
    if result.node is None:  # linear records nothing
        return np.ones_like(x)
    formula = result.node.op.formula
    hyper = dict(zip(formula.hyper, result.node.op.hyper, strict=True))
    y = kernels.activation_forward(x, formula.name, **hyper)
    given = x if formula.needs_input else None
    return kernels.activation_backward(y, np.ones_like(x), formula.name, x=given, **hyper)


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", [name for name in ROWWISE if name != "sparsemax"])
def test_rowwise(keras, name, axis):
    import jax

    rng = np.random.default_rng(0)
    for scale in (0.1, 1.0, 30.0):
        x = scale * rng.normal(size=(4, 6, 8))
        ours = getattr(activations, name)(x, axis)
        theirs = in_keras(keras, name, x, {"axis": axis})
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
        if axis != -1:
            continue
        dy = rng.normal(size=ours.shape)
        slopes = jax.grad(lambda v, dy=dy: (dy * getattr(keras.activations, name)(v)).sum())
        backward = getattr(kernels, f"{name}_backward")
        got = backward(x if name == "glu" else ours, dy)
        np.testing.assert_allclose(got, slopes(jax.numpy.asarray(x)), rtol=1e-10, atol=1e-12)


def test_sparsemax_sums_to_one_and_keras_s_does_not(keras):
    """Keras 3.15 takes the sum of the cumulated sums for the last of them."""
    x = np.random.default_rng(0).normal(size=(4, 8))
    np.testing.assert_allclose(activations.sparsemax(x).sum(-1), 1, rtol=1e-12)
    assert (np.abs(in_keras(keras, "sparsemax", x, {}).sum(-1) - 1) > 0.01).all()


@pytest.mark.parametrize("name", sorted(OURS_ALONE))
def test_steps(keras, name):
    x = np.concatenate([grid(), [0.0, -0.0, np.inf, -np.inf]])
    more = (1.0,) if name == "heaviside" else ()
    theirs = np.asarray(getattr(keras.ops, name)(x, *more))
    np.testing.assert_array_equal(getattr(activations, name)(x), theirs)


LAYERS = {
    "relu": lambda k: k.layers.ReLU(),
    "relu, all": lambda k: k.layers.ReLU(2.0, 0.1, 0.5),
    "leaky_relu": lambda k: k.layers.LeakyReLU(),
    "leaky_relu, slope": lambda k: k.layers.LeakyReLU(negative_slope=0.05),
    "elu": lambda k: k.layers.ELU(),
    "elu, alpha": lambda k: k.layers.ELU(alpha=0.5),
    "softmax": lambda k: k.layers.Softmax(),
    "glu": lambda k: k.layers.Activation("glu"),
    "log_softmax": lambda k: k.layers.Activation("log_softmax"),
    "softmax, axis": lambda k: k.layers.Softmax(axis=1),
    "mish": lambda k: k.layers.Activation("mish"),
    "hard_swish": lambda k: k.layers.Activation("hard_swish"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(keras, name):
    x = np.random.default_rng(1).normal(size=(20, 6)) * 3
    before = onepass.config.floatx()
    onepass.config.set_floatx("float64")
    try:
        made = []
        for k in (onepass, keras):
            k.backend.clear_session()
            made.append(LAYERS[name](k))
        ours = onepass.Sequential([onepass.Input((6,)), made[0]]).predict(x)
    finally:
        onepass.config.set_floatx(before)
    np.testing.assert_allclose(ours, np.asarray(made[1](x)), rtol=1e-12, atol=1e-14)
    theirs = made[1].get_config()
    config = {n: v for n, v in made[0].get_config().items() if n in theirs}
    assert {n: v for n, v in config.items() if n not in ("dtype", "name")} == {
        n: v for n, v in theirs.items() if n not in ("dtype", "name")
    }
