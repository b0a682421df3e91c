"""Muon: shapes, layouts, who is stepped by AdamW, and what surrounds a step of a matrix."""

import copy
import math
import pickle

import ml_dtypes
import numpy as np
import pytest

from onepass import Input, Sequential, _core, layers, optimizers, utils
from onepass.optimizers import AdamW, Muon
from rule_cases import stepper_of
from strategies import assert_same_bits, every_backend, results_by_isa

DTYPES = ["float32", "float64"]
CONVENTIONS = ["keras", "torch"]
# Tall, wide, square; rows and columns; deeper than a block of a product; none.
SHAPES = [(90, 33), (33, 90), (40, 40), (1, 50), (50, 1), (1, 1), (700, 30), (30, 700)]
EMPTY = [(0, 3), (3, 0), (0, 0)]


def drawn(seed, shapes, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def trained(optimizer, start, gradients):
    """Return parameters and states after a step with each of these lists of gradients."""
    parameters = [np.array(p) for p in start]
    optimizer.build(parameters)
    for step in gradients:
        optimizer.apply(step)
    return [*parameters, *(a.copy() for a in optimizer.variables)]


def specified(optimizer, start, gradients):
    stepper = stepper_of(optimizer, start)
    for step in gradients:
        stepper.step(step, float(optimizer.learning_rate))
    return [*stepper.params, *stepper.kept()]


def assert_near(got, expected, dtype, epsilons=64):
    """Small singular values of a matrix grow 500 times in five iterations, rounding with them."""
    eps = epsilons * np.finfo(dtype).eps
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=eps, atol=eps)


