"""Around an update rule: averages, accumulation, skipped steps, other types, saved states."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onepass import Sequential, layers, optimizers
from onepass.optimizers import SGD, Adam
from strategies import assert_same_bits, every_backend

SHAPES = [(37, 5), (5,), (1,), (0,), (3000,)]
STEPS = 7


def arrays(seed: int, dtype=np.float32, scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(scale * rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


def trained(optimizer, gradients, dtype=np.float32, start=0):
    parameters = arrays(start, dtype)
    optimizer.build(parameters)
    results = [optimizer.apply(list(g)) for g in gradients]
    return parameters, results


def gradients_of(steps=STEPS, dtype=np.float32):
    return [arrays(100 + k, dtype) for k in range(steps)]


# Accumulation


@pytest.mark.parametrize("clip", [{}, {"clipnorm": 0.5}, {"global_clipnorm": 0.7}])
@pytest.mark.parametrize("calls", [2, 3])
def test_gradients_of_several_calls_make_one_step_with_their_mean(calls, clip):
    gradients = gradients_of(2 * calls + 1)
    for _ in every_backend():
        optimizer = Adam(0.01, gradient_accumulation_steps=calls, **clip)
        got, results = trained(optimizer, gradients)
        means = [
            [np.mean([g.astype(np.float64) for g in of], axis=0) for of in zip(*part, strict=True)]
            for part in (gradients[:calls], gradients[calls : 2 * calls])
        ]
        once = Adam(0.01, **clip)
        expected, steps = trained(once, [[m.astype(np.float32) for m in mean] for mean in means])
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)
        assert optimizer.iterations == 2
        if clip:
            waiting = [k for k in range(len(gradients)) if (k + 1) % calls]
            assert all(results[k].global_norm is None for k in waiting)
            assert results[calls - 1].global_norm == pytest.approx(steps[0].global_norm, rel=1e-6)


def test_a_tensor_without_gradient_within_a_step_counts_as_zero():
    p = [np.ones(3, np.float32), np.ones(3, np.float32)]
    optimizer = SGD(1.0, gradient_accumulation_steps=2)
    optimizer.build(p)
    g = np.full(3, 0.5, np.float32)
    for _ in range(2):
        before = [a.copy() for a in p]
        optimizer.apply([g, None])
        optimizer.apply([g, g])
        np.testing.assert_array_equal(before[0] - p[0], 0.5)
        np.testing.assert_array_equal(before[1] - p[1], 0.25)


# Moving averages


@pytest.mark.parametrize("every", [None, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moving_averages_follow_the_parameters(dtype, every):
    gradients = gradients_of(dtype=dtype)
    momentum = 0.8
    for _ in every_backend():
        optimizer = SGD(0.1, use_ema=True, ema_momentum=momentum, ema_overwrite_frequency=every)
        got, _ = trained(optimizer, gradients, dtype)
        parameters = [p.astype(np.float64) for p in arrays(0, dtype)]
        averages = [np.zeros_like(p) for p in parameters]
        for t, step in enumerate(gradients, 1):
            for p, average, g in zip(parameters, averages, step, strict=True):
                p -= 0.1 * g.astype(np.float64)
                average[...] = p if t == 1 else momentum * average + (1 - momentum) * p
                if every and t % every == 0:
                    p[...] = average
        for a, b in zip(got, parameters, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        for a, b in zip(optimizer.averages, averages, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        optimizer.finalize_variable_values()
        for a, b in zip(got, optimizer.averages, strict=True):
            assert_same_bits(a, b)


def test_a_model_ends_with_its_averages():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 5)).astype(np.float32), rng.normal(size=(64, 2)).astype(np.float32)

    def weights(**around):
        model = Sequential([layers.Dense(2, kernel_initializer="ones")])
        model.compile(Adam(0.05, **around), "mse")
        steps = []
        for _ in range(4):
            model.train_on_batch(x, y)
            steps.append(model.get_weights())
        model.fit(x, y, epochs=1, batch_size=64, verbose=0)
        return model.get_weights(), steps

    plain, steps = weights()
    averaged, same_steps = weights(use_ema=True, ema_momentum=0.5)
    for a, b in zip(steps[-1], same_steps[-1], strict=True):
        assert_same_bits(a, b)
    for i, weight in enumerate(averaged):
        expected = steps[0][i].astype(np.float64)
        for step in [*steps[1:], plain]:
            expected = 0.5 * expected + 0.5 * step[i]
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_a_model_adds_up_the_gradients_of_several_batches():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(64, 5)).astype(np.float32), rng.normal(size=(64, 2)).astype(np.float32)

    def weights(batch, **around):
        model = Sequential([layers.Dense(7, "tanh", kernel_initializer="ones"), layers.Dense(2)])
        model.compile(SGD(0.1, **around), "mse")
        model.build((None, 5))
        model.layers[-1].kernel.assign(np.linspace(-1, 1, 14).reshape(7, 2))
        model.fit(x, y, batch_size=batch, epochs=3, verbose=0, shuffle=False)
        assert model.optimizer.iterations == 3 * 2
        return model.get_weights()

    for a, b in zip(weights(32), weights(16, gradient_accumulation_steps=2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_an_average_of_a_tensor_that_moves_later_starts_at_it():
    p = [np.ones(3, np.float32), np.ones(3, np.float32)]
    g = np.ones(3, np.float32)
    optimizer = SGD(0.1, use_ema=True, ema_momentum=0.9)
    optimizer.build(p)
    for _ in range(2):
        optimizer.apply([g, None])
    np.testing.assert_array_equal(optimizer.averages[1], 1.0)
    optimizer.apply([g, g])
    optimizer.finalize_variable_values()
    np.testing.assert_allclose(p[1], 0.9 + 0.1 * 0.9, rtol=1e-6)


def test_a_model_whose_first_step_is_left_out_keeps_its_size():
    model = Sequential([layers.Dense(2, kernel_initializer="ones")])
    model.compile(Adam(1e-3, use_ema=True, skip_nonfinite=True), "mse")
    x = np.ones((64, 5), np.float32)
    x[3, 2] = np.nan
    model.fit(x, np.ones((64, 2), np.float32), batch_size=16, shuffle=False, verbose=0)
    assert np.abs(model.get_weights()[0] - 1).max() < 0.1


def test_a_model_s_optimizer_makes_its_weights_their_averages():
    model = Sequential([layers.Dense(2)])
    model.compile(SGD(0.1, use_ema=True), "mse")
    x, y = np.ones((8, 5), np.float32), np.ones((8, 2), np.float32)
    for _ in range(3):
        model.train_on_batch(x, y)
    averages = [a.copy() for a in model.optimizer.averages]
    assert any((a != w).any() for a, w in zip(averages, model.get_weights(), strict=True))
    model.fit(x, y, epochs=0, verbose=0)
    assert any((a != w).any() for a, w in zip(averages, model.get_weights(), strict=True))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for a, w in zip(averages, model.get_weights(), strict=True):
        assert_same_bits(a, w)


# Scales, steps left out, gradients cleared


def test_the_loss_scale_is_taken_out_first():
    gradients = gradients_of()
    got, _ = trained(
        SGD(0.1, clipvalue=0.3, loss_scale_factor=1024.0),
        [[g * np.float32(1024) for g in step] for step in gradients],
    )
    expected, _ = trained(SGD(0.1, clipvalue=0.3), gradients)
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("clip", [{}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}])
def test_a_step_that_is_not_finite_is_left_out_and_said(value, clip):
    gradients = gradients_of()
    bad = [g.copy() for g in gradients[2]]
    bad[-1][1234] = value
    for _ in every_backend():
        optimizer = Adam(0.1, skip_nonfinite=True, **clip)
        got, results = trained(optimizer, [*gradients[:2], bad, *gradients[2:]])
        assert [r.skipped for r in results] == [False, False, True, *[False] * (STEPS - 2)]
        assert not np.isfinite(results[2].global_norm)
        expected, _ = trained(Adam(0.1, **clip), gradients)
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b)
        assert optimizer.iterations == STEPS


def test_a_skipped_step_of_several_calls_begins_anew():
    gradients = gradients_of(4)
    bad = [np.full_like(g, np.nan) for g in gradients[0]]
    optimizer = SGD(0.1, gradient_accumulation_steps=2, skip_nonfinite=True)
    got, results = trained(optimizer, [bad, gradients[0], *gradients])
    assert [r.skipped for r in results] == [False, True, False, False, False, False]
    expected, _ = trained(SGD(0.1, gradient_accumulation_steps=2), gradients)
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("around", [{}, {"clipnorm": 1.0}, {"gradient_accumulation_steps": 2}])
def test_gradients_are_cleared_behind_a_call(around):
    gradients = gradients_of()
    expected, _ = trained(Adam(0.1, **around), [[g.copy() for g in s] for s in gradients])
    got, _ = trained(Adam(0.1, zero_grads=True, **around), gradients)
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b)
    assert not any(g.any() for step in gradients for g in step)


def test_clearing_needs_gradients_that_can_be_written():
    p = np.ones((4, 3), np.float32)
    optimizer = SGD(0.1, zero_grads=True)
    optimizer.build([p])
    frozen = np.ones((4, 3), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizer.apply([frozen])
    with pytest.raises(ValueError, match="C-contiguous"):
        optimizer.apply([np.ones((3, 4), np.float32).T])
    assert (p == 1).all()
    assert optimizer.iterations == 0


def test_cleared_gradients_must_not_overlap():
    p = [np.ones(3, np.float32), np.ones(3, np.float32)]
    optimizer = SGD(0.1, zero_grads=True)
    optimizer.build(p)
    g = np.ones(3, np.float32)
    for _ in range(2):
        with pytest.raises(ValueError, match="overlap"):
            optimizer.apply([g, g])
    assert (p[0] == 1).all()
    assert (g == 1).all()


def test_whole_numbers_are_no_gradients():
    p = np.ones(3, np.float32)
    optimizer = SGD(0.1)
    optimizer.build([p])
    with pytest.raises(TypeError, match="uint16"):
        optimizer.apply([np.ones(3, np.uint16)])


# Missing gradients


@pytest.mark.parametrize("convention", ["keras", "torch"])
def test_a_missing_gradient_leaves_tensor_and_state_alone(convention):
    gradients = gradients_of()
    optimizer = Adam(0.01, convention=convention)
    parameters = arrays(0)
    optimizer.build(parameters)
    present = [k % 3 != 1 for k in range(STEPS)]  # of tensor 0
    for k, step in enumerate(gradients):
        before = [parameters[0].copy(), *(s.copy() for s in optimizer.variables[:2])]
        optimizer.apply([g if i or present[k] else None for i, g in enumerate(step)])
        if not present[k]:
            for a, b in zip(before, [parameters[0], *optimizer.variables[:2]], strict=True):
                assert_same_bits(a, b)
    alone = Adam(0.01, convention=convention)
    first = arrays(0)[:1]
    alone.build(first)
    for k, step in enumerate(gradients):
        if present[k]:
            if convention == "keras":  # counts all steps
                alone.iterations = k
            alone.apply(step[:1])
    assert_same_bits(parameters[0], first[0])
    rest, _ = trained(Adam(0.01, convention=convention), gradients)
    for a, b in zip(parameters[1:], rest[1:], strict=True):
        assert_same_bits(a, b)


def test_counts_of_tensors_follow_a_count_that_is_set_back():
    p = [np.ones(3, np.float32), np.ones(3, np.float32)]
    g = np.ones(3, np.float32)
    optimizer = Adam(0.1, convention="torch")
    optimizer.build(p)
    for _ in range(3):
        optimizer.apply([g, None])
    optimizer.iterations = 0
    optimizer.apply([g, g])
    assert np.isfinite(p[1]).all()


def test_no_gradient_at_all_is_refused():
    optimizer = SGD(0.1)
    optimizer.build([np.ones(3, np.float32)])
    with pytest.raises(ValueError, match="None"):
        optimizer.apply([None])


# Other types


def test_every_number_of_16_bits_is_read_and_written_rightly():
    bits = np.arange(1 << 16, dtype=np.uint16)
    halves = bits.view(np.float16)
    for _ in every_backend():
        wide = np.zeros(1 << 16, np.float32)
        optimizer = SGD(1.0)
        optimizer.build([wide])
        optimizer.apply([halves])
        np.testing.assert_array_equal(-wide, halves.astype(np.float32))
        kept = halves.copy()
        same = SGD(0.0)
        same.build([kept])
        same.apply([np.ones(1 << 16, np.float32)])
        np.testing.assert_array_equal(kept, halves)


@given(st.lists(st.floats(width=32, allow_nan=True), min_size=1, max_size=40))
def test_float16_is_rounded_to_nearest_even(values):
    g = np.array(values, np.float32)
    p = np.zeros(len(g), np.float16)
    optimizer = SGD(1.0)
    optimizer.build([p])
    optimizer.apply([g])
    tiny = np.finfo(np.float32).tiny
    flushed = np.where(np.abs(g) < tiny, 0, g)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(p, (-flushed).astype(np.float16))


@pytest.mark.parametrize("gradient", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("parameter", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("around", [{}, {"global_clipnorm": 1.0, "use_ema": True}])
def test_parameters_and_gradients_of_different_types(parameter, gradient, around):
    step = [g.astype(gradient) for g in gradients_of(1)[0]]
    got, results = trained(Adam(0.01, **around), [step], parameter)
    wide = np.float64 if parameter == np.float64 else np.float32
    expected = [p.astype(wide) for p in arrays(0, parameter)]
    reference = Adam(0.01, **around)
    reference.build(expected)
    same = reference.apply([g.astype(wide) for g in step])
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b.astype(parameter))
    assert results[0].global_norm == same.global_norm


def test_states_of_16_bit_parameters_are_float32_and_they_move_together():
    p = np.ones(5000, np.float16)
    optimizer = Adam(1e-3)
    optimizer.build([p])
    assert {s.dtype for s in optimizer.variables} == {np.dtype(np.float32)}
    with pytest.raises(TypeError, match="all float64 or none"):
        SGD(0.1).build([p, np.ones(3)])


# Saved states

AROUND = [
    {},
    {"gradient_accumulation_steps": 3, "use_ema": True, "clipnorm": 1.0},
    {"convention": "torch"},
]


@pytest.mark.parametrize("arguments", AROUND)
def test_a_loaded_state_goes_on_exactly(arguments):
    gradients = gradients_of(10)
    whole, _ = trained(Adam(0.01, **arguments), gradients)
    first = Adam(0.01, **arguments)
    parameters, _ = trained(first, gradients[:4])
    saved = pickle.loads(pickle.dumps(first.state_dict()))
    second = Adam(0.5, **arguments)  # the learning rate is a part of the state
    second.build(parameters)
    second.load_state_dict(saved)
    for step in gradients[4:]:
        second.apply(step)
    for a, b in zip(parameters, whole, strict=True):
        assert_same_bits(a, b)
    assert second.iterations == (10 if "use_ema" not in arguments else 3)


def test_a_state_holds_copies_and_counts_of_each_tensor():
    optimizer = Adam(0.01, convention="torch")
    parameters = arrays(0)
    optimizer.build(parameters)
    g = arrays(1)
    optimizer.apply([None, *g[1:]])
    saved = optimizer.state_dict()
    assert saved["missed"] == [1, 0, 0, 0, 0]
    assert saved["calls"] == 1
    kept = copy.deepcopy(saved["states"])
    optimizer.apply(g)
    for a, b in zip(saved["states"], kept, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rule": "sgd"}, "rule 'sgd'"),
        ({"format": 99}, "format 99"),
        ({"convention": "torch"}, "convention 'torch'"),
        ({"states": []}, "0 arrays in 'states'"),
        ({"states": [np.zeros(2, np.float32)] * 10}, "shape"),
        ({"calls": -1}, "whole numbers"),
        ({"missed": [0]}, "1 parameters"),
        ({"missed": [9, 0, 0, 0, 0]}, "missed 9 of 2"),
        ({"learning_rate": np.nan}, "learning_rate"),
        (None, "lacks"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, words):
    optimizer = Adam(0.01)
    trained(optimizer, gradients_of(2))
    saved = optimizer.state_dict()
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict({} if change is None else {**saved, **change})
    for a, b in zip(optimizer.variables, before["states"], strict=True):
        assert_same_bits(a, b)
    assert optimizer.iterations == 2


def test_a_state_needs_arrays_first():
    with pytest.raises(ValueError, match="build"):
        Adam().state_dict()


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"gradient_accumulation_steps": 1}, ValueError),
        ({"gradient_accumulation_steps": 2.0}, TypeError),
        ({"ema_overwrite_frequency": -1}, ValueError),
        ({"ema_momentum": 1.5}, ValueError),
        ({"loss_scale_factor": 0.0}, ValueError),
        ({"use_ema": 1}, TypeError),
        ({"skip_nonfinite": "yes"}, TypeError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_bad_arguments_are_named(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        SGD(0.1, **arguments)


def test_the_configuration_holds_them():
    optimizer = Adam(0.1, use_ema=True, gradient_accumulation_steps=2, skip_nonfinite=True)
    again = optimizers.Adam.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.use_ema
    assert again.gradient_accumulation_steps == 2
    assert again.skip_nonfinite


# Memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("clip", [{"clipnorm": 0.5}, {"global_clipnorm": 0.7}])
def test_norms_of_gradients_at_any_address(clip, dtype):
    """Blocks of kernels that read several elements at once begin anywhere."""
    sizes = [9000, 20_000, 3, 8193, 4097]
    rng = np.random.default_rng(0)
    whole = [rng.normal(size=size + 5).astype(dtype) for size in sizes]
    for _ in every_backend():
        norms = set()
        for offset in range(5):
            gradients = [g[offset : offset + size] for g, size in zip(whole, sizes, strict=True)]
            steps = []
            for lying in (gradients, [g.copy() for g in gradients]):
                p = [np.zeros(size, dtype) for size in sizes]
                optimizer = Adam(0.1, **clip)
                optimizer.build(p)
                steps.append((p, np.array(optimizer.apply(lying).global_norm)))
            assert_same_bits(*steps)
            norms.add(float(steps[0][1]))
        assert len(norms) == 5
