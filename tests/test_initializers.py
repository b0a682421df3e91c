"""Initial values: distributions, seeds, names and arguments."""

import math

import numpy as np
import pytest

from onepass import _random, initializers, utils

SCALED = {
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
}
RANDOM = [
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
    *SCALED,
]
SHAPE = (300, 700)


@pytest.fixture(autouse=True)
def _seeded():
    _random.seed(7)


@pytest.mark.parametrize("name", SCALED)
def test_variance_follows_the_fans(name):
    scale, mode, distribution = SCALED[name]
    n = {"fan_in": 300, "fan_out": 700, "fan_avg": 500}[mode]
    stddev = math.sqrt(scale / n)
    values = initializers.get(name)(SHAPE, "float64")
    # 210,000 values: the sample's deviation is within 1% far beyond five sigma.
    assert values.std() == pytest.approx(stddev, rel=0.01)
    assert abs(values.mean()) < 5 * stddev / math.sqrt(values.size)
    largest = math.sqrt(3) if distribution == "uniform" else 2 / 0.87962566103423978
    assert np.abs(values).max() <= largest * stddev
    assert np.abs(values).max() > 0.99 * largest * stddev


@pytest.mark.parametrize("name", SCALED)
def test_a_named_case_equals_variance_scaling(name):
    scaled = initializers.VarianceScaling(*SCALED[name], seed=3)
    named = initializers.get({"class_name": name, "config": {"seed": 3}})
    np.testing.assert_array_equal(named(SHAPE), scaled(SHAPE))


@pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"),
    [((), 1, 1), ((50,), 50, 50), ((20, 30), 20, 30), ((3, 4, 20, 30), 240, 360), ((0, 5), 0, 5)],
)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_fans_of_every_rank(shape, fan_in, fan_out, mode):
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    init = initializers.VarianceScaling(2.0, mode, "untruncated_normal", seed=1)
    unit = initializers.RandomNormal(0.0, math.sqrt(2.0 / max(1.0, n)), seed=1)
    np.testing.assert_allclose(init(shape, "float64"), unit(shape, "float64"), rtol=1e-14)


def test_truncated_normal_has_no_value_beyond_two_deviations():
    values = initializers.TruncatedNormal(mean=3.0, stddev=0.5)((400, 400), "float64")
    assert np.abs(values - 3.0).max() <= 1.0
    assert values.std() == pytest.approx(0.5 * 0.87962566103423978, rel=0.01)
    assert values.mean() == pytest.approx(3.0, abs=0.01)


def test_plain_distributions():
    normal = initializers.RandomNormal(1.0, 2.0)((400, 400), "float64")
    assert normal.mean() == pytest.approx(1.0, abs=0.03)
    assert normal.std() == pytest.approx(2.0, rel=0.01)
    assert np.abs(normal - 1.0).max() > 6.0
    uniform = initializers.RandomUniform(-1.0, 3.0)((400, 400), "float64")
    assert -1.0 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() <= 3.0
    assert uniform.mean() == pytest.approx(1.0, abs=0.03)


def test_constants():
    np.testing.assert_array_equal(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.Ones()((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(initializers.Constant(0.5)((2, 3)), np.full((2, 3), 0.5))


@pytest.mark.parametrize("name", ["zeros", "ones", "constant", *RANDOM])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (4, 6), [4, 6], (2, 3, 4)])
def test_every_initializer_returns_a_fresh_plain_array(name, dtype, shape):
    init = initializers.get(name)
    a, b = init(shape, dtype), init(shape, dtype)
    assert a.shape == tuple(shape)
    assert a.dtype == dtype
    assert a.flags.c_contiguous
    assert a.flags.writeable
    assert not np.shares_memory(a, b)
    assert np.isfinite(a).all()


@pytest.mark.parametrize("name", RANDOM)
def test_an_integer_seed_repeats_and_none_does_not(name):
    seeded = initializers.get({"class_name": name, "config": {"seed": 5}})
    np.testing.assert_array_equal(seeded((4, 5)), seeded((4, 5)))
    other = initializers.get({"class_name": name, "config": {"seed": 6}})
    assert not np.array_equal(seeded((4, 5)), other((4, 5)))
    free = initializers.get(name)
    assert not np.array_equal(free((4, 5)), free((4, 5)))


@pytest.mark.parametrize("name", RANDOM)
def test_set_random_seed_repeats_what_has_no_seed(name):
    init = initializers.get(name)
    utils.set_random_seed(11)
    first = init((4, 5))
    utils.set_random_seed(11)
    np.testing.assert_array_equal(init((4, 5)), first)


@pytest.mark.parametrize("name", RANDOM)
def test_float32_is_float64_rounded(name):
    init = initializers.get({"class_name": name, "config": {"seed": 5}})
    np.testing.assert_array_equal(init((4, 5)), init((4, 5), "float64").astype(np.float32))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Constant", {"value": 2.5}),
        ("RandomNormal", {"mean": 1.0, "stddev": 0.5, "seed": 1}),
        ("TruncatedNormal", {"mean": 1.0, "stddev": 0.5, "seed": 1}),
        ("RandomUniform", {"minval": 1.0, "maxval": 1.5, "seed": 1}),
        (
            "VarianceScaling",
            {"scale": 3.0, "mode": "fan_out", "distribution": "uniform", "seed": 1},
        ),
        ("HeNormal", {"seed": 1}),
    ],
)
def test_a_configuration_makes_the_same_initializer(name, config):
    init = initializers.get({"class_name": name, "config": config})
    assert init.get_config() == config
    again = type(init).from_config(init.get_config())
    np.testing.assert_array_equal(again((3, 4)), init((3, 4)))
    for key in config:
        changed = config | {key: {"mode": "fan_in", "distribution": "normal"}.get(key, 1.25)}
        if key == "seed":
            changed["seed"] = 9
        other = initializers.get({"class_name": name, "config": changed})
        assert not np.array_equal(other((3, 4)), init((3, 4))), key


