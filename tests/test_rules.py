"""What is particular to single update rules: start values, traps, and rules inside models."""

import math

import numpy as np
import pytest

import rule_cases
from onepass import Input, Sequential, layers, optimizers, utils
from onepass.optimizers import (
    ASGD,
    LARS,
    Adafactor,
    Adagrad,
    Adam,
    Ftrl,
    Lamb,
    Lion,
    Nadam,
    RAdam,
    RMSprop,
    Rprop,
)
from onepass.optimizers import ScheduleFreeAdamW as ScheduleFree
from strategies import assert_same_bits, results_by_isa, same_result

DTYPES = ["float32", "float64"]


def stepped(optimizer, start, gradients):
    """Return a parameter and its states after steps with these gradients."""
    p = np.array(start)
    optimizer.build([p])
    for g in gradients:
        optimizer.apply([np.broadcast_to(np.asarray(g, p.dtype), p.shape).copy()])
    return p, optimizer.variables


# Start values


@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("kind", [Adagrad, Ftrl])
def test_sums_of_squares_start_where_they_are_told(kind, convention):
    for arguments in ({}, {"initial_accumulator_value": 0.75}):
        optimizer = kind(convention=convention, **arguments)
        _, (accumulator, *_) = stepped(optimizer, np.ones(3), [])
        np.testing.assert_array_equal(accumulator, optimizer.initial_accumulator_value)


def test_steps_of_rprop_start_at_the_learning_rate():
    optimizer = Rprop(0.25)
    p, (before, size) = stepped(optimizer, np.zeros(2), [])
    np.testing.assert_array_equal(size, 0.25)
    optimizer.learning_rate = 5.0  # too late
    optimizer.apply([np.array([2.0, -1e-30])])
    np.testing.assert_array_equal(p, [-0.25, 0.25])
    np.testing.assert_array_equal(before, [2.0, -1e-30])


def test_the_base_of_schedule_free_adamw_starts_at_the_parameters():
    p, (z, v) = stepped(ScheduleFree(), np.arange(3.0), [])
    np.testing.assert_array_equal(z, p)
    assert not np.shares_memory(z, p)
    np.testing.assert_array_equal(v, 0.0)


def test_start_values_of_a_model():
    """States are those of arrays, for wide layers too, whose rows are padded."""
    for rule, slot in (("adagrad", 0), ("ftrl", 0), ("rprop", 1)):
        kind, arguments = rule_cases.CASES[rule]
        model = Sequential([Input((3,)), layers.Dense(70)])
        model.compile(kind(learning_rate=0.0, **arguments), "mse")
        model.fit(np.zeros((4, 3)), np.zeros((4, 70)), verbose=0)
        expected = {"adagrad": 0.1, "ftrl": 0.1, "rprop": 1e-3}[rule]  # nothing has a gradient
        for state in model.optimizer.variables[slot :: kind(**arguments).rule.states]:
            np.testing.assert_array_equal(state, np.float32(expected))


# Traps


