"""Data of every common kind: generators, iterables of batches, frames, memory maps."""

import warnings

import numpy as np
import pytest

import onepass as keras
from onepass import layers, utils

RNG = np.random.default_rng(5)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
W = RNG.uniform(size=50).astype("float32")


@pytest.fixture(autouse=True)
def seed():
    utils.set_random_seed(1)


def model_for(columns=4, built=True):
    start = [keras.Input([columns])] if built else []
    model = keras.Sequential([*start, layers.Dense(3, activation="tanh"), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def cut(size=8, weights=False):
    """Batches of the arrays, in order, the last one short."""
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        yield (X[rows], Y[rows], W[rows]) if weights else (X[rows], Y[rows])


class Loader:
    """Can be iterated again and again, as torch's DataLoader."""

    def __init__(self, size=8, weights=False):
        self.size, self.weights = size, weights
        self.rounds = 0

    def __len__(self):
        return -(-len(X) // self.size)

    def __iter__(self):
        self.rounds += 1
        return cut(self.size, self.weights)


class Indexed:
    """Batches by number, as Keras's PyDataset."""

    def __init__(self):
        self.ends = 0

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8]

    def on_epoch_end(self):
        self.ends += 1


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("kind", ["loader", "generator"])
def test_a_stream_trains_as_its_arrays_do(kind, weights):
    by_arrays, by_stream = model_for(), model_for()
    by_stream.set_weights(by_arrays.get_weights())
    expected = by_arrays.fit(
        X,
        Y,
        sample_weight=W if weights else None,
        batch_size=8,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y),
    )

    def endless():
        while True:
            yield from cut(weights=weights)

    stream = Loader(weights=weights) if kind == "loader" else endless()
    got = by_stream.fit(
        stream,
        epochs=3,
        steps_per_epoch=None if kind == "loader" else 7,
        verbose=0,
        validation_data=Loader(size=20),
    )
    for name, values in expected.history.items():
        np.testing.assert_allclose(got.history[name], values, rtol=1e-6, err_msg=name)
    for a, b in zip(by_arrays.get_weights(), by_stream.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_by_number_hear_of_each_epochs_end():
    data = Indexed()
    history = model_for().fit(data, epochs=3, verbose=0)
    assert data.ends == 3
    assert len(history.history["loss"]) == 3
    assert history.params["steps"] == 7


def test_an_unbuilt_model_is_built_by_the_first_batch_which_is_not_lost():
    model, seen = model_for(built=False), []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    model.fit(cut(), verbose=0, callbacks=[Count()])
    assert seen == list(range(7))


def test_epochs_of_some_steps_go_on_and_begin_again():
    loader = Loader()
    model = model_for()
    model.fit(loader, epochs=4, steps_per_epoch=5, verbose=0)
    assert model.optimizer.iterations == 20
    assert loader.rounds == 3  # 20 batches of rounds of 7


def test_data_that_run_out_end_training_with_a_warning():
    model = model_for()
    with pytest.warns(UserWarning, match="after 7 of 10 steps"):
        model.fit(cut(), steps_per_epoch=10, verbose=0)
    assert model.optimizer.iterations == 7
    with pytest.warns(UserWarning, match="no batches are left for epoch 2"):
        history = model.fit(cut(), epochs=3, verbose=0)
    assert len(history.history["loss"]) == 1


def test_evaluate_and_predict_take_streams():
    model = model_for()
    expected = model.evaluate(X, Y, return_dict=True)
    got = model.evaluate(Loader(), return_dict=True)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-6)
    assert model.evaluate(cut(), steps=2) == pytest.approx(model.evaluate(X[:16], Y[:16]))
    np.testing.assert_array_equal(model.predict(Loader()), model.predict(X))
    np.testing.assert_array_equal(model.predict(cut(), steps=2), model.predict(X[:16]))
    np.testing.assert_array_equal(model.predict(x for x, _ in cut()), model.predict(X))


def test_streams_bring_class_weights_and_several_inputs():
    a, b = keras.Input([4], name="a"), keras.Input([4], name="b")
    model = keras.Model([a, b], layers.Dense(2, activation="softmax")(layers.Dense(3)(a)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    classes = (Y[:, 0] > 0).astype("int64")

    def batches():
        for start in range(0, 50, 10):
            rows = slice(start, start + 10)
            yield {"a": X[rows], "b": X[rows]}, classes[rows]

    class Again:
        def __iter__(self):
            return batches()

    start = model.get_weights()
    model.fit(Again(), epochs=2, verbose=0, class_weight={0: 1.0, 1: 3.0})
    by_stream = model.get_weights()
    model.set_weights(start)
    model.fit(
        [X, X],
        classes,
        batch_size=10,
        epochs=2,
        shuffle=False,
        verbose=0,
        class_weight={0: 1.0, 1: 3.0},
    )
    for x, y in zip(by_stream, model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


class Frame:
    """What NumPy can read, as frames of pandas and polars."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def __array__(self, dtype=None, copy=None):
        return np.asfortranarray(self.array) if dtype is None else self.array.astype(dtype)

    def __len__(self):
        return len(self.array)

    def __iter__(self):  # over the columns' names, as pandas does
        return iter("abcd")


def test_frames_are_arrays():
    model = model_for()
    np.testing.assert_array_equal(model.predict(Frame(X)), model.predict(X))
    by_frame = model.fit(Frame(X), Frame(Y), epochs=1, verbose=0, validation_split=0.2)
    assert set(by_frame.history) == {"loss", "mae", "val_loss", "val_mae"}


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_memory_maps_are_read_in_place(tmp_path, dtype):
    values = (X * 10 + 100).astype(dtype)
    path = tmp_path / "x.npy"
    np.save(path, values)
    mapped = np.load(path, mmap_mode="r")
    model = model_for()
    checked = model.input_arrays(mapped)
    assert np.shares_memory(checked[0], mapped)
    np.testing.assert_array_equal(model.predict(mapped), model.predict(values))
    other = model_for()
    other.set_weights(model.get_weights())
    histories = [
        (utils.set_random_seed(2), m.fit(x, Y, epochs=2, verbose=0).history)[1]
        for m, x in ((model, mapped), (other, values))
    ]
    assert histories[0] == histories[1]


BAD = {
    "y beside a stream": (lambda m: m.fit(Loader(), Y), ValueError, ["y must not", "Loader"]),
    "batch_size beside a stream": (
        lambda m: m.fit(Loader(), batch_size=3),
        ValueError,
        ["batch_size must not"],
    ),
    "validation_split of a stream": (
        lambda m: m.fit(Loader(), validation_split=0.5),
        ValueError,
        ["validation_split must not"],
    ),
    "four items": (
        lambda m: m.fit(iter([(X, Y, W, W)]), verbose=0),
        ValueError,
        ["(x, y)", "4 items"],
    ),
    "no targets": (lambda m: m.fit(iter([X]), verbose=0), ValueError, ["batch y is missing"]),
    "another shape": (
        lambda m: m.fit(iter([(X[:, :3], Y)]), verbose=0),
        ValueError,
        ["batch x", "(50, 3)", "(n, 4)"],
    ),
    "nothing to predict": (lambda m: m.predict(iter([])), ValueError, ["no batch"]),
    "a generator for one batch": (
        lambda m: m.train_on_batch(cut(), Y),
        TypeError,
        ["x must hold samples", "generator"],
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_mistake_is_named(case):
    act, error, words = case
    model = model_for()
    before = model.get_weights()
    with pytest.raises(error) as caught:
        act(model)
    for word in words:
        assert word in str(caught.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_to_build_from():
    with pytest.raises(ValueError, match="no batch"):
        model_for(built=False).fit(iter([]), verbose=0)


def test_no_warnings_in_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model_for().fit(Loader(), epochs=2, verbose=0)
