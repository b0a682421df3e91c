"""Models whose layers change, that fail and go on, and whose code is out of the ordinary."""

import copy

import numpy as np
import pytest

import onepass as keras
from onepass import layers as L  # noqa: N812 - short in many small models
from onepass import optimizers, utils

RNG = np.random.default_rng(8)
X = RNG.normal(size=(64, 5)).astype("float32")
Y = RNG.normal(size=(64, 2)).astype("float32")


@pytest.fixture(autouse=True)
def seed():
    utils.set_random_seed(2)


def compiled(model):
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("functional", [False, True])
def test_a_change_within_a_nested_model_is_noticed(functional):
    inner, out = keras.Sequential([keras.Input([5]), L.Dense(3), L.Dense(4)]), L.Dense(2)
    if functional:
        x = keras.Input([5])
        outer = keras.Model(x, out(inner(x)))
    else:
        outer = keras.Sequential([inner, out])
    compiled(outer)
    before = outer.predict(X)
    inner.pop()
    inner.add(L.Dense(4))
    np.testing.assert_allclose(outer.predict(X), out(inner.predict(X)), rtol=1e-5, atol=1e-6)
    assert not np.array_equal(before, outer.predict(X))
    outer.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_allclose(outer.predict(X), out(inner.predict(X)), rtol=1e-5, atol=1e-6)


def test_another_layer_as_attribute_is_noticed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.o = L.Dense(2)

        def call(self, x):
            return self.o(x)

    model = compiled(Own())
    model.fit(X, Y, verbose=0)
    model.predict(X)
    model.o = L.Dense(2)
    np.testing.assert_allclose(model.predict(X), model.o(X), rtol=1e-5, atol=1e-6)
    assert len(model.get_weights()) == 2


