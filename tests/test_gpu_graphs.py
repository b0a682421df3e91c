"""Steps on a GPU's arrays in graphs that a user captures, played by queues of fibers."""

from __future__ import annotations

import copy
import pickle
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

import fake_cupy as cupy
from arrays_on_gpu import AROUND, BUILT_WITHOUT, SHAPES, arrays, gpu, on_gpu  # noqa: F401
from onepass import optimizers
from rule_cases import CASES, LOOKING
from strategies import assert_same_bits

pytestmark = BUILT_WITHOUT


def write(to, values):
    for a, v in zip(to, values, strict=True):
        a[...] = cupy.asarray(v)


def captured(opt, gradients):
    cupy.capture()
    try:
        opt.apply(gradients)
    finally:
        graph = cupy.end_capture()
    return graph


class Both:
    """An optimizer on the CPU, and the same on a GPU whose steps a graph may do."""

    def __init__(self, make, dtype="float32", shapes=SHAPES):
        self.dtype, self.shapes, self.seed = dtype, shapes, 0
        self.here, self.there = make(), make()
        self.p_here = arrays(0, dtype, shapes)
        self.p_there = on_gpu(self.p_here)
        self.here.build(self.p_here)
        self.there.build(self.p_there)
        self.g_there = on_gpu(arrays(1, dtype, shapes))

    def new_gradients(self):
        self.seed += 1
        values = arrays(self.seed, self.dtype, self.shapes)
        write(self.g_there, values)
        return values

    def step(self):
        values = self.new_gradients()
        self.here.apply(values)
        self.there.apply(self.g_there)

    def launch(self, graph):
        self.here.apply(self.new_gradients())
        graph.launch()

    def check(self):
        assert_same_bits([p.host() for p in self.p_there], self.p_here)
        assert_same_bits([s.host() for s in self.there.variables], self.here.variables)
        assert_same_bits([a.host() for a in self.there.averages], self.here.averages)
        assert self.there.iterations == self.here.iterations
        assert self.there.global_norm == self.here.global_norm


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(set(CASES) - set(LOOKING)))
def test_every_rule_has_the_bits_of_the_cpu(name, dtype, before) -> None:
    kind, options = CASES[name]
    both = Both(lambda: kind(0.05, **options), dtype)
    for _ in range(before):
        both.step()
    graph = captured(both.there, both.g_there)
    assert both.there.iterations == before  # nothing was done yet
    for step in range(4):
        if step == 2:
            both.here.learning_rate = both.there.learning_rate = 0.02
        both.launch(graph)
        both.check()
    both.step()
    both.launch(graph)
    both.check()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "around",
    [*AROUND, {"weight_decay": 0.1, "convention": "torch"}],
    ids=str,
)
@pytest.mark.parametrize("before", [0, 1])
def test_what_surrounds_a_rule(around, dtype, before) -> None:
    both = Both(lambda: optimizers.Adam(0.05, **around), dtype)
    for _ in range(before):
        both.step()
    graph = captured(both.there, both.g_there)
    for _ in range(5):
        both.launch(graph)
        both.check()


@pytest.mark.parametrize("tensors", [1, 2, 3, 300])
def test_many_tensors(tensors) -> None:
    both = Both(lambda: optimizers.AdamW(0.05, clipnorm=0.5), shapes=((7,),) * tensors)
    graph = captured(both.there, both.g_there)
    both.launch(graph)
    both.launch(graph)
    both.check()


def test_launches_follow_each_other_without_anybody_waiting() -> None:
    both = Both(lambda: optimizers.Adam(0.05, global_clipnorm=0.5))
    values = both.new_gradients()
    graph = captured(both.there, both.g_there)
    for _ in range(7):
        both.here.apply(values)
        graph.launch()
    cupy._fibers.onepass_fibers_waiting.restype = cupy.ctypes.c_size_t
    assert cupy._fibers.onepass_fibers_waiting(cupy.ctypes.c_void_p(cupy._stream)) > 7 * 3
    both.check()


def test_rates_that_change_between_launches_without_anybody_waiting() -> None:
    both = Both(lambda: optimizers.SGD(0.5, momentum=0.9))
    values = both.new_gradients()
    graph = captured(both.there, both.g_there)
    for rate in (0.1, 0.2, 0.3):
        both.here.learning_rate = both.there.learning_rate = rate
        both.here.apply(values)
        graph.launch()
    both.check()
    assert both.there.learning_rate == 0.3


