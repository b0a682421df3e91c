"""Plans: fusion, execution and gradients against kernels one by one and against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import rule_cases
from onepass import Input, Sequential, activations, kernels, layers, losses, optimizers, utils
from onepass.engine.calls import Buffer, Call
from onepass.engine.feeding import Feed
from onepass.engine.graph import nodes_between
from onepass.engine.lowering import Lowering
from onepass.engine.objective import Objective, ObjectiveBuffers, emit_objectives, target_buffer
from onepass.engine.plan import Plan, build_plan
from onepass.engine.replay import Pass, batches
from onepass.engine.rewrites import (
    REWRITES,
    Rewrite,
    fuse_activation,
    fuse_activation_backward,
    fuse_output_loss,
    rewrite,
)
from onepass.layers import (
    Activation,
    AlphaDropout,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from reference.mlp import Mlp, layers_like
from strategies import assert_same_bits, central_difference, every_backend

ROWS, COLS, CLASSES = 23, 9, 5
BY_NAME = {r.name: r for r in REWRITES}


def steep(x):
    return activations.leaky_relu(x, negative_slope=0.3)


steep.__name__, steep.negative_slope = "leaky_relu", 0.3


# Models: hidden layers, output and loss. Widths around 64 have padded rows.


def hidden_then(output, loss, *hidden, **options):
    def make(dtype):
        utils.set_random_seed(3)
        stack = [Input((COLS,), dtype=dtype)]
        for layer in hidden:
            stack.extend(layer(dtype))
        stack.extend(output(dtype))
        model = Sequential(stack)
        chosen = losses.get(loss) if isinstance(loss, str) else loss
        model.compile(options.get("optimizer", "sgd"), chosen, metrics=options.get("metrics"))
        for name in options.get("frozen", ()):
            model.layers[name].trainable = False
        return model

    return make


def dense(units, activation=None, use_bias=True):
    return lambda dtype: [Dense(units, activation, use_bias, "he_normal", "normal", dtype=dtype)]


def apart(units, activation):
    return lambda dtype: [Dense(units, dtype=dtype), Activation(activation, dtype=dtype)]


def normalized(kind, units, activation, **options):
    """Return a layer normalized before its activation."""
    return lambda dtype: [
        Dense(units, use_bias=False, dtype=dtype),
        kind(dtype=dtype, **options),
        Activation(activation, dtype=dtype),
    ]


SPARSE, BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"
CASES = {
    "relu, softmax": hidden_then(dense(CLASSES, "softmax"), SPARSE, dense(70, "relu")),
    "one-hot targets": hidden_then(
        dense(CLASSES, "softmax"), "categorical_crossentropy", dense(12, "tanh"), dense(65, "relu")
    ),
    "smoothed labels": hidden_then(
        dense(CLASSES, "softmax"), losses.CategoricalCrossentropy(label_smoothing=0.1), dense(8)
    ),
    "leaky, steep, no bias": hidden_then(
        dense(CLASSES, "softmax", False), SPARSE, dense(7, steep, False), dense(7, "leaky_relu")
    ),
    "sigmoid, binary": hidden_then(dense(1, "sigmoid"), BINARY, dense(17, "sigmoid")),
    "several binary": hidden_then(dense(CLASSES, "sigmoid"), BINARY, dense(70, "tanh")),
    "regression": hidden_then(dense(2), "mse", dense(70, "tanh"), dense(12, "sigmoid")),
    "sum": hidden_then(dense(2), losses.MeanSquaredError("sum"), dense(6, "tanh")),
    "layers apart": hidden_then(
        apart(CLASSES, "softmax"), SPARSE, apart(70, "relu"), apart(8, "leaky_relu")
    ),
    "from logits": hidden_then(
        dense(CLASSES), losses.SparseCategoricalCrossentropy(from_logits=True), dense(66, "relu")
    ),
    "linear only": hidden_then(dense(3), "mse", dense(4), dense(4)),
    "one layer": hidden_then(dense(CLASSES, "softmax"), SPARSE),
    "frozen first": hidden_then(
        dense(CLASSES, "softmax"), SPARSE, dense(70, "relu"), dense(6, "tanh"), frozen=[0]
    ),
    "frozen middle": hidden_then(
        dense(CLASSES, "softmax"), SPARSE, dense(70, "relu"), dense(6, "tanh"), frozen=[1]
    ),
    "frozen last": hidden_then(dense(1, "sigmoid"), BINARY, dense(70, "relu"), frozen=[1]),
    "metrics": hidden_then(
        dense(CLASSES, "softmax"), SPARSE, dense(6, "relu"), metrics=["accuracy", SPARSE]
    ),
}
# What the reference does not have.
NORMALIZED = {
    "batch norm before relu": hidden_then(
        dense(CLASSES, "softmax"),
        SPARSE,
        normalized(BatchNormalization, 70, "relu"),
        normalized(BatchNormalization, 7, "gelu"),
    ),
    "batch norm frozen": hidden_then(
        dense(CLASSES, "softmax"),
        SPARSE,
        normalized(BatchNormalization, 70, "gelu", trainable=False),
    ),
    "batch norm on the input": hidden_then(
        dense(CLASSES, "softmax"),
        SPARSE,
        lambda dtype: [BatchNormalization(dtype=dtype)],
        dense(70, "relu"),
        lambda dtype: [BatchNormalization(dtype=dtype)],
    ),
    "row norms": hidden_then(
        dense(2),
        "mse",
        normalized(LayerNormalization, 70, "silu"),
        normalized(RMSNormalization, 9, "tanh"),
        normalized(UnitNormalization, 5, "linear"),
    ),
}


def dropped(units, activation, rate=0.3, layer=Dropout):
    return lambda dtype: [
        Dense(units, activation, kernel_initializer="he_normal", dtype=dtype),
        layer(rate, seed=units, dtype=dtype),
    ]


DROPPED = {
    "dropout behind relu": hidden_then(
        dense(CLASSES, "softmax"),
        SPARSE,
        lambda dtype: [Dropout(0.2, seed=1, dtype=dtype)],
        dropped(70, "relu"),
        dropped(300, "relu", 0.5),
        dropped(17, "relu"),
    ),
    "dropout behind others": hidden_then(
        dense(2), "mse", dropped(70, "tanh"), dropped(9, "relu", layer=AlphaDropout)
    ),
    "dropout, frozen first": hidden_then(
        dense(2), "mse", dropped(70, "relu"), dropped(9, "relu"), frozen=[0]
    ),
}


def data_for(model, rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    (_, *sample), (_, *_, columns) = model.input_shape, model.output_shape
    x = rng.normal(size=(rows, *sample)).astype(model.graph().dtype)
    if model.loss.sparse:
        y = rng.integers(0, columns, rows).astype(np.int32)
    elif model.loss.name == BINARY:
        y = rng.integers(0, 2, (rows, columns)).astype(x.dtype)
    elif "categorical" in model.loss.name:
        y = np.eye(columns, dtype=x.dtype)[rng.integers(0, columns, rows)]
    else:
        y = rng.normal(size=(rows, columns)).astype(x.dtype)
    return x, y, rng.uniform(0.1, 2.0, rows)


def plan_of(model, rewrites=REWRITES, weighted=False, update=True):
    trained = model.trainable_variables
    return build_plan(
        "train",
        model.record(training=True),
        objectives=model.objectives(),
        weighted=(weighted,),
        trained=trained,
        optimizer=model._bound.native if update else None,
        rewrites=rewrites,
    )


def train(plan, arrays, batch=8, rate=0.1, epochs=2):
    """Return the sums after each epoch."""
    sums = []
    clock = optimizers.SGD(rate)  # counts the steps and says the rate; the rule is the plan's
    for _ in range(epochs):
        steps = batches(len(arrays[0]), batch)
        work = Pass(plan, Feed([(a, 1.0) for a in arrays], len(arrays[0])), steps)
        work.run(clock)
        sums.append(work.sums.copy())
    return sums


def kernels_of(calls):
    return [call.kernel for call in calls]


# (a) Fusion changes nothing


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", [*CASES, *NORMALIZED, *DROPPED])
def test_a_rewritten_plan_trains_like_the_plain_one(case, weighted, dtype):
    results = {}
    for name, chosen in {"plain": (), **{r.name: (r,) for r in REWRITES}, "all": REWRITES}.items():
        model = (CASES | NORMALIZED | DROPPED)[case](dtype)
        x, y, weights = data_for(model)
        plan = plan_of(model, chosen, weighted)
        start = model.get_weights()
        sums = train(plan, [x, y, weights] if weighted else [x, y])
        results[name] = model.get_weights(), sums, sum(r.tolerance for r in chosen)
        moved = [not np.array_equal(a, b) for a, b in zip(start, model.get_weights(), strict=True)]
        trained = [v in model.trainable_variables for v in model.variables]
        layers_of = {id(v): layer for layer in model.layers for v in layer.variables}
        follows = ["moving" in v.name and layers_of[id(v)].trainable for v in model.variables]
        assert moved == [a or b for a, b in zip(trained, follows, strict=True)]
    expected_weights, expected_sums, _ = results["plain"]
    for name, (weights_after, sums, tolerance) in results.items():
        for got, expected in zip(
            [*weights_after, *sums], [*expected_weights, *expected_sums], strict=True
        ):
            if tolerance == 0:
                assert_same_bits(got, expected, name)
            else:
                scale = np.abs(expected).max(initial=0.0)
                np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


FORWARD = ["gather", "gather", "dense_forward", "activation_forward", "dense_forward", "softmax"]
BACKWARD = ["dense_backward_weights", "dense_backward_input", "activation_backward"]
PLAIN = [
    *(*FORWARD, "loss", "weighted_sum", "softmax_backward"),
    *(*BACKWARD, "dense_backward_weights", "update"),
]
UPDATED = ("dense_backward_weights", "dense_backward_weights", "update")


def without(calls, *names):
    left = list(calls)
    for name in names:
        left.remove(name)
    return left


@pytest.mark.parametrize(
    ("chosen", "gone"),
    [
        ((), ()),
        ((BY_NAME["fuse_output_loss"],), ("softmax", "softmax_backward")),
        ((BY_NAME["fuse_activation"],), ("activation_forward",)),
        ((BY_NAME["fuse_activation_backward"],), ("activation_backward",)),
        ((BY_NAME["fuse_update"],), UPDATED),
        (
            REWRITES,
            ("softmax", "softmax_backward", "activation_forward", "activation_backward", *UPDATED),
        ),
    ],
)
def test_each_rewrite_removes_its_calls(chosen, gone):
    model = CASES["relu, softmax"]("float32")
    updates = ["dense_update"] * 2 if BY_NAME["fuse_update"] in chosen else []
    assert kernels_of(plan_of(model, chosen).calls) == without(PLAIN, *gone) + updates


def test_fused_calls_carry_what_they_took_over():
    plan = plan_of(CASES["leaky, steep, no bias"]("float32"))
    forward = [c.attributes for c in plan.calls if c.kernel == "dense_forward"]
    assert [(a["activation"], a["hyper"]) for a in forward] == [
        ("leaky_relu", [0.3]),
        ("leaky_relu", [0.2]),
        ("linear", []),
    ]
    backward = [c.attributes for c in plan.calls if c.kernel == "dense_backward_input"]
    assert [a["hyper"] for a in backward] == [[0.2], [0.3]]
    (loss,) = [c for c in plan.calls if c.kernel == "loss"]
    assert loss.attributes["loss"] == "categorical_crossentropy_from_logits"
    assert "probabilities" not in loss.writes
    assert "db" not in next(c for c in plan.calls if c.kernel == "dense_update").writes


@pytest.mark.parametrize("case", ["relu, softmax", "several binary", "layers apart"])
def test_predicting_and_evaluating_fuse_too(case):
    model = CASES[case]("float32")
    predict = kernels_of(model.plan_for("predict").calls)
    assert "activation_forward" not in predict
    assert ("softmax" in predict) == (case != "several binary")
    evaluate = kernels_of(model.plan_for("evaluate").calls)
    assert not {"softmax", "activation_forward"} & set(evaluate)
    assert not [k for k in evaluate if "backward" in k or k == "update"]


@pytest.mark.parametrize("case", ["batch norm before relu", "batch norm frozen"])
def test_activations_join_the_batch_norm_before_them(case):
    model = NORMALIZED[case]("float32")
    for mode in ("train", "evaluate", "predict", "sample"):
        calls = model.plan_for(mode).calls
        assert "activation_forward" not in kernels_of(calls)
        norms = [c for c in calls if c.kernel in ("batch_norm_forward", "batch_norm_inference")]
        assert {c.attributes["activation"] for c in norms} <= {"relu", "gelu"}
        kept = [c.attributes["activation"] for c in norms if "z" in c.writes]
        assert kept == (["gelu"] if mode == "train" else [])  # whose derivative reads its input


def test_dropout_joins_the_product_before_it_and_its_mask_the_one_behind():
    model = DROPPED["dropout behind relu"]("float32")
    calls = plan_of(model).calls
    assert kernels_of(calls).count("dropout") == 1  # of the input
    forward = [c.attributes.get("dropout_rate", 0.0) for c in calls if c.kernel == "dense_forward"]
    assert forward == [0.3, 0.5, 0.3, 0.0]
    backward = [c for c in calls if c.kernel == "dense_backward_input"]
    assert [c.attributes["gain"] for c in backward] == [1 / (1 - rate) for rate in (0.3, 0.5, 0.3)]
    assert "activation_backward" not in kernels_of(calls)
    kept = DROPPED["dropout behind others"]("float32")
    assert kernels_of(plan_of(kept).calls).count("dropout") == 4


INPUT_NORM = (BY_NAME["fuse_update"], BY_NAME["fuse_input_norm"])


def input_norm(options, *behind, optimizer="sgd"):
    """Return a float64 model that begins with a batch norm of odd weights."""
    norm = lambda dtype: [BatchNormalization(dtype=dtype, **options)]  # noqa: E731
    model = hidden_then(dense(2), "mse", norm, *behind, optimizer=optimizer)("float64")
    first = model.layers[0]
    rng = np.random.default_rng(2)
    if first.gamma is not None:
        first.gamma.assign([1.0, -0.5, 0.0, 1e-25, -3.0, 0.1, 2.0, 1.0, 1e-3])
    if first.beta is not None:
        first.beta.assign(rng.normal(size=COLS))
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("units", [2, 17, 70, 1000])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}])
def test_gradients_of_a_batch_norm_on_the_input_need_no_product(options, units, optimizer):
    """Also where gamma is 0, tiny or much smaller than beta."""
    results = []
    for chosen in ((), INPUT_NORM):
        model = input_norm(options, dense(units, "tanh"), optimizer=optimizer)
        x, y, _ = data_for(model)
        plan = plan_of(model, chosen)
        backward = {"batch_norm_backward", "dense_backward_input"} & set(kernels_of(plan.calls))
        assert backward == (
            {"dense_backward_input"} if chosen else backward | {"batch_norm_backward"}
        )
        for isa, threads in every_backend():
            utils.set_random_seed(3)
            again = input_norm(options, dense(units, "tanh"), optimizer=optimizer)
            train(plan_of(again, chosen), [x, y], rate=0.01)
            results.append(((isa, threads), again.get_weights()))
    expected = results[0][1]
    by_isa = {}
    for (isa, _), weights in results[len(results) // 2 :]:
        assert_same_bits(weights, by_isa.setdefault(isa, weights))
        for got, exact in zip(weights, expected, strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-10)


def trained_below_a_norm(optimizer, units, dtype, rows, epochs):
    """Return the weights of a model with a batch norm on its 150 inputs."""
    utils.set_random_seed(3)
    norm = BatchNormalization(dtype=dtype)
    hidden = [norm, *dense(units, "tanh")(dtype), *dense(2)(dtype)]
    model = Sequential([Input((150,), dtype=dtype), *hidden])
    model.compile(optimizer, "mse")
    gamma = np.random.default_rng(2).normal(size=150)
    gamma[[0, 70, 149]] = 0.0, 1e-25, 1e-3
    norm.gamma.assign(gamma)
    x, y, _ = data_for(model, rows)
    train(plan_of(model, INPUT_NORM), [x, y], rate=0.01, epochs=epochs)
    return model.get_weights()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [49, 70, 131])
def test_sums_for_a_batch_norm_on_the_input_in_tiles_equal_those_of_stripes(units, dtype):
    """A value that no gradient reaches to clip at keeps the update out of the product's tiles."""
    by_isa = {}
    for clip in (None, 1e30):
        for isa, _ in every_backend():
            weights = trained_below_a_norm(optimizers.SGD(clipvalue=clip), units, dtype, ROWS, 2)
            assert_same_bits(weights, by_isa.setdefault(isa, weights))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [30, 49, 70])