class Kept(keras.Model):
    """Applies layers that it keeps in whatever is given."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def call(self, x):
        for layer in leaves(self.kept):
            x = layer(x)
        return x


def leaves(kept):
    items = kept.values() if isinstance(kept, dict) else kept
    return [
        leaf for item in items for leaf in ([item] if isinstance(item, L.Layer) else leaves(item))
    ]


def append_in_tuple(model):
    model.kept[0].append(L.Dense(2))


CHANGES = {
    "appended": (list, lambda model: model.kept.append(L.Dense(2))),
    "exchanged": (list, lambda model: model.kept.__setitem__(0, L.Dense(2))),
    "of a dict": (lambda first: {"a": first[0]}, lambda model: model.kept.update(b=L.Dense(2))),
    "exchanged in a dict": (
        lambda first: {"a": first[0]},
        lambda model: model.kept.update(a=L.Dense(2)),
    ),
    "in a list in a tuple": (lambda first: (list(first),), append_in_tuple),
    "in an empty list": (
        lambda first: [*first, []],
        lambda model: model.kept[1].append(L.Dense(2)),
    ),
    "another list": (list, lambda model: setattr(model, "kept", [L.Dense(2)])),
}


@pytest.mark.parametrize("first_use", ["predict", "train_on_batch", "fit"])
@pytest.mark.parametrize("change", CHANGES)
def test_layers_that_come_and_go_in_containers_are_noticed(change, first_use):
    container, apply = CHANGES[change]
    model = compiled(Kept(container([L.Dense(2)])))
    uses = {
        "predict": lambda: model.predict(X),
        "train_on_batch": lambda: model.train_on_batch(X, Y),
        "fit": lambda: model.fit(X, Y, verbose=0),
    }
    model.fit(X, Y, verbose=0)
    before = model.predict(X)
    apply(model)
    uses[first_use]()
    expected = X
    for layer in leaves(model.kept):
        expected = layer(expected)
    got = model.predict(X)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(got, before)
    start = model.get_weights()
    assert len(start) == 2 * len(leaves(model.kept))
    model.train_on_batch(X, Y)
    assert all((a != b).any() for a, b in zip(start, model.get_weights(), strict=True))


def test_outputs_of_another_size_are_noticed():
    model = compiled(Kept([L.Dense(2)]))
    model.train_on_batch(X, Y)
    model.kept.append(L.Dense(3))
    assert model.output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"y has shape \(64, 2\)"):
        model.train_on_batch(X, Y)
    model.train_on_batch(X, np.zeros((64, 3), np.float32))
    assert model.predict(X).shape == (64, 3)


def test_what_is_trained_is_looked_at_anew_at_each_batch():
    model = compiled(keras.Sequential([keras.Input([5]), L.Dense(3), L.Dense(2)]))
    first, last = model.layers

    def moved():
        before = model.get_weights()
        model.train_on_batch(X, Y)
        return [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)]

    assert moved() == [True, True, True, True]
    last.kernel.trainable = False
    assert moved() == [True, True, False, True]
    first.trainable = False
    assert moved() == [False, False, False, True]
    last.kernel.trainable = True
    model.trainable = True
    assert moved() == [True, True, True, True]


def test_a_property_of_a_subclass_says_what_is_trained():
    class Chooses(keras.Sequential):
        chosen = slice(None)

        @property
        def trainable_variables(self):
            return super().trainable_variables[self.chosen]

    model = compiled(Chooses([keras.Input([5]), L.Dense(3), L.Dense(2)]))
    for chosen in (slice(None), slice(2), slice(2, 4)):
        Chooses.chosen = chosen  # which no attribute of the model tells
        before = model.get_weights()
        model.train_on_batch(X, Y)
        moved = [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)]
        expected = [False] * 4
        expected[chosen] = [True] * len(expected[chosen])
        assert moved == expected


def test_a_layer_that_is_deleted_is_noticed():
    class Optional(keras.Model):
        def __init__(self):
            super().__init__()
            self.extra, self.last = L.Dense(2), L.Dense(2)

        def call(self, x):
            return self.last(self.extra(x) if hasattr(self, "extra") else x)

    model = compiled(Optional())
    model.fit(X[:, :2], Y, verbose=0)
    model.predict(X[:, :2])
    del model.extra
    np.testing.assert_allclose(model.predict(X[:, :2]), model.last(X[:, :2]), rtol=1e-5, atol=1e-6)
    assert len(model.get_weights()) == 2


def test_a_model_made_in_build_follows_the_training_of_its_user():
    class Block(L.Layer):
        def build(self, shape):
            i = keras.Input(shape[1:])
            self.f = keras.Model(i, L.Dropout(0.5)(i))

        def call(self, x):
            return self.f(x)

    block = Block()
    block(X, training=True)
    model = keras.Sequential([keras.Input([5]), block])
    np.testing.assert_array_equal(model.predict(X), X)
    assert (model(X, training=True) == 0).any()


def test_a_functional_subclass_may_go_on():
    class Longer(keras.Model):
        def __init__(self):
            i = keras.Input([5])
            super().__init__(i, L.Dense(3)(i))
            self.extra = L.Dense(2)

        def call(self, x, training=None):
            return self.extra(super().call(x))

    model = compiled(Longer())
    before = model.predict(X)
    model.fit(X, Y, verbose=0)
    assert len(model.weights) == 4
    assert model.predict(X).shape == before.shape == (64, 2)


def test_arrays_among_the_options_of_a_layer():
    class Scale(L.Layer):
        def call(self, x, scale=None):
            return x * scale

    a = np.arange(2000.0)
    b = a.copy()
    b[1000] = -1
    layer, ones = Scale(), np.ones((1, 2000))
    assert layer(ones, scale=a)[0, 1000] == 1000
    assert layer(ones, scale=b)[0, 1000] == -1


class WithWeight(keras.Model):
    def __init__(self):
        super().__init__()
        self.w = self.add_weight((5,), "ones")
        self.d = L.Dense(2)

    def call(self, x):
        if x.shape[1] != 5:
            raise ValueError("bad")
        return self.d(x * self.w)


def test_after_an_error_the_right_data_build_the_model():
    model = compiled(WithWeight())
    with pytest.raises(ValueError, match="bad"):
        model.fit(X[:, :3], Y, verbose=0)
    model.fit(X, Y, verbose=0)
    assert len(model.weights) == 3


@pytest.mark.parametrize("wrong", ["targets", "validation", "shapes"])
def test_a_refused_fit_builds_nothing(wrong):
    stack = [L.Dense(4), L.Dense(3)] + ([L.Reshape((7,))] if wrong == "shapes" else [L.Dense(2)])
    model = compiled(keras.Sequential(stack))
    arguments = {
        "targets": (X, Y[:, :1], None),
        "validation": (X, Y, (X, Y[:, :1])),
        "shapes": (X, Y, None),
    }
    x, y, held_out = arguments[wrong]
    with pytest.raises(ValueError, match=r"shape|reshape"):
        model.fit(x, y, validation_data=held_out, verbose=0)
    assert not model.built
    assert not any(layer.built for layer in model.layers[:2])
    if wrong != "shapes":
        model.fit(RNG.normal(size=(64, 7)), Y, verbose=0)


def test_back_to_an_earlier_optimizer():
    model, first = keras.Sequential([keras.Input([5]), L.Dense(2)]), optimizers.Adam()
    for optimizer in (first, "sgd", first):
        model.compile(optimizer, "mse")
        model.fit(X, Y, verbose=0)
    assert first.iterations == 4


@pytest.mark.parametrize("name", ["graph", "sample", "objectives", "_inputs"])
def test_names_that_models_use_are_refused(name):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            setattr(self, name, L.Dense(2))

        def call(self, x):
            return x

    with pytest.raises(AttributeError, match=name):
        Own()


def test_a_build_without_super():
    class Own(keras.Model):
        def build(self, shape):
            self.d = L.Dense(2)
            self.built = True

        def call(self, x):
            return self.d(x)

    model = compiled(Own())
    model.fit(X, Y, verbose=0)
    assert model.predict(X).shape == (64, 2)


def test_tensors_of_a_model_that_grew():
    model = keras.Sequential()
    model.add(keras.Input([5]))
    model.add(L.Dense(3))
    model.add(L.Dense(2))
    part = keras.Model(model.inputs, model.layers[0].output)
    np.testing.assert_allclose(part.predict(X), model.layers[0](X), rtol=1e-5, atol=1e-6)


def test_copies_know_their_tensors():
    x = keras.Input([5])
    model = copy.deepcopy(keras.Model(x, L.Dense(2)(L.Dense(3, name="h")(x))))
    part = keras.Model(model.input, model.get_layer("h").output)
    np.testing.assert_allclose(part.predict(X), model.get_layer("h")(X), rtol=1e-5, atol=1e-6)


def test_training_is_taken_by_every_layer():
    x = keras.Input([5])
    model = keras.Model(x, L.Dense(2)(x, training=True))
    assert model.predict(X).shape == (64, 2)
    assert L.Dense(2)(X, training=False).shape == (64, 2)


def test_lists_build_models():
    model = compiled(keras.Sequential([L.Dense(2)]))
    model.fit(X.tolist(), Y.tolist(), verbose=0)
    single = compiled(keras.Sequential([L.Dense(1)]))
    single.fit(X[:, 0].tolist(), Y[:, 0].tolist(), verbose=0)
    assert single.input_shape == (None, 1)


def test_attributes_of_any_kind():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = {1: 2, "a": 3}
            self.d = L.Dense(2)
            self.all = [self.d]

        def call(self, x):
            return self.d(x)

    model = compiled(Own())
    model.fit(X, Y, verbose=0)
    assert model.layers == [model.d]


def test_nested_dicts_of_inputs():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.d = L.Dense(2)

        def call(self, x):
            return self.d(L.concatenate([x["a"]["u"], x["b"]]))

    model = compiled(Own())
    data = {"a": {"u": X}, "b": Y}
    model.fit(data, Y, verbose=0)
    assert model.predict(data).shape == (64, 2)
    with pytest.raises(ValueError, match=r"x\['a'\] must be a dict of \['u'\]"):
        model.predict({"a": {"v": X}, "b": Y})


def test_targets_of_outputs_that_are_not_trained_may_be_left_out():
    x = keras.Input([5])
    model = keras.Model(x, {"a": L.Dense(2)(x), "b": L.Dense(2)(x)})
    model.compile("sgd", loss={"a": "mse"})
    model.fit(X, {"a": Y}, verbose=0)


def test_float_types_are_compared_when_layers_are_called():
    with pytest.raises(TypeError, match=r"computes in float32, its input is float64"):
        L.Dense(2)(keras.Input([5], dtype="float64"))


def test_layers_that_are_built_have_weights_in_a_new_model():
    """The textbook's Monte Carlo dropout: layers of a trained model with others between."""
    model = compiled(keras.Sequential([keras.Input([5]), L.Dropout(0.5), L.Dense(2)]))
    again = keras.Sequential([L.Dropout(0.5), *model.layers[1:]])
    again.layers[0].build((None, 5))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_lists_of_numbers_are_arrays_for_layers():
    layer = L.Dense(3)
    assert layer([[1.0, 2.0], [3.0, 4.0]]).shape == (2, 3)
    with pytest.raises(ValueError, match="Dense needs inputs of shape"):
        L.Dense(3)(np.ones(4))


def test_names_of_inputs_and_outputs():
    x = keras.Input([5], name="x")
    model = keras.Model(x, [L.Dense(1, name="a")(x), L.Dense(1, name="b")(x)])
    assert model.input_names == ["x"]
    assert model.output_names == ["a", "b"]


def test_what_does_not_exist_is_explained():
    with pytest.raises(TypeError, match="train_step"):
        type("Own", (keras.Model,), {"train_step": lambda self, data: {}})
    with pytest.raises(AttributeError, match="not built yet"):
        _ = L.Dense(3).kernel

    class NoSuper(L.Layer):
        def __init__(self):
            self.units = 3

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        _ = NoSuper().name