# The rule


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("rms_rate", [None, 0.3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_shape_equals_the_specification(convention, dtype, rms_rate, nesterov):
    shapes = [*SHAPES, *EMPTY, (5,), (2, 3, 4), ()]
    start = drawn(0, shapes, dtype)
    gradients = [drawn(k, shapes, dtype) for k in range(1, 6)]
    given = {"convention": convention, "rms_rate": rms_rate, "nesterov": nesterov}
    expected = specified(Muon(0.02, **given), start, gradients)
    results = results_by_isa(lambda: trained(Muon(0.02, **given), start, gradients), (1, 2, 3))
    for got in results.values():
        assert_near(got, expected, dtype)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("shape", [(20, 7), (7, 20), (9, 9)])
def test_any_number_of_iterations(shape, steps):
    start, gradients = drawn(0, [shape]), [drawn(1, [shape]), drawn(2, [shape])]
    expected = specified(Muon(0.1, ns_steps=steps), start, gradients)
    assert_near(trained(Muon(0.1, ns_steps=steps), start, gradients), expected, "float64", 5e3)


@pytest.mark.parametrize("shape", [(60, 25), (25, 60), (48, 48)])
def test_a_step_is_nearly_orthogonal(shape):
    """Where no singular value is far below the others, all come close to 1."""
    u, _, v = np.linalg.svd(drawn(0, [shape])[0], full_matrices=False)
    gradient = (u * np.linspace(0.5, 1.0, min(shape))) @ v
    p, _ = trained(Muon(1.0, rms_rate=None, weight_decay=None), [np.zeros(shape)], [[gradient]])
    values = np.linalg.svd(p, compute_uv=False)
    assert values.min() > 0.65
    assert values.max() < 1.25
    np.testing.assert_allclose(-p, u @ v, atol=0.35)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_size_of_a_gradient_does_not_matter(dtype):
    """Not even where squares of floats overflow or vanish."""
    (gradient,) = drawn(1, [(30, 20)], dtype)
    found = []
    for scale in (1.0, 1e-25, 1e25, 8e37):
        optimizer = Muon(1.0, convention="torch", norm_epsilon=0.0)
        found.append(trained(optimizer, [np.ones((30, 20), dtype)], [[scale * gradient]])[0])
    for p in found[1:]:
        np.testing.assert_allclose(p, found[0], rtol=1e-3 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_of_zero_leaves_the_decay_alone(dtype, convention):
    start = drawn(0, [(6, 9)], dtype)
    optimizer = Muon(0.5, weight_decay=0.25, convention=convention)
    p, m = trained(optimizer, start, [[np.zeros((6, 9), dtype)]])
    np.testing.assert_array_equal(p, start[0] * np.dtype(dtype).type(1.0 - 0.125))
    np.testing.assert_array_equal(m, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_a_gradient_that_is_not_finite_is_seen(shape, value):
    gradient = np.ones(shape, np.float32)
    gradient[2, 3] = value
    others = [np.ones((4, 5), np.float32), np.ones(3, np.float32)]
    start = [np.ones(shape, np.float32), *others]
    got = trained(Muon(), start, [[gradient, *others]] * 2)
    assert np.isnan(got[0]).all()
    assert all(np.isfinite(p).all() for p in got[1:3])
    p, *_ = trained(Muon(skip_nonfinite=True), start, [[gradient, *others]] * 2)
    np.testing.assert_array_equal(p, 1.0)


@pytest.mark.parametrize("shape", [(300, 80), (80, 300), (257, 257)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_many_matrices_on_several_threads_give_the_same_bits(dtype, shape):
    shapes = [shape, (7, 5), shape[::-1], (3,), (64, 64)]
    start = drawn(0, shapes, dtype)
    gradients = [drawn(1, shapes, dtype), drawn(2, shapes, dtype)]
    results_by_isa(lambda: trained(Muon(clipnorm=1.0), start, gradients), (1, 2, 3, 5))


# What surrounds it


def test_clips_come_before_the_momentum():
    start, gradients = drawn(0, [(8, 5)]), [drawn(k, [(8, 5)]) for k in range(1, 4)]
    for clip in ({"clipvalue": 0.2}, {"clipnorm": 0.3}, {"global_clipnorm": 0.3}):
        got = trained(Muon(0.1, **clip), start, gradients)
        assert_near(got, specified(Muon(0.1, **clip), start, gradients), "float64")
        plain = trained(Muon(0.1), start, gradients)
        assert np.abs(got[0] - plain[0]).max() > 1e-3
        assert np.abs(got[1]).max() < np.abs(plain[1]).max()


@pytest.mark.parametrize("shape", [(20, 33), (33, 20)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_parameters_of_16_bits_are_stepped_in_float32(dtype, shape):
    kind = np.dtype(np.float16 if dtype == "float16" else ml_dtypes.bfloat16)
    start = [p.astype(kind) for p in drawn(0, [shape, (4,)], "float32")]
    gradients = [[g.astype(kind) for g in drawn(1, [shape, (4,)], "float32")]]
    for _ in every_backend():
        p, bias, m, *_ = trained(Muon(0.1), start, gradients)
        assert (p.dtype, bias.dtype, m.dtype) == (kind, kind, np.float32)
        wide = [[g.astype(np.float32) for g in gradients[0]]]
        expected = trained(Muon(0.1), [s.astype(np.float32) for s in start], wide)
        np.testing.assert_array_equal(m, expected[2])
        np.testing.assert_array_equal(p, expected[0].astype(kind))


def test_accumulation_averages_and_cleared_gradients():
    shapes, calls = [(20, 33), (4,)], 3
    start = drawn(0, shapes)
    around = {"gradient_accumulation_steps": calls, "use_ema": True, "ema_momentum": 0.5}
    optimizer = Muon(0.1, zero_grads=True, **around)
    p = [a.copy() for a in start]
    optimizer.build(p)
    stepper = stepper_of(Muon(0.1), start)
    averages = None
    for step in range(2):
        gradients = [drawn(10 * step + k, shapes) for k in range(calls)]
        stepper.step([np.mean(of, axis=0) for of in zip(*gradients, strict=True)], 0.1)
        for given in gradients:
            optimizer.apply(given)
            assert all((g == 0.0).all() for g in given)
        now = stepper.params
        averages = (
            [a.copy() for a in now]
            if averages is None
            else [0.5 * (a + b) for a, b in zip(averages, now, strict=True)]
        )
    assert_near(p, stepper.params, "float64")
    # An average goes on at calls that only add up gradients.
    assert all(np.isfinite(a).all() for a in optimizer.averages)


def test_a_matrix_without_a_gradient_stays():
    p = [np.ones((3, 4)), np.ones((5, 6)), np.ones(2)]
    optimizer = Muon(0.1)
    optimizer.build(p)
    optimizer.apply([None, np.ones((5, 6)), np.ones(2)])
    np.testing.assert_array_equal(p[0], 1.0)
    np.testing.assert_array_equal(optimizer.variables[0], 0.0)
    assert (p[1] != 1.0).all()
    assert (p[2] != 1.0).all()


def test_weight_decay_of_matrices_and_of_others():
    shapes = [(3, 4), (3, 4), (5,), (5,)]
    start = drawn(0, shapes)
    optimizer = Muon(0.5, weight_decay=0.25, adam_weight_decay=0.125, adam_lr_ratio=0.0)
    optimizer.exclude_from_weight_decay([1, 3])
    got = trained(optimizer, start, [[np.zeros(s) for s in shapes]])
    for p, before, kept in zip(got, start, (0.875, 1.0, 0.9375, 1.0), strict=False):
        np.testing.assert_allclose(p, kept * before, rtol=1e-15)
    optimizer = Muon(0.5, weight_decay=None, adam_weight_decay=None)
    got = trained(optimizer, start, [[np.zeros(s) for s in shapes]])
    assert_same_bits(got[:4], start)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_is_no_matrix_is_stepped_by_adamw(convention):
    shapes = [(7,), (), (2, 3, 4), (1,)]
    start, gradients = drawn(0, shapes), [drawn(k, shapes) for k in range(1, 6)]
    adam = AdamW(0.05, 0.0, beta_1=0.8, beta_2=0.95, epsilon=1e-3, convention=convention)
    muon = Muon(0.1, 0.8, 0.95, 0.0, 1e-3, adam_lr_ratio=0.5, convention=convention)
    assert_same_bits(trained(muon, start, gradients), trained(adam, start, gradients))


def test_learning_rates_that_change():
    start, gradients = drawn(0, [(6, 4), (3,)]), [drawn(k, [(6, 4), (3,)]) for k in range(4)]
    optimizer = Muon(lambda step: 0.1 / (1 + step))
    got = trained(optimizer, start, gradients)
    stepper = stepper_of(Muon(), start)
    for k, step in enumerate(gradients):
        stepper.step(step, 0.1 / (1 + k))
    assert_near(got, [*stepper.params, *stepper.kept()], "float64")


# Memory


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(5, 70), (90, 70), (200, 70)])
@pytest.mark.parametrize("steps", [4, 5])
def test_padding_of_rows_stays_zero_and_changes_nothing(shape, steps, threads):
    """Behind a wider matrix, which leaves its numbers in the work areas."""
    rows, cols = shape
    wide = drawn(3, [(rows + 20, 80)])[0]
    start, gradient = drawn(0, [shape, shape])
    optimizer = Muon(0.1, ns_steps=steps)
    native = optimizer.create_native(True)
    p, g, m = (np.zeros((rows, 80)) for _ in range(3))
    p[:, :cols], g[:, :cols] = start, gradient
    first, state = wide.copy(), np.zeros_like(wide)
    native.add(first, [state], True)
    native.add(p[:, :cols], [m[:, :cols]], True)
    native.set_gradients([wide, g[:, :cols]])
    before = _core.threads()
    _core.set_threads(threads)
    try:
        for t in range(1, 4):
            native.step(0.1, t)
            for a in (p, m):
                np.testing.assert_array_equal(a[:, cols:], 0.0)
    finally:
        _core.set_threads(before)
    plain = Muon(0.1, ns_steps=steps)
    expected = trained(plain, [start], [[gradient]] * 3)
    assert_near([p[:, :cols], m[:, :cols]], expected, "float64")


def test_a_matrix_of_another_shape_is_refused_by_the_native_side():
    native = Muon().create_native(True)
    with pytest.raises(ValueError, match="must have 2 dimensions, got 1"):
        native.add(np.zeros(3), [np.zeros(3)], True)
    native.add(np.zeros(3), [np.zeros(3)] * 2, True, group=1)


def test_states_are_m_of_matrices_and_m_and_v_of_others():
    shapes = [(3, 4), (5,), (0, 2), (), (2, 3, 4)]
    optimizer = Muon()
    optimizer.build([np.ones(s, np.float32) for s in shapes])
    found = [a.shape for a in optimizer.variables]
    assert found == [(3, 4), (5,), (5,), (0, 2), (), (), (2, 3, 4), (2, 3, 4)]


@pytest.mark.parametrize("how", ["state", "pickle", "deepcopy"])
def test_a_copy_goes_on_as_the_original(how):
    shapes = [(6, 4), (3,), (4, 6)]
    start, gradients = drawn(0, shapes), [drawn(k, shapes) for k in range(6)]
    expected = trained(Muon(0.1), start, gradients)
    first = Muon(0.1)
    parameters = [a.copy() for a in start]
    first.build(parameters)
    for step in gradients[:3]:
        first.apply(step)
    if how == "state":
        second = Muon(0.1)
        second.build(parameters)
        second.load_state_dict(first.state_dict())
    else:
        second = copy.deepcopy(first) if how == "deepcopy" else pickle.loads(pickle.dumps(first))
        parameters = second._given
    for step in gradients[3:]:
        second.apply(step)
    assert_same_bits([*parameters, *second.variables], expected)


def test_a_state_of_other_kinds_of_parameters_is_refused():
    one, other = Muon(), Muon()
    one.build([np.ones((3, 4)), np.ones(5)])
    other.build([np.ones(5), np.ones((3, 4))])
    with pytest.raises(ValueError, match=r"state\['states'\]\[0\]"):
        other.load_state_dict(one.state_dict())


# Names


def test_arrays_have_no_names_to_exclude():
    with pytest.raises(ValueError, match="exclude_layers cannot exclude plain arrays"):
        Muon(exclude_layers=["dense"]).build([np.ones((3, 4))])
    optimizer = Muon(exclude_embeddings=False)
    optimizer.build([np.ones((3, 4))])


def test_number_of_iterations_is_limited_as_in_torch():
    assert Muon(ns_steps=100).ns_steps == 100
    with pytest.raises(ValueError, match="ns_steps must be below 100, got 100"):
        Muon(ns_steps=100, convention="torch")


def groups_of(optimizer, *names):
    return [optimizer.group_of((3, 4), name) for name in names]


def test_names_say_what_muon_leaves_to_adamw():
    names = ("dense/kernel", "out/kernel", "embedding_1/embeddings", "my_Embedding/kernel")
    assert groups_of(Muon(), *names) == [0, 0, 1, 1]
    assert groups_of(Muon(exclude_embeddings=False), *names) == [0, 0, 0, 0]
    assert groups_of(Muon(exclude_layers=["out", "^dense$"]), *names) == [0, 1, 1, 1]
    assert groups_of(Muon(exclude_layers=[r"dense.*kernel"]), *names) == [1, 0, 1, 1]
    assert Muon().group_of((3,), "dense/bias") == 1
    assert Muon().group_of((3, 4, 5), "dense/kernel") == 1


# Models


def data(n=64):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    return x, (x @ rng.normal(size=(6, 4))).argmax(axis=1)


def classifier(optimizer, dtype="float32"):
    utils.set_random_seed(2)
    model = Sequential(
        [
            Input((6,), dtype=dtype),
            layers.Dense(80, "relu", name="first", dtype=dtype),
            layers.Dense(70, "tanh", use_bias=False, name="second", dtype=dtype),
            layers.Dense(4, "softmax", name="last", dtype=dtype),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def test_a_model_excludes_layers_by_their_names():
    x, y = data()
    slots = {}
    for excluded in ((), ("last",), ("first", "second/kernel")):
        model = classifier(Muon(0.01, exclude_layers=excluded))
        model.fit(x, y, verbose=0)
        slots[excluded] = len(model.optimizer.variables)
    # Three kernels of a state each, two biases of two.
    assert slots == {(): 7, ("last",): 8, ("first", "second/kernel"): 9}


def test_an_excluded_layer_is_stepped_by_adamw():
    x, y = data()
    muon = classifier(Muon(0.01, exclude_layers=[".*"], adam_weight_decay=0.1))
    adam = classifier(AdamW(0.01, weight_decay=0.1))
    for model in (muon, adam):
        model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    for a, b in zip(muon.get_weights(), adam.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("exclude", [True, False])
def test_embeddings(exclude):
    model = Sequential([Input((3,)), layers.Embedding(10, 6), layers.Flatten(), layers.Dense(2)])
    model.compile(Muon(exclude_embeddings=exclude), "mse")
    x = np.arange(30).reshape(10, 3) % 10
    model.fit(x, np.ones((10, 2)), verbose=0)
    assert len(model.optimizer.variables) == (5 if exclude else 4)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("batch", [16, 64])
def test_padded_rows_of_models_equal_the_specification(batch, convention):
    """Steps of a model beside steps on arrays with gradients of plain descent."""
    x, y = data()
    given = {"convention": convention}
    model = classifier(Muon(0.02, **given), "float64")
    twin = classifier(optimizers.SGD(1.0), "float64")
    model.fit(x, y, epochs=1, batch_size=batch, shuffle=False, verbose=0)
    start = [w.copy() for w in twin.get_weights()]
    stepper = stepper_of(Muon(0.02, **given), start)
    for first in range(0, len(x), batch):
        twin.set_weights(stepper.params)
        twin.train_on_batch(x[first : first + batch], y[first : first + batch])
        gradients = [a - b for a, b in zip(stepper.params, twin.get_weights(), strict=True)]
        stepper.step(gradients, 0.02)
    for a, b in zip(model.get_weights(), stepper.params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_models_give_the_same_bits_on_several_threads():
    x, y = data()

    def weights():
        model = classifier(Muon(0.01, global_clipnorm=1.0))
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        return [*model.get_weights(), *model.optimizer.variables]

    results_by_isa(weights, (1, 2, 3))


def test_a_copy_of_a_model_goes_on():
    x, y = data()
    once, twice = classifier(Muon(0.01)), classifier(Muon(0.01))
    once.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0)
    twice.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    again = pickle.loads(pickle.dumps(twice))
    again.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    assert_same_bits(again.get_weights(), once.get_weights())


def test_by_name_and_by_configuration():
    x, y = data()
    weights = []
    given = Muon(exclude_layers=["last"], rms_rate=None)
    for optimizer in ("muon", Muon(), given, optimizers.get(optimizers.serialize(given))):
        model = classifier(optimizer)
        model.fit(x, y, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    assert_same_bits(weights[0], weights[1])
    assert_same_bits(weights[2], weights[3])
    assert not np.array_equal(weights[0][0], weights[2][0])
