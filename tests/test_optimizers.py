"""Optimizers on plain arrays: every rule against its float64 specification, and every argument."""

import copy
import math
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onepass import _formulas, optimizers
from onepass.optimizers import SGD, Adam, AdamW, StepResult
from onepass.optimizers._arguments import AROUND as AROUND_ALL
from rule_cases import CASES, LEARNED, PRODUCTS, SCALED, SIGNS, stepper_of
from strategies import assert_same_bits, results_by_isa, same_result

# Where a few examples of each property do, a few steps do.
STEPS = 50 if settings().max_examples >= 40 else 8
# A scalar, nothing, less and more than a vector, and enough for a second thread.
SHAPES = [(), (0, 3), (1,), (17,), (5, 33), (301, 257)]
DTYPES = ["float32", "float64"]
CONVENTIONS = ["keras", "torch"]

AROUND = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "clipvalue": {"clipvalue": 0.5},
    "clipnorm, decay": {"clipnorm": 1.5, "weight_decay": 0.1},
    "global_clipnorm, decay": {"global_clipnorm": 3.0, "weight_decay": 0.1},
}


def rounded(rng, dtype, scale=1.0, shapes=SHAPES):
    return [np.asarray(scale * rng.normal(size=shape), dtype) for shape in shapes]


def problem(dtype, case=""):
    """Return start values and the gradients and learning rate of every step, to be read."""
    return known_problem(dtype, case in PRODUCTS)


@cache
def known_problem(dtype, small):
    rng = np.random.default_rng(1)
    rates = 0.02 * (1.5 + np.sin(np.arange(STEPS)))
    shapes = [*SHAPES[:-1], (90, 37)] if small else SHAPES
    start = rounded(rng, dtype, shapes=shapes)
    steps = [
        (rounded(rng, dtype, 0.1 + 2.0 * (t % 3), shapes), float(rate))
        for t, rate in enumerate(rates)
    ]
    for array in (*start, *(g for gradients, _ in steps for g in gradients)):
        array.flags.writeable = False
    return start, steps


def on_backends(case, run):
    """Run on every backend; return the results that may differ, one for most rules."""
    return list(results_by_isa(run).values()) if case in PRODUCTS else [same_result(run)]


def arguments_of(case, convention, around):
    kind, arguments = CASES[case]
    arguments = {"convention": convention} | arguments | AROUND[around]
    if case == "momentum" and convention == "torch":
        arguments["dampening"] = 0.3
    if case == "adagrad" and convention == "torch":
        arguments["lr_decay"] = 0.2
    if case == "adamw":
        arguments.setdefault("weight_decay", 0.0)
    return kind, arguments


def run(optimizer, start, steps):
    """Return the parameters and states after some steps."""
    parameters = [p.copy() for p in start]
    optimizer.build(parameters)
    optimizer.learning_rate = lambda step: steps[step][
        1
    ]  # setting each would forget what is learned
    for gradients, _ in steps:
        optimizer.apply(gradients)
    return parameters, optimizer.variables


def specified(optimizer, start, steps):
    stepper = stepper_of(optimizer, start)
    for gradients, rate in steps:
        stepper.step(gradients, rate)
    return stepper.params, stepper.kept()


def assert_specified(case, got, expected, tolerance):
    """Parameters and states after 50 steps, each rounding a few times."""
    got, expected = ([*parameters, *states] for parameters, states in (got, expected))
    # Momentum and FTRL's sums bring the rounding of large states to small parameters.
    largest = max([1.0, *(np.abs(b).max() for b in expected if b.size)])
    for a, b in zip(got, expected, strict=True):
        far = np.abs(a - b) > tolerance * (largest + np.abs(b))
        # Of numbers near 0 rounding may turn the sign.
        assert far.sum() <= (1e-4 * far.size if case in SIGNS else 0)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("case", CASES)
def test_rule_equals_its_specification_on_every_backend(case, convention, dtype, around):
    kind, arguments = arguments_of(case, convention, around)
    start, steps = problem(dtype, case)
    expected = specified(kind(**arguments), start, steps)
    for got in on_backends(case, lambda: run(kind(**arguments), start, steps)):
        assert_specified(case, got, expected, 128 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_threads_that_had_to_be_woken_change_nothing(case, dtype):
    """Enough elements for the pool to wake its threads, with a global norm to add up."""
    kind, arguments = CASES[case]
    rng = np.random.default_rng(6)
    shapes = [(3,), (1_600_001,), (1000, 70)]
    start, gradients = ([rng.normal(size=s).astype(dtype) for s in shapes] for _ in range(2))

    def two_steps():
        return run(kind(global_clipnorm=1.0, **arguments), start, [(gradients, 0.1)] * 2)

    (got, _), *_ = on_backends(case, two_steps)
    expected, _ = specified(kind(global_clipnorm=1.0, **arguments), start, [(gradients, 0.1)] * 2)
    eps = np.finfo(dtype).eps
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=64 * eps, atol=64 * eps)


def test_every_rule_has_a_case():
    assert set(CASES) == set(_formulas.RULES)
    for name, (kind, arguments) in CASES.items():
        assert kind(**arguments).rule.name == name


@given(
    case=st.sampled_from(sorted(CASES)),
    convention=st.sampled_from(CONVENTIONS),
    dtype=st.sampled_from(DTYPES),
    shapes=st.lists(
        st.lists(st.integers(0, 70), max_size=3).map(tuple).filter(lambda s: math.prod(s) < 5000),
        max_size=4,
    ),
    around=st.sampled_from(sorted(AROUND)),
)
def test_any_shapes(case, convention, dtype, shapes, around):
    kind, arguments = arguments_of(case, convention, around)
    rng = np.random.default_rng(2)
    start = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    steps = [([np.asarray(rng.normal(size=s), dtype) for s in shapes], 0.1) for _ in range(3)]
    got, _ = run(kind(**arguments), start, steps)
    expected, _ = specified(kind(**arguments), start, steps)
    eps = np.finfo(dtype).eps
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=64 * eps, atol=64 * eps)


