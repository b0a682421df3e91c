"""The update behind the weight gradient: which tensors it takes, and that no bit depends on it."""

from __future__ import annotations

import _thread
import functools
import operator
from types import SimpleNamespace

import numpy as np
import pytest

import rule_cases
from onepass import Input, Sequential, _core, losses, optimizers, regularizers, utils
from onepass.engine.binding import BoundOptimizer
from onepass.engine.calls import Buffer, Call
from onepass.engine.feeding import Feed
from onepass.engine.objective import Objective
from onepass.engine.plan import build_plan
from onepass.engine.recording import Graph
from onepass.engine.replay import Pass, batches
from onepass.engine.rewrites import fuse_update
from onepass.layers import Dense
from strategies import assert_same_bits, every_backend, results_by_isa
from test_plan import (
    BY_NAME,
    CASES,
    OPTIMIZERS,
    data_for,
    fires,
    graph_start,
    kernels_of,
    plan_of,
    reader,
    rows,
    train,
    variables_of,
    view,
)

FUSED = (BY_NAME["fuse_update"],)


# Lists made by hand


def gradient_of(name, *, accumulate=False, **writes):
    reads = {"x": rows("x"), "dz": rows("dz")}
    return Call("dense_backward_weights", reads, writes, {"accumulate": accumulate})


def update_of(*gradients, elementwise=True):
    return Call(
        "update",
        {f"g{i}": gradient for i, gradient in enumerate(gradients)},
        {f"p{i}": Buffer(f"p{i}", "fixed") for i in range(len(gradients))},
        {"optimizer": SimpleNamespace(elementwise=elementwise)},
    )


def test_update_fusion_and_its_limits():
    dw, db = Buffer("dw", "fixed"), Buffer("db", "fixed")
    product, update = gradient_of("a", dw=dw, db=db), update_of(dw, db)
    (fused,) = fuse_update([product, update])
    assert fused.kernel == "dense_update"
    assert fused.reads == product.reads
    assert fused.writes == {
        **product.writes,
        "w": update.writes["p0"],
        "b": update.writes["p1"],
    }
    assert fused.attributes["tensors"] == [0, 1]
    assert not fires(fuse_update, [product, update_of(dw, db, elementwise=False)])
    assert not fires(fuse_update, [product, update_of(dw)])  # db is wanted for itself
    assert not fires(fuse_update, [gradient_of("a", db=db), update_of(db)])
    assert not fires(fuse_update, [gradient_of("a", accumulate=True, dw=dw), update_of(dw)])
    for other in (reader(dw), reader(view(db))):
        assert not fires(fuse_update, [product, other, update])


def test_the_update_keeps_what_no_product_takes():
    buffers = [Buffer(f"g{i}", "fixed") for i in range(5)]
    first = gradient_of("first", dw=buffers[0], db=buffers[1])
    again = gradient_of("again", accumulate=True, dw=buffers[0], db=buffers[1])
    middle = gradient_of("middle", dw=buffers[2])
    last = gradient_of("last", dw=buffers[3], db=buffers[4])
    update = update_of(*buffers)
    calls = fuse_update([last, middle, first, again, update])
    assert kernels_of(calls) == [
        *("dense_update", "dense_update"),
        *("dense_backward_weights", "dense_backward_weights", "update"),
    ]
    assert [call.attributes["tensors"] for call in (*calls[:2], calls[-1])] == [[3, 4], [2], [0, 1]]
    assert set(calls[-1].reads) == {"g0", "g1"}
    assert calls[-1].writes == {"p0": update.writes["p0"], "p1": update.writes["p1"]}


# Models


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_norms_of_gradients_keep_the_update_apart(rule):
    name, arguments = OPTIMIZERS[rule]
    model = CASES["relu, softmax"]("float32")
    model.compile(getattr(optimizers, name)(**arguments), model.loss)
    found = kernels_of(plan_of(model).calls)
    assert ("update" in found) == ("norm" in rule)
    assert ("dense_update" in found) == ("norm" not in rule)


@pytest.mark.parametrize("rule", rule_cases.LOOKING)
def test_rules_that_look_at_whole_tensors_stay_behind_the_gradients(rule):
    model = CASES["relu, softmax"]("float32")
    kind, arguments = rule_cases.CASES[rule]
    model.compile(kind(**arguments), model.loss)
    found = kernels_of(plan_of(model).calls)
    assert "update" in found
    assert "dense_update" not in found


AROUND = {"nesterov": {"weight_decay": 0.02}, "adam": {"clipvalue": 0.01}}
RULES = {
    rule: functools.partial(kind, **arguments, **AROUND.get(rule, {}))
    for rule, (kind, arguments) in rule_cases.CASES.items()
    if rule not in rule_cases.LOOKING
}
STEPS = {"five small": (40, 8), "of several blocks": (2200, 1100)}  # samples, and those of a step


def falling_rate(step):
    return 0.1 / (1 + step)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("frozen", [None, "kernel", "bias"])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rule", RULES)
def test_steps_equal_those_of_the_plain_plan(rule, steps, frozen, dtype):
    """With a rate that changes from step to step and decay of the kernels alone."""
    samples, batch = STEPS[steps]

    def trained(chosen):
        model = CASES["one-hot targets"](dtype)
        optimizer = RULES[rule]()
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        model.compile(optimizer, model.loss)
        if frozen is not None:
            for layer in model.layers:
                getattr(layer, frozen).trainable = False
        plan = plan_of(model, chosen)
        fuses = chosen == FUSED and frozen != "kernel"
        assert ("dense_update" in kernels_of(plan.calls)) == fuses
        assert ("update" in kernels_of(plan.calls)) != fuses
        train(plan, data_for(model, samples)[:2], batch, falling_rate, epochs=1)
        return model.get_weights()

    for isa, threads in every_backend((1, 3)):
        assert_same_bits(trained(FUSED), trained(()), f"{isa} with {threads} threads")