def test_sums_for_a_batch_norm_on_the_input_are_those_of_any_rule(units, dtype):
    """Rules with states take them in tiles, too, where the weights and states are large. The first
    step with momentum is one without."""
    by_isa = {}
    for options in ({"clipvalue": 1e30}, {"momentum": 0.5}, {"momentum": 0.5, "clipvalue": 1e30}):
        for isa, _ in every_backend():
            weights = trained_below_a_norm(optimizers.SGD(**options), units, dtype, 8, 1)
            assert_same_bits(weights, by_isa.setdefault(isa, weights))


@pytest.mark.parametrize(
    "behind",
    [
        [dense(1)],
        [dense(1001)],
        [lambda dtype: [Activation("tanh", dtype=dtype)], dense(8)],
        [lambda dtype: [BatchNormalization(dtype=dtype)], dense(8)],
    ],
)
def test_where_a_batch_norm_on_the_input_keeps_its_product(behind):
    model = input_norm({}, *behind)
    calls = plan_of(model, INPUT_NORM).calls
    first = [c for c in calls if c.kernel == "batch_norm_backward"][-1]
    assert first.reads["x"] is next(c for c in calls if c.kernel == "gather").writes["out"]
    assert "dx" not in first.writes


def test_metrics_read_probabilities_that_the_fused_loss_writes():
    plan = plan_of(CASES["metrics"]("float32"))
    loss, metric = [c for c in plan.calls if c.kernel == "loss"]
    assert loss.attributes["loss"] == "categorical_crossentropy_from_logits"
    assert metric.attributes["loss"] == "categorical_crossentropy"
    assert loss.writes["probabilities"] is metric.reads["prediction"]
    (accuracy,) = [c for c in plan.calls if c.kernel == "row_accuracy"]
    assert accuracy.reads["prediction"] is loss.writes["probabilities"]


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        (dense(CLASSES, "sigmoid"), "categorical_crossentropy"),
        (dense(CLASSES, "softmax"), BINARY),
        (dense(CLASSES, "softmax"), "mse"),
        (dense(CLASSES, "sigmoid"), "mse"),
        (dense(CLASSES, "tanh"), BINARY),
        (dense(CLASSES, "softmax"), losses.CategoricalCrossentropy(from_logits=True)),
    ],
)
def test_output_and_loss_that_do_not_belong_together_stay_apart(output, loss):
    model = hidden_then(output, loss)("float64")
    calls = plan_of(model, (BY_NAME["fuse_output_loss"],)).calls
    assert kernels_of(calls) == kernels_of(plan_of(model, ()).calls)