# Another value of every argument of every class.
CHANGED = {
    "learning_rate": 0.5,
    "momentum": 0.5,
    "trust_coefficient": 0.5,
    "lambd": 0.5,
    "alpha": 0.5,
    "t0": 0.5,
    "hypergradient_learning_rate": 0.5,
    "beta_2_decay": -0.5,
    "epsilon_1": 0.5,
    "epsilon_2": 2.0,
    "clip_threshold": 0.5,
    "adam_beta_1": 0.5,
    "adam_beta_2": 0.5,
    "adam_weight_decay": 0.5,
    "adam_lr_ratio": 0.5,
    "muon_a": 3.0,
    "muon_b": -4.0,
    "muon_c": 1.5,
    "ns_steps": 3,
    "rms_rate": 0.5,
    "norm_epsilon": 0.5,
    "relative_step": False,
    "nesterov": True,
    "dampening": 0.5,
    "beta_1": 0.5,
    "beta_2": 0.5,
    "rho": 0.5,
    "epsilon": 0.5,
    "epsilon_inside_sqrt": True,
    "amsgrad": True,
    "centered": True,
    "momentum_decay": 0.5,
    "decoupled_weight_decay": True,
    "initial_accumulator_value": 0.5,
    "lr_decay": 0.5,
    "warmup_steps": 10,
    "learning_rate_power": -0.25,
    "l1_regularization_strength": 0.5,
    "l2_regularization_strength": 0.5,
    "l2_shrinkage_regularization_strength": 0.5,
    "beta": 0.5,
    "etas": (0.25, 1.5),
    "step_sizes": (0.008, 0.011),
    "weight_decay": 0.15,
    "clipnorm": 0.1,
    "clipvalue": 0.1,
    "global_clipnorm": 0.1,
}
# Where there is something to see only beside another argument.
BESIDE = {
    "dampening": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "epsilon_inside_sqrt": {"epsilon": 0.1},
    "decoupled_weight_decay": {"weight_decay": 0.1},
    "alpha": {"lambd": 0.5},
}
# What Keras's formulas have anyway, and what signs do not show.
WITHOUT_EFFECT = {
    *((kind, "epsilon_inside_sqrt", "keras") for kind in ("RMSprop", "Adagrad")),
    *(
        (kind, argument, convention)
        for kind, argument in (("ASGD", "t0"), ("Adafactor", "relative_step"))
        for convention in CONVENTIONS
    ),
    *((kind, "decoupled_weight_decay", "keras") for kind in ("Nadam", "RAdam")),
    *(
        ("Rprop", clip, convention)
        for clip in ("clipnorm", "clipvalue", "global_clipnorm")
        for convention in CONVENTIONS
    ),
}
TORCH_ONLY = ("dampening", "lr_decay")
NAMED = ("exclude_layers", "exclude_embeddings")  # what arrays have no names for: test_muon.py
CLASSES = list({kind: None for kind, _ in CASES.values()})
EFFECTS = [
    (kind, convention, argument)
    for kind in CLASSES
    for convention in CONVENTIONS
    for argument in kind().get_config()
    if argument not in ("name", "convention", *NAMED, *AROUND_ALL)  # test_around_the_rule.py
    and not (argument in TORCH_ONLY and convention == "keras")
]


def after_steps(optimizer, dtype):
    """Return parameters after 12 steps."""
    rng = np.random.default_rng(3)
    parameters = [np.asarray(rng.normal(size=s), dtype) for s in ((9,), (4, 5))]
    optimizer.build(parameters)
    for _ in range(12):
        optimizer.apply([np.asarray(rng.normal(size=p.shape), dtype) for p in parameters])
    return parameters


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "convention", "argument"), EFFECTS)
def test_every_argument_changes_the_result(kind, convention, argument, dtype):
    base = {"convention": convention} | BESIDE.get(argument, {})
    if kind is optimizers.LARS and "norm" in argument:  # its steps do not show sizes of gradients
        base["weight_decay"] = 0.1
    value = CHANGED[argument]
    if value is kind(**base).get_config()[argument]:
        value = not value
    changed = base | {argument: value}
    plain, other = (
        np.concatenate([p.ravel() for p in after_steps(kind(**arguments), dtype)])
        for arguments in (base, changed)
    )
    differs = (plain != other).mean()
    if (kind.__name__, argument, convention) in WITHOUT_EFFECT:
        assert differs == 0
    else:
        assert differs > (0.0 if kind.__name__.lower() in SIGNS else 0.3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", CLASSES)
def test_the_convention_changes_the_result(kind, dtype):
    arguments = {"weight_decay": 0.1} | ({"momentum": 0.5} if kind is SGD else {})
    results = [after_steps(kind(convention=c, **arguments), dtype) for c in CONVENTIONS]
    for a, b in zip(*results, strict=True):
        # Keras's formula in both, or that of the paper.
        alike = kind in (optimizers.ScheduleFreeAdamW, optimizers.LARS)
        assert (a != b).any() != alike


INSIDE = [case for case in CASES if "epsilon_inside_sqrt" in CASES[case][0]().rule.options]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("case", INSIDE)
def test_epsilon_inside_the_root_equals_its_specification(case, convention, dtype):
    kind, arguments = arguments_of(case, convention, "plain")
    arguments["epsilon_inside_sqrt"] = True
    start, steps = problem(dtype)
    expected = specified(kind(**arguments), start, steps)
    got = run(kind(**arguments), start, steps)
    assert_specified(case, got, expected, 128 * np.finfo(dtype).eps)


def step_once(optimizer, parameter, gradient, dtype="float64"):
    p = np.array(parameter, dtype)
    optimizer.build([p])
    result = optimizer.apply([np.array(gradient, dtype)])
    return p, result


# Clipping


def test_clipnorm_and_clipvalue_as_documented():
    p, result = step_once(SGD(1.0, clipnorm=1.0), [0.0, 0.0], [0.9, 100.0])
    np.testing.assert_allclose(p, [-0.00899964, -0.9999595], rtol=1e-6)
    assert result == StepResult(pytest.approx(math.hypot(0.9, 100.0), rel=1e-15), False)
    p, result = step_once(SGD(1.0, clipvalue=1.0), [0.0, 0.0], [0.9, 100.0])
    np.testing.assert_array_equal(p, [-0.9, -1.0])
    assert result == StepResult(None, False)


def test_a_norm_below_the_bound_changes_nothing():
    p, result = step_once(SGD(1.0, clipnorm=5.0), [0.0, 0.0], [3.0, 4.0])
    np.testing.assert_array_equal(p, [-3.0, -4.0])
    assert result.global_norm == 5.0


def test_clipnorm_is_of_each_tensor_and_global_clipnorm_of_all():
    gradients = [np.array([3.0]), np.array([4.0]), np.zeros(0), np.array(0.0)]
    for arguments, expected in (
        ({"clipnorm": 2.0}, [2.0, 2.0]),
        ({"global_clipnorm": 2.5}, [1.5, 2.0]),
    ):
        optimizer = SGD(1.0, **arguments)
        parameters = [np.zeros_like(g) for g in gradients]
        optimizer.build(parameters)
        assert optimizer.apply(gradients).global_norm == 5.0
        np.testing.assert_array_equal([-parameters[0][0], -parameters[1][0]], expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-25, 1e30])
