"""Arrays of all kinds: whatever holds the same numbers gives the same model, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from onepass import Input, Sequential, utils
from onepass.layers import Dense, Flatten
from strategies import assert_same_bits

N, COLS, CLASSES = 37, 6, 4
SPARSE = "sparse_categorical_crossentropy"


def make(loss=SPARSE, sample=(COLS,), columns=CLASSES, output="softmax", dtype="float32"):
    utils.set_random_seed(2)
    model = Sequential([Input(sample, dtype=dtype), Flatten(dtype=dtype)])
    model.add(Dense(7, "tanh", dtype=dtype))
    model.add(Dense(columns, output, dtype=dtype))
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def results(x, y, sample=(COLS,), **arguments):
    """Everything a model tells about the data, shuffled training included."""
    model = make(sample=sample, **arguments)
    history = model.fit(x, y, batch_size=8, epochs=2, validation_split=0.2, verbose=0)
    return [
        *model.get_weights(),
        *map(np.array, history.history.values()),
        model.predict(x, batch_size=10),
        np.array(model.evaluate(x, y)),
        np.array(model.train_on_batch(x, y)),
    ]


def whole_numbers(shape=(N, COLS)):
    """Numbers that every type can hold."""
    return np.random.default_rng(0).integers(0, 2, shape)


def pixels(shape=(N, COLS)):
    return np.random.default_rng(0).integers(0, 120, shape)


def classes():
    return np.random.default_rng(1).integers(0, CLASSES, N)


def plain(x):
    return np.ascontiguousarray(x, np.float32)


TYPES = [
    *("float32", "float64", "float16", "longdouble", "bool"),
    *("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *(">f4", ">f8", ">i4", ">u2"),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", TYPES)
def test_types_of_inputs(kind, dtype):
    x = whole_numbers() if kind == "bool" else pixels()
    assert_same_bits(
        results(x.astype(kind), classes(), dtype=dtype),
        results(x.astype(dtype), classes(), dtype=dtype),
        kind,
    )


def test_fractions_are_rounded_to_the_models_type():
    x = np.random.default_rng(0).normal(size=(N, COLS))
    y = classes()
    assert_same_bits(results(x, y), results(x.astype(np.float32), y))
    assert_same_bits(
        results(x.astype(np.float32), y, dtype="float64"),
        results(x.astype(np.float32).astype(np.float64), y, dtype="float64"),
    )
    assert not np.array_equal(
        results(x, y, dtype="float64")[0], results(x.astype("f4"), y, dtype="float64")[0]
    )


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    result = raw[1:].view(x.dtype).reshape(x.shape)
    result[...] = x
    assert not result.flags.aligned or x.itemsize == 1
    return result


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def in_records(x):
    """A field of a structured array whose rows are no multiple of its items apart."""
    table = np.zeros(len(x), [("key", "u1"), ("row", x.dtype, x.shape[1:])])
    table["row"] = x
    return table["row"]


def every_other(x, axis, step=2):
    shape = list(x.shape)
    shape[axis] *= abs(step)
    result = np.full(shape, 77, x.dtype)
    where = [slice(None)] * x.ndim
    where[axis] = slice(None, None, step)
    result[tuple(where)] = x
    view = result[tuple(where)]
    assert view.base is not None
    return view


def repeated(x):
    return np.broadcast_to(x[:1], x.shape)


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "rows apart": lambda x: every_other(x, 0),
    "columns apart": lambda x: every_other(x, 1),
    "last columns apart": lambda x: every_other(x, -1, 3),
    "rows reversed": lambda x: x[::-1].copy()[::-1],
    "rows reversed and apart": lambda x: every_other(x, 0, -2),
    "columns reversed": lambda x: x[:, ::-1].copy()[:, ::-1],
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "part of wider rows": lambda x: np.pad(x, [(2, 3)] + [(4, 1)] * (x.ndim - 1))[
        (slice(2, -3),) + (slice(4, -1),) * (x.ndim - 1)
    ],
    "read-only": read_only,
    "unaligned": unaligned,
    "records": in_records,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "big-endian, rows apart": lambda x: every_other(x.astype(x.dtype.newbyteorder(">")), 0),
    "list": lambda x: x.tolist(),
    "tuple of rows": lambda x: tuple(x),
    "masked nowhere": lambda x: np.ma.masked_array(x),
}


@pytest.mark.parametrize("sample", [(COLS,), (3, 2)])
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_inputs(layout, kind, sample):
    x = pixels((N, *sample)).astype(kind)
    given = LAYOUTS[layout](x)
    kept = np.array(given)
    assert_same_bits(
        results(given, classes(), sample), results(plain(x), classes(), sample), layout
    )
    assert np.array_equal(kept, np.array(given)), "the data were written to"


def test_one_row_repeated():
    x = pixels()
    assert_same_bits(
        results(repeated(x.astype("f4")), classes()), results(plain(repeated(x)), classes())
    )


@pytest.mark.parametrize("kind", ["float32", "uint8", ">f4"])
def test_memory_maps(kind, tmp_path):
    x = pixels().astype(kind)
    file = tmp_path / "x.npy"
    np.save(file, x)
    mapped = np.load(file, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert_same_bits(results(mapped, classes()), results(plain(x), classes()))
    assert_same_bits(results(mapped[::-1], classes()), results(plain(x[::-1]), classes()))


class Convertible:
    """What pandas and torch offer to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_what_converts_itself():
    x, y = pixels(), classes()
    assert_same_bits(results(Convertible(x), Convertible(y)), results(plain(x), y))