def test_get_accepts_what_keras_accepts():
    assert isinstance(initializers.get("HeNormal"), initializers.HeNormal)
    assert isinstance(initializers.get("he_normal"), initializers.HeNormal)
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    instance = initializers.GlorotUniform(seed=1)
    assert initializers.get(instance) is instance

    def own(shape, dtype):
        return np.full(shape, 4.0, dtype)

    assert initializers.get(own) is own


@pytest.mark.parametrize("identifier", ["he_norml", None, 3, {}, {"class_name": "x"}, dict])
def test_get_refuses_the_rest_and_lists_the_names(identifier):
    with pytest.raises(ValueError, match="he_normal"):
        initializers.get(identifier)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: initializers.Constant("1"), TypeError, "value"),
        (lambda: initializers.RandomNormal(stddev=-1.0), ValueError, "stddev"),
        (lambda: initializers.RandomNormal(mean=math.nan), ValueError, "mean"),
        (lambda: initializers.RandomUniform(1.0, 0.0), ValueError, "minval"),
        (lambda: initializers.VarianceScaling(scale=0.0), ValueError, "scale"),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "mode.*fan_avg"),
        (lambda: initializers.VarianceScaling(distribution="x"), ValueError, "distribution"),
        (lambda: initializers.HeNormal(seed=-1), ValueError, "seed"),
        (lambda: initializers.HeNormal(seed=1.5), TypeError, "seed"),
        (lambda: initializers.HeNormal(seed=True), TypeError, "seed"),
        (lambda: initializers.Zeros()(3), TypeError, "shape"),
        (lambda: initializers.Zeros()((3.0,)), TypeError, "shape"),
        (lambda: initializers.Zeros()((-3,)), ValueError, "shape"),
        (lambda: initializers.Zeros()((3,), "int32"), ValueError, "dtype.*int32"),
        (lambda: utils.set_random_seed("1"), TypeError, "seed"),
        (lambda: utils.set_random_seed(-1), ValueError, "seed"),
    ],
)
def test_bad_arguments_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_set_random_seed_seeds_all_three_generators():
    import random

    def draw():
        return random.random(), np.random.random(), _random.generator().random()

    utils.set_random_seed(3)
    first = draw()
    utils.set_random_seed(3)
    assert draw() == first


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (2, 4, 5), (1, 1), (0, 4), (4, 0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal_rows_or_columns(shape, dtype):
    values = initializers.Orthogonal(gain=2.0, seed=4)(shape, dtype)
    assert (values.shape, values.dtype) == (shape, np.dtype(dtype))
    assert values.flags.c_contiguous
    matrix = values.reshape(math.prod(shape[:-1]), shape[-1]).astype(np.float64) / 2
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-6)


def test_orthogonal_directions_are_uniform():
    first = [initializers.get("orthogonal")((3, 3), "float64")[0] for _ in range(3000)]
    # A coordinate of a uniform direction in space has mean 0 and variance 1/3.
    assert np.abs(np.mean(first, axis=0)).max() < 5 * math.sqrt(1 / 3 / 3000)
    np.testing.assert_allclose(np.var(first, axis=0), 1 / 3, atol=5 * math.sqrt(4 / 45 / 3000))


def test_identity():
    np.testing.assert_array_equal(
        initializers.Identity(gain=3.0)((2, 3)), np.array([[3, 0, 0], [0, 3, 0]], np.float32)
    )
    assert initializers.get("identity")((4, 4), "float64").dtype == np.float64


@pytest.mark.parametrize("name", ["identity", "orthogonal"])
def test_matrices_alone_can_be_orthogonal_or_the_identity(name):
    with pytest.raises(ValueError, match=r"2 dimensions, got \(3,\)"):
        initializers.get(name)((3,))
    with pytest.raises(TypeError, match="gain"):
        initializers.get({"class_name": name, "config": {"gain": "big"}})