def test_norms_of_tiny_and_huge_gradients(dtype, size):
    p, result = step_once(SGD(1.0, clipnorm=size), [0.0, 0.0], [3 * size, 4 * size], dtype)
    assert result.global_norm == pytest.approx(5 * size, rel=1e-6)
    np.testing.assert_allclose(p, [-0.6 * size, -0.8 * size], rtol=1e-6)


def test_clipping_comes_before_weight_decay():
    p, _ = step_once(SGD(0.5, clipvalue=1.0, weight_decay=0.5, convention="torch"), [4.0], [100.0])
    np.testing.assert_array_equal(p, [4.0 - 0.5 * (1.0 + 0.5 * 4.0)])


# What a step leaves alone


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_untouched(case, dtype, around):
    kind, arguments = arguments_of(case, "keras", around)
    start, steps = problem(dtype)
    gradients = steps[0][0]
    copies = [g.copy() for g in gradients]
    optimizer = kind(**arguments)
    optimizer.build([p.copy() for p in start])
    for _ in range(3):
        optimizer.apply(gradients)
    for g, before in zip(gradients, copies, strict=True):
        np.testing.assert_array_equal(g, before)


def padded_states(optimizer, rows, dtype):
    """Return the states of a matrix with rows of 70 in memory of 80, and what they hold."""
    shapes = optimizer.state_shapes((rows, 70))
    states = [np.zeros((rows, 80) if s == (rows, 70) else s, dtype) for s in shapes]
    return states, [a[:, :70] if a.ndim == 2 else a for a in states]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rate", [0.1, 1e38, math.inf])
@pytest.mark.parametrize("gradient", [0.0, 1.0, math.inf, math.nan])
def test_padding_stays_zero(case, dtype, convention, rate, gradient):
    """Rows of 70 in memory of 80, Adam's epsilon 0, and rates and gradients that make NaN."""
    kind, arguments = CASES[case]
    if "epsilon" in arguments:
        arguments = arguments | {"epsilon": 0.0}
    optimizer = kind(convention=convention, clipnorm=1.0, weight_decay=0.1, **arguments)
    native = optimizer.create_native(dtype == "float64")
    p, g = (np.zeros((5, 80), dtype) for _ in range(2))
    states, inner = padded_states(optimizer, 5, dtype)
    g[:, :70] = gradient
    g[2, :70] = 0.0
    p[:, :70] = 1.0
    native.add(p[:, :70], inner, True)
    native.set_gradients([g[:, :70]])
    for t in range(1, 4):
        native.step(rate, t)
        for whole in (a for a in (p, *states) if a.ndim == 2):
            np.testing.assert_array_equal(whole[:, 70:], 0.0)


@pytest.mark.parametrize("case", CASES)
def test_padded_rows_equal_plain_ones(case):
    kind, arguments = CASES[case]
    rng = np.random.default_rng(4)
    start, gradient = rng.normal(size=(2, 37, 70))
    optimizer = kind(clipnorm=0.5, **arguments)
    native = optimizer.create_native(True)
    p, g = (np.zeros((37, 80)) for _ in range(2))
    _, inner = padded_states(optimizer, 37, "float64")
    p[:, :70], g[:, :70] = start, gradient
    optimizer.start_states(p[:, :70], inner)
    native.add(p[:, :70], inner, True)
    native.set_gradients([g[:, :70]])
    plain = kind(clipnorm=0.5, **arguments)
    expected = start.copy()
    plain.build([expected])
    rate = plain.learning_rate
    for t in range(1, 4):
        native.step(rate, t)
        plain.apply([gradient])
    np.testing.assert_allclose(p[:, :70], expected, rtol=1e-14, atol=1e-15)


# Extremes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", sorted(set(CASES) - {"rprop", "asgd", *LEARNED}))
def test_learning_rate_zero_moves_nothing(case, dtype):
    """Others have rates of their own."""
    kind, arguments = CASES[case]
    start, steps = problem(dtype)
    got, _ = run(kind(weight_decay=0.5, **arguments), start, [(g, 0.0) for g, _ in steps[:3]])
    # What schedule-free AdamW averages is the same, but for rounding.
    rounding = 8 * np.finfo(dtype).eps if case == "schedule_free_adamw" else 0.0
    for a, b in zip(got, start, strict=True):
        np.testing.assert_allclose(a, b, rtol=rounding, atol=0)