def test_an_activation_behind_an_activation_stays():
    def twice(dtype):
        return [Dense(6, "tanh", dtype=dtype), Activation("relu", dtype=dtype)]

    results = []
    for chosen in ((), REWRITES):
        model = hidden_then(dense(2), "mse", twice)("float32")
        plan = plan_of(model, chosen)
        train(plan, data_for(model)[:2])
        results.append(model.get_weights())
    assert kernels_of(plan.calls).count("activation_forward") == 1
    assert kernels_of(plan.calls).count("activation_backward") == 1
    assert_same_bits(*results)


def test_softmax_behind_a_reshape_stays():
    stack = [Input((4, 3)), Dense(2, "softmax"), Flatten()]
    model = Sequential(stack)
    model.compile("sgd", "categorical_crossentropy")
    assert "softmax" in kernels_of(plan_of(model).calls)


# Graphs that Sequential does not make: shared layers, losses in the middle


class Graph:
    """Several losses on tensors of one graph; the plan only computes gradients."""

    def __init__(self, x, outputs, variables):
        self.x, self.outputs, self.variables = x, outputs, variables

    def lowered(self):
        """Return the plain calls and what is read from their sums."""
        tensors = [tensor for tensor, _ in self.outputs]
        low = Lowering(nodes_between([self.x], tensors), self.variables)
        low.emit("gather", {}, {"out": low.value(self.x)}, {"source": 0})
        at = []
        objectives = [Objective(losses.get(loss)) for _, loss in self.outputs]
        for source, (objective, tensor) in enumerate(zip(objectives, tensors, strict=True), 1):
            target = target_buffer(low, objective, tensor)
            low.emit("gather", {}, {"out": target}, {"source": source})
            at.append(ObjectiveBuffers(low.value(tensor), target))
        low.forward()
        readouts = emit_objectives(low, objectives, tensors, at)
        low.backward()
        return low, readouts

    def calls(self, rewrites):
        return rewrite(self.lowered()[0].calls, rewrites)

    def plan(self, rewrites=REWRITES):
        from onepass.engine.plan import _native
        from onepass.engine.schedule import phases

        low, readouts = self.lowered()
        calls = rewrite(low.calls, rewrites)
        return Plan(tuple(calls), _native(phases(calls), True), tuple(readouts), low.n_sums)

    def gradients(self, arrays, rewrites=REWRITES):
        plan = self.plan(rewrites)
        for variable in self.variables:
            variable.gradient[...] = np.nan  # what is left of it was never written
        (sums,) = train(plan, arrays, batch=len(arrays[0]), epochs=1)
        return [np.array(v.gradient) for v in self.variables], plan.readouts[0].of(sums)

    def value(self, arrays):
        """Return the sum of the losses, from the forward pass alone."""
        plan = self.plan(())
        (sums,) = train(plan, arrays, batch=len(arrays[0]), epochs=1)
        return plan.readouts[0].of(sums)

    def assert_gradients(self, arrays):
        plain, value = self.gradients(arrays, ())
        for rewrites in (REWRITES, *((r,) for r in REWRITES)):
            fused, fused_value = self.gradients(arrays, rewrites)
            np.testing.assert_allclose(fused_value, value, rtol=1e-5)
            for got, expected in zip(fused, plain, strict=True):
                np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-12)
        for variable, got in zip(self.variables, plain, strict=True):
            at = variable.numpy()

            def loss_at(values, variable=variable):
                variable.assign(values)
                return np.asarray(self.value(arrays))

            expected = central_difference(loss_at, at, np.float64(1.0))
            variable.assign(at)
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-8)


