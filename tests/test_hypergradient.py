"""SGD-HD and Adam-HD: learning rates that are learned, and where what is learned is kept."""

import copy
import math
import pickle

import numpy as np
import pytest

from onepass import Input, Sequential, callbacks, layers, utils
from onepass.optimizers import SGD, SGDHD, Adam, AdamHD, schedules
from strategies import assert_same_bits, results_by_isa, same_result

SHAPES = [(), (3,), (40, 70), (0, 2), (9000,)]
KINDS = [SGDHD, AdamHD]
# Rates of the rate at which it changes by some percent a step.
GAIN = {SGDHD: 2e-7, AdamHD: 2e-7}


def arrays(seed, dtype="float64", scale=1.0):
    rng = np.random.default_rng(seed)
    return [np.asarray(scale * rng.normal(size=shape), dtype) for shape in SHAPES]


def gradients_of(steps, dtype="float64"):
    """Gradients that agree a little from step to step."""
    common = arrays(50)
    return [
        [np.asarray(g + 0.3 * c, dtype) for g, c in zip(arrays(100 + k), common, strict=True)]
        for k in range(steps)
    ]


def sgd_hd_of_the_paper(parameters, gradients, rate, beta):
    """Algorithm 4 with the parameters as one vector; yields them and the rate after each step."""
    theta = np.concatenate([p.ravel() for p in parameters])
    before = np.zeros_like(theta)
    for step in gradients:
        g = np.concatenate([a.ravel() for a in step]).astype(np.float64)
        rate = rate - beta * (g @ -before)
        theta = theta - rate * g
        before = g
        yield theta, rate


def adam_hd_of_the_paper(parameters, gradients, rate, beta, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Algorithm 6 likewise."""
    theta = np.concatenate([p.ravel() for p in parameters])
    m, v, before = (np.zeros_like(theta) for _ in range(3))
    for t, step in enumerate(gradients, 1):
        g = np.concatenate([a.ravel() for a in step]).astype(np.float64)
        rate = rate - beta * (g @ before)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        before = -(m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        theta = theta + rate * before
        yield theta, rate


PAPER = {SGDHD: sgd_hd_of_the_paper, AdamHD: adam_hd_of_the_paper}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_algorithms_of_the_paper(kind, dtype):
    """With epsilon where the paper has it: in torch's convention."""
    start, gradients = arrays(0, dtype), gradients_of(60, dtype)

    def run():
        parameters = [p.copy() for p in start]
        optimizer = kind(
            0.01, hypergradient_learning_rate=GAIN[kind], convention="torch", weight_decay=0.0
        )
        optimizer.build(parameters)
        rates = []
        for step in gradients:
            optimizer.apply(step)
            rates.append(float(optimizer.learning_rate))
        return parameters, rates

    got, rates = same_result(run)
    wide = [p.astype(np.float64) for p in start]
    expected = list(PAPER[kind](wide, gradients, 0.01, GAIN[kind]))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(rates, [rate for _, rate in expected], rtol=tolerance)
    flat = np.concatenate([p.ravel() for p in got])
    np.testing.assert_allclose(flat, expected[-1][0], rtol=tolerance, atol=tolerance)
    assert rates[0] == 0.01  # nothing before the first step
    assert abs(rates[-1] - 0.01) > 1e-3


def test_one_step_by_hand():
    p, q = np.array([1.0, 2.0]), np.array([3.0])
    optimizer = SGDHD(0.5, hypergradient_learning_rate=0.25)
    optimizer.build([p, q])
    optimizer.apply([np.array([1.0, -1.0]), np.array([2.0])])
    np.testing.assert_array_equal([*p, *q], [0.5, 2.5, 2.0])
    optimizer.apply([np.array([3.0, 1.0]), np.array([1.0])])
    # 1 * 3 - 1 * 1 + 2 * 1
    assert optimizer.learning_rate == 0.5 + 0.25 * 4.0
    np.testing.assert_array_equal([*p, *q], [0.5 - 1.5 * 3.0, 2.5 - 1.5, 2.0 - 1.5])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"clipnorm": 0.5, "weight_decay": 0.1},
        {"global_clipnorm": 0.5, "convention": "torch", "weight_decay": 0.1},
        {"use_ema": True, "gradient_accumulation_steps": 2},
    ],
)
@pytest.mark.parametrize(("kind", "plain"), [(SGDHD, SGD), (AdamHD, Adam)])
def test_without_learning_it_is_the_plain_rule(kind, plain, arguments):
    results = []
    for optimizer in (
        kind(0.01, hypergradient_learning_rate=0.0, **arguments),
        plain(0.01, **arguments),
    ):
        parameters = arrays(0, "float32")
        optimizer.build(parameters)
        for step in gradients_of(6, "float32"):
            optimizer.apply(step)
        results.append([*parameters, *optimizer.averages])
    assert_same_bits(*results)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiny_rate_rises_until_the_steps_are_as_they_should_be(kind):
    """Of a quadratic with curvatures from 0.2 to 1."""
    curvature = np.linspace(0.2, 1.0, 50)
    lowest = {}
    for gain in (0.0, 1e-3):
        p = np.full(50, 1.0)
        optimizer = kind(1e-5, hypergradient_learning_rate=gain)
        optimizer.build([p])
        for _ in range(300):
            optimizer.apply([curvature * p])
        lowest[gain] = 0.5 * float(curvature @ p**2)
        if gain:
            assert 1e-2 < optimizer.learning_rate < 2.0
    assert lowest[1e-3] < 1e-3 * lowest[0.0]