@pytest.mark.parametrize("rate", [1e-30, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_tiny_and_huge_learning_rates(case, dtype, rate):
    kind, arguments = CASES[case]
    arguments = arguments | {"weight_decay": 0.0}
    start = [np.zeros(40, dtype)]
    gradients = [np.linspace(-1, 1, 40).astype(dtype)]
    steps = [(gradients, rate)] * (1 if case in SCALED else 3)  # which multiply each other
    got, _ = run(kind(**arguments), start, steps)
    expected, _ = specified(kind(**arguments), start, steps)
    assert np.isfinite(got[0]).all()
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-5, atol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("case", sorted(set(CASES) - {"adafactor", *LEARNED}))
def test_a_gradient_that_is_not_finite_spoils_only_its_element(case, convention, dtype, value):
    """Others take means, or learn from sums."""
    kind, arguments = CASES[case]
    start = [np.ones(40, dtype)]
    gradient = np.full(40, 0.5, dtype)
    gradient[11] = value
    got, _ = run(kind(convention=convention, **arguments), start, [([gradient], 0.1)] * 2)
    assert not np.isfinite(got[0][11]) or (case in SIGNS and math.isinf(value))
    assert np.isfinite(np.delete(got[0], 11)).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm"])
def test_a_norm_that_is_not_finite_is_seen(clip, value):
    p, result = step_once(SGD(1.0, **{clip: 1.0}), [1.0, 1.0], [1.0, value])
    # As in Keras: an infinite norm of one tensor leaves its finite elements a gradient of 0.
    kept = 1.0 if clip == "clipnorm" and math.isinf(value) else math.nan
    np.testing.assert_array_equal(p, [kept, math.nan])
    assert not math.isfinite(result.global_norm)


def test_clipvalue_bounds_infinities_and_keeps_nan():
    p, _ = step_once(SGD(1.0, clipvalue=2.0), [0.0] * 3, [math.inf, -math.inf, math.nan])
    np.testing.assert_array_equal(p, [-2.0, 2.0, math.nan])


def test_adam_moves_by_its_learning_rate_at_first():
    for scale in (1e-3, 1.0, 1e15):
        p, _ = step_once(Adam(0.1, epsilon=0.0), [0.0, 0.0], [scale, -scale])
        np.testing.assert_allclose(p, [-0.1, 0.1], rtol=1e-12)


# Learning rate


def test_a_callable_learning_rate_receives_the_steps_done():
    seen = []

    def schedule(step):
        seen.append(step)
        return 1.0 / (1 + step)

    optimizer = SGD(schedule)
    p = np.zeros(1)
    optimizer.build([p])
    for _ in range(3):
        optimizer.apply([np.ones(1)])
    assert seen == [0, 1, 2]
    np.testing.assert_allclose(p, [-(1 + 1 / 2 + 1 / 3)])
    assert optimizer.learning_rate == 0.25
    optimizer.iterations = 9
    assert optimizer.learning_rate == 0.1


def test_a_callable_without_arguments_is_accepted():
    assert SGD(lambda: 0.125).learning_rate == 0.125


def test_step_learning_rates_are_those_of_the_steps():
    optimizer = SGD(lambda step: 2.0**-step)
    np.testing.assert_array_equal(optimizer.step_learning_rates(1, 3), [1.0, 0.5, 0.25])
    np.testing.assert_array_equal(optimizer.step_learning_rates(3, 1), [0.25])
    optimizer.learning_rate = 0.5
    rates = optimizer.step_learning_rates(1, 3)
    np.testing.assert_array_equal(rates, [0.5, 0.5, 0.5])
    assert rates.dtype == np.float64
    assert optimizer.step_learning_rates(5, 0).shape == (0,)


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_a_bad_rate_from_a_callable_stops_before_the_step(rate):
    optimizer = SGD(lambda step: rate)
    p = np.ones(2)
    optimizer.build([p])
    with pytest.raises(ValueError, match="learning_rate at step 0"):
        optimizer.apply([np.ones(2)])
    np.testing.assert_array_equal(p, 1.0)
    assert optimizer.iterations == 0


def test_iterations_count_steps_and_set_adams_bias_correction():
    optimizer = Adam(0.1, epsilon=0.0)
    p = np.zeros(1)
    optimizer.build([p])
    assert optimizer.iterations == 0
    optimizer.iterations = 100
    optimizer.apply([np.ones(1)])
    assert optimizer.iterations == 101
    m, v = 0.1 / (1 - 0.9**101), 0.001 / (1 - 0.999**101)
    np.testing.assert_allclose(p, [-0.1 * m / math.sqrt(v)], rtol=1e-12)


# Weight decay exclusion


@pytest.mark.parametrize("by", ["index", "identity"])
def test_excluded_arrays_do_not_decay(by):
    parameters = [np.ones(2), np.ones(2), np.ones(2)]
    optimizer = SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay([1] if by == "index" else [parameters[1]])
    optimizer.build(parameters)
    optimizer.apply([np.zeros(2)] * 3)
    np.testing.assert_array_equal([p[0] for p in parameters], [0.75, 1.0, 0.75])


def test_excluded_names_do_not_decay():
    kernel, bias = object(), object()
    optimizer = AdamW()
    assert optimizer.decays("dense/bias")
    optimizer.exclude_from_weight_decay(var_names=["bias", "^norm"])
    assert optimizer.decays("dense/kernel")
    assert not optimizer.decays("dense/bias")
    assert not optimizer.decays("norm/gamma")
    optimizer.exclude_from_weight_decay(var_list=[bias])
    assert optimizer.decays("kernel", kernel)
    assert not optimizer.decays("bias", bias)


# Configuration


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        (SGD, {}, {"learning_rate": 0.01, "momentum": 0.0}),
        (SGD, {"convention": "torch"}, {"learning_rate": 0.001}),
        (SGD, {"convention": "torch", "learning_rate": 0.01}, {"learning_rate": 0.01}),
        (Adam, {}, {"learning_rate": 0.001, "epsilon": 1e-7, "weight_decay": None}),
        (Adam, {"convention": "torch"}, {"learning_rate": 0.001, "epsilon": 1e-8}),
        (AdamW, {}, {"weight_decay": 0.004, "epsilon": 1e-7}),
        (AdamW, {"convention": "torch"}, {"weight_decay": 0.01, "epsilon": 1e-8}),
        (AdamW, {"convention": "torch", "weight_decay": 0.004}, {"weight_decay": 0.004}),
    ],
)
def test_defaults_follow_the_convention(kind, arguments, expected):
    config = kind(**arguments).get_config()
    assert config == config | expected


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (
            SGD,
            {
                "learning_rate": 0.5,
                "momentum": 0.5,
                "weight_decay": 0.1,
                "clipnorm": 2.0,
                "dampening": 0.25,
                "convention": "torch",
                "name": "mine",
            },
        ),
        (SGD, {"momentum": 0.5, "nesterov": True, "clipvalue": 2.0}),
        (Adam, {"beta_1": 0.5, "beta_2": 0.25, "epsilon": 0.1, "global_clipnorm": 2.0}),
        (AdamW, {"beta_1": 0.5, "beta_2": 0.25, "weight_decay": 0.1, "convention": "torch"}),
        *[
            (kind, {argument: CHANGED[argument]} | BESIDE.get(argument, {}))
            for kind, _, argument in EFFECTS
            if argument not in TORCH_ONLY
        ],
    ],
)
def test_a_configuration_makes_the_same_optimizer(kind, arguments):
    optimizer = kind(**arguments)
    config = optimizer.get_config()
    assert config == config | arguments
    assert kind.from_config(config).get_config() == config
    for read in (optimizers.get, optimizers.deserialize):
        again = read(optimizers.serialize(optimizer))
        assert type(again) is kind
        assert repr(again) == repr(optimizer)
    assert kind.__name__ in repr(optimizer)


def test_get():
    for kind in CLASSES:
        for name in (kind.__name__, kind.__name__.lower()):
            assert type(optimizers.get(name)) is kind
    assert optimizers.get(None) is None
    optimizer = SGD()
    assert optimizers.get(optimizer) is optimizer
    for wrong in ("adm", SGD, {}, {"class_name": "x", "config": {}}, 3):
        with pytest.raises(ValueError, match=r"\['adadelta', .*'sgdhd'\]"):
            optimizers.get(wrong)


def test_hyper_parameters_are_read_only():
    optimizer = Adam()
    for name in set(optimizer.get_config()) - {"learning_rate"}:
        with pytest.raises(AttributeError, match=name):
            setattr(optimizer, name, 0.5)
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rate == 0.5


