"""Constraints: the kernel, the objects, and weights that keep to them while a model trains."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onepass import Input, Sequential, constraints, kernels, layers, optimizers, utils
from reference import regularizing as reference
from strategies import (
    Guarded,
    assert_close,
    assert_same_bits,
    dtypes,
    every_backend,
    layouts,
    same_result,
    seeds,
    sizes,
    values_of,
)

# Around the strips of columns too.
matrices = st.one_of(
    st.tuples(sizes, sizes), st.sampled_from(((3, 255), (4, 256), (2, 257), (5, 600), (300, 2)))
)
ranges = st.sampled_from(((0.0, 2.0, 1.0), (1.0, 1.0, 1.0), (0.5, 1.5, 0.3), (0.0, 0.0, 1.0)))


# The kernel


@given(matrices, dtypes, seeds, layouts, ranges, st.sampled_from((0, 1)))
def test_norms(shape, dtype, seed, at, limits, axis):
    values = values_of(dtype, shape, seed)
    low, high, rate = limits
    kind = ("column_norms", "row_norms")[axis]

    def run():
        x = Guarded(values, at)
        assert kernels.constrain_(x.array, kind, low=low, high=high, rate=rate) is None
        x.assert_padding_untouched()
        return x.array.copy()

    expected = reference.bounded_norm(values.astype(np.float64), low, high, rate, axis)
    assert_close(same_result(run), expected)


@given(matrices, dtypes, seeds, layouts)
def test_non_negative(shape, dtype, seed, at):
    values = values_of(dtype, shape, seed, special=True)

    def run():
        x = Guarded(values, at)
        kernels.constrain_(x.array, "non_negative")
        x.assert_padding_untouched()
        return x.array.copy()

    assert_close(same_result(run), reference.non_negative(values.astype(np.float64)), ulps=0)


@pytest.mark.parametrize("kind", ["column_norms", "row_norms", "non_negative"])
def test_large_matrices_on_three_threads(kind):
    values = values_of(np.float32, (1601, 1001), 0)
    results = []
    for _ in every_backend((1, 2, 3)):
        x = values.copy()
        kernels.constrain_(x, kind, high=0.5)
        results.append(x)
    for other in results[1:]:
        assert_same_bits(other, results[0])
    if kind == "column_norms":
        norms = np.sqrt((results[0].astype(np.float64) ** 2).sum(0))
        np.testing.assert_allclose(norms, 0.5, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    x = np.zeros((3, 2), dtype)
    kernels.constrain_(x, "column_norms", low=1)
    assert not x.any()  # no division by the norm of nothing
    x = np.array([[np.nan, 1, np.inf], [1, 1, 1]], dtype)
    kernels.constrain_(x, "column_norms", high=0.5)
    assert np.isnan(x[:, 0]).all()
    np.testing.assert_allclose(x[:, 1], np.sqrt([0.125, 0.125]), rtol=1e-6)
    assert np.isnan(x[0, 2])
    assert x[1, 2] == 0
    large = np.full((2, 1), 1e30, dtype)
    kernels.constrain_(large, "column_norms")
    np.testing.assert_allclose(large, np.sqrt(0.5), rtol=1e-6)
    kernels.constrain_(np.empty((0, 3), dtype), "column_norms")
    kernels.constrain_(np.empty((3, 0), dtype), "row_norms")


# The objects

MADE = {
    "max_norm": (constraints.MaxNorm(0.7), lambda w: reference.bounded_norm(w, 0, 0.7)),
    "rows": (constraints.MaxNorm(0.7, axis=1), lambda w: reference.bounded_norm(w, 0, 0.7, 1, 1)),
    "last": (constraints.UnitNorm(-1), lambda w: reference.bounded_norm(w, 1, 1, 1, -1)),
    "unit": (constraints.UnitNorm(), lambda w: reference.bounded_norm(w, 1, 1)),
    "both": (
        constraints.MinMaxNorm(0.5, 0.9, 0.4, -2),
        lambda w: reference.bounded_norm(w, 0.5, 0.9, 0.4),
    ),
    "non_neg": (constraints.NonNeg(), reference.non_negative),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", MADE)
def test_a_constraint_is_a_function(case, dtype):
    made, expected = MADE[case]
    w = values_of(dtype, (6, 9), 1)
    before = w.copy()
    assert_close(made(w), expected(w.astype(np.float64)))
    assert_close(made(w[:, ::2]), expected(w[:, ::2].astype(np.float64)))
    np.testing.assert_array_equal(w, before)


def test_a_vector_has_one_norm():
    w = values_of(np.float64, (20,), 0)
    for axis in (0, -1):
        np.testing.assert_allclose(constraints.UnitNorm(axis)(w), w / (1e-7 + np.sqrt(w @ w)))


def test_names_and_configurations():
    for name in ("max_norm", "MaxNorm", "min_max_norm", "NonNeg", "non_neg", "unit_norm"):
        found = constraints.get(name)
        again = constraints.deserialize(constraints.serialize(found))
        assert type(again) is type(found)
        assert again.get_config() == found.get_config()
    assert constraints.max_norm is constraints.MaxNorm
    assert (constraints.non_neg, constraints.unit_norm, constraints.min_max_norm) == (
        constraints.NonNeg,
        constraints.UnitNorm,
        constraints.MinMaxNorm,
    )
    assert constraints.get(None) is None
    assert constraints.get(constraints.MaxNorm).max_value == 2
    assert constraints.MinMaxNorm().get_config() == {
        "min_value": 0.0,
        "max_value": 1.0,
        "rate": 1.0,
        "axis": 0,
    }


def test_bad_arguments():
    for make, argument, value in (
        (constraints.MaxNorm, "max_value", -1),
        (constraints.MaxNorm, "max_value", np.nan),
        (constraints.MinMaxNorm, "min_value", -1),
        (constraints.MinMaxNorm, "min_value", 2),
        (constraints.MinMaxNorm, "rate", 1.5),
    ):
        with pytest.raises(ValueError, match=argument):
            make(**{argument: value})
    for axis in (None, [0], True, 1.0):
        with pytest.raises(TypeError, match="axis must be an int"):
            constraints.UnitNorm(axis)
    with pytest.raises(ValueError, match=r"one of MaxNorm.*got 'norm'"):
        constraints.get("norm")
    with pytest.raises(ValueError, match=r"axis 2 needs .* got shape \(3, 4\)"):
        constraints.MaxNorm(axis=2)(np.ones((3, 4)))

    with pytest.raises(ValueError, match="a name, a configuration or a callable, got 3"):
        layers.Dense(3, kernel_constraint=3)
    model = Sequential([layers.Dense(3, bias_constraint=constraints.MaxNorm(axis=1))])
    with pytest.raises(ValueError, match=r"axis 1 needs .* got shape \(3,\)"):
        model.build((None, 4))
    assert not model.built


# In models


def network(width=70, optimizer=None, **options):
    utils.set_random_seed(0)
    stack = [
        Input((5,), dtype="float64"),
        layers.Dense(width, "tanh", dtype="float64", **options),
        layers.Dense(2, dtype="float64"),
    ]
    model = Sequential(stack)
    model.compile(optimizer or optimizers.SGD(0.5, momentum=0.9), "mse")
    return model


def data(rows=20):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 5)), rng.normal(size=(rows, 2))


@pytest.mark.parametrize("case", [*MADE])
@pytest.mark.parametrize("optimizer", ["sgd", "clipped"])
def test_constraint_behind_every_update(case, optimizer):
    """One step of a constrained model is a step of a free one, constrained."""
    made, expected = MADE[case]
    rule = (
        (lambda: optimizers.SGD(0.5))
        if optimizer == "sgd"
        else (lambda: optimizers.SGD(0.5, global_clipnorm=0.3))
    )
    for _ in every_backend():
        model, free = network(70, rule(), kernel_constraint=made), network(70, rule())
        free.set_weights(model.get_weights())
        x, y = data()
        for _ in range(3):
            model.train_on_batch(x, y)
            free.train_on_batch(x, y)
            w, *others = free.get_weights()
            free.set_weights([expected(w), *others])
        for got, exact in zip(model.get_weights(), free.get_weights(), strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-12)


def test_biases_and_threads():
    x, y = data(50)
    results = []
    for _ in every_backend((1, 2, 3)):
        model = network(
            kernel_constraint=constraints.MaxNorm(0.3),
            bias_constraint=constraints.UnitNorm(),
            bias_initializer="ones",
        )
        model.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False)
        kernel, bias = model.get_weights()[:2]
        assert (np.sqrt((kernel**2).sum(0)) <= 0.3).all()
        assert np.sqrt(bias @ bias) == pytest.approx(1)
        results.append(model.get_weights())
        padding = model.layers[0].kernel.array
        assert padding.strides[0] == 80 * 8
        whole = np.lib.stride_tricks.as_strided(padding, (5, 80))
        assert not whole[:, 70:].any()
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_constraints_come_last_and_only_in_training():
    model = network(kernel_constraint="max_norm")
    assert [call.kernel for call in model.plan_for("train").calls][-1] == "constrain"
    for mode in ("evaluate", "predict"):
        assert "constrain" not in [call.kernel for call in model.plan_for(mode).calls]
    model.layers[0].trainable = False
    assert "constrain" not in [call.kernel for call in model.plan_for("train").calls]


def test_config_of_layers():
    layer = layers.Dense(3, kernel_constraint="max_norm", bias_constraint={"class_name": "NonNeg"})
    config = layer.get_config()
    assert config["kernel_constraint"] == {
        "class_name": "MaxNorm",
        "config": {"max_value": 2.0, "axis": 0},
    }
    again = layers.Dense.from_config(config)
    assert again.get_config() == config
