"""Learning rate schedules: their formulas, in optimizers, in models, as configurations."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onepass
from onepass import optimizers
from onepass.callbacks import Callback
from onepass.optimizers import SGD, Adam, schedules
from onepass.optimizers.schedules import LearningRateSchedule
from onepass.optimizers.schedules.schedule import Formula
from reference import schedules as reference

rates = st.floats(0.0, 10.0)
above = st.floats(1e-3, 10.0)
parts = st.floats(0.0, 1.0)
lengths = st.one_of(st.integers(1, 700), st.floats(0.5, 700.0))
decay = {
    "initial_learning_rate": rates,
    "decay_steps": lengths,
    "decay_rate": st.floats(0.0, 1.5),
    "staircase": st.booleans(),
}

# Each class, its reference and what its arguments may be.
CASES = {
    "Constant": (reference.constant, {"learning_rate": rates}),
    "ExponentialDecay": (reference.exponential_decay, decay),
    "InverseTimeDecay": (reference.inverse_time_decay, decay),
    "PolynomialDecay": (
        reference.polynomial_decay,
        {
            "initial_learning_rate": rates,
            "decay_steps": st.integers(1, 700),
            "end_learning_rate": rates,
            "power": st.floats(0.0, 4.0),
            "cycle": st.booleans(),
        },
    ),
    "CosineDecay": (
        reference.cosine_decay,
        {
            "initial_learning_rate": rates,
            "decay_steps": lengths,
            "alpha": st.floats(0.0, 2.0),
            "warmup_target": st.none() | rates,
            "warmup_steps": st.integers(0, 200),
        },
    ),
    "CosineDecayRestarts": (
        reference.cosine_decay_restarts,
        {
            "initial_learning_rate": rates,
            "first_decay_steps": st.integers(1, 300),
            "t_mul": st.sampled_from((1.0, 1.5, 2.0, 3.0)),
            "m_mul": st.floats(0.0, 1.5),
            "alpha": parts,
        },
    ),
    "OneCycle": (
        reference.one_cycle,
        {
            "max_lr": rates,
            "total_steps": st.integers(1, 700),
            "pct_start": parts,
            "anneal_strategy": st.sampled_from(("cos", "linear")),
            "div_factor": above,
            "final_div_factor": above,
            "three_phase": st.booleans(),
        },
    ),
}
# Arguments that are enough to make one of each.
PLAIN = {
    "Constant": (0.1,),
    "ExponentialDecay": (0.1, 100, 0.9),
    "InverseTimeDecay": (0.1, 100, 0.5),
    "PiecewiseConstantDecay": ([2, 5], [0.3, 0.2, 0.1]),
    "PolynomialDecay": (0.1, 100),
    "CosineDecay": (0.1, 100),
    "CosineDecayRestarts": (0.1, 100),
    "OneCycle": (0.1, 100),
    "LinearWarmup": (0.1, 100),
}
KINDS = sorted(PLAIN)


class Own(LearningRateSchedule):
    """A user's schedule in Keras's way."""

    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start / (step + 1)

    def get_config(self):
        return {"start": self.start}


def plain(kind):
    return getattr(schedules, kind)(*PLAIN[kind])


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


# Formulas


def test_every_schedule_is_tested():
    known = {n for n, v in vars(schedules).items() if isinstance(v, type)}
    assert known - {"LearningRateSchedule"} == set(KINDS)
    assert set(CASES) | {"PiecewiseConstantDecay", "LinearWarmup"} == set(KINDS)


@pytest.mark.parametrize("kind", CASES)
@given(data=st.data())
def test_formula(kind, data):
    expected, strategies = CASES[kind]
    arguments = {name: data.draw(strategy, name) for name, strategy in strategies.items()}
    schedule = getattr(schedules, kind)(**arguments)
    steps = data.draw(st.lists(st.integers(0, 3000), min_size=1, max_size=5), "steps")
    at = next((v for k, v in arguments.items() if k.endswith("steps")), 0)
    steps += [0, 1, int(at), max(int(at) - 1, 0), int(at) + 1]
    wanted = [expected(step, **arguments) for step in steps]
    assert_close([schedule(step) for step in steps], wanted)
    assert_close(schedule(np.array(steps, float)), wanted)
    assert type(schedule(steps[0])) is float


@given(
    st.lists(st.integers(0, 3000), unique=True, max_size=6).map(sorted),
    st.lists(rates, min_size=7, max_size=7),
)
def test_piecewise_constant(boundaries, values):
    values = values[: len(boundaries) + 1]
    schedule = schedules.PiecewiseConstantDecay(boundaries, values)
    for step in {0, *(b + d for b in boundaries for d in (0, 1)), 5000}:
        assert schedule(step) == reference.piecewise_constant_decay(step, boundaries, values)


@given(rates, st.integers(0, 300), rates, st.integers(0, 2000))
def test_linear_warmup(target, warmup_steps, start, step):
    number = schedules.LinearWarmup(target, warmup_steps, start)
    wanted = reference.linear_warmup(step, lambda step: target, warmup_steps, start)
    assert_close(number(step), wanted)
    for inner in (schedules.CosineDecay(target, 500, 0.1), Own(target)):
        before = schedules.LinearWarmup(inner, warmup_steps, start)
        assert_close(before(step), reference.linear_warmup(step, inner, warmup_steps, start))
        twice = schedules.LinearWarmup(before, 10)
        assert_close(twice(step), reference.linear_warmup(step, before, 10, 0.0))


@pytest.mark.parametrize("t_mul", [1.0, 1.1, 1.5, 2.0, 3.0, 7.0])
def test_restarts_are_at_their_steps(t_mul):
    """Where a period begins, the rate is back at the top, whatever rounding does."""
    schedule = schedules.CosineDecayRestarts(0.5, 10, t_mul, alpha=0.1)
    begin, length = 0.0, 10.0
    while begin < 1e7:
        if abs(begin - round(begin)) < 1e-9 * length:
            step = round(begin)
            assert_close(schedule(step), 0.5)
            assert step == 0 or schedule(step - 1) < 0.1
        begin, length = begin + length, length * t_mul
        if length == 10.0 and begin > 1e4:
            break


def test_ends_of_one_cycle():
    for arguments in itertools.product(("cos", "linear"), (2.0,), (5.0,), (False, True)):
        schedule = schedules.OneCycle(0.8, 100, 0.3, *arguments)
        assert_close([schedule(0), schedule(29)], [0.4, 0.8])
        assert_close([schedule(99), schedule(100), schedule(10**9)], [0.08] * 3)
        if arguments[-1]:
            assert_close(schedule(58), 0.4)
    assert_close(schedules.OneCycle(0.8, 1)(0), 0.8 / 25 / 1e4)


# Blocks


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 3000), st.integers(0, 2000))
def test_rates_have_the_bits_of_single_calls(kind, first, n):
    schedule, other = plain(kind), plain(kind)
    expected = np.array([other(step) for step in range(first, first + n)])
    np.testing.assert_array_equal(schedule.rates(first, n), expected, strict=True)


@given(st.lists(st.integers(0, 3000), max_size=8))
def test_a_rate_does_not_depend_on_what_was_asked_before(steps):
    schedule = schedules.CosineDecay(0.1, 700)
    assert [schedule(s) for s in steps] == [schedules.CosineDecay(0.1, 700)(s) for s in steps]


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 1500)), min_size=1, max_size=4))
def test_blocks_begin_at_the_same_steps(asked):
    """A vector's rounding may depend on an element's place in it, so that must not move."""
    blocks = {}

    class Recorded(Formula):
        def formula(self, steps):
            size = blocks.setdefault("size", len(steps))
            begin = steps[0] - steps[0] % size
            np.testing.assert_array_equal(steps, np.arange(begin, begin + size))
            return steps

    schedule = Recorded("recorded")
    for first, n in asked:
        np.testing.assert_array_equal(schedule.rates(first, n), np.arange(first, first + n))
        assert schedule(first) == first


def test_numbers_that_count_steps():
    schedule = schedules.ExponentialDecay(0.1, 10, 0.5)
    for step in (7, np.int32(7), np.int64(7), np.uint8(7), 7.0, np.float32(7), np.array(7)):
        assert type(schedule(step)) is float
        assert_close(schedule(step), schedule(7))
    grid = np.arange(6).reshape(2, 3)
    assert schedule(grid).shape == (2, 3)
    assert schedule(np.zeros(0)).shape == (0,)
    assert_close(schedule(2**50), 0.0)


def test_overflow_is_an_error_at_its_step_only():
    schedule = schedules.ExponentialDecay(1.0, 1, 1e100)
    assert_close(schedule.rates(0, 4) / [1.0, 1e100, 1e200, 1e300], 1.0)
    with pytest.raises(ValueError, match=r"learning_rate at step 4 must be finite.*got inf"):
        schedule.rates(2, 4)
    optimizer = SGD(schedule)
    optimizer.iterations = 600
    with pytest.raises(ValueError, match=r"learning_rate at step 600 .*got inf"):
        optimizer.step_learning_rates(601, 1)
    with pytest.raises(ValueError, match="learning_rate at step 600"):
        optimizer.apply([])
    restarts = schedules.CosineDecayRestarts(1.0, 1, m_mul=3.0, alpha=1.5)
    with pytest.raises(ValueError, match=r"learning_rate at step 3 must .*got -3"):
        restarts.rates(0, 5)


# Bad arguments


def test_rates_and_lengths_are_checked():
    for kind in KINDS:
        if kind == "PiecewiseConstantDecay":
            continue
        made = plain(kind)
        for name in made._arguments:
            make = type(made)
            config = made.get_config()
            for value in (3,) if isinstance(config[name], str) else ("0.1", [0.1], 1j):
                with pytest.raises(TypeError, match=name):
                    make(**{**config, name: value})
            if isinstance(config[name], bool):
                with pytest.raises(TypeError, match=name):
                    make(**{**config, name: 1})
            elif isinstance(config[name], float | int):
                for value in (-1.0, math.nan, math.inf):
                    with pytest.raises((ValueError, TypeError), match=name):
                        make(**{**config, name: value})
                with pytest.raises(TypeError, match=name):
                    make(**{**config, name: True})


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda s: s.ExponentialDecay(0.1, 0, 0.5), ValueError, "decay_steps must be finite and >"),
        (lambda s: s.InverseTimeDecay(0.1, -5, 0.5), ValueError, "decay_steps"),
        (lambda s: s.PolynomialDecay(0.1, 0), ValueError, "decay_steps"),
        (lambda s: s.CosineDecay(0.1, 0), ValueError, "decay_steps"),
        (lambda s: s.CosineDecay(0.1, 10, warmup_target=-1.0), ValueError, "warmup_target"),
        (lambda s: s.CosineDecayRestarts(0.1, 0), ValueError, "first_decay_steps"),
        (lambda s: s.CosineDecayRestarts(0.1, 5, 0.5), ValueError, "t_mul must be .* >= 1"),
        (lambda s: s.OneCycle(0.1, 0), ValueError, "total_steps must be at least 1, got 0"),
        (lambda s: s.OneCycle(0.1, 10.0), TypeError, "total_steps must be an integer"),
        (lambda s: s.OneCycle(0.1, 10, 1.5), ValueError, r"pct_start must be in \[0, 1\]"),
        (lambda s: s.OneCycle(0.1, 10, anneal_strategy="sin"), ValueError, "cos, linear"),
        (lambda s: s.OneCycle(0.1, 10, div_factor=0.0), ValueError, "div_factor"),
        (lambda s: s.PiecewiseConstantDecay([1], [0.1]), ValueError, "one more than boundaries"),
        (lambda s: s.PiecewiseConstantDecay([], []), ValueError, "one more than boundaries"),
        (lambda s: s.PiecewiseConstantDecay([2, 2], [1, 1, 1]), ValueError, "ascend"),
        (lambda s: s.PiecewiseConstantDecay([3, 2], [1, 1, 1]), ValueError, "ascend"),
        (lambda s: s.PiecewiseConstantDecay([2], [1, -1]), ValueError, r"values\[1\]"),
        (lambda s: s.PiecewiseConstantDecay(["a"], [1, 1]), TypeError, r"boundaries\[0\]"),
        (lambda s: s.PiecewiseConstantDecay(3, [1, 1]), TypeError, "boundaries must be a list"),
        (lambda s: s.LinearWarmup(lambda step: 0.1, 5), TypeError, "LearningRateSchedule"),
        (lambda s: s.LinearWarmup(s.Constant, 5), TypeError, "LearningRateSchedule"),
        (lambda s: s.LinearWarmup(-0.1, 5), ValueError, "target"),
        (lambda s: SGD(s.Constant), TypeError, "class Constant; pass an instance"),
        (lambda s: LearningRateSchedule()(0), NotImplementedError, "LearningRateSchedule must def"),
        (lambda s: LearningRateSchedule().get_config(), NotImplementedError, "get_config"),
    ],
)
def test_bad_arguments(make, error, words):
    with pytest.raises(error, match=words):
        make(schedules)


def test_arguments_are_read_only():
    schedule = plain("CosineDecay")
    with pytest.raises(AttributeError, match=r"CosineDecay\.alpha cannot change"):
        schedule.alpha = 0.5
    values = [0.3, 0.1]
    steps = schedules.PiecewiseConstantDecay([5], values)
    values[0] = 9.0
    assert steps(0) == 0.3


# Configurations and copies


@pytest.mark.parametrize("kind", KINDS)
def test_configurations_and_copies(kind):
    schedule = plain(kind)
    expected = schedule.rates(0, 300)
    config = schedules.serialize(schedule)
    assert set(config) == {"class_name", "config"}
    assert json.loads(json.dumps(config)) == config
    for again in (
        type(schedule).from_config(schedule.get_config()),
        schedules.deserialize(config),
        copy.deepcopy(schedule),
        pickle.loads(pickle.dumps(schedule)),
        eval(repr(schedule), vars(schedules)),
    ):
        assert type(again) is type(schedule)
        assert again.get_config() == schedule.get_config()
        np.testing.assert_array_equal(again.rates(0, 300), expected)


def test_nested_configurations():
    schedule = schedules.LinearWarmup(plain("CosineDecay"), 10)
    again = schedules.LinearWarmup.from_config(schedule.get_config())
    np.testing.assert_array_equal(again.rates(0, 200), schedule.rates(0, 200))
    own = schedules.LinearWarmup(Own(0.5), 10)
    config = schedules.serialize(own)
    assert schedules.deserialize(config, {"Own": Own})(12) == 0.5 / 3
    with pytest.raises(ValueError, match=r"class_name must be one of .*'CosineDecay'.*got 'Own'"):
        schedules.deserialize(config)
    with pytest.raises(TypeError, match="config must be a mapping"):
        schedules.deserialize("Own")
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        schedules.serialize(0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_optimizer_configurations(kind):
    optimizer = Adam(plain(kind), beta_1=0.5)
    config = optimizer.get_config()
    assert config["learning_rate"] == schedules.serialize(plain(kind))
    assert json.loads(json.dumps(config)) == config
    for again in (
        Adam.from_config(config),
        optimizers.get({"class_name": "Adam", "config": config}),
        copy.deepcopy(optimizer),
        pickle.loads(pickle.dumps(optimizer)),
    ):
        assert again.get_config() == config
        assert repr(again) == repr(optimizer)
        again.iterations = 70
        assert again.learning_rate == plain(kind)(70)


def test_optimizer_with_a_schedule_of_ones_own():
    optimizer = SGD(Own(0.5))
    assert "Own" in repr(optimizer)
    again = SGD.from_config(optimizer.get_config(), custom_objects={"Own": Own})
    np.testing.assert_array_equal(again.step_learning_rates(1, 3), [0.5, 0.25, 0.5 / 3])

    class Bare(LearningRateSchedule):
        def __call__(self, step):
            return 0.1

    assert "Bare" in repr(SGD(Bare()))
    with pytest.raises(NotImplementedError, match="Bare must define get_config"):
        SGD(Bare()).get_config()


def test_a_subclass_with_its_own_call_is_asked():
    class Floor(schedules.ExponentialDecay):
        def __call__(self, step):
            return max(super().__call__(step), 0.5)

    optimizer = SGD(Floor(1.0, 1, 0.7))
    np.testing.assert_allclose(optimizer.step_learning_rates(1, 4), [1.0, 0.7, 0.5, 0.5])
    warm = schedules.LinearWarmup(Floor(1.0, 1, 0.7), 2)
    np.testing.assert_allclose(SGD(warm).step_learning_rates(1, 6), [0, 0.5, 1, 0.7, 0.5, 0.5])


def test_a_schedule_behind_a_warmup_is_not_asked_ahead():
    asked = []

    class Listed(LearningRateSchedule):
        def __call__(self, step):
            asked.append(step)
            return [0.3, 0.2, 0.1][step]

    schedule = schedules.LinearWarmup(Listed(), 1)
    assert [schedule(step) for step in range(4)] == [0.0, 0.3, 0.2, 0.1]
    assert asked == [0, 0, 1, 2]
    assert all(type(step) is int for step in asked)


# In optimizers and models


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_step_by_the_schedule(kind):
    p = np.zeros(3)
    optimizer = SGD(plain(kind))
    optimizer.build([p])
    for _ in range(600):
        optimizer.apply([np.ones(3)])
    expected = plain(kind)
    assert optimizer.learning_rate == expected(600)
    assert_close(p, -sum(expected(step) for step in range(600)))


def model_with(optimizer, dtype="float64"):
    onepass.utils.set_random_seed(3)
    layers = onepass.layers
    model = onepass.Sequential([layers.Input((4,), dtype=dtype), layers.Dense(2, dtype=dtype)])
    model.compile(optimizer, "mse")
    return model


X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.random.default_rng(1).normal(size=(60, 2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_models_train_by_the_schedule(kind, threads):
    """However many steps a native call does, rates are those of calling the schedule."""
    before = onepass.config.threads()
    onepass.config.set_threads(threads)
    try:
        schedule = plain(kind)
        planned, called = model_with(SGD(schedule)), model_with(SGD(lambda step: schedule(step)))
        for model in (planned, called):
            model.fit(X, Y, batch_size=1, epochs=10, verbose=0, shuffle=False)
        stepwise = model_with(SGD(plain(kind)))
        for _ in range(10):
            for i in range(len(X)):
                stepwise.train_on_batch(X[i : i + 1], Y[i : i + 1])
        for a, b, c in zip(*(m.get_weights() for m in (planned, called, stepwise)), strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)
        assert planned.optimizer.learning_rate == schedule(600)
    finally:
        onepass.config.set_threads(before)


def test_fit_continues_in_a_copied_model():
    model = model_with(SGD(schedules.CosineDecay(0.1, 1200)))
    model.fit(X, Y, batch_size=1, epochs=5, verbose=0, shuffle=False)
    again = pickle.loads(pickle.dumps(model))
    for one in (model, again):
        one.fit(X, Y, batch_size=1, epochs=5, verbose=0, shuffle=False)
    assert again.optimizer.iterations == 600
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_number_does_not_replace_a_schedule():
    optimizer = SGD(plain("Constant"))
    for change in (
        lambda: setattr(optimizer, "learning_rate", 0.5),
        lambda: optimizer.learning_rate.assign(0.5),
    ):
        with pytest.raises(TypeError, match=r"follows Constant\(.*cannot be set to 0.5"):
            change()
        assert optimizer.learning_rate == 0.1
    other = schedules.Constant(0.25)
    optimizer.learning_rate = other
    assert optimizer.learning_rate == 0.25
    assert optimizer.schedule is other
    optimizer.learning_rate = lambda: 0.75
    assert optimizer.schedule is None
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rate == 0.5


def test_assign_and_numpy():
    optimizer = SGD(0.5)
    rate = optimizer.learning_rate
    rate.assign(rate / 2)
    assert optimizer.learning_rate == 0.25
    assert rate == 0.5
    assert isinstance(rate, float)
    assert repr(rate) == "0.5"
    assert json.dumps(rate) == "0.5"
    assert rate.numpy().shape == ()
    assert rate.numpy() == 0.5
    for again in (copy.deepcopy(rate), copy.copy(rate), pickle.loads(pickle.dumps(rate))):
        assert type(again) is float
        assert again == 0.5
    with pytest.raises(ValueError, match="learning_rate"):
        rate.assign(-1.0)
    with pytest.raises(TypeError, match="learning_rate"):
        rate.assign("fast")
    assert optimizer.learning_rate == 0.25


def test_a_callback_may_change_the_schedule():
    class Change(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = schedules.Constant(0.1 * (1 + epoch))

    model, other = model_with(SGD(plain("Constant"))), model_with(SGD(0.1))
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False, callbacks=[Change()])
    other.fit(X, Y, verbose=0, shuffle=False)
    other.optimizer.learning_rate.assign(0.2)
    other.fit(X, Y, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_of_keras_lead_here():
    from onepass.keras.optimizers.schedules import CosineDecay

    assert CosineDecay is schedules.CosineDecay
    assert onepass.optimizers.schedules is schedules
    assert all(issubclass(getattr(schedules, kind), Formula) for kind in KINDS)