# Bad input: (class, argument, value, error, words)
BAD_ARGUMENTS = [
    *[
        (kind, "learning_rate", value, error, "learning_rate")
        for kind in (SGD, Adam, AdamW)
        for value, error in (
            (-0.1, ValueError),
            (math.nan, ValueError),
            (math.inf, ValueError),
            ("0.1", TypeError),
            (None, TypeError),
            (True, TypeError),
        )
    ],
    *[(SGD, "momentum", v, ValueError, r"momentum must be in \[0, 1\]") for v in (-0.1, 1.1)],
    (SGD, "nesterov", 1, TypeError, "nesterov"),
    (SGD, "dampening", 0.5, ValueError, "dampening needs convention='torch'"),
    *[
        (kind, key, value, ValueError, rf"{key} must be in \[0, 1\), got {value}")
        for kind in (Adam, AdamW)
        for key in ("beta_1", "beta_2")
        for value in (-0.1, 1.0, math.nan)
    ],
    *[(Adam, "epsilon", v, ValueError, "epsilon.*>= 0") for v in (-1e-7, math.nan, math.inf)],
    (AdamW, "weight_decay", None, TypeError, "weight_decay"),
    *[
        (kind, "weight_decay", value, ValueError, "weight_decay.*>= 0, got")
        for kind in (SGD, Adam, AdamW)
        for value in (-0.1, math.nan)
    ],
    *[
        (SGD, key, value, error, rf"{key} must be")
        for key in ("clipnorm", "clipvalue", "global_clipnorm")
        for value, error in ((0.0, ValueError), (-1.0, ValueError), ("1", TypeError))
    ],
    (SGD, "convention", "jax", ValueError, "'keras' or 'torch', got 'jax'"),
    (SGD, "name", 3, TypeError, "name"),
    *[
        (kind, key, 1, TypeError, f"{key} must be True or False, got 1")
        for kind, _, key in EFFECTS
        if isinstance(CHANGED[key], bool)
    ],
    *[
        (kind, key, value, ValueError, rf"{key} must be .*, got {value}")
        for kind, convention, key in EFFECTS
        if convention == "keras"
        and isinstance(CHANGED[key], float)
        and key not in ("learning_rate_power", "beta_2_decay", "muon_a", "muon_b", "muon_c")
        for value in (-0.1, math.nan, math.inf)
    ],
    *[
        (kind, key, "0.1", TypeError, f"{key} must be a number, got '0.1'")
        for kind, convention, key in EFFECTS
        if convention == "keras" and isinstance(CHANGED[key], float)
    ],
    *[(optimizers.RMSprop, "rho", v, ValueError, r"rho must be in \[0, 1\)") for v in (1.0, 1.5)],
    *[(optimizers.Lion, "beta_1", v, ValueError, r"beta_1 must be in \(0, 1\]") for v in (0, 1.5)],
    (optimizers.Adagrad, "lr_decay", 0.5, ValueError, "lr_decay needs convention='torch'"),
    *[
        (optimizers.Ftrl, "learning_rate_power", v, ValueError, "learning_rate_power must be")
        for v in (0.1, -math.inf, math.nan)
    ],
    (optimizers.ScheduleFreeAdamW, "warmup_steps", -1, ValueError, "warmup_steps"),
    (optimizers.ScheduleFreeAdamW, "warmup_steps", 1.5, TypeError, "warmup_steps"),
    *[
        (optimizers.Rprop, "etas", v, error, "etas")
        for v, error in (
            ((0.0, 1.2), ValueError),
            ((1.0, 1.2), ValueError),
            ((0.5, 1.0), ValueError),
            ((0.5, math.inf), ValueError),
            ((0.5,), TypeError),
            (0.5, TypeError),
            ("ab", TypeError),
        )
    ],
    (optimizers.Rprop, "step_sizes", (0.5, 0.1), ValueError, "smallest <= largest"),
    (optimizers.Rprop, "step_sizes", (-0.5, 0.1), ValueError, r"step_sizes\[0\]"),
    *[
        (optimizers.Adafactor, "beta_2_decay", v, ValueError, "beta_2_decay must be")
        for v in (0.1, -math.inf, math.nan)
    ],
    (optimizers.Adafactor, "clip_threshold", 0.0, ValueError, "clip_threshold must be"),
    (optimizers.Adafactor, "epsilon_1", None, TypeError, "epsilon_1 may be None with"),
    *[
        (optimizers.Muon, key, value, ValueError, f"{key} must be")
        for key in ("muon_a", "muon_b", "muon_c")
        for value in (-math.inf, math.inf, math.nan)
    ],
    (optimizers.Muon, "momentum", 1.5, ValueError, r"momentum must be in \[0, 1\]"),
    (optimizers.Muon, "ns_steps", -1, ValueError, "ns_steps must be >= 0, got -1"),
    (optimizers.Muon, "ns_steps", 5.0, TypeError, "ns_steps must be a whole number, got 5.0"),
    (optimizers.Muon, "ns_steps", True, TypeError, "ns_steps must be a whole number, got True"),
    (optimizers.Muon, "exclude_embeddings", 1, TypeError, "exclude_embeddings must be True or"),
    (optimizers.Muon, "exclude_layers", "dense", TypeError, "exclude_layers must be a list of"),
    (optimizers.Muon, "exclude_layers", [3], TypeError, r"exclude_layers must be.*got \[3\]"),
    (optimizers.Muon, "exclude_layers", ["("], ValueError, "exclude_layers: '\\(' is no regular"),
    (SGD, "amsgrad", True, (TypeError, ValueError), "amsgrad"),
    (SGD, "rho", 0.9, TypeError, "rho"),
]


@pytest.mark.parametrize(("kind", "argument", "value", "error", "words"), BAD_ARGUMENTS)
def test_bad_arguments_are_named(kind, argument, value, error, words):
    with pytest.raises(error, match=words):
        kind(**{argument: value})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"clipnorm": 1.0, "clipvalue": 2.0}, "at most one.*'clipnorm': 1.0, 'clipvalue': 2.0"),
        ({"clipnorm": 1.0, "global_clipnorm": 2.0}, "at most one"),
        ({"convention": "torch", "dampening": 0.5}, "dampening needs momentum"),
        ({"convention": "torch", "nesterov": True}, "nesterov.*momentum > 0"),
        (
            {"convention": "torch", "nesterov": True, "momentum": 0.5, "dampening": 0.5},
            "nesterov.*dampening = 0",
        ),
    ],
)
def test_arguments_that_exclude_each_other(arguments, words):
    with pytest.raises(ValueError, match=words):
        SGD(**arguments)