def targets(tensor, seed=1):
    rng = np.random.default_rng(seed)
    return np.eye(tensor.shape[-1])[rng.integers(0, tensor.shape[-1], 6)]


def graph_start(seed=5):
    utils.set_random_seed(seed)
    return Input((4,), dtype="float64"), np.random.default_rng(seed).normal(size=(6, 4))


def variables_of(*stack):
    return [v for layer in stack for v in layer.variables]


def test_a_layer_used_twice_adds_up_its_gradients():
    x, data = graph_start()
    shared = Dense(4, "tanh", dtype="float64", bias_initializer="normal")
    last = Dense(3, "softmax", dtype="float64")
    y = last(shared(shared(x)))
    graph = Graph(x, [(y, "categorical_crossentropy")], variables_of(shared, last))
    accumulating = [c.attributes.get("accumulate") for c in graph.calls(())]
    assert accumulating.count(True) == 1
    graph.assert_gradients([data, targets(y)])


def test_a_loss_at_a_hidden_value_adds_to_its_gradient():
    x, data = graph_start()
    first, last = Dense(5, "tanh", dtype="float64"), Dense(3, "softmax", dtype="float64")
    h = first(x)
    y = last(h)
    graph = Graph(x, [(y, "categorical_crossentropy"), (h, "mse")], variables_of(first, last))
    fused = graph.calls(REWRITES)
    assert "activation_backward" in kernels_of(fused)  # the product adds to the loss's gradient
    assert "softmax" not in kernels_of(fused)
    graph.assert_gradients([data, targets(y), targets(h)])


