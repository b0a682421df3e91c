"""Models of several inputs and outputs, subclasses, nested and shared layers, clones, copies."""

import copy
import pickle

import numpy as np
import pytest

import onepass as keras
from onepass import layers, utils

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 6)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
X2 = RNG.normal(size=(40, 2)).astype("float32")


@pytest.fixture(autouse=True)
def seed():
    utils.set_random_seed(7)


def two_outputs():
    x = keras.Input([6], name="x")
    hidden = layers.Dense(5, activation="tanh", name="hidden")(x)
    main = layers.Dense(1, name="main")(hidden)
    aux = layers.Dense(2, name="aux")(hidden)
    return keras.Model(inputs=[x], outputs=[main, aux])


class TwoHeads(keras.Model):
    """The same as a subclass."""

    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(units, activation="tanh")
        self.heads = [layers.Dense(1), layers.Dense(2)]

    def call(self, inputs):
        hidden = self.hidden(inputs)
        return tuple(head(hidden) for head in self.heads)


def as_arrays(weights):
    return [np.array(w) for w in weights]


def reference_outputs(weights, x):
    """The two outputs of the models above in float64."""
    w1, b1, w2, b2, w3, b3 = (np.asarray(w, np.float64) for w in weights)
    hidden = np.tanh(x @ w1 + b1)
    return hidden @ w2 + b2, hidden @ w3 + b3