def test_one_column_may_be_one_dimensional():
    x = np.linspace(-1, 1, N)
    assert_same_bits(
        results(x, classes(), sample=(1,)), results(plain(x[:, None]), classes(), sample=(1,))
    )
    assert_same_bits(
        results(x[::-1], classes(), sample=(1,)),
        results(plain(x[::-1, None]), classes(), sample=(1,)),
    )


# Targets

TARGETS = {
    **{kind: (lambda y, kind=kind: y.astype(kind)) for kind in TYPES if kind != "bool"},
    "column": lambda y: y[:, None],
    "column of floats": lambda y: y[:, None].astype(np.float64),
    "list": lambda y: y.tolist(),
    "rows apart": lambda y: every_other(y, 0),
    "reversed": lambda y: y[::-1].copy()[::-1],
    "read-only": read_only,
    "unaligned": unaligned,
    "unaligned int32": lambda y: unaligned(y.astype(np.int32)),
    "column of a table": lambda y: np.stack([y, y + 9], 1)[:, 0],
    "negative zero": lambda y: np.where(y == 0, -0.0, y),
}


@pytest.mark.parametrize("form", TARGETS)
def test_forms_of_class_indices(form):
    x, y = plain(pixels()), classes()
    assert_same_bits(results(x, TARGETS[form](y)), results(x, y.astype(np.int32)), form)


def test_two_classes_as_booleans():
    x, y = plain(pixels()), classes() % 2
    assert_same_bits(results(x, y.astype(bool)), results(x, y))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "bool", "int64"])
def test_layouts_of_one_hot_targets(layout, kind):
    x, y = plain(pixels()), np.eye(CLASSES)[classes()]
    loss = "categorical_crossentropy"
    assert_same_bits(
        results(x, LAYOUTS[layout](y.astype(kind)), loss=loss),
        results(x, y.astype(np.float32), loss=loss),
        layout,
    )


@pytest.mark.parametrize("kind", TYPES)
def test_types_of_binary_targets(kind):
    x, y = plain(pixels()), classes() % 2
    options = {"loss": "binary_crossentropy", "columns": 1, "output": "sigmoid"}
    expected = results(x, y[:, None].astype(np.float32), **options)
    assert_same_bits(results(x, y.astype(kind), **options), expected)
    assert_same_bits(results(x, y[:, None].astype(kind), **options), expected)


# Weights

WEIGHTS = np.random.default_rng(4).integers(0, 5, N)


@pytest.mark.parametrize("layout", ["rows apart", "read-only", "unaligned", "list", "big-endian"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint8"])
def test_forms_of_sample_weights(layout, kind):
    x, y = plain(pixels()), classes()
    found = []
    for weights in (
        LAYOUTS[layout](WEIGHTS.astype(kind)),
        LAYOUTS[layout](WEIGHTS[:, None].astype(kind)),
        WEIGHTS.astype(np.float64),
    ):
        model = make()
        model.fit(x, y, sample_weight=weights, batch_size=8, verbose=0)
        found.append([*model.get_weights(), np.array(model.evaluate(x, y, sample_weight=weights))])
    assert_same_bits(found[0], found[2])
    assert_same_bits(found[1], found[2])


def test_data_of_sequences():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (N, 5, 3))
    y = rng.integers(0, CLASSES, (N, 5))
    weights = rng.uniform(0.5, 2, (N, 5))

    def trained(x, y, weights=None):
        utils.set_random_seed(2)
        model = Sequential([Input((5, 3)), Dense(7, "tanh"), Dense(CLASSES, "softmax")])
        model.compile("adam", SPARSE, metrics=["accuracy"])
        model.fit(x, y, sample_weight=weights, batch_size=8, verbose=0)
        return [*model.get_weights(), model.predict(x), np.array(model.evaluate(x, y))]

    expected = trained(plain(x), y)
    for layout in ("Fortran order", "rows apart", "columns apart", "unaligned", "big-endian"):
        given = LAYOUTS[layout](x.astype(np.float64)), LAYOUTS[layout](y)
        assert_same_bits(trained(*given), expected, layout)
    assert_same_bits(trained(plain(x), y[..., None]), expected)
    weighted = trained(plain(x), y, weights)
    assert_same_bits(trained(x, y, np.asfortranarray(weights)), weighted)
    by_sample = trained(plain(x), y, np.repeat(weights[:, :1], 5, 1))
    assert_same_bits(trained(x, y, weights[:, 0]), by_sample)


def test_data_are_read_as_they_are_at_the_step():
    """No copy is kept of what can be read in place."""
    model = make()
    x = plain(pixels())
    first = model.predict(x)
    x[...] = 0
    assert not np.array_equal(first, model.predict(x))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_samples(n):
    model = make()
    x = plain(pixels())[:n]
    assert model.predict(x).shape == (n, CLASSES)
    assert model.predict(x.tolist() or x).shape == (n, CLASSES)
    if n:
        model.fit(x, classes()[:n], verbose=0)