def test_a_loss_at_the_value_before_an_activation_keeps_it():
    x, data = graph_start()
    first, act = Dense(5, dtype="float64"), Activation("tanh", dtype="float64")
    last = Dense(3, "softmax", dtype="float64")
    z = first(x)
    y = last(act(z))
    graph = Graph(x, [(y, "categorical_crossentropy"), (z, "mse")], variables_of(first, last))
    fused = graph.calls(REWRITES)
    dense_calls = [c for c in fused if c.kernel == "dense_forward"]
    assert "z" in dense_calls[0].writes
    assert "activation_backward" in kernels_of(fused)  # it adds to the loss's gradient
    graph.assert_gradients([data, targets(y), targets(z)])


def test_a_loss_at_the_logits_keeps_softmax_backward():
    x, data = graph_start()
    first, act = Dense(3, dtype="float64"), Activation("softmax", dtype="float64")
    z = first(x)
    y = act(z)
    graph = Graph(x, [(y, "categorical_crossentropy"), (z, "mse")], variables_of(first))
    assert "softmax_backward" in kernels_of(graph.calls(REWRITES))
    graph.assert_gradients([data, targets(y), targets(z)])


def test_an_output_that_feeds_another_layer_keeps_its_softmax():
    x, data = graph_start()
    first, last = Dense(3, "softmax", dtype="float64"), Dense(2, dtype="float64")
    y = first(x)
    out = last(y)
    graph = Graph(x, [(y, "categorical_crossentropy"), (out, "mse")], variables_of(first, last))
    assert "softmax" in kernels_of(graph.calls(REWRITES))
    graph.assert_gradients([data, targets(y), targets(out)])


def test_two_users_of_one_value():
    x, data = graph_start()
    first = Dense(5, "relu", dtype="float64")
    left, right = Dense(3, "softmax", dtype="float64"), Dense(2, "sigmoid", dtype="float64")
    h = first(x)
    a, b = left(h), right(h)
    graph = Graph(
        x,
        [(a, "categorical_crossentropy"), (b, "binary_crossentropy")],
        variables_of(first, left, right),
    )
    names = kernels_of(graph.calls(REWRITES))
    assert names.count("loss") == 2
    assert "activation_backward" in names  # of relu, behind two products
    assert "softmax" not in names
    graph.assert_gradients([data, targets(a), targets(b)])


# Rewrites on lists of calls made by hand


def rows(name):
    return Buffer(name, "rows", 3, 3)


def forward_pair(activation="relu"):
    x, w, z, y = rows("x"), rows("w"), rows("z"), rows("y")
    linear = {"activation": "linear", "hyper": []}
    product = Call("dense_forward", {"x": x, "w": w}, {"y": z}, linear)
    act = Call("activation_forward", {"x": z}, {"y": y}, {"activation": activation, "hyper": []})
    return product, act


def backward_pair(accumulate=False, product_accumulates=False):
    dz, w, dy, y, dx = rows("dz"), rows("w"), rows("dy"), rows("y"), rows("dx")
    product = Call(
        "dense_backward_input",
        {"dz": dz, "w": w},
        {"dx": dy},
        {"activation": "linear", "hyper": [], "accumulate": product_accumulates},
    )
    act = Call(
        "activation_backward",
        {"y": y, "dy": dy},
        {"dx": dx},
        {"activation": "relu", "hyper": [], "accumulate": accumulate},
    )
    return product, act


def fires(step, calls):
    return kernels_of(step(list(calls))) != kernels_of(calls)


def reader(buffer):
    return Call("weighted_sum", {"values": buffer}, {}, {})


def view(buffer):
    return Buffer("view", "view", 1, 1, 3, base=buffer)


def test_forward_fusion_and_its_limits():
    product, act = forward_pair()
    z = product.writes["y"]
    assert fires(fuse_activation, [product, act])
    (fused,) = fuse_activation([product, act])
    assert set(fused.writes) == {"y"}
    kept, _ = fuse_activation([product, act, reader(view(z))])
    assert kept.writes["z"] is z
    second = Call("dense_forward", product.reads, {"y": z}, dict(product.attributes))
    assert not fires(fuse_activation, [product, second, act])  # two writers
    act.reads["x"] = view(z)
    assert not fires(fuse_activation, [product, act])  # another shape
    product, act = forward_pair()
    product.attributes["activation"] = "tanh"
    assert not fires(fuse_activation, [product, act])


def test_backward_fusion_and_its_limits():
    product, act = backward_pair()
    dy = product.writes["dx"]
    (fused,) = fuse_activation_backward([product, act])
    assert fused.attributes["activation"] == "relu"
    assert fused.writes["dx"] is act.writes["dx"]
    assert fused.reads["y"] is act.reads["y"]
    for other in (reader(dy), reader(view(dy))):
        assert not fires(fuse_activation_backward, [product, act, other])
        assert not fires(fuse_activation_backward, [product, other, act])
    assert not fires(fuse_activation_backward, backward_pair(accumulate=True))
    assert not fires(fuse_activation_backward, backward_pair(product_accumulates=True))
    loss = Call("loss", {}, {"gradient": dy}, {"loss": "mean_squared_error"})
    assert not fires(fuse_activation_backward, [loss, product, act])


def loss_chain(activation="softmax", loss="categorical_crossentropy", accumulate=False):
    z, y, dy, dz, t = (rows(name) for name in ("z", "y", "dy", "dz", "t"))
    one, back = "activation_forward", "activation_backward"
    attributes = {"activation": activation, "hyper": []}
    if activation == "softmax":
        one, back, attributes = "softmax", "softmax_backward", {}
    return [
        Call(one, {"x": z}, {"y": y}, dict(attributes)),
        Call("loss", {"target": t, "prediction": y}, {"gradient": dy}, {"loss": loss}),
        Call(back, {"y": y, "dy": dy}, {"dx": dz}, {**attributes, "accumulate": accumulate}),
    ]