@pytest.mark.parametrize("make", [np.float32, np.float16, np.array, lambda x: np.array(x, "f4")])
def test_numbers_of_numpy_are_numbers(make):
    x = make(0.25)
    made = Adam(
        x, beta_1=x, epsilon=x, weight_decay=x, clipnorm=x, use_ema=True, ema_momentum=x,
        loss_scale_factor=x, gradient_accumulation_steps=np.array(2),
    )  # fmt: skip
    config = made.get_config()
    names = ("learning_rate", "beta_1", "epsilon", "weight_decay", "clipnorm", "ema_momentum")
    assert all(type(config[name]) is float and config[name] == 0.25 for name in names)
    assert type(config["gradient_accumulation_steps"]) is int
    made.learning_rate = make(0.5)
    assert made.learning_rate == 0.5
    made.learning_rate.assign(x)
    assert made.learning_rate == 0.25
    assert optimizers.Rprop(etas=(x, make(2.0))).etas == (0.25, 2.0)
    assert optimizers.ScheduleFreeAdamW(warmup_steps=np.array(3)).warmup_steps == 3
    rate = optimizers.schedules.ExponentialDecay(x, np.array(10), x)
    assert rate.get_config()["decay_steps"] == 10
    assert rate(10) == 0.0625


@pytest.mark.parametrize(
    "value", [np.array(True), np.bool_(True), np.array("0.1"), np.array([0.1]), np.array(0.1j)]
)
def test_arrays_that_are_no_number(value):
    with pytest.raises(TypeError, match="learning_rate must be a number"):
        SGD(value)


def read_only():
    a = np.zeros(3)
    a.flags.writeable = False
    return a


def unaligned():
    return np.frombuffer(bytearray(33), np.float64, 4, 1)


def test_a_positional_argument_out_of_place_is_refused():
    with pytest.raises(TypeError):
        SGD(0.1, 0.9, True, None, None, None, None, False)


WHOLE = np.zeros(10)
BAD_PARAMETERS = [
    (np.zeros(3), TypeError, "list or tuple of NumPy arrays, got ndarray"),
    ("abc", TypeError, "list or tuple"),
    ([[1.0, 2.0]], TypeError, r"parameters\[0\] must be a NumPy array, got list"),
    ([np.zeros(3), 1.0], TypeError, r"parameters\[1\]"),
    ([np.zeros(3, np.int64)], TypeError, r"parameters\[0\] must be float32.*got int64"),
    ([np.zeros(3, np.float16), np.zeros(3)], TypeError, "all float64 or none"),
    ([np.zeros(3, ">f8")], TypeError, ">f8"),
    ([np.zeros(3), np.zeros(3, np.float32)], TypeError, r"\[0\] is float64.*\[1\] is float32"),
    ([np.zeros(3), read_only()], ValueError, r"parameters\[1\] is read-only"),
    ([np.zeros((4, 5)).T], ValueError, r"parameters\[0\] must be C-contiguous"),
    ([np.zeros((4, 5))[:, :3]], ValueError, "C-contiguous"),
    ([unaligned()], ValueError, "aligned"),
    ([WHOLE, WHOLE], ValueError, "overlap"),
    ([WHOLE[:6], np.zeros(2), WHOLE[5:]], ValueError, r"parameters\[0\] and parameters\[2\] over"),
]


@pytest.mark.parametrize(("parameters", "error", "words"), BAD_PARAMETERS)
def test_bad_parameters_are_named(parameters, error, words):
    optimizer = Adam()
    with pytest.raises(error, match=words):
        optimizer.build(parameters)
    assert not optimizer.built


def test_neighbouring_arrays_do_not_overlap():
    SGD().build([WHOLE[:5], WHOLE[5:], WHOLE[3:3]])


@pytest.mark.parametrize(
    ("gradients", "error", "words"),
    [
        ([np.ones(3)], ValueError, "expected 2 arrays, got 1"),
        ([np.ones(3)] * 3, ValueError, "expected 2 arrays, got 3"),
        ([None, None], ValueError, "None"),
        ([np.ones(3), 1.0], TypeError, r"gradients\[1\] must be a NumPy array, got float"),
        ([np.ones(3), [[1.0] * 5] * 4], TypeError, r"gradients\[1\].*list"),
        ([np.ones(3), np.ones((4, 5), np.int64)], TypeError, r"gradients\[1\].*float32.*int64"),
        ([np.ones(3), np.ones((4, 5), ">f8")], TypeError, r"gradients\[1\]"),
        ([np.ones(3), np.ones((5, 4))], ValueError, r"gradients\[1\].*\(5, 4\).*\(4, 5\)"),
        ([np.ones(3), np.ones(20)], ValueError, r"\(20,\)"),
    ],
)
def test_bad_gradients_change_nothing(gradients, error, words):
    optimizer = Adam()
    parameters = [np.ones(3), np.ones((4, 5))]
    optimizer.build(parameters)
    for _ in range(2):  # a second time: the refused list must not be remembered
        with pytest.raises(error, match=words):
            optimizer.apply(gradients)
    for a in (*parameters, *(1.0 + s for s in optimizer.variables)):
        np.testing.assert_array_equal(a, 1.0)
    assert optimizer.iterations == 0
    optimizer.apply([np.ones(3), np.ones((4, 5))])
    assert (parameters[1] < 1.0).all()


def test_a_gradient_must_not_be_a_parameter_or_a_state():
    p = np.ones(8)
    optimizer = Adam()
    optimizer.build([p])
    for wrong in (p, p[:], optimizer.variables[1]):
        with pytest.raises(ValueError, match=re.escape("parameters[0]")):
            optimizer.apply([wrong])


def test_gradients_in_any_layout_are_read():
    rng = np.random.default_rng(5)
    whole = rng.normal(size=(8, 10))
    for g in (whole.T, whole[:, ::-1], whole[::2], np.broadcast_to(whole[:1], (8, 10))):
        a, b = SGD(1.0), SGD(1.0)
        p, q = np.zeros(g.shape), np.zeros(g.shape)
        a.build([p])
        b.build([q])
        for _ in range(2):  # a view kept and changed in between
            a.apply([g])
            b.apply([g.copy(order="C")])
            np.testing.assert_array_equal(p, q)
            whole += 1.0
    p = np.zeros(4)
    optimizer = SGD(1.0)
    optimizer.build([p])
    optimizer.apply([unaligned()])