L1L2 = regularizers.L1L2
PENALTIES = {  # of the first layer's kernel and bias, and of the second's
    "kernels": ("l2", None, "l1"),
    "biases": (None, "l2", None),
    "both": (L1L2(0.01, 0.02), "l1", "l2"),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", PENALTIES)
def test_penalties_in_the_update_change_no_bit(case, rule, steps, dtype):
    samples, batch = STEPS[steps]
    kernel, bias, second = PENALTIES[case]

    def trained(chosen):
        utils.set_random_seed(4)
        first = Dense(70, "tanh", kernel_regularizer=kernel, bias_regularizer=bias, dtype=dtype)
        last = Dense(3, kernel_regularizer=second, dtype=dtype)
        model = Sequential([Input((9,), dtype=dtype), first, last])
        model.compile(RULES[rule](), "mse")
        plan = plan_of(model, chosen)
        assert kernels_of(plan.calls).count("dense_update") == 2 * (chosen == FUSED)
        adding = [c for c in plan.calls if c.kernel == "penalty" and "gradient" in c.writes]
        assert bool(adding) == (chosen != FUSED)
        sums = train(plan, data_for(model, samples)[:2], batch, falling_rate, epochs=1)
        return [*model.get_weights(), *sums]

    for isa, threads in every_backend((1, 3)):
        assert_same_bits(trained(FUSED), trained(()), f"{isa} with {threads} threads")


def test_a_penalty_that_is_not_added_last_stays():
    dw = Buffer("dw", "fixed")
    product, update = gradient_of("a", dw=dw), update_of(dw)
    values = Buffer("values", "doubles")

    def penalty(accumulate):
        return Call(
            "penalty",
            {"x": Buffer("w", "fixed")},
            {"values": values, "gradient": dw},
            {"l1": 0.5, "l2": 0.25, "accumulate": accumulate},
        )

    alone, fused = fuse_update([penalty(True), product, update])
    assert (fused.kernel, fused.attributes["penalties"]) == ("dense_update", [(0.5, 0.25)])
    assert alone.writes == {"values": values}
    assert not alone.attributes["accumulate"]
    assert not fires(fuse_update, [penalty(False), product, update])
    assert not fires(fuse_update, [product, penalty(True), penalty(True), update])
    assert not fires(fuse_update, [product, penalty(True), update_of(dw, elementwise=False)])


def test_a_layer_used_twice_is_updated_by_what_is_left():
    results = []
    for chosen in ((), FUSED):
        x, data = graph_start()
        shared, last = Dense(4, "tanh", dtype="float64"), Dense(3, dtype="float64")
        y = last(shared(shared(x)))
        plan = build_plan(
            "train",
            Graph(x, y),
            objectives=[Objective(losses.get("mse"))],
            trained=variables_of(shared, last),
            optimizer=BoundOptimizer(optimizers.Adam()).native,
            rewrites=chosen,
        )
        train(plan, [data, data[:, :3]], batch=2, rate=falling_rate)
        results.append([v.numpy() for v in variables_of(shared, last)])
    found = kernels_of(plan.calls)
    assert found.count("dense_update") == found.count("update") == 1
    assert found.count("dense_backward_weights") == 2
    assert_same_bits(*results)


@pytest.mark.parametrize(
    ("dtype", "units"), [("float64", 4072), ("float64", 8168), ("float32", 8168)]
)
def test_bands_of_a_very_wide_layer_fit_their_work_area(dtype, units):
    """Few inputs, so bands of columns; the last one ends in padding. The sanitizer looks on."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(32, 8)).astype(dtype), rng.normal(size=(32, units)).astype(dtype)

    def weights():
        utils.set_random_seed(4)
        model = Sequential([Input((8,), dtype=dtype), Dense(units, dtype=dtype)])
        model.compile("adam", "mse")
        model.fit(x, y, batch_size=32, epochs=2, verbose=0)
        return model.get_weights()

    results_by_isa(weights, (1, 4))


def test_an_interrupt_within_a_step_leaves_the_parameters():
    """A signal that waits when the native call begins: nothing between the two lets Python act."""
    model = Sequential([Input((1024,)), Dense(2048, "relu"), Dense(512)])
    model.compile("adam", "mse")
    x, y, _ = data_for(model, 1024)
    plan = plan_of(model)
    assert kernels_of(plan.calls)[-2:] == ["dense_update"] * 2
    work = Pass(plan, Feed([(x, 1.0), (y, 1.0)], len(x)), batches(len(x), len(x)))
    work.steps[:, 2] = 1
    before = model.get_weights()
    rates, counted = np.ones(1), (work.sums, work.progress, None)
    arguments = work.feed.sources, [], None, work.steps, rates, *counted, 0.05
    _core.set_isa("baseline" if "baseline" in _core.available_isas() else _core.isa())
    _core.set_threads(1)
    steps = [_thread.interrupt_main, functools.partial(plan.native.run, *arguments)]
    with pytest.raises(KeyboardInterrupt):
        list(map(operator.call, steps))
    # Where the step is over before the signal is looked at, it is a whole one.
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert set(moved) == {work.done == 1}
