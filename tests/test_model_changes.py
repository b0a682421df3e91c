"""Models whose layers change, that fail and go on, and whose code is out of the ordinary."""

import copy

import numpy as np
import pytest

import onepass as keras
from onepass import layers as L  # noqa: N812 - short in many small models
from onepass import optimizers, utils
from onepass.engine.storage import materialize
from onepass.layers.inventory import inventory_of

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
    if isinstance(kept, L.Layer):
        return [kept]
    if not isinstance(kept, (list, tuple, dict)):
        return []
    items = kept.values() if isinstance(kept, dict) else kept
    return [leaf for item in items for leaf in leaves(item)]


CHANGES = {  # how a first layer is kept, and how another one comes
    "appended": (list, lambda kept, new: kept.append(new)),
    "exchanged": (list, lambda kept, new: kept.__setitem__(0, new)),
    "of a dict": (lambda first: {"a": first[0]}, lambda kept, new: kept.update(b=new)),
    "exchanged in a dict": (
        lambda first: {"a": first[0]},
        lambda kept, new: kept.update(a=new),
    ),
    "in a list in a tuple": (lambda first: (list(first),), lambda kept, new: kept[0].append(new)),
    "in an empty list": (lambda first: [*first, []], lambda kept, new: kept[1].append(new)),
    "in an empty place": (
        lambda first: [*first, [None, None]],
        lambda kept, new: kept[1].__setitem__(0, new),
    ),
    "among others": (lambda first: [*first, None], lambda kept, new: kept.__setitem__(1, new)),
    "behind many others": (
        lambda first: [first, ["log"] * 100],
        lambda kept, new: kept[1].append(new),
    ),
    "in a new list": (lambda first: [first], lambda kept, new: kept.append([new])),
}


@pytest.mark.parametrize("first_use", ["predict", "train_on_batch", "fit"])
@pytest.mark.parametrize("change", CHANGES)
def test_layers_that_come_and_go_in_containers_are_noticed(change, first_use):
    container, apply = CHANGES[change]
    model = compiled(Kept(container([L.Dense(2)])))
    new = L.Dense(2)  # before the model is used: making a layer says nothing of any model
    uses = {
        "predict": lambda: model.predict(X),
        "train_on_batch": lambda: model.train_on_batch(X, Y),
        "fit": lambda: model.fit(X, Y, verbose=0),
    }
    model.fit(X, Y, verbose=0)
    before = model.predict(X)
    apply(model.kept, new)
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


def test_another_list_is_noticed():
    model, new = compiled(Kept([L.Dense(2)])), [L.Dense(2)]
    model.fit(X, Y, verbose=0)
    model.predict(X)
    model.kept = new
    np.testing.assert_allclose(model.predict(X), new[0](X), rtol=1e-5, atol=1e-6)


def test_outputs_of_another_size_are_noticed():
    model, new = compiled(Kept([L.Dense(2)])), L.Dense(3)
    model.train_on_batch(X, Y)
    model.kept.append(new)
    assert model.output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"y has shape \(64, 2\)"):
        model.train_on_batch(X, Y)
    model.train_on_batch(X, np.zeros((64, 3), np.float32))
    assert model.predict(X).shape == (64, 3)


@pytest.mark.parametrize("items", [0, 3, 100])
def test_logs_in_a_model_are_no_reason_to_record_it_anew(items):
    model = compiled(Kept([L.Dense(2)]))
    model.log, model.best = ["line"] * items, {}
    model.train_on_batch(X, Y)
    model.predict(X)
    found = inventory_of(model)
    for step in range(200):
        model.log.append(step)
        model.best[step] = "good"
        model.pair = (step, "words")
        L.Dense(2)
        model.last = step
        assert inventory_of(model) is found
    model.log.clear()
    assert inventory_of(model) is found
    model.log.append(L.Dense(2))
    assert inventory_of(model) is not found


def moved_by_a_batch(model):
    before = model.get_weights()
    model.train_on_batch(X, Y)
    return [bool((a != b).any()) for a, b in zip(before, model.get_weights(), strict=True)]


def test_what_is_trained_is_looked_at_anew_at_each_batch():
    model = compiled(keras.Sequential([keras.Input([5]), L.Dense(3), L.Dense(2)]))
    first, last = model.layers

    assert moved_by_a_batch(model) == [True, True, True, True]
    last.kernel.trainable = False
    assert moved_by_a_batch(model) == [True, True, False, True]
    first.trainable = False
    assert moved_by_a_batch(model) == [False, False, False, True]
    last.kernel.trainable = True
    model.trainable = True
    assert moved_by_a_batch(model) == [True, True, True, True]