def test_loss_fusion_and_its_limits():
    for activation, loss in [
        ("softmax", "categorical_crossentropy"),
        ("sigmoid", "binary_crossentropy"),
        ("sigmoid", "binary_focal_crossentropy"),
    ]:
        chain = loss_chain(activation, loss)
        (fused,) = fuse_output_loss(chain)
        assert fused.reads["prediction"] is chain[0].reads["x"]
        assert fused.writes["gradient"] is chain[2].writes["dx"]
        assert fused.attributes["loss"] == loss + "_from_logits"
    assert not fires(fuse_output_loss, loss_chain("tanh", "binary_crossentropy"))
    assert not fires(fuse_output_loss, loss_chain("softmax", "binary_crossentropy"))
    assert not fires(fuse_output_loss, loss_chain(accumulate=True))
    forward, loss, backward = loss_chain()
    y, dy = forward.writes["y"], loss.writes["gradient"]
    assert not fires(fuse_output_loss, [forward, reader(y), loss, backward])
    assert not fires(fuse_output_loss, [forward, loss, reader(dy), backward])
    assert not fires(fuse_output_loss, [forward, loss, reader(view(dy)), backward])
    fused, _ = fuse_output_loss([forward, loss, backward, reader(y)])
    assert fused.writes["probabilities"] is y


def test_rewrites_are_applied_in_order_and_named():
    seen = []

    def first(calls):
        seen.append("first")
        return calls

    def second(calls):
        seen.append("second")
        return calls

    assert rewrite([], (Rewrite(first, 0.0), Rewrite(second, 0.0))) == []
    assert seen == ["first", "second"]
    assert [r.name for r in REWRITES] == list(BY_NAME)


# (b) A plan against the public kernels, one by one


class ByKernels:
    """A model's steps as calls of ``onepass.kernels`` on gapless arrays."""

    def __init__(self, model, **optimizer):
        self.stack = layers_like(model)
        self.parameters = [np.ascontiguousarray(v.numpy()) for v in model.variables]
        self.loss = model.loss
        self.optimizer = type(model.optimizer)(**optimizer)
        self.optimizer.build(self.parameters)

    def step(self, x, y, weights):
        values, at = [x], []
        given = iter(self.parameters)
        for layer in self.stack:
            w = next(given)
            b = None if layer.b is None else next(given)
            z = kernels.dense_forward(values[-1], w, b)
            at.append((w, b, z))
            if layer.activation == "softmax":
                values.append(kernels.softmax(z))
            else:
                values.append(kernels.activation_forward(z, layer.activation, **layer.hyper))
        _, dy = kernels.loss(
            y,
            values[-1],
            self.loss.formula,
            weights=weights,
            scale=1.0 / len(x),
            **self.loss._hyper,
        )
        found = []
        for k in reversed(range(len(self.stack))):
            layer, (w, b, z), value = self.stack[k], at[k], values[k + 1]
            if layer.activation == "softmax":
                dz = kernels.softmax_backward(value, dy)
            else:
                dz = kernels.activation_backward(value, dy, layer.activation, x=z, **layer.hyper)
            dw, db = kernels.dense_backward_weights(values[k], dz)
            found = [dw, *([] if b is None else [db]), *found]
            dy = kernels.dense_backward_input(dz, w)
        self.optimizer.apply(found)


OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.01}),
    "adamw": ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1}),
    "clipnorm": ("SGD", {"learning_rate": 0.1, "clipnorm": 0.05}),
    "global_clipnorm": ("Adam", {"learning_rate": 0.01, "global_clipnorm": 0.05}),
    "clipvalue": ("SGD", {"learning_rate": 0.1, "clipvalue": 0.01}),
    "adagrad": ("Adagrad", {"learning_rate": 0.01}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.5}),
    "rprop": ("Rprop", {"learning_rate": 0.01}),
    "schedule_free": ("ScheduleFreeAdamW", {"learning_rate": 0.01, "weight_decay": 0.1}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ["relu, softmax", "leaky, steep, no bias", "several binary"])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_plan_computes_what_the_kernels_do(case, rule, dtype):
    name, arguments = OPTIMIZERS[rule]
    for chosen in ((), tuple(r for r in REWRITES if r.tolerance == 0)):
        model = CASES[case](dtype)
        model.compile(getattr(optimizers, name)(**arguments), model.loss)
        x, y, weights = data_for(model)
        plain = ByKernels(model, **arguments)
        steps = 0
        for _ in range(2):
            for first in range(0, ROWS, 8):
                part = slice(first, first + 8)
                plain.step(x[part], y[part], weights[part].astype(dtype))
                steps += 1
        assert steps == 6
        train(
            plan_of(model, chosen, True), [x, y, weights], 8, arguments["learning_rate"], epochs=2
        )
        for variable, expected in zip(model.variables, plain.parameters, strict=True):
            if "norm" in rule:  # padding moves the blocks that a norm is added up in
                rtol = 16 * np.finfo(dtype).eps
                np.testing.assert_allclose(variable.numpy(), expected, rtol=rtol, atol=rtol)
            else:
                assert_same_bits(variable.numpy(), expected, variable.name)


# (c) Against NumPy float64

ORACLE = {
    "sgd": {"rule": "sgd"},
    "momentum": {"rule": "momentum", "options": {"momentum": 0.9, "dampening": 0.0}},
    "nesterov": {"rule": "nesterov", "options": {"momentum": 0.9, "dampening": 0.0}},
    "adam": {"rule": "adam", "options": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}},
    "adamw": {
        "rule": "adamw",
        "options": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
        "weight_decay": 0.1,
    },
    "clipnorm": {"rule": "sgd", "clipnorm": 0.05},
    "global_clipnorm": {
        "rule": "adam",
        "options": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
        "global_clipnorm": 0.05,
    },
    "clipvalue": {"rule": "sgd", "clipvalue": 0.01},
}


def oracle_of(model, rule="sgd"):
    options = model.loss._hyper
    return Mlp(
        layers_like(model),
        model.loss.formula,
        reduction="sum" if model.loss.reduction == "sum" else "mean",
        loss_options=options,
        **ORACLE[rule],
    )