def test_one_gradient_may_serve_several_parameters():
    g = np.ones(3)
    parameters = [np.zeros(3), np.zeros(3)]
    optimizer = SGD(1.0)
    optimizer.build(parameters)
    optimizer.apply(iter([g, g]))
    np.testing.assert_array_equal(parameters, -1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_results_do_not_depend_on_where_arrays_lie(case, dtype):
    """Parameters, gradients and with them the states at every offset from a cache line."""
    kind, arguments = CASES[case]
    rng = np.random.default_rng(7)
    start, gradient = rng.normal(size=(2, 3000)).astype(dtype)
    whole = np.zeros((2, 4096), dtype)
    results = []
    for offset in range(64 // start.itemsize):
        p, g = whole[:, offset : offset + start.size]
        p[:], g[:] = start, gradient
        optimizer = kind(**arguments)
        optimizer.build([p])
        for _ in range(2):
            optimizer.apply([g])
        results.append([a.copy() for a in (p, *optimizer.variables)])
    for got in results[1:]:
        assert_same_bits(got, results[0])


def test_states_lie_as_their_parameters_do():
    whole = np.zeros(400, np.float32)
    for offset in range(16):
        optimizer = Adam()
        optimizer.build([whole[offset : offset + 300].reshape(3, 100)])
        for state in optimizer.variables:
            assert (state.ctypes.data - whole[offset:].ctypes.data) % 64 == 0
            assert state.shape == (3, 100)
            np.testing.assert_array_equal(state, 0.0)


def test_short_states_lie_together():
    optimizer = Adam(use_ema=True)
    optimizer.build([np.ones(size, np.float32) for size in (100, 3, 400, 0, 7)])
    states = [state for state in optimizer.variables if 0 < state.size < 400]
    for a, b in pairwise(states):
        assert b.ctypes.data == a.ctypes.data + a.nbytes
    assert [state.size for state in states] == [100, 100, 3, 3, 7, 7]
    assert all((average == 1.0).all() for average in optimizer.averages)


def changed_gradients(change):
    """Step with a list of arrays, then after one of them changed."""
    whole = np.zeros((15, 2, 3), np.float32)
    parameters = [*whole[5:10]]
    gradients = [np.ones((2, 3), np.float32) for _ in parameters]
    optimizer = SGD(1.0)
    optimizer.build(parameters)
    optimizer.apply(gradients)
    change(gradients, whole)
    before = whole.copy()
    try:
        optimizer.apply(gradients)
    except (TypeError, ValueError):
        np.testing.assert_array_equal(whole, before)
        raise
    return whole[5:10]


def reshape(gradients, _):
    gradients[3].shape = (3, 2)


def convert_in_place(gradients, _):
    gradients[3].dtype = np.int32


def overlap_behind_others(gradients, whole):
    gradients[:3] = whole[:3]
    gradients[3] = whole.reshape(-1)[27:33].reshape(2, 3)


def overlap_before_others(gradients, whole):
    gradients[:3] = whole[12:]
    gradients[3] = whole.reshape(-1)[57:63].reshape(2, 3)


@pytest.mark.filterwarnings("ignore:Setting the shape", "ignore:Setting the dtype")
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (reshape, ValueError, r"gradients\[3\] has shape"),
        (convert_in_place, TypeError, r"gradients\[3\] must be"),
        (overlap_behind_others, ValueError, r"gradients\[3\] overlaps"),
        (overlap_before_others, ValueError, r"gradients\[3\] overlaps"),
    ],
)
def test_gradients_that_changed_since_the_last_step_are_looked_at(change, error, words):
    with pytest.raises(error, match=words):
        changed_gradients(change)


@pytest.mark.parametrize("clears", [False, True])
def test_gradients_that_grow_where_they_lie_are_looked_at(clears):
    memory = np.zeros(6 * 64, np.uint8)
    p = memory[2 * 64 :].view(np.float32)
    narrow = memory[: 2 * 64].view(np.float16)
    optimizer = SGD(0.1, zero_grads=clears)
    optimizer.build([p])
    narrow[:] = 1.0
    optimizer.apply([narrow])
    np.testing.assert_array_equal(p, np.float32(-0.1))
    with pytest.raises(ValueError, match=r"gradients\[0\] overlaps"):
        optimizer.apply([memory[: 4 * 64].view(np.float32)])


def test_a_gradient_that_ends_may_change_the_list():
    class Owner:
        def __init__(self, memory):
            self.memory = memory
            self.__array_interface__ = memory.__array_interface__

        def __del__(self):
            gradients.clear()

    p = [np.zeros(3, np.float32), np.zeros(3, np.float32)]
    optimizer = SGD(0.1)
    optimizer.build(p)
    gradients = []
    optimizer.apply([np.asarray(Owner(np.ones(3, np.float32))), np.ones(3, np.float32)])
    gradients += [np.ones(3, np.float32), np.full(3, 2.0, np.float32)]
    optimizer.apply(gradients)  # drops the first one of before
    assert gradients == []
    np.testing.assert_array_equal(p[1], np.float32(-0.1) - np.float32(0.2))


@pytest.mark.filterwarnings("ignore:Setting the shape")
def test_a_parameter_that_is_reshaped_is_refused():
    p = np.zeros((4, 6), np.float32)
    optimizer = optimizers.Adafactor()
    optimizer.build([p])
    p.shape = (6, 4)
    with pytest.raises(ValueError, match="moved, resized"):
        optimizer.apply([np.ones((6, 4), np.float32)])


def test_gradients_that_lie_elsewhere_are_used():
    def fill(gradients, _):
        gradients[1][:] = 2.0

    def replace(gradients, whole):
        whole[:5] = np.arange(30).reshape(5, 2, 3)
        gradients[:] = whole[:5]

    def convert(gradients, _):
        gradients[2] = np.full((2, 3), 4.0, np.float16)

    np.testing.assert_array_equal(changed_gradients(fill)[1], -3.0)
    got = changed_gradients(replace)
    np.testing.assert_array_equal(got, -1.0 - np.arange(30).reshape(5, 2, 3))
    np.testing.assert_array_equal(changed_gradients(convert)[2], -5.0)


def stepped_alike(make, gradients, parameters):
    """Steps of two optimizers on copies: by lists, and by iterators, which are looked at more."""
    quick, checked = make(), make()
    p, q = [[np.array(a) for a in parameters] for _ in range(2)]
    quick.build(p)
    checked.build(q)
    for grads in gradients:
        assert quick.apply(grads) == checked.apply(iter(grads))
        for a, b in zip([*p, *quick.variables], [*q, *checked.variables], strict=True):
            assert_same_bits(a, b)
    assert quick.iterations == checked.iterations == len(gradients)
    return p


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "make", [SGD, Adam, lambda: Adam(clipnorm=0.5), lambda: SGD(lambda step: 0.1 / (step + 1))]
)
def test_lists_tuples_and_iterators_of_gradients_step_alike(make, dtype):
    rng = np.random.default_rng(11)
    shapes = [(), (3,), (4, 5), (0, 2)]
    one = [rng.normal(size=shape).astype(dtype).reshape(shape) for shape in shapes]
    other = [np.array(-2 * g) for g in one]
    steps = [one, one, tuple(one), other, [*one[:2], *other[2:]], one]
    stepped_alike(make, steps, [np.ones(shape, dtype) for shape in shapes])


def test_subclasses_of_arrays_are_gradients_too():
    class Mine(np.ndarray):
        pass

    g = np.arange(3.0)
    (p,) = stepped_alike(lambda: SGD(1.0), [[g], [g.view(Mine)], [g]], [np.zeros(3)])
    np.testing.assert_array_equal(p, -3 * g)