def test_two_graphs_and_other_steps_in_between() -> None:
    both = Both(lambda: optimizers.Nadam(0.05, clipnorm=0.5))
    first = captured(both.there, both.g_there)
    other = on_gpu(arrays(50))
    second = captured(both.there, other)
    both.launch(first)
    both.here.apply(arrays(50))
    second.launch()
    both.check()
    some = [g if i % 2 else None for i, g in enumerate(arrays(60))]
    both.here.apply(some)
    both.there.apply(on_gpu(some))
    both.check()
    both.launch(first)
    both.here.apply(arrays(50))
    second.launch()
    both.check()


def test_several_steps_in_one_graph() -> None:
    both = Both(lambda: optimizers.Adam(0.05))
    values = both.new_gradients()
    cupy.capture()
    both.there.apply(both.g_there)
    both.there.apply(both.g_there)
    graph = cupy.end_capture()
    graph.launch()
    graph.launch()
    for _ in range(4):
        both.here.apply(values)
    both.check()
    assert both.there.iterations == 4


def test_gradients_are_cleared() -> None:
    both = Both(lambda: optimizers.SGD(0.05, zero_grads=True))
    graph = captured(both.there, both.g_there)
    both.launch(graph)
    both.check()
    assert all((a.host() == 0).all() for a in both.g_there)


def test_the_state_goes_on_elsewhere_and_back() -> None:
    both = Both(lambda: optimizers.Adam(0.05, use_ema=True))
    graph = captured(both.there, both.g_there)
    both.launch(graph)
    both.launch(graph)
    saved = both.there.state_dict()
    assert saved["calls"] == 2
    assert_same_bits(saved["states"], both.here.state_dict()["states"])
    copies = [copy.deepcopy(both.there), pickle.loads(pickle.dumps(both.there))]
    before = both.here.state_dict()
    parameters = [p.copy() for p in both.p_here]
    both.launch(graph)
    both.launch(graph)
    both.check()
    both.here.load_state_dict(before)
    both.there.load_state_dict(saved)
    write(both.p_there, parameters)
    for to, values in zip(both.p_here, parameters, strict=True):
        to[...] = values
    both.launch(graph)
    both.check()
    values = arrays(both.seed)
    for other in copies:
        other.apply(on_gpu(values))
        assert other.iterations == 3
        assert_same_bits([p.host() for p in other._given], both.p_here)


def test_iterations_may_be_set() -> None:
    both = Both(lambda: optimizers.Adam(0.05))
    graph = captured(both.there, both.g_there)
    both.launch(graph)
    both.here.iterations = both.there.iterations = 100
    both.launch(graph)
    both.check()
    assert both.there.iterations == 101


def test_averages_take_the_parameters_places() -> None:
    both = Both(lambda: optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5))
    graph = captured(both.there, both.g_there)
    both.launch(graph)
    both.launch(graph)
    both.here.finalize_variable_values()
    both.there.finalize_variable_values()
    both.check()


@contextmanager
def refused(error, match):
    cupy.capture()
    try:
        with pytest.raises(error, match=match):
            yield
    finally:
        graph = cupy.end_capture()
    graph.launch()


@pytest.mark.parametrize("name", LOOKING)
def test_rules_for_which_the_host_decides_are_refused(name) -> None:
    kind, options = CASES[name]
    both = Both(lambda: kind(0.05, **options))
    with refused(RuntimeError, "cannot be captured in a CUDA graph: the host decides"):
        both.there.apply(both.g_there)
    assert both.there.iterations == 0
    assert_same_bits([p.host() for p in both.p_there], both.p_here)


@pytest.mark.parametrize(
    ("around", "why"),
    [
        ({"skip_nonfinite": True}, "the host decides whether the gradients are finite"),
        ({"gradient_accumulation_steps": 2}, "several calls make a step"),
    ],
    ids=str,
)
def test_what_a_graph_cannot_do_is_refused(around, why) -> None:
    both = Both(lambda: optimizers.Adam(0.05, **around))
    with refused(RuntimeError, why):
        both.there.apply(both.g_there)
    assert both.there.iterations == 0
    both.step()
    both.step()
    both.check()


def test_a_missing_gradient_is_refused() -> None:
    both = Both(lambda: optimizers.Adam(0.05))
    with refused(RuntimeError, "a parameter has no gradient"):
        both.there.apply([None, *both.g_there[1:]])
    both.step()
    both.check()


def test_rates_that_are_no_numbers() -> None:
    schedule = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    both = Both(lambda: optimizers.SGD(schedule))
    with refused(RuntimeError, "learning_rate is .*ExponentialDecay.*set it to a number"):
        both.there.apply(both.g_there)
    both.step()
    both.check()
    both = Both(lambda: optimizers.SGD(0.1))
    graph = captured(both.there, both.g_there)
    with pytest.raises(TypeError, match=r"learning_rate must be a number.*captured in a CUDA"):
        both.there.learning_rate = schedule
    both.launch(graph)
    both.check()