def five_steps(model, arrays, oracle, rate):
    plan = plan_of(model, weighted=len(arrays) == 3)
    (sums,) = train(plan, arrays, batch=5, rate=rate, epochs=1)
    x, y, *weights = (np.asarray(a, None if a.dtype == np.int32 else np.float64) for a in arrays)
    mean = oracle.epoch(x, y, 5, rate, *weights)
    return sums[0] / sums[1], mean


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_five_steps_agree_with_the_reference(case, weighted):
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
        model = CASES[case](dtype)
        x, y, weights = data_for(model)
        arrays = [x, y, weights] if weighted else [x, y]
        oracle = oracle_of(model)
        got, expected = five_steps(model, arrays, oracle, 0.1)
        np.testing.assert_allclose(got, expected, rtol=tolerance)
        for variable, reference in zip(model.variables, oracle.weights, strict=True):
            scale = np.abs(reference).max()
            np.testing.assert_allclose(
                variable.numpy(), reference, rtol=0, atol=tolerance * scale, err_msg=variable.name
            )


@pytest.mark.parametrize("rule", ORACLE)
def test_five_steps_of_each_rule_agree_with_the_reference(rule):
    name, arguments = OPTIMIZERS[rule]
    model = CASES["one-hot targets"]("float64")
    model.compile(getattr(optimizers, name)(**arguments), model.loss)
    x, y, weights = data_for(model)
    oracle = oracle_of(model, rule)
    five_steps(model, [x, y, weights], oracle, arguments["learning_rate"])
    for variable, reference in zip(model.variables, oracle.weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), reference, rtol=1e-10, atol=1e-12)


def test_dense_on_sequences_agrees_with_the_reference():
    utils.set_random_seed(0)
    model = Sequential(
        [
            Input((6, 4), dtype="float64"),
            Dense(70, "tanh", dtype="float64"),
            Dense(3, "softmax", dtype="float64"),
        ]
    )
    model.compile("sgd", SPARSE)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 6, 4)), rng.integers(0, 3, (ROWS, 6)).astype(np.int32)
    weights = rng.uniform(0.5, 2.0, (ROWS, 6))
    oracle = oracle_of(model)
    got, expected = five_steps(model, [x, y, weights], oracle, 0.1)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    for variable, reference in zip(model.variables, oracle.weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), reference, rtol=1e-11, atol=1e-13)


# (d) Gradients against central differences


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_central_differences(case):
    model = CASES[case]("float64")
    x, y, weights = data_for(model, rows=4)
    train(plan_of(model, weighted=True, update=False), [x, y, weights], batch=4, epochs=1)

    for variable in model.trainable_variables:
        place = model.variables.index(variable)
        picked = np.random.default_rng(place).integers(0, variable.size, 12)
        gradient = np.asarray(variable.gradient)
        for flat in picked:
            at = np.unravel_index(flat, variable.shape)

            def value(step, at=at, place=place):
                moved = oracle_of(model)
                moved.weights[place][at] += step
                return moved.objective(x, y, weights)

            estimate = (value(1e-6) - value(-1e-6)) / 2e-6
            assert gradient[at] == pytest.approx(estimate, rel=2e-5, abs=1e-8)


# (e) Padding


def blocks_of(model):
    """Yield each memory block with the views that name its real elements."""
    arrays = {}
    for variable in model.variables:
        for array in (variable.array, variable.gradient, *model._bound._kept_for(variable)):
            block = array
            while isinstance(block.base, np.ndarray):
                block = block.base
            arrays.setdefault(block.ctypes.data, (block, []))[1].append(array)
    yield from arrays.values()


def padding_of(block, views):
    flags = np.zeros(block.shape, bool)
    for view_ in views:
        first = (view_.ctypes.data - block.ctypes.data) // block.itemsize
        strides = [s // block.itemsize for s in view_.strides]
        where = sum(
            (np.arange(n) * s).reshape((-1,) + (1,) * (view_.ndim - 1 - k))
            for k, (n, s) in enumerate(zip(view_.shape, strides, strict=True))
        )
        flags[first + np.asarray(where).reshape(-1)] = True
    return block[~flags]


NOTHING = ("epsilon", "initial_accumulator_value")
SEVERE = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "decay": ("SGD", {"weight_decay": 0.1}),
    "epsilon=0": ("Adam", {"epsilon": 0.0}),
    "epsilon=0, clipnorm": ("Adam", {"epsilon": 0.0, "clipnorm": 1.0}),
    "epsilon=0, global_clipnorm": ("AdamW", {"epsilon": 0.0, "global_clipnorm": 1e-3}),
    "epsilon=0, clipvalue": ("Adam", {"epsilon": 0.0, "clipvalue": 0.5}),
    "huge rate": ("SGD", {"momentum": 0.5}),
    "huge rate, adam": ("Adam", {"epsilon": 0.0}),
    **{
        f"{rule}, {convention}": (
            kind.__name__,
            {name: 0.0 if name in NOTHING else value for name, value in arguments.items()}
            | {name: 0.0 for name in NOTHING if hasattr(kind, name)}
            | {"convention": convention},
        )
        for rule, (kind, arguments) in rule_cases.CASES.items()
        for convention in ("keras", "torch")
    },
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [None, np.nan, np.inf])
@pytest.mark.parametrize("rule", SEVERE)
def test_padding_stays_zero(rule, bad, dtype):
    name, arguments = SEVERE[rule]
    for isa, threads in every_backend():
        utils.set_random_seed(1)
        model = Sequential([Input((70,), dtype=dtype)])
        model.add(Dense(100, "relu", dtype=dtype))
        model.add(Dense(70, "tanh", dtype=dtype, use_bias=False))
        model.add(Dense(65, "softmax", dtype=dtype))
        model.compile(getattr(optimizers, name)(**arguments), SPARSE)
        if rule.startswith("huge"):
            model.optimizer.learning_rate = float(np.finfo(dtype).max)
        x, y, _ = data_for(model, 40)
        if bad is not None:
            x[5, 3] = bad
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        model.evaluate(x, y)
        found = 0
        for block, views in blocks_of(model):
            padding = padding_of(block, views)
            found += padding.size
            assert (padding == 0).all(), f"{isa}, {threads} threads"
        assert found > 70 * 12 + 100 * 10 + 70 * 15
        visible = bad is not None and not rule.startswith(rule_cases.SIGNS)
        if visible or rule.startswith("huge"):
            assert not np.isfinite(np.concatenate([w.ravel() for w in model.get_weights()])).all()