def test_a_property_of_a_subclass_says_what_is_trained():
    class Chooses(keras.Sequential):
        chosen = slice(None)

        @property
        def trainable_variables(self):
            return super().trainable_variables[self.chosen]

    model = compiled(Chooses([keras.Input([5]), L.Dense(3), L.Dense(2)]))
    for chosen in (slice(None), slice(2), slice(2, 4)):
        Chooses.chosen = chosen  # which no attribute of the model tells
        expected = [False] * 4
        expected[chosen] = [True] * len(expected[chosen])
        assert moved_by_a_batch(model) == expected


def test_a_property_of_a_layer_says_whether_it_is_trained():
    class Freezes(L.Dense):
        frozen = False

        @property
        def trainable(self):
            return not self.frozen

    model = compiled(keras.Sequential([keras.Input([5]), Freezes(3), L.Dense(2)]))
    assert moved_by_a_batch(model) == [True] * 4
    model.layers[0].frozen = True
    assert moved_by_a_batch(model) == [False, False, True, True]


def test_a_layer_of_the_users_own_says_what_is_inside():
    class Elsewhere(keras.Model):
        def __init__(self, places):
            super().__init__()
            self.find = lambda: iter(places)

        def sublayers(self):
            return self.find()

        def call(self, x):
            for layer in self.find():
                x = layer(x)
            return x

    places, new = [L.Dense(2)], L.Dense(2)
    model = compiled(Elsewhere(places))
    model.fit(X, Y, verbose=0)
    model.predict(X)
    places.append(new)
    np.testing.assert_allclose(model.predict(X), new(places[0](X)), rtol=1e-5, atol=1e-6)
    assert moved_by_a_batch(model) == [True] * 4


def test_weights_that_a_layer_gets_later_are_trained():
    class Grows(L.Layer):
        def build(self, input_shape):
            self.scales = [self.add_weight((1,), "ones")]

        def call(self, x):
            for scale in self.scales:
                x = x * scale
            return x

    grows = Grows()
    model = compiled(keras.Sequential([keras.Input([5]), grows, L.Dense(2)]))
    assert moved_by_a_batch(model) == [True] * 3
    more = grows.add_weight((1,), "ones")
    materialize([more])
    grows.scales.append(more)
    assert moved_by_a_batch(model) == [True] * 4


def test_names_of_the_users_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inventory, self.structures, self._sequence = 3, L.Dense(2), [L.Dense(2)]

        def call(self, x):
            for layer in self._sequence:
                x = layer(x)
            return self.structures(x)

    model, new = compiled(Own()), L.Dense(2)
    model.fit(X, Y, verbose=0)
    assert moved_by_a_batch(model) == [True] * 4
    model._sequence.append(new)
    assert model.train_on_batch(X, Y) > 0
    assert moved_by_a_batch(model) == [True] * 6


@pytest.mark.parametrize(
    "leave",
    [
        lambda model: delattr(model, "extra"),
        lambda model: setattr(model, "extra", None),
        lambda model: model.more.pop(),
        lambda model: model.more.clear(),
    ],
)
def test_a_layer_that_goes_is_noticed(leave):
    class Optional(keras.Model):
        def __init__(self, extra, more):
            super().__init__()
            self.last, self.extra, self.more = L.Dense(2), extra, more

        def call(self, x):
            layers = [getattr(self, "extra", None), *self.more, self.last]
            for layer in filter(None, layers):
                x = layer(x)
            return x

    inner = L.Dense(2)
    by_attribute = "extra" in leave.__code__.co_consts
    model = compiled(Optional(*((inner, []) if by_attribute else (None, [inner]))))
    model.fit(X[:, :2], Y, verbose=0)
    model.predict(X[:, :2])
    leave(model)
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


def test_layers_of_another_model_with_new_ones_that_have_no_weights():
    """Monte Carlo dropout and transfer learning, as courses convert models."""

    class MCDropout(L.Dropout):
        def call(self, inputs):
            return super().call(inputs, training=True)

    model = compiled(keras.Sequential([keras.Input([5]), L.Dense(8), L.Dropout(0.5), L.Dense(2)]))
    model.fit(X, Y, verbose=0)
    converted = keras.Sequential(
        [MCDropout(one.rate) if isinstance(one, L.Dropout) else one for one in model.layers]
    )
    assert len(converted.get_weights()) == 4
    converted.set_weights(model.get_weights())
    assert converted.count_params() == model.count_params()
    assert not np.array_equal(converted.predict(X), converted.predict(X))
    head = keras.Sequential([*model.layers[:-1], L.Dense(1)])
    with pytest.raises(ValueError, match="no weights yet"):
        head.get_weights()


def test_a_model_that_builds_itself_has_no_weights_before():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = L.Dropout(0.5)

        def build(self, input_shape):
            self.last = L.Dense(2)
            super().build(input_shape)

        def call(self, x):
            return self.last(self.first(x))

    model = compiled(Own())
    with pytest.raises(ValueError, match="no weights yet"):
        model.get_weights()
    model.build((None, 5))
    assert len(model.get_weights()) == 2