def test_outputs_come_in_the_models_structure():
    model = two_outputs()
    outputs = model.predict(X)
    assert isinstance(outputs, list)
    for got, expected in zip(outputs, reference_outputs(model.get_weights(), X), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    named = keras.Model(model.inputs, {"b": model.outputs[0], "a": model.outputs[1]})
    as_dict = named.predict(X)
    assert list(as_dict) == ["b", "a"]
    np.testing.assert_array_equal(as_dict["b"], outputs[0])
    np.testing.assert_array_equal(as_dict["a"], outputs[1])


def test_losses_of_several_outputs_add_up_by_their_weights():
    model = two_outputs()
    model.compile("sgd", loss=["mse", "mae"], loss_weights=[0.75, 0.5])
    targets = [Y, X[:, :2]]
    logs = model.evaluate(X, targets, return_dict=True)
    first, second = reference_outputs(model.get_weights(), X)
    main, aux = np.mean((first - Y) ** 2), np.mean(np.abs(second - X[:, :2]))
    assert list(logs) == ["loss", "main_loss", "aux_loss"]
    np.testing.assert_allclose(list(logs.values()), [0.75 * main + 0.5 * aux, main, aux], rtol=1e-5)


def test_gradients_of_several_losses_meet_in_the_shared_layer():
    """One SGD step against central differences of the weighted loss."""
    keras.config.set_floatx("float64")
    try:
        model = two_outputs()
        loss = {"main": "mse", "aux": "mae"}
        weights = {"main": 0.75, "aux": 2.0}
        model.compile(keras.optimizers.SGD(1.0), loss=loss, loss_weights=weights)
        before = model.get_weights()
        targets = {"main": Y, "aux": X[:, :2]}

        def loss_at(values):
            model.set_weights(values)
            return model.evaluate(X, targets, return_dict=True)["loss"]

        slopes = []
        for i, value in enumerate(before):
            slope = np.zeros_like(value)
            for at in np.ndindex(value.shape):
                sides = []
                for step in (1e-6, -1e-6):
                    moved = [w.copy() for w in before]
                    moved[i][at] += step
                    sides.append(loss_at(moved))
                slope[at] = (sides[0] - sides[1]) / 2e-6
            slopes.append(slope)
        model.set_weights(before)
        model.fit(X, targets, batch_size=len(X), epochs=1, verbose=0)
        for old, new, slope in zip(before, model.get_weights(), slopes, strict=True):
            np.testing.assert_allclose(old - new, slope, rtol=1e-5, atol=1e-8)
    finally:
        keras.config.set_floatx("float32")


def test_a_subclass_learns_what_the_same_functional_model_does():
    functional, subclass = two_outputs(), TwoHeads()
    subclass.build((None, 6))
    subclass.set_weights(functional.get_weights())
    targets = (Y, X[:, :2])
    for model in (functional, subclass):
        model.compile("adam", loss=["mse", "mse"])
        model.fit(X, targets, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(functional.get_weights(), subclass.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    outputs = subclass.predict(X)
    assert isinstance(outputs, tuple)
    np.testing.assert_array_equal(outputs[0], functional.predict(X)[0])


class WithSwitch(keras.Model):
    """Does something else in training."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(3), layers.Dense(3)
        self.seen = []

    def call(self, inputs, training=False):
        self.seen.append(training)
        return self.first(inputs) if training else self.second(inputs)


def test_call_is_told_whether_the_model_is_trained():
    model = WithSwitch()
    model.build((None, 6))
    model.first.build((None, 6))
    first, second = model.first.get_weights(), model.second.get_weights()
    np.testing.assert_allclose(model(X), X @ second[0] + second[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model(X, training=True), X @ first[0] + first[1], rtol=1e-4, atol=1e-5
    )
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], epochs=1, verbose=0)
    assert not np.array_equal(model.first.get_weights()[0], first[0])
    np.testing.assert_array_equal(model.second.get_weights()[0], second[0])


def test_an_explicit_training_argument_reaches_the_layers_inside():
    inner = keras.Sequential([layers.Dropout(0.5)])
    x = keras.Input([6])
    always = keras.Model(x, inner(x, training=True))
    never = keras.Model(x, inner(x, training=False))
    ones = np.ones((50, 6), "float32")
    never.compile("sgd", "mse")
    np.testing.assert_array_equal(never(ones, training=True), ones)
    drawn = always.predict(ones)
    assert set(np.unique(drawn)) == {0.0, 2.0}
    assert not np.array_equal(drawn, always.predict(ones))


def test_a_layer_used_twice_is_one_layer():
    x = keras.Input([6])
    shared = layers.Dense(6, activation="tanh")
    model = keras.Model(x, layers.Dense(1)(shared(shared(x))))
    assert len(model.layers) == 3
    assert model.count_params() == 42 + 7
    model.compile("sgd", "mse")
    start = model.evaluate(X, Y)
    model.fit(X, Y, epochs=20, verbose=0)
    assert model.evaluate(X, Y) < start


def test_models_are_layers_of_other_models():
    inner = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(6)])
    x = keras.Input([6])
    outer = keras.Model(x, layers.Dense(1)(inner(x)))
    assert [layer.name for layer in outer.layers][1] == inner.name
    outer.compile("sgd", "mse")
    before = inner.get_weights()
    outer.fit(X, Y, epochs=1, verbose=0)
    assert not np.array_equal(before[0], inner.get_weights()[0])
    inner.trainable = False
    assert len(outer.trainable_variables) == 2
    before = inner.get_weights()
    outer.fit(X, Y, epochs=1, verbose=0)
    for old, new in zip(before, inner.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(
        outer.predict(X),
        inner.predict(X) @ outer.layers[-1].get_weights()[0] + outer.layers[-1].get_weights()[1],
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_part_of_a_model_shares_its_layers():
    model = two_outputs()
    features = keras.Model(model.input, model.get_layer("hidden").output)
    w, b = model.get_layer("hidden").get_weights()
    np.testing.assert_allclose(features.predict(X), np.tanh(X @ w + b), rtol=1e-4, atol=1e-5)
    rest = keras.Model(model.get_layer("hidden").output, model.get_layer("main").output)
    np.testing.assert_allclose(
        rest.predict(features.predict(X)), model.predict(X)[0], rtol=1e-5, atol=1e-6
    )
    reused = keras.Sequential([*keras.Sequential(model.layers[1:2]).layers, layers.Dense(1)])
    reused.build((None, 6))
    assert reused.layers[0] is model.get_layer("hidden")


def test_weights_stand_in_the_order_of_depth():
    """As Keras sorts the layers of a graph whose branches have different lengths."""
    a, b = keras.Input([6], name="a"), keras.Input([2], name="b")
    deep = layers.Dense(3, name="d2")(layers.Dense(4, name="d1")(a))
    short = layers.Dense(3, name="s1")(b)
    out = [layers.Dense(1, name="o1")(deep), layers.Dense(1, name="o2")(short)]
    model = keras.Model([b, a], out)
    assert [layer.name for layer in model.layers] == ["a", "d1", "b", "d2", "s1", "o1", "o2"]
    assert [tensor.name for tensor in model.inputs] == ["b", "a"]


@pytest.mark.parametrize("given", ["list", "tuple", "dict"])
def test_inputs_come_as_lists_tuples_or_dicts(given):
    a, b = keras.Input([6], name="a"), keras.Input([2], name="b")
    model = keras.Model([a, b], [layers.Dense(1, name="p")(a), layers.Dense(1, name="q")(b)])
    model.compile("sgd", "mse", metrics={"p": ["mae"], "q": "mae"})
    x = {"list": [X, X2], "tuple": (X, X2), "dict": {"b": X2, "a": X}}[given]
    y = {"list": [Y, Y], "tuple": (Y, Y), "dict": {"p": Y, "q": Y}}[given]
    history = model.fit(x, y, epochs=2, validation_split=0.25, verbose=0).history
    names = {"loss", "p_loss", "q_loss", "p_mae", "q_mae"}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert [p.shape for p in model.predict(x)] == [(40, 1), (40, 1)]
    weights = {"list": [np.ones(40), np.zeros(40)], "dict": {"q": np.zeros(40)}}.get(given)
    logs = model.evaluate(x, y, sample_weight=weights, return_dict=True)
    assert (logs["q_loss"] == 0) == (weights is not None)


def test_an_output_without_a_loss_is_not_trained():
    model = two_outputs()
    model.compile("sgd", loss={"main": "mse"})
    before = model.get_layer("aux").get_weights()
    history = model.fit(X, {"main": Y, "aux": None}, epochs=1, verbose=0).history
    assert list(history) == ["loss"] or set(history) == {"loss", "main_loss"}
    np.testing.assert_array_equal(before[0], model.get_layer("aux").get_weights()[0])


def test_one_tensor_as_two_outputs():
    x = keras.Input([6])
    y = layers.Dense(1)(x)
    model = keras.Model(x, [y, y])
    single = keras.Model(x, y)
    model.compile(keras.optimizers.SGD(0.1), loss=["mse", "mse"])
    single.compile(keras.optimizers.SGD(0.1), loss="mse", loss_weights=2.0)
    start = model.get_weights()
    model.fit(X, [Y, Y], epochs=1, shuffle=False, verbose=0)
    both = model.get_weights()
    model.set_weights(start)
    single.fit(X, Y, epochs=1, shuffle=False, verbose=0)
    for a, b in zip(both, single.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_output_that_another_layer_reads():
    x = keras.Input([6])
    first = layers.Dense(4, name="first")(x)
    model = keras.Model(x, [first, layers.Dense(1, name="second")(first)])
    model.compile("sgd", loss=["mse", "mse"])
    start = model.evaluate(X, [X[:, :4], Y])[0]
    model.fit(X, [X[:, :4], Y], epochs=30, verbose=0)
    assert model.evaluate(X, [X[:, :4], Y])[0] < start / 2


@pytest.mark.parametrize("kind", ["functional", "sequential", "nested"])
def test_clones_have_the_same_layers_and_new_weights(kind):
    if kind == "functional":
        model = two_outputs()
    elif kind == "sequential":
        model = keras.Sequential([keras.Input([6]), layers.Dense(3), layers.Dense(1)])
    else:
        x = keras.Input([6])
        model = keras.Model(x, layers.Dense(1)(keras.Sequential([layers.Dense(6)])(x)))
    clone = keras.models.clone_model(model)
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert clone.count_params() == model.count_params()
    assert not set(map(id, clone.variables)) & set(map(id, model.variables))
    assert not np.array_equal(clone.get_weights()[0], model.get_weights()[0])
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.hstack(clone.predict(X)), np.hstack(model.predict(X)))


def test_a_subclass_cannot_be_cloned():
    model = TwoHeads()
    with pytest.raises(TypeError, match="TwoHeads"):
        keras.models.clone_model(model)


@pytest.mark.parametrize("make", [two_outputs, TwoHeads], ids=["functional", "subclass"])
@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_go_on_alike(make, how):
    model = make()
    model.compile("adam", loss=["mse", "mse"])
    targets = [Y, X[:, :2]]
    model.fit(X, targets, epochs=2, shuffle=False, verbose=0)
    other = how(model)
    for one in (model, other):
        one.fit(X, targets, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_deep_graphs_can_be_pickled():
    x = tensor = keras.Input([3])
    for _ in range(400):
        tensor = layers.Dense(3)(tensor)
    model = keras.Model(x, tensor)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X[:, :3]), model.predict(X[:, :3]))


def test_layers_compute_arrays():
    dense = layers.Dense(3, activation="relu")
    y = dense(X)
    w, b = dense.get_weights()
    np.testing.assert_allclose(y, np.maximum(X @ w + b, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(dense(X[:1]), y[:1])
    dropout = layers.Dropout(0.5)
    np.testing.assert_array_equal(dropout(X), X)
    first, second = dropout(X, training=True), dropout(X, training=True)
    assert (first == 0).any()
    assert not np.array_equal(first, second)
    assert dense(np.zeros((0, 6))).shape == (0, 3)


def test_summary_says_what_a_branching_graph_connects():
    lines = []
    two_outputs().summary(print_fn=lines.append)
    assert "Connected to" in lines[0]
    (row,) = [line for line in lines[0].splitlines() if "aux (Dense)" in line]
    assert "hidden" in row
    lines.clear()
    keras.Sequential([keras.Input([6]), layers.Dense(1)]).summary(print_fn=lines.append)
    assert "Connected to" not in lines[0]


BAD = {
    "no layers between": (
        lambda: keras.Model(keras.Input([3], name="a"), keras.Input([3], name="b")),
        ValueError,
        ["'b'", "not among the inputs"],
    ),
    "arrays as outputs": (
        lambda: keras.Model(keras.Input([3]), X),
        TypeError,
        ["outputs", "ndarray"],
    ),
    "neither": (lambda: keras.Model(), TypeError, ["inputs and outputs", "call"]),
    "only inputs": (lambda: keras.Model(keras.Input([3])), TypeError, ["inputs", "outputs"]),
    "one loss too many": (
        lambda: two_outputs().compile("sgd", loss=["mse", "mse", "mse"]),
        ValueError,
        ["loss has 3", "2 outputs", "main", "aux"],
    ),
    "unknown output": (
        lambda: two_outputs().compile("sgd", loss={"main": "mse", "other": "mse"}),
        ValueError,
        ["other", "main", "aux"],
    ),
    "metrics for two": (
        lambda: two_outputs().compile("sgd", "mse", metrics=["mae", "mse", "mape"]),
        ValueError,
        ["metrics has 3", "main"],
    ),
    "one target": (
        lambda: compiled().fit(X, Y),
        TypeError,
        ["y must be a list", "2 arrays", "main", "ndarray"],
    ),
    "too few targets": (lambda: compiled().fit(X, [Y]), ValueError, ["2 arrays", "got 1"]),
    "target typo": (
        lambda: compiled().fit(X, {"main": Y, "axu": Y}),
        ValueError,
        ["axu", "aux"],
    ),
    "a target of another length": (
        lambda: compiled().fit(X, [Y, X[:30, :2]]),
        ValueError,
        ["aux", "30", "40"],
    ),
    "a target of another shape": (
        lambda: compiled().fit(X, [Y, X]),
        ValueError,
        ["y['aux']", "(40, 6)", "(n, 2)"],
    ),
    "class weights for two": (
        lambda: compiled().fit(X, [Y, X[:, :2]], class_weight={0: 1.0}),
        ValueError,
        ["class_weight", "one output", "sample_weight"],
    ),
    "two layers of one name": (
        lambda: keras.Model(
            *(lambda x: (x, layers.Dense(1, name="d")(layers.Dense(3, name="d")(x))))(
                keras.Input([3])
            )
        ),
        ValueError,
        ["two layers", "'d'"],
    ),
    "mixed arguments": (
        lambda: layers.Dense(3)([keras.Input([3]), X]),
        TypeError,
        ["symbolic", "ndarray"],
    ),
    "call that returns an array": (
        lambda: ReturnsArray()(keras.Input([3])),
        TypeError,
        ["ndarray"],
    ),
    "branching on values": (
        lambda: Branches()(keras.Input([3])),
        TypeError,
        ["symbolic tensor", "branch"],
    ),
}


def compiled():
    model = two_outputs()
    model.compile("sgd", "mse")
    return model


class ReturnsArray(layers.Layer):
    def call(self, inputs):
        return np.zeros(3)


class Branches(layers.Layer):
    def call(self, inputs):
        return layers.ReLU()(inputs) if inputs else inputs


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_mistake_is_named(case):
    act, error, words = case
    with pytest.raises(error) as caught:
        act()
    for word in words:
        assert word in str(caught.value)
