"""Prediction straight from and into arrays: the bits are those of steps, which do what is odd."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onepass import Input, Sequential, config, utils
from onepass.layers import Dense, Flatten
from strategies import assert_same_bits

COLS = 6
ROWS = (1, 2, 7, 8, 33, 129, 1000)


def mlp(dtype="float32", hidden=40):
    utils.set_random_seed(5)
    return Sequential(
        [
            Input((COLS,), dtype=dtype),
            Dense(hidden, "tanh", dtype=dtype, bias_initializer="normal"),
            Dense(4, "softmax", dtype=dtype),
        ]
    )


def wide():
    """Weights that are shared out, since no cache holds them."""
    utils.set_random_seed(5)
    return Sequential([Input((COLS,)), Dense(1600, "relu"), Dense(1500), Dense(3)])


def ends_in_a_view():
    return Sequential([Input((3, 2)), Dense(5, "tanh"), Dense(4, "softmax"), Flatten()])


SHAPED = {
    "rows of samples": lambda: Sequential([Input((3, 2)), Dense(4, "relu"), Dense(3)]),
    "flat first": lambda: Sequential([Input((3, 2)), Flatten(), Dense(4, "softmax")]),
    "flat last": ends_in_a_view,
    "flat between": lambda: Sequential([Input((3, 2)), Dense(40), Flatten(), Dense(7)]),
    "one dense": lambda: Sequential([Input((3, 2)), Dense(2)]),
}


def by_steps(model, x):
    return model.predict(x, batch_size=5)


def straight(model, x):
    """What `predict` tries first; None where it leaves the work to steps."""
    model.predict(np.zeros((1, *model.input_shape[1:]), np.float32))
    assert model._predictor is not None
    return model._predictor.native.predict(x)


def assert_straight(model, x):
    before = x.copy()
    expected = by_steps(model, x)
    for got in (straight(model, x), model.predict(x), model(x), model.predict_on_batch(x)):
        assert type(got) is np.ndarray
        assert got.flags.c_contiguous
        assert got.flags.owndata
        assert got.shape == (len(x), *model.output_shape[1:])
        assert_same_bits(got, expected)
    np.testing.assert_array_equal(x, before)


def assert_by_steps(model, x):
    assert straight(model, x) is None
    assert_same_bits(model.predict(x), by_steps(model, x))


def samples(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [np.float32, np.float64, np.uint8])
def test_any_number_of_rows_of_any_type(dtype, given, threads):
    config.set_threads(threads)
    model = mlp(dtype, hidden=300)
    for rows in ROWS:  # from one block for the caller alone to several blocks a thread
        assert_straight(model, (50 + 9 * samples(rows, COLS)).astype(given))


@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_rows_that_are_padded_inside(given):
    utils.set_random_seed(5)
    model = Sequential([Input((261,)), Dense(270, "relu"), Dense(1029)])
    assert any(b.stride > b.cols for c in model.plan_for("predict").calls for b in c.reads.values())
    for rows in (1, 3, 40):
        assert_straight(model, samples(rows, 261).astype(given))


# A GPU's kernels are started by one thread.
@pytest.mark.parametrize("threads", [1] if config.device() == "cuda" else [1, 2])
def test_weights_beyond_the_caches(threads):
    config.set_threads(threads)
    model = wide()
    for rows in (1, 9, 600):
        assert_straight(model, samples(rows, COLS).astype(np.float32))


def test_samples_are_read_where_they_are():
    whole = samples(90, 20).astype(np.float32)
    readonly = whole[:, :COLS].copy()
    readonly.flags.writeable = False
    model = mlp()
    for x in (
        whole[:, 3 : 3 + COLS],  # rows of a wider array
        whole[::3, :COLS],
        whole[::-1, 1 : 1 + COLS],
        np.broadcast_to(whole[0, :COLS], (9, COLS)),
        whole[4:5, 7 : 7 + COLS],
        readonly,
    ):
        assert_straight(model, x)


@pytest.mark.parametrize("kind", SHAPED)
@pytest.mark.parametrize("given", [np.float32, np.float64, np.uint8])
def test_samples_of_several_dimensions(kind, given):
    utils.set_random_seed(3)
    model = SHAPED[kind]()
    whole = (9 * samples(300, 3, 4)).astype(given)
    for x in (whole[:, :, :2], whole[:1, :, :2]):  # samples with gaps
        assert_by_steps(model, x)
    gapless = np.ascontiguousarray(whole[:, :, :2])
    for x in (gapless, gapless[:1], gapless[::2], gapless[::-1], gapless[3:4]):
        assert_straight(model, x)


def test_what_is_odd_goes_by_steps():
    x = samples(11, COLS).astype(np.float32)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32)
    unaligned = unaligned.reshape(x.shape)
    assert not unaligned.flags.aligned
    model = mlp()
    for odd in (
        np.asfortranarray(x),
        x.astype(">f4"),
        x.astype(np.int64),
        x > 0,
        x.astype(np.float16),
        unaligned,
        x[:0],
        np.ma.masked_array(x),
        np.repeat(x, 2, axis=1)[:, ::2],
    ):
        assert_by_steps(model, odd)
    assert straight(model, x.tolist()) is None
    assert_same_bits(model.predict(x.tolist()), by_steps(model, x))
    assert_same_bits(model.predict([x]), by_steps(model, x))
    one = Sequential([Input((1,)), Dense(3)])
    assert straight(one, x[:, 0]) is None
    assert_same_bits(one.predict(x[:, 0]), one.predict(x[:, :1]))


def test_a_model_of_reshapes_alone_copies():
    model = Sequential([Input((3, 2)), Flatten()])
    x = samples(7, 3, 2).astype(np.float32)
    got = model.predict(x)
    assert model._predictor is None
    np.testing.assert_array_equal(got, x.reshape(7, 6))
    assert not np.shares_memory(got, x)


def test_wrong_shapes_are_still_named():
    model = mlp()
    for _ in range(2):  # before and after there is a straight way
        for wrong in (np.zeros((4, 5), np.float32), np.zeros(COLS, np.float32)):
            with pytest.raises(ValueError, match="the model expects"):
                model.predict(wrong)
        with pytest.raises(ValueError, match="batch dimension"):
            model.predict(np.float32(1.0))
        with pytest.raises(TypeError, match="real numbers"):
            model.predict(np.zeros((4, COLS), complex))
        with pytest.raises(ValueError, match="verbose"):
            model.predict(np.zeros((4, COLS), np.float32), verbose=3)
        with pytest.raises(ValueError, match="verbose"):
            model.predict(np.zeros((4, COLS), np.float32), verbose=0.0)
        model.predict(np.zeros((4, COLS), np.float32), verbose=0)


def test_layers_added_and_removed_and_weights_assigned():
    model = mlp()
    x = samples(3, COLS).astype(np.float32)
    first = model.predict(x)
    model.add(Dense(2))
    assert model._predictor is None
    assert model.predict(x).shape == (3, 2)
    assert_straight(model, x)
    model.pop()
    assert_same_bits(model.predict(x), first)
    model.set_weights([2 * w for w in model.get_weights()])
    assert (model.predict(x) != first).any()
    assert_straight(model, x)
    kernel = model.layers[0].variables[0]
    kernel.assign(0 * np.array(kernel))
    assert_same_bits(*(model.predict(part)[:1] for part in (x[:1], x[1:2])))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_predict_with_their_own_weights(copied):
    model = mlp()
    x = samples(3, COLS).astype(np.float32)
    before = model.predict(x)
    twin = copied(model)
    twin.set_weights([0 * w for w in twin.get_weights()])
    assert_same_bits(model.predict(x), before)
    assert (twin.predict(x) == 0.25).all()


def test_a_subclass_may_override_predict():
    class Doubled(Sequential):
        def predict(self, x, *arguments, **options):
            return 2 * super().predict(x, *arguments, **options)

    model = Doubled(mlp().layers)
    x = samples(3, COLS).astype(np.float32)
    plain = Sequential(model.layers).predict(x)
    for _ in range(2):
        for got in (model(x), model.predict(x), model.predict_on_batch(x)):
            assert_same_bits(got, 2 * plain)


def test_results_are_new_each_time():
    model = mlp()
    x = samples(3, COLS).astype(np.float32)
    first = model.predict(x)
    kept = first.copy()
    second = model.predict(x + 1)
    assert not np.shares_memory(first, second)
    assert_same_bits(first, kept)


@pytest.mark.parametrize("threads", [1, 2])
def test_several_threads_predict_from_one_model(threads):
    config.set_threads(threads)
    model = mlp(hidden=300)
    x = samples(1500, COLS).astype(np.float32)
    expected = by_steps(model, x)
    parts = [slice(0, None), slice(5, 6), slice(7, 107), slice(300, 1450)] * 25

    def work(part):
        return model.predict(x[part]), model.predict(x[part].astype(np.float64))

    with ThreadPoolExecutor(4) as pool:
        for part, (got, converted) in zip(parts, pool.map(work, parts, timeout=60), strict=True):
            assert_same_bits(got, expected[part])
            assert_same_bits(converted, expected[part])