def test_arrays_are_looked_at_anew_at_each_step():
    p, g = np.ones((2, 3)), np.ones((2, 3))
    optimizer = SGD(1.0)
    optimizer.build([p])
    optimizer.apply([g])
    optimizer.apply([g])

    g.resize((3, 2), refcheck=False)
    with pytest.raises(ValueError, match=r"gradients\[0\] has shape \(3, 2\)"):
        optimizer.apply([g])
    g.resize((2, 2), refcheck=False)
    with pytest.raises(ValueError, match=r"gradients\[0\] has shape \(2, 2\)"):
        optimizer.apply([g])
    g.resize((2, 3), refcheck=False)
    p.flags.writeable = False
    with pytest.raises(ValueError, match="parameter 0"):
        optimizer.apply([g])
    p.flags.writeable = True
    with pytest.raises(ValueError, match=r"overlaps parameters\[0\]"):
        optimizer.apply([p])
    assert optimizer.iterations == 2
    np.testing.assert_array_equal(p, -1.0)
    optimizer.apply([np.ones((2, 3))])
    np.testing.assert_array_equal(p, -2.0)


def test_a_gradient_between_parameters_overlaps_neither():
    whole = np.ones(12)
    optimizer = SGD(1.0)
    optimizer.build([whole[:4], whole[8:]])
    optimizer.apply([whole[4:8], whole[4:8]])
    np.testing.assert_array_equal(whole, [0.0] * 4 + [1.0] * 4 + [0.0] * 4)
    for at in (1, 3, 5, 7):
        with pytest.raises(ValueError, match="overlaps"):
            optimizer.apply([whole[at : at + 4], whole[at : at + 4]])


def test_a_learning_rate_is_asked_for_once_a_step():
    asked = []
    optimizer = SGD(lambda step: asked.append(step) or 0.5)
    optimizer.build([np.zeros(3)])
    for grads in ([np.ones(3)], iter([np.ones(3)]), (np.ones(6)[::2],)):
        optimizer.apply(grads)
    assert asked == [0, 1, 2]


def test_build_twice():
    p, q = np.zeros(3), np.zeros(3)
    optimizer = Adam()
    optimizer.build([p])
    state = optimizer.variables[0]
    optimizer.build([p])
    assert optimizer.variables[0] is state
    for other in ([q], [p, q], []):
        with pytest.raises(ValueError, match="already built"):
            optimizer.build(other)


def test_apply_before_build():
    with pytest.raises(ValueError, match=r"build\(arrays\) first"):
        SGD().apply([])


def test_no_parameters_at_all():
    optimizer = SGD(clipnorm=1.0)
    optimizer.build([])
    assert optimizer.apply([]) == StepResult(0.0, False)
    assert optimizer.iterations == 1


def test_a_resized_parameter_is_refused():
    p = np.zeros(8)
    optimizer = SGD()
    optimizer.build([p])
    p.resize((4,), refcheck=False)
    with pytest.raises(ValueError, match=r"gradients\[0\]|parameter 0"):
        optimizer.apply([np.zeros(8)])
    with pytest.raises(ValueError, match="parameter"):
        optimizer.apply([np.zeros(4)])


@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_bad_iterations(value, error):
    with pytest.raises(error, match="iterations"):
        SGD().iterations = value


def test_bad_exclusions():
    optimizer = AdamW()
    with pytest.raises(TypeError, match="var_names"):
        optimizer.exclude_from_weight_decay(var_names="bias")
    for wrong in (3, -1, np.zeros(2)):
        optimizer.exclude_from_weight_decay([wrong])
        with pytest.raises(ValueError, match="not one of the 1 parameters"):
            optimizer.build([np.zeros(2)])
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ValueError, match="no names"):
        optimizer.build([np.zeros(2)])
    optimizer.exclude_from_weight_decay()
    optimizer.build([np.zeros(2)])
    with pytest.raises(ValueError, match="before"):
        optimizer.exclude_from_weight_decay([0])


def test_variables_are_the_states_in_order():
    optimizer = Adam(beta_1=0.5, beta_2=0.75)
    parameters = [np.zeros(2, np.float32), np.zeros((2, 3), np.float32)]
    optimizer.build(parameters)
    optimizer.apply([np.full(p.shape, 2.0, np.float32) for p in parameters])
    assert [v.shape for v in optimizer.variables] == [(2,), (2,), (2, 3), (2, 3)]
    for m, v in zip(optimizer.variables[::2], optimizer.variables[1::2], strict=True):
        assert m.dtype == np.float32
        np.testing.assert_array_equal(m, 1.0)
        np.testing.assert_array_equal(v, 1.0)


def test_two_threads_cannot_step_one_optimizer_at_once():
    parameters = [np.zeros(3_000_000, np.float32)]
    gradient = [np.ones(3_000_000, np.float32)]
    optimizer = SGD(1.0)
    optimizer.build(parameters)

    def step(_):
        try:
            optimizer.apply(gradient)
        except RuntimeError:  # another thread is at a step
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        steps = sum(pool.map(step, range(40)))
    assert steps >= 1
    np.testing.assert_array_equal(parameters[0], -float(steps))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_of_a_built_optimizer_go_on_alike_and_apart(copied):
    parameters = [np.ones((3, 5)), np.ones(2)]
    optimizer = AdamW(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_list=[1])
    optimizer.build(parameters)
    gradients = [np.full((3, 5), 0.5), np.full(2, -0.5)]
    optimizer.apply(gradients)
    twin = copied(optimizer)
    before = [p.copy() for p in parameters]
    twin.apply(gradients)
    assert all(np.array_equal(p, b) for p, b in zip(parameters, before, strict=True))
    optimizer.apply(gradients)
    assert twin.iterations == optimizer.iterations == 2
    for ours, theirs in zip(parameters, twin._parameters, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_gradient_of_a_single_number_may_be_what_a_sum_returns():
    parameters = [np.ones(3, np.float32), np.array(2.0, np.float32)]
    optimizer = SGD(0.5)
    optimizer.build(parameters)
    g = np.array([1.0, 2.0, 3.0], np.float32)
    optimizer.apply([g, g.sum()])
    assert parameters[1] == 2.0 - 0.5 * 6.0
    with pytest.raises(ValueError, match=r"gradients\[0\] has shape"):
        optimizer.apply([g.sum(), g.sum()])
    clearing = SGD(0.5, zero_grads=True)
    clearing.build([p.copy() for p in parameters])
    with pytest.raises(TypeError, match=r"gradients\[1\] must be a NumPy array, got float32"):
        clearing.apply([g, g.sum()])