def test_a_rate_that_goes_too_far_falls_and_may_become_negative():
    p = np.array([1.0])
    optimizer = SGDHD(3.0, hypergradient_learning_rate=1.0)
    optimizer.build([p])
    optimizer.apply([p.copy()])  # to -2
    optimizer.apply([p.copy()])
    assert optimizer.learning_rate == 3.0 - 2.0
    optimizer.apply([np.array([1.0])])
    optimizer.apply([np.array([-4.0])])
    assert optimizer.learning_rate == 1.0 - 2.0 - 4.0
    with pytest.raises(ValueError, match="learning_rate must be finite and >= 0"):
        optimizer.learning_rate = float(optimizer.learning_rate)
    assert optimizer.learning_rate == -5.0


# The given rate and the learned one


def learned(kind=SGDHD, steps=4, rate=0.01, **arguments):
    """Return an optimizer after some steps, and its arrays."""
    parameters = arrays(0)
    optimizer = kind(rate, hypergradient_learning_rate=GAIN[kind], **arguments)
    optimizer.build(parameters)
    for step in gradients_of(steps):
        optimizer.apply(step)
    return optimizer, parameters


@pytest.mark.parametrize("kind", KINDS)
def test_setting_the_rate_forgets_what_was_learned(kind):
    for set_to in ("attribute", "assign", "callable"):
        optimizer, _ = learned(kind)
        assert optimizer.learning_rate != 0.01
        assert type(optimizer)(**optimizer.get_config()).learning_rate == 0.01  # as it was made
        if set_to == "assign":
            optimizer.learning_rate.assign(0.125)
        else:
            optimizer.learning_rate = 0.125 if set_to == "attribute" else lambda step: 0.125
        assert optimizer.learning_rate == 0.125
        with pytest.raises((TypeError, ValueError)):
            optimizer.learning_rate = -1.0
        optimizer.apply(gradients_of(5)[-1])
        assert optimizer.learning_rate != 0.125  # it goes on from there


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learned_is_added_to_a_schedule(kind):
    schedule = schedules.InverseTimeDecay(0.02, 3, 1.0)
    parameters, gradients = arrays(0), gradients_of(10)
    optimizer = kind(schedule, hypergradient_learning_rate=GAIN[kind], convention="torch")
    optimizer.build(parameters)
    theta = np.concatenate([p.ravel() for p in parameters])
    for step in gradients:
        optimizer.apply(step)
    # One step at a time by the paper, with the rate of that step.
    constant = [rate for _, rate in PAPER[kind](arrays(0), gradients, 0.0, GAIN[kind])]
    got = np.concatenate([p.ravel() for p in parameters])
    expected = theta.copy()
    units = [theta for theta, _ in PAPER[kind]([np.zeros_like(theta)], joined(gradients), 1.0, 0.0)]
    for k, unit in enumerate(units):
        direction = unit - (units[k - 1] if k else 0.0)
        expected += (float(schedule(k)) + constant[k]) * direction
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)
    rate = float(schedule(10)) + constant[-1]
    assert optimizer.learning_rate == pytest.approx(rate, rel=1e-12)