def test_nobody_misses_a_step_beside_a_graph() -> None:
    """Captured steps count one for all, so in torch's convention all must have done as many."""
    both = Both(lambda: optimizers.Adam(0.05, convention="torch"))
    missing = [None, *both.g_there[1:]]
    graph = captured(both.there, both.g_there)
    both.launch(graph)
    with pytest.raises(RuntimeError, match="no parameter may miss a step once steps were captured"):
        both.there.apply(missing)
    both.check()
    state = both.there.state_dict()
    state["missed"] = [1, *state["missed"][1:]]
    with pytest.raises(RuntimeError, match="no parameter may miss a step"):
        both.there.load_state_dict(state)
    both.launch(graph)
    both.check()
    both = Both(lambda: optimizers.Adam(0.05, convention="torch"))
    both.there.apply([None, *both.g_there[1:]])
    both.here.apply([None, *both.new_gradients()[1:]])
    with refused(RuntimeError, "a parameter has missed a step"):
        both.there.apply(both.g_there)


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda opt: setattr(opt, "learning_rate", 0.5), "given another learning rate"),
        (lambda opt: opt.iterations, "asked how many steps"),
        (lambda opt: setattr(opt, "iterations", 3), "asked how many steps"),
        (lambda opt: opt.state_dict(), "asked how many steps"),
        (lambda opt: opt.global_norm, "asked for a norm"),
        (copy.deepcopy, "asked how many steps"),
    ],
)
def test_what_would_spoil_a_capture_is_refused(act, what) -> None:
    both = Both(lambda: optimizers.SGD(0.1, global_clipnorm=0.5))
    graph = captured(both.there, both.g_there)
    both.launch(graph)
    cupy.capture()
    with pytest.raises(RuntimeError, match=f"SGD cannot be {what}.*while its stream is captured"):
        act(both.there)
    both.there.apply(both.g_there)
    second = cupy.end_capture()  # which the refusal left as it was
    both.launch(second)
    assert both.there.learning_rate == both.here.learning_rate
    both.check()


def test_copies_of_gradients_stay_for_the_graph() -> None:
    opt, p = optimizers.SGD(0.5), on_gpu([np.ones(4, np.float32)])
    opt.build(p)
    apart = cupy.ndarray((4,), "float32", step=2)
    apart[...] = cupy.asarray(np.ones(4, np.float32))
    copies = []
    contiguous = cupy.ascontiguousarray

    def kept(a):
        made = contiguous(a)
        copies.append(weakref.ref(made))
        return made

    cupy.ascontiguousarray = kept
    try:
        opt.apply([apart])
        assert copies[0]() is None
        cupy.zeros((1,), "float32")  # what was copied on the stream by now
        made = cupy.asarray(np.ones(4, np.float32))
        cupy.ascontiguousarray = lambda a, made=made: kept(made)
        captured(opt, [apart]).launch()
    finally:
        cupy.ascontiguousarray = contiguous
    del made
    assert copies[1]() is not None
    assert (p[0].host() == 0).all()


def test_a_parameter_that_does_not_decay() -> None:
    def make():
        opt = optimizers.AdamW(0.05, weight_decay=0.3)
        opt.exclude_from_weight_decay(var_list=[1])
        return opt

    for shapes in (SHAPES, SHAPES[:2]):
        both = Both(make, shapes=shapes)
        graph = captured(both.there, both.g_there)
        both.launch(graph)
        both.launch(graph)
        both.check()


def test_norms_of_graphs_and_of_other_steps() -> None:
    both = Both(lambda: optimizers.SGD(0.1, global_clipnorm=0.5))
    graph = captured(both.there, both.g_there)
    assert both.there.global_norm is None
    for step in (both.step, lambda: both.launch(graph), both.step, lambda: both.launch(graph)):
        step()
        assert both.there.global_norm == both.here.global_norm
    both.there.iterations = both.here.iterations = 0
    assert both.there.global_norm == both.here.global_norm
    both.step()
    both.check()


def test_wrong_gradients_change_nothing() -> None:
    both = Both(lambda: optimizers.SGD(0.1))
    with refused(ValueError, r"gradients\[0\] has shape \(4,\)"):
        both.there.apply([*on_gpu([np.ones(4, np.float32)]), *both.g_there[1:]])
    both.step()
    both.check()