def test_assigned_and_initial_values_leave_padding_zero():
    model = Sequential([Input((3,)), Dense(70, bias_initializer="ones", kernel_initializer="ones")])
    model.compile("adam", "mse")
    model.set_weights([np.full((3, 70), np.nan), np.full(70, np.inf)])
    for block, views in blocks_of(model):
        assert (padding_of(block, views) == 0).all()


# (f) Rows are computed alike, whatever their company


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", ["softmax", "sigmoid", "linear"])
def test_a_row_alone_is_the_row_of_a_batch(output, dtype):
    utils.set_random_seed(0)
    model = Sequential(
        [
            Input((37,), dtype=dtype),
            Dense(100, "relu", dtype=dtype),
            Dense(70, "tanh", dtype=dtype),
            Dense(11, output, dtype=dtype),
        ]
    )
    x = np.random.default_rng(0).normal(size=(131, 37)).astype(dtype)
    for isa, threads in every_backend():
        whole = model.predict(x)
        alone = np.concatenate([model.predict(row[None]) for row in x])
        assert_same_bits(whole, alone, f"{isa}, {threads} threads")
        for size in (1, 2, 5, 8, 33, 130, 131, 1000, 10**12):
            assert_same_bits(whole, model.predict(x, batch_size=size), f"{isa}, {size}")


def test_rows_of_sequences_are_computed_alike():
    utils.set_random_seed(0)
    model = Sequential([Input((5, 9)), Dense(70, "relu"), Flatten(), Dense(3, "softmax")])
    x = np.random.default_rng(0).normal(size=(40, 5, 9)).astype(np.float32)
    whole = model.predict(x)
    for size in (1, 3, 39):
        assert_same_bits(whole, model.predict(x, batch_size=size))


def test_unused_rows_of_a_workspace_do_not_matter():
    model = CASES["relu, softmax"]("float32")
    x, y, _ = data_for(model, 64)
    clean = CASES["relu, softmax"]("float32")
    model.predict(np.full((200, COLS), np.nan, np.float32))
    model.evaluate(np.full_like(x, np.inf), y)
    assert_same_bits(model.predict(x[:3]), clean.predict(x[:3]))
    assert model.evaluate(x[:3], y[:3]) == clean.evaluate(x[:3], y[:3])
    model.fit(x[:9], y[:9], batch_size=4, shuffle=False, verbose=0)
    clean.fit(x[:9], y[:9], batch_size=4, shuffle=False, verbose=0)
    assert_same_bits(model.get_weights(), clean.get_weights())


# (g) Workspaces


def test_batches_that_grow_and_shrink():
    model = CASES["relu, softmax"]("float32")
    x, y, _ = data_for(model, 700)
    expected = model.predict(x)
    for n in (1, 2, 700, 3, 64, 65, 699):
        assert_same_bits(model.predict(x[:n], batch_size=n), expected[:n])
    for n in (1, 2, 700, 3, 64):
        single = model.test_on_batch(x[:n], y[:n])
        assert single == model.test_on_batch(x[:n], y[:n])


def test_interleaved_plans_do_not_disturb_each_other():
    a, b = CASES["relu, softmax"]("float32"), CASES["relu, softmax"]("float32")
    x, y, weights = data_for(a, 50)
    for n in (50, 7, 33):
        a.train_on_batch(x[:n], y[:n])
        a.predict(x)
        a.evaluate(x, y)
        a.evaluate(x, y, sample_weight=weights)
        a.train_on_batch(x[:n], y[:n], sample_weight=weights[:n])
    for n in (50, 7, 33):
        b.train_on_batch(x[:n], y[:n])
        b.train_on_batch(x[:n], y[:n], sample_weight=weights[:n])
    assert_same_bits(a.get_weights(), b.get_weights())


def test_a_plan_refuses_steps_beyond_the_data():
    model = CASES["regression"]("float32")
    x, y, _ = data_for(model, 10)
    plan = plan_of(model)
    for first, count in ((5, 6), (-1, 2), (0, 11), (10, 1)):
        steps = np.array([[first, count, 1]])
        work = Pass(plan, Feed([(x, 1.0), (y, 1.0)], 10), steps)
        before = model.get_weights()
        with pytest.raises(ValueError, match="beyond the data"):
            work.run()
        assert_same_bits(before, model.get_weights())


def test_flatten_shares_memory_in_both_directions():
    utils.set_random_seed(0)
    stack = [Dense(6, "tanh"), Flatten(), Dense(70, "relu"), layers.Flatten(), Dense(2)]
    model = Sequential([Input((4, 3)), *stack])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(9, 4, 3)).astype(np.float32)
    y = np.zeros((9, 2), np.float32)
    first, second, last = (layer for layer in stack if isinstance(layer, Dense))
    (w1, b1), (w2, b2), (w3, b3) = (
        [a.astype(np.float64) for a in d.get_weights()] for d in (first, second, last)
    )
    h = np.tanh(x @ w1 + b1)
    g = np.maximum(h.reshape(9, 24) @ w2 + b2, 0)
    np.testing.assert_allclose(model.predict(x), g @ w3 + b3, rtol=1e-4, atol=1e-6)
    model.fit(x, y, batch_size=9, verbose=0)
    moved = w1 - first.kernel.numpy()
    d3 = 2 * (g @ w3 + b3) / 18
    d2 = (d3 @ w3.T) * (g > 0)
    d1 = (d2 @ w2.T).reshape(9, 4, 6) * (1 - h**2)
    np.testing.assert_allclose(moved / 0.01, np.einsum("rti,rto->io", x, d1), rtol=1e-3, atol=1e-5)