def joined(gradients):
    return [[np.concatenate([a.ravel() for a in step])] for step in gradients]


# Around the rule


@pytest.mark.parametrize("clip", [{}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}])
@pytest.mark.parametrize("kind", KINDS)
def test_a_decoupled_decay_takes_the_learned_rate(kind, clip):
    """Without a gradient at the third step only the decay and, of Adam, the mean moves it."""
    gain = 0.01
    moved = []
    for decay in (None, 0.25):
        p = np.full(3, 2.0)
        optimizer = kind(0.1, hypergradient_learning_rate=gain, weight_decay=decay, **clip)
        optimizer.build([p])
        for g in (1.0, 2.0, 0.0):
            before = p.copy()
            optimizer.apply([np.full(3, g)])
        assert optimizer.learning_rate > 0.1
        moved.append((before, p.copy()))
    (plain_before, plain), (before, after) = moved
    rate = float(optimizer.learning_rate)
    expected = before * (1.0 - rate * 0.25) + (plain - plain_before)
    np.testing.assert_allclose(after, expected, rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_what_the_rule_sees(kind):
    """Behind scales, clips and a decay that is a part of it."""
    around = {"loss_scale_factor": 4.0, "clipvalue": 0.5, "weight_decay": 0.1}
    p, q = np.full(5, 1.0), np.full(5, 1.0)
    one = kind(0.1, hypergradient_learning_rate=0.01, convention="torch", **around)
    other = kind(0.1, hypergradient_learning_rate=0.01, convention="torch")
    one.build([p])
    other.build([q])
    for g in (8.0, 1.0, -3.0):
        seen = np.clip(np.full(5, g / 4.0), -0.5, 0.5) + 0.1 * q
        one.apply([np.full(5, g)])
        other.apply([seen])
        assert float(one.learning_rate) == pytest.approx(float(other.learning_rate), rel=1e-14)
    np.testing.assert_allclose(p, q, rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_left_out_teaches_nothing(kind):
    optimizer, parameters = learned(kind, skip_nonfinite=True)
    before, rate = [p.copy() for p in parameters], float(optimizer.learning_rate)
    spoiled = gradients_of(5)[-1]
    spoiled[1][0] = math.inf
    assert optimizer.apply(spoiled).skipped
    assert optimizer.learning_rate == rate
    assert_same_bits(parameters, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_that_is_not_finite_is_seen_and_can_be_set(kind):
    optimizer, parameters = learned(kind)
    spoiled = gradients_of(5)[-1]
    spoiled[1][0] = math.nan
    optimizer.apply(spoiled)
    assert math.isnan(optimizer.learning_rate)
    assert np.isnan(parameters[2]).all()
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rate == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_only_whole_steps_teach(kind):
    gradients = gradients_of(6)
    optimizer, parameters = learned(kind, 0, gradient_accumulation_steps=2)
    once, expected = learned(kind, 0)
    for k in range(0, 6, 2):
        rate = float(optimizer.learning_rate)
        optimizer.apply(gradients[k])
        assert optimizer.learning_rate == rate
        optimizer.apply(gradients[k + 1])
        once.apply([np.asarray(0.5 * (a + b)) for a, b in zip(*gradients[k : k + 2], strict=True)])
        assert float(optimizer.learning_rate) == pytest.approx(float(once.learning_rate), rel=1e-12)
        assert k == 0 or optimizer.learning_rate != rate
    for a, b in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_gradient_is_no_part_of_the_sum(kind, convention):
    """Even with epsilon at 0, where what never moved has the direction 0 / 0."""
    extra = {"epsilon": 0.0} if kind is AdamHD else {}
    p, q = np.ones(4), np.ones(3)
    optimizer = kind(0.1, hypergradient_learning_rate=0.01, convention=convention, **extra)
    optimizer.build([p, q])
    alone, r = (
        kind(0.1, hypergradient_learning_rate=0.01, convention=convention, **extra),
        np.ones(4),
    )
    alone.build([r])
    for g in (1.0, 2.0, -1.0):
        optimizer.apply([np.full(4, g), None])
        alone.apply([np.full(4, g)])
        assert optimizer.learning_rate == alone.learning_rate
    np.testing.assert_array_equal(q, 1.0)
    optimizer.apply([np.full(4, 1.0), np.full(3, 1.0)])  # the first of the second
    alone.apply([np.full(4, 1.0)])
    assert optimizer.learning_rate == alone.learning_rate
    assert np.isfinite(q).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_that_is_missing_later_is_no_part_of_the_sum(kind):
    """Nor is what was added up at the step before."""
    p, q = np.ones(4), np.ones(3)
    optimizer = kind(0.1, hypergradient_learning_rate=0.01)
    optimizer.build([p, q])
    for g in (1.0, 2.0):
        optimizer.apply([np.full(4, g), np.full(3, g)])
    rate = float(optimizer.learning_rate)
    optimizer.apply([np.zeros(4), None])
    assert optimizer.learning_rate == rate


# Keeping it


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_state_goes_on_exactly(kind):
    gradients = gradients_of(10)
    whole, expected = learned(kind, 10)
    first, parameters = learned(kind, 4)
    saved = pickle.loads(pickle.dumps(first.state_dict()))
    second = kind(0.5, hypergradient_learning_rate=GAIN[kind])
    second.build(parameters)
    second.load_state_dict(saved)
    assert second.learning_rate == first.learning_rate
    for step in gradients[4:]:
        second.apply(step)
    assert second.learning_rate == whole.learning_rate
    assert_same_bits(parameters, expected)
    assert saved == {**saved, "learning_rate": 0.01}
    for wrong in ("1", None):
        before = second.learning_rate
        with pytest.raises(TypeError, match="the state's learned_rate"):
            second.load_state_dict(saved | {"learned_rate": wrong})
        assert second.learning_rate == before
    second.load_state_dict(saved | {"learned_rate": math.nan})  # spoiled it was, spoiled it is
    assert math.isnan(second.learning_rate)
    saved.pop("learned_rate")
    with pytest.raises(ValueError, match=r"lacks \['learned_rate'\]"):
        second.load_state_dict(saved)
    with pytest.raises(TypeError, match="state_dict"):
        second.load_state_dict(3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_on_alike_and_apart(copied, kind):
    optimizer, parameters = learned(kind)
    twin = copied(optimizer)
    rate = float(optimizer.learning_rate)
    assert twin.learning_rate == rate
    twin.apply(gradients_of(5)[-1])
    assert optimizer.learning_rate == rate != twin.learning_rate
    optimizer.apply(gradients_of(5)[-1])
    assert optimizer.learning_rate == twin.learning_rate
    assert_same_bits(parameters, twin._parameters)


# Models


def problem(n=48):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 6))
    return x, x @ rng.normal(size=(6, 2)) + 0.1


def linear(kind, rate=0.01, gain=1e-3, **arguments):
    utils.set_random_seed(1)
    model = Sequential([Input((6,), dtype="float64"), layers.Dense(2, dtype="float64")])
    model.compile(kind(rate, hypergradient_learning_rate=gain, **arguments), "mse")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_models_and_arrays_agree(kind):
    x, y = problem()
    model = linear(kind, weight_decay=0.1)
    w, b = (a.copy() for a in model.get_weights())
    optimizer = kind(0.01, hypergradient_learning_rate=1e-3, weight_decay=0.1)
    optimizer.build([w, b])
    rates = []
    for _ in range(12):
        d = 2.0 * (x @ w + b - y) / y.size
        optimizer.apply([x.T @ d, d.sum(axis=0)])
        rates.append(float(optimizer.learning_rate))
    for rate in rates[:6]:
        model.train_on_batch(x, y)
        assert float(model.optimizer.learning_rate) == pytest.approx(rate, rel=1e-12)
    model.fit(x, y, batch_size=len(x), epochs=6, verbose=0, shuffle=False)
    assert float(model.optimizer.learning_rate) == pytest.approx(rates[-1], rel=1e-12)
    assert rates[-1] != 0.01
    for got, expected in zip(model.get_weights(), (w, b), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_all_plans_of_a_model_go_on_from_what_was_learned(kind):
    """One with sample weights, one without, one of an optimizer that was set aside meanwhile."""
    x, y = problem()
    one, other = linear(kind), linear(kind)
    own = other.optimizer
    for k in range(8):
        one.train_on_batch(x, y)
        other.train_on_batch(x, y, sample_weight=np.ones(len(x)) if k % 2 else None)
        if k == 3:
            other.compile("sgd", "mse")
            other.compile(own, "mse")
        rates = [float(model.optimizer.learning_rate) for model in (one, other)]
        assert rates[1] == pytest.approx(rates[0], rel=1e-12)
    assert rates[0] != 0.01
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_model_goes_on(kind):
    x, y = problem()
    model = linear(kind)
    model.fit(x, y, epochs=2, batch_size=16, verbose=0, shuffle=False)
    twin = pickle.loads(pickle.dumps(model))
    rate = float(model.optimizer.learning_rate)
    assert twin.optimizer.learning_rate == rate
    for each in (model, twin):
        each.fit(x, y, batch_size=16, verbose=0, shuffle=False)
        assert each.optimizer.learning_rate != rate
    assert model.optimizer.learning_rate == twin.optimizer.learning_rate
    assert_same_bits(model.get_weights(), twin.get_weights())


def test_logs_have_the_learned_rate():
    x, y = problem()
    model = linear(SGDHD)
    watch = callbacks.ReduceLROnPlateau("loss", patience=100)
    rates = model.fit(x, y, epochs=4, verbose=0, callbacks=[watch]).history["learning_rate"]
    assert 0.01 < rates[0] < rates[1] < rates[2] < rates[3] == model.optimizer.learning_rate


def test_a_model_whose_rate_is_set_goes_on_from_there():
    x, y = problem()
    one, other = linear(SGDHD, rate=0.01), linear(SGDHD, rate=0.02)
    one.optimizer._learned[0] = 0.5
    one.optimizer.learning_rate = 0.02
    for model in (one, other):
        model.fit(x, y, epochs=2, batch_size=16, verbose=0, shuffle=False)
    assert_same_bits(one.get_weights(), other.get_weights())


@pytest.mark.parametrize("kind", KINDS)
def test_threads_share_one_rate(kind):
    """Layers large enough for two threads, with norms that are clipped and a decay."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 300)), rng.normal(size=(256, 10))

    def trained():
        utils.set_random_seed(3)
        model = Sequential([Input((300,)), layers.Dense(200, "relu"), layers.Dense(10)])
        optimizer = kind(0.01, hypergradient_learning_rate=1e-3, clipnorm=0.5, weight_decay=0.01)
        model.compile(optimizer, "mse")
        model.fit(x, y, epochs=2, batch_size=64, verbose=0)
        return [np.array(float(optimizer.learning_rate)), *model.get_weights()]

    for result in results_by_isa(trained).values():
        assert float(result[0]) != 0.01


# The native side


def test_a_learned_rate_is_one_number_that_is_kept():
    native = SGDHD().create_native(True)
    for wrong, error in (
        (np.zeros(2), ValueError),
        (np.zeros(1, np.float32), TypeError),
        (np.zeros(1)[::2][:0], ValueError),
    ):
        with pytest.raises(error, match="learned"):
            native.keep_learned_rate(0, wrong)
    with pytest.raises(ValueError, match="no such group"):
        native.keep_learned_rate(1, np.zeros(1))