@pytest.mark.parametrize("dtype", DTYPES)
def test_lion_stands_still_at_zero_gradient(dtype):
    p, _ = stepped(Lion(0.5), np.ones(40, dtype), [0.0, -0.0, 0.0])
    np.testing.assert_array_equal(p, 1.0)
    p, _ = stepped(Lion(0.5), np.ones(40, dtype), [3.0])
    np.testing.assert_array_equal(p, 0.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lion_shows_nan(dtype):
    p, _ = stepped(Lion(0.5), np.ones(3, dtype), [[1.0, math.nan, math.inf]])
    np.testing.assert_array_equal(p, [0.5, math.nan, 0.5])


@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("case", sorted(set(rule_cases.CASES) - {"ftrl", "ftrl_power", "asgd"}))
def test_what_has_no_gradient_stands_still(case, convention):
    kind, arguments = rule_cases.CASES[case]
    p, _ = stepped(kind(convention=convention, **arguments | {"weight_decay": 0.0}), 0.5, [0.0] * 9)
    assert p == pytest.approx(0.5, rel=1e-15)


# Rules whose first step is the learning rate times the gradient, and the decoupled one.
FIRST_STEP_ALIKE = ("sgd", "momentum", "radam", "adamw", "lars", "adafactor", "muon", "sgd_hd")
OF_THEIR_OWN = ("ftrl", "ftrl_power", "schedule_free_adamw", "asgd")  # which change parameters


@pytest.mark.parametrize("case", sorted(set(rule_cases.CASES) - set(OF_THEIR_OWN)))
def test_weight_decay_is_what_the_convention_means(case):
    """With no gradient: keras takes a part of the parameter, torch adds to the gradient."""
    kind, arguments = rule_cases.CASES[case]
    arguments = arguments | {"weight_decay": 0.25, "learning_rate": 0.5}
    p, _ = stepped(kind(**arguments), [[1.0]], [0.0])
    assert p == 1.0 - 0.5 * 0.25
    p, _ = stepped(kind(convention="torch", **arguments), [[1.0]], [0.0])
    assert p < 1.0
    assert (p == 1.0 - 0.5 * 0.25) == (case in FIRST_STEP_ALIKE)


@pytest.mark.parametrize("kind", [Nadam, RAdam])
def test_decoupled_decay_in_the_convention_of_torch(kind):
    arguments = {"weight_decay": 0.25, "learning_rate": 0.5, "convention": "torch"}
    p, _ = stepped(kind(decoupled_weight_decay=True, **arguments), 1.0, [0.0])
    assert p == 1.0 - 0.5 * 0.25


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("convention", ["keras", "torch"])
def test_centered_rmsprop_stays_finite_where_the_gradient_is_constant(convention, dtype):
    """There the variance is the rounding of two equal numbers, of either sign."""
    optimizer = RMSprop(centered=True, convention=convention, epsilon=1e-12)
    gradient = np.geomspace(1e-3, 1e3, 200).astype(dtype)
    p, _ = stepped(optimizer, np.ones(200, dtype), [gradient] * 300)
    assert np.isfinite(p).all()


def test_the_largest_mean_of_amsgrad_never_falls():
    optimizer = Adam(amsgrad=True, beta_2=0.5)
    _, (_, v, largest) = stepped(optimizer, np.zeros(3), [1.0, 4.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(largest, 8.25)
    assert (v < 2.5).all()


# FTRL


@pytest.mark.parametrize("power", [-0.5, -0.7, 0.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ftrl_without_anything_accumulated_is_zero_not_nan(dtype, power):
    optimizer = Ftrl(learning_rate_power=power, initial_accumulator_value=0.0)
    p, _ = stepped(optimizer, np.ones(40, dtype), [0.0, 0.0])
    np.testing.assert_array_equal(p, 0.0)


def test_ftrl_makes_weights_that_matter_little_exactly_zero():
    optimizer = Ftrl(0.5, l1_regularization_strength=1.0)
    p, _ = stepped(optimizer, np.zeros(4), [[0.1, -0.1, 5.0, -5.0]] * 3)
    assert (p[:2] == 0).all()
    assert p[2] < 0 < p[3]


def test_a_root_and_the_power_of_one_half_agree():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(20, 50))
    root, _ = stepped(Ftrl(0.1, beta=0.5), np.ones(50), gradients)
    power, _ = stepped(Ftrl(0.1, np.nextafter(-0.5, 0), beta=0.5), np.ones(50), gradients)
    np.testing.assert_allclose(root, power, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ftrl_at_the_learning_rate_zero_does_nothing(dtype):
    optimizer = Ftrl(0.5, beta=0.5, initial_accumulator_value=0.0)
    p, states = stepped(optimizer, np.ones(40, dtype), [1.0, 2.0])
    before = [a.copy() for a in (p, *states)]
    optimizer.learning_rate = 0.0
    optimizer.apply([np.ones(40, dtype)])
    assert_same_bits([p, *states], before)


# Nadam's product of momenta


@pytest.mark.parametrize("beta_1", [0.0, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("psi", [0.0, 1e-9, 0.004, 1.0, 30.0])
def test_the_product_of_momenta_is_that_of_a_loop(psi, beta_1):
    """Steps at far apart times, from states at zero: the product decides each of them."""

    def momentum(t):
        return beta_1 * (1.0 - 0.5 * 0.96 ** (t * psi))

    product = 1.0
    for t in range(1, 20001):
        product *= momentum(t)
        if t in (1, 2, 3, 10, 1000, 20000):
            optimizer = Nadam(1.0, beta_1, 0.0, 0.0, momentum_decay=psi)
            p = np.zeros(1)
            optimizer.build([p])
            optimizer.iterations = t - 1
            optimizer.apply([np.ones(1)])
            ahead = momentum(t + 1) * (1.0 - beta_1) / (1.0 - product * momentum(t + 1))
            now = (1.0 - momentum(t)) / (1.0 - product)
            assert -p[0] == pytest.approx(ahead + now, rel=1e-9 if beta_1 > 0.99 else 1e-13)


# Rprop


def test_rprop_neither_grows_nor_turns_at_gradients_that_underflow():
    """The product of two of them would be 0."""
    optimizer = Rprop(0.25, etas=(0.5, 2.0))
    p, (_, size) = stepped(optimizer, np.zeros(1, np.float32), [1e-30, 1e-30, -1e-30, -1e-30])
    np.testing.assert_array_equal(size, 0.25)
    np.testing.assert_array_equal(p, -0.25 - 0.5 + 0.25)


def test_rprop_keeps_its_steps_in_their_limits():
    optimizer = Rprop(0.25, step_sizes=(0.1, 0.3))
    _, (_, size) = stepped(optimizer, np.zeros(1), [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(size, 0.3)
    for g in (-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0):
        optimizer.apply([np.full(1, g)])
    np.testing.assert_array_equal(size, 0.1)


# Rules that look at whole tensors


@pytest.mark.parametrize("kind", [LARS, Lamb])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scaled_step_is_as_long_as_the_tensor_says(kind, dtype):
    """Whatever the gradient's size, where squares of floats would overflow or vanish, too."""
    rng = np.random.default_rng(0)
    start, gradient = rng.normal(size=(2, 30, 401))
    for small, large in ((1.0, 1.0), (1e-18, 1e15), (1e18, 1e-12), (1e-30, 1e-12)):
        p = (small * start).astype(dtype)
        before = p.copy()
        extra = {"trust_coefficient": 1.0} if kind is LARS else {"epsilon": 0.0}
        optimizer = kind(0.25, **extra)
        optimizer.build([p])
        optimizer.apply([(large * gradient).astype(dtype)])
        moved = np.linalg.norm((before - p).astype(np.float64))
        length = np.linalg.norm(before.astype(np.float64))
        assert moved == pytest.approx(0.25 * length, rel=1e-5)


@pytest.mark.parametrize("kind", [LARS, Lamb])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_norm_of_zero_scales_nothing(kind, dtype):
    p, _ = stepped(kind(0.25), np.zeros(300, dtype), [1.0])
    np.testing.assert_allclose(p, -0.25, rtol=1e-6)
    p, _ = stepped(kind(0.25), np.full(300, 2.0, dtype), [0.0])
    np.testing.assert_array_equal(p, 2.0)


def test_weight_decay_of_lars_is_a_part_of_its_quotient():
    optimizer = LARS(0.5, momentum=0.0, trust_coefficient=1.0, weight_decay=0.25)
    optimizer.exclude_from_weight_decay(var_list=[1])
    parameters = [np.array([3.0, 4.0]), np.array([3.0, 4.0])]
    optimizer.build(parameters)
    gradient = np.array([0.0, 2.0])
    optimizer.apply([gradient, gradient])
    decayed = gradient + 0.25 * np.array([3.0, 4.0])
    expected = [3.0, 4.0] - 0.5 * 5.0 / (2.0 + 0.25 * 5.0) * decayed
    np.testing.assert_allclose(parameters[0], expected, rtol=1e-15)
    np.testing.assert_allclose(parameters[1], [3.0, 4.0 - 0.5 * 5.0], rtol=1e-15)


@pytest.mark.parametrize("epsilon", [0.0, 1e-30])
@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_adafactor_stays_finite_where_rows_and_columns_are_zero(dtype, convention, epsilon):
    """Keras's float32 divides 0 by 0 there: dead pixels of images."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(40, 70)).astype(dtype)
    gradients = [rng.normal(size=(40, 70)) for _ in range(5)]
    for g in gradients:
        g[3], g[:, 5] = 0.0, 0.0
    for of in (gradients, [np.zeros((40, 70))] * 3, [np.zeros((40, 70)), *gradients]):
        optimizer = Adafactor(0.1, epsilon_1=epsilon, convention=convention)
        p, _ = stepped(optimizer, start, of)
        assert np.isfinite(p).all()
        np.testing.assert_array_equal(p[3], start[3])
        np.testing.assert_array_equal(p[:, 5], start[:, 5])
        assert (p[:3, :5] == start[:3, :5]).all() == (of[-1] == 0.0).all()


def test_adafactor_keeps_a_number_a_row_and_one_a_column():
    shapes = [(30, 40), (5,), (), (2, 3, 4), (0, 3), (3, 0)]
    optimizer = Adafactor()
    optimizer.build([np.ones(s, np.float32) for s in shapes])
    found = [a.shape for a in optimizer.variables]
    expected = [(30,), (40,), (5,), (0,), (), (0,), (2, 3), (2, 4), (0,), (3,), (3,), (0,)]
    assert found == expected
    optimizer.apply([np.ones(s, np.float32) for s in shapes])
    model = classifier(Adafactor(0.1))
    model.fit(*digits_like(), verbose=0)
    assert [a.shape for a in model.optimizer.variables] == [
        *((6,), (80,), (80,), (0,)),
        *((80,), (4,), (4,), (0,)),
    ]


def test_adafactor_goes_on_from_a_state():
    start, gradients = np.ones((7, 9)), np.random.default_rng(0).normal(size=(4, 7, 9))
    expected, _ = stepped(Adafactor(0.1), start, gradients)
    first = Adafactor(0.1)
    p, _ = stepped(first, start, gradients[:2])
    second = Adafactor(0.1)
    second.build([p])
    second.load_state_dict(first.state_dict())
    for g in gradients[2:]:
        second.apply([g])
    assert_same_bits(p, expected)


def test_steps_of_asgd_take_the_rate_before():
    optimizer = ASGD(0.25, lambd=0.0)
    p, (average, eta) = stepped(optimizer, np.zeros(2), [])
    optimizer.learning_rate = 5.0  # of the next step but one
    optimizer.apply([np.array([1.0, -1.0])])
    np.testing.assert_array_equal(p, [-0.25, 0.25])
    np.testing.assert_array_equal(average, p)
    np.testing.assert_array_equal(eta, 5.0)


def test_the_average_of_asgd_begins_after_t0():
    optimizer = ASGD(1.0, lambd=0.0, t0=2.0)
    seen = []
    p = np.zeros(1)
    optimizer.build([p])
    for _ in range(6):
        optimizer.apply([np.ones(1)])
        seen.append(float(optimizer.variables[0][0]))
    np.testing.assert_allclose(seen, [-1.0, -2.0, -3.0, -4.0, -4.5, -5.0])


AROUND = {
    "average": {"use_ema": True, "ema_momentum": 0.5},
    "accumulation": {"gradient_accumulation_steps": 2},
    "accumulation, clip": {"gradient_accumulation_steps": 2, "clipnorm": 0.5},
    "loss scale, cleared": {"loss_scale_factor": 8.0, "zero_grads": True},
    "skip": {"skip_nonfinite": True},
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("case", rule_cases.LOOKING)
def test_rules_that_look_at_tensors_within_what_surrounds_them(case, dtype, around):
    """As the same rule with the gradients that it gets, one step at a time, in double."""
    kind, arguments = rule_cases.CASES[case]
    given = AROUND[around]
    calls = given.get("gradient_accumulation_steps", 1)
    unscale = 1.0 / given.get("loss_scale_factor", 1.0)
    rng = np.random.default_rng(1)
    shapes = [(90, 130), (5,), (1,)]
    start = [rng.normal(size=s).astype(dtype) for s in shapes]
    gradients = [[rng.normal(size=s).astype(dtype) for s in shapes] for _ in range(4)]

    def trained():
        parameters = [p.copy() for p in start]
        optimizer = kind(**arguments, **given)
        optimizer.build(parameters)
        for g in gradients:
            optimizer.apply([a.copy() for a in g])
        if given.get("skip_nonfinite"):
            before = [p.copy() for p in (*parameters, *optimizer.variables)]
            spoiled = [a.copy() for a in gradients[0]]
            spoiled[0][3, 3] = np.nan
            assert optimizer.apply(spoiled).skipped
            assert_same_bits([*parameters, *optimizer.variables], before)
        return [*parameters, *optimizer.averages]

    results = list(results_by_isa(trained).values())
    for other in results if case not in rule_cases.PRODUCTS else ():
        assert_same_bits(other, results[0])
    plain = kind(**arguments, **({"clipnorm": 0.5} if "clipnorm" in given else {}))
    expected = [p.astype(np.float64) for p in start]
    plain.build(expected)
    averages = None
    for step in range(0, 4, calls):
        of_step = gradients[step : step + calls]
        plain.apply(
            [
                unscale * np.mean([np.asarray(g[k], np.float64) for g in of_step], axis=0)
                for k in range(len(shapes))
            ]
        )
        averages = [
            p.copy() if averages is None else 0.5 * (a + p)
            for a, p in zip(averages or expected, expected, strict=True)
        ]
    wanted = [*expected, *(averages if given.get("use_ema") else [])]
    tolerance = {"float16": 5e-3, "float32": 1e-5, "float64": 1e-12}[dtype]
    for got in results:
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", rule_cases.LOOKING)
def test_rules_that_look_at_tensors_leave_out_what_has_no_gradient(case):
    kind, arguments = rule_cases.CASES[case]
    parameters = [np.ones(3), np.full(40, 2.0)]
    optimizer = kind(**arguments)
    optimizer.build(parameters)
    optimizer.apply([None, np.ones(40)])
    np.testing.assert_array_equal(parameters[0], 1.0)
    assert (parameters[1] != 2.0).all()


@pytest.mark.parametrize("case", rule_cases.LOOKING)
def test_rules_that_look_at_tensors_in_models_depend_on_no_threads(case):
    kind, arguments = rule_cases.CASES[case]
    x, y = digits_like()

    def trained():
        model = classifier(kind(**arguments))
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        return model.get_weights()

    results = results_by_isa(trained)
    for result in results.values():
        for one, other in zip(result, next(iter(results.values())), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


# In models


def digits_like(n=64):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 6))
    return x, (x @ rng.normal(size=(6, 4))).argmax(axis=1)


def classifier(optimizer, **arguments):
    utils.set_random_seed(2)
    model = Sequential(
        [Input((6,)), layers.Dense(80, "relu"), layers.Dense(4, "softmax")],
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", **arguments)
    return model


RATES = {
    "adadelta": 5.0,
    "adagrad": 0.1,
    "radam": 0.1,
    "ftrl": 0.5,
    "sgd": 0.5,
    "lars": 20.0,
    "asgd": 0.5,
    "adafactor": 1.0,
    "sgdhd": 0.5,
}  # 0.01 the others


@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("name", optimizers.registry.names())
def test_every_optimizer_learns_by_its_name(name, convention):
    x, y = digits_like()
    model = classifier(
        optimizers.get({"class_name": name, "config": {"convention": convention}}),
        metrics=["accuracy"],
    )
    model.optimizer.learning_rate = RATES.get(name, 0.01)
    losses = model.fit(x, y, epochs=40, batch_size=64, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", optimizers.registry.names())
def test_a_name_is_the_class_with_its_defaults(name):
    x, y = digits_like()
    weights = []
    for optimizer in (name, optimizers.get(name)):
        model = classifier(optimizer)
        model.fit(x, y, epochs=2, verbose=0)
        weights.append(model.get_weights())
    assert_same_bits(*weights)


def test_the_default_optimizer_is_keras():
    model = Sequential([Input((6,)), layers.Dense(4)])
    model.compile(loss="mse")
    assert type(model.optimizer) is RMSprop
    model.fit(np.ones((4, 6)), np.ones((4, 4)), verbose=0)


def test_a_model_needs_an_optimizer():
    with pytest.raises(ValueError, match="optimizer must be a name or an Optimizer, got None"):
        Sequential([Input((6,)), layers.Dense(4)]).compile(None, "mse")


def test_weights_of_schedule_free_adamw_are_where_gradients_are_taken():
    """As in Keras they are so in evaluation, too: evaluating changes and exchanges nothing."""
    x, y = digits_like()
    model = classifier(ScheduleFree(0.01))
    model.fit(x, y, epochs=3, verbose=0)
    before = model.get_weights()
    model.evaluate(x, y, verbose=0)
    model.predict(x)
    assert_same_bits(model.get_weights(), before)
    z = model.optimizer.variables[::2]
    assert any(not np.array_equal(a, b) for a, b in zip(before, z, strict=True))


@pytest.mark.parametrize("rule", ["rprop", "adagrad", "ftrl", "schedule_free_adamw"])
def test_a_layer_unfrozen_later_starts_its_states_then(rule):
    kind, arguments = rule_cases.CASES[rule]
    x, y = digits_like()
    model = classifier(kind(learning_rate=0.01, **arguments))
    model.layers[0].trainable = False
    model.fit(x, y, verbose=0)
    frozen = model.layers[0].get_weights()
    model.layers[0].trainable = True
    model.fit(x, y, epochs=2, verbose=0)
    kernel, bias = model.layers[0].get_weights()
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()
    assert not np.array_equal(kernel, frozen[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", rule_cases.CASES)
def test_special_values_agree_on_every_backend(case, dtype):
    """NaN, infinities, zeros and extremes as parameters and gradients: the same bits."""
    info = np.finfo(dtype)
    special = [
        0.0,
        -0.0,
        info.tiny,
        -info.tiny,
        1.0,
        -1e30,
        info.max,
        math.inf,
        -math.inf,
        math.nan,
    ]
    start, gradient = (a.ravel().astype(dtype) for a in np.meshgrid(special, special))

    def run():
        kind, arguments = rule_cases.CASES[case]
        optimizer = kind(learning_rate=0.1, **arguments)
        p, states = stepped(optimizer, start, [gradient, -gradient, 0.5 * gradient])
        return [p.copy(), *(s.copy() for s in states)]

    same_result(run)
