"""What the check on a GPU does with rivals there: compared, timed, or named with the reason."""

from __future__ import annotations

import copy
import os
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import fake_cupy
import onepass
from bench import gpu_models, gpu_processes, gpu_steps
from onepass.bench.cases import error_between
from onepass.bench.families.models import networks_of
from onepass.bench.families.networks import OurTraining

fibers = pytest.mark.skipif(not fake_cupy.BUILT, reason="built without the GPU's kernels as fibers")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(onepass.__file__).parents[1])}


def a_case(monkeypatch, makers, until=1e18):
    monkeypatch.setattr(onepass._gpu, "MODULE", "onepass._cuda_fibers")
    network = networks_of(gpu_models.SMALL)["M1"]
    ready = gpu_models.prepared(network, 4, "sgd", 4, makers, until)
    return gpu_models.measured(ready, 4, 0.02)


class Still:
    """A rival that trains nothing."""

    def __init__(self, network, x, y, optimizer, batch, initial) -> None:
        self.initial = initial

    def given(self, order):
        return order

    def train(self, order) -> None:
        pass

    def changed(self):
        return [np.zeros_like(p) for p in self.initial]


def fails(*_):
    raise RuntimeError("no graphs today")


@fibers
def test_rivals_that_fail_or_differ_are_named(monkeypatch):
    monkeypatch.setattr(gpu_models.rivals, "torch", lambda: object())
    found = a_case(monkeypatch, {"torch graph": fails, "torch wrong": Still})
    assert found["missing"] == {"torch graph": "RuntimeError: no graphs today"}
    assert found["unequal"] == ["torch wrong"]
    assert set(found["us a step"]) == {"onepass", "onepass on the CPU"}
    assert found["error"]["onepass on the CPU"] <= gpu_models.TOLERANCE


@fibers
def test_rivals_that_are_not_there_or_too_late_are_named(monkeypatch):
    monkeypatch.setattr(gpu_models.rivals, "jax", lambda: None)
    found = a_case(monkeypatch, {"JAX jit": Still})
    assert found["missing"] == {"JAX jit": "ModuleNotFoundError: JAX is not installed"}
    found = a_case(monkeypatch, {"JAX jit": Still}, until=0.0)
    assert found["missing"] == {"JAX jit": "TimeoutError: no time was left for it"}


class FailsLater(Still):
    """A rival that fails once it is timed."""

    def train(self, order) -> None:
        self.left = getattr(self, "left", 2) - 1
        if self.left < 0:
            raise RuntimeError("out of memory")

    def changed(self):
        return self.equal


@fibers
def test_rivals_that_fail_while_they_are_timed_are_named(monkeypatch):
    monkeypatch.setattr(gpu_models.rivals, "torch", lambda: object())
    monkeypatch.setattr(gpu_models, "compare", lambda ready: both_equal(ready))

    def both_equal(ready):
        for one in ready.rivals:
            one.result()
        return {one.name: 0.0 for one in ready.rivals}, {}

    monkeypatch.setattr(FailsLater, "equal", [], raising=False)
    found = a_case(monkeypatch, {"torch eager": FailsLater})
    assert found["missing"] == {"torch eager": "while it was timed, RuntimeError: out of memory"}
    assert set(found["us a step"]) == {"onepass", "onepass on the CPU"}


@fibers
def test_ours_on_the_cpu_is_beside_the_first_group_only(monkeypatch):
    monkeypatch.setattr(onepass._gpu, "MODULE", "onepass._cuda_fibers")
    monkeypatch.setattr(gpu_models, "groups", lambda device: {"one": {}, "two": {}})
    found = dict(gpu_models.cases(True, "nowhere", None, 1e18))
    ours = {name: set(case["us a step"]) for name, case in found.items()}
    assert ours["M4 b8 adam beside one"] == {"onepass", "onepass on the CPU"}
    assert ours["M4 b8 adam beside two"] == {"onepass"}


def test_cases_without_time_are_named_and_nothing_is_built(monkeypatch):
    monkeypatch.setattr(gpu_models, "prepared", fails)
    late = "no time was left for it"
    found = dict(gpu_models.cases(False, "cuda", None, 0.0))
    assert len(found) == 3 * len(gpu_models.CASES)
    jax = found["M4 b32 adam beside JAX"]
    assert jax == {"missing": {"onepass": late, "JAX jit": late, "JAX scan": late}}
    assert found["M4 b32 adam beside torch"]["missing"]["onepass on the CPU"] == late


def test_compiled_steps_read_the_data_where_they_lie(monkeypatch):
    torch = pytest.importorskip("torch")
    marked = []
    monkeypatch.setattr(torch._dynamo, "mark_static_address", marked.append)
    monkeypatch.setattr(gpu_models.rivals, "torch_compiled", lambda function, mode: function)
    network = networks_of(gpu_models.SMALL)["M4"]
    x, y = network.data(24)
    initial = OurTraining(network, x, y, "sgd", 8).initial
    made = gpu_models.TorchCompiled(network, x, y, "sgd", 8, initial, device="cpu")
    assert [id(one) for one in marked] == [id(made._x), id(made._y)]


@fibers
def test_products_of_either_kind_are_compared_and_timed():
    told = gpu_processes.measured(["-m", "bench.gpu_products", "--played"], ENVIRONMENT, 120.0)
    assert told.status == 0, told.why
    (case,) = told.found.values()
    assert set(case["us a step"]) == {"onepass", "cuBLASLt"}
    assert case["started by cuBLASLt"]["onepass"] == 0 < case["started by cuBLASLt"]["cuBLASLt"]
    assert case["multiply-adds"] == 4 * 12 * 9


@fibers
def test_torch_trains_beside_us(monkeypatch):
    pytest.importorskip("torch")
    found = a_case(monkeypatch, gpu_models.groups("cpu")["torch"])
    assert "torch eager" in found["us a step"]
    assert found["unequal"] == []
    assert "graphs want a GPU" in found["missing"]["torch graph"]


class Recorded:
    """A graph of CUDA's on the CPU: what is recorded changes nothing, what is played is done."""

    made: gpu_models.TorchGraph

    def replay(self) -> None:
        gpu_models.TorchTraining.step(self.made, self.made._rows)


@contextmanager
def recording(graph):
    made = sys._getframe(2).f_locals["self"]
    graph.made = made
    before = copy.deepcopy((made._module.state_dict(), made._optimizer.state_dict()))
    yield
    made._module.load_state_dict(before[0])
    made._optimizer.load_state_dict(before[1])


def test_a_step_in_a_graph_starts_from_our_weights(monkeypatch):
    torch = pytest.importorskip("torch")
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in (
        ("is_available", lambda: True),
        ("Stream", lambda: stream),
        ("current_stream", lambda: stream),
        ("stream", lambda of: nullcontext()),
        ("CUDAGraph", Recorded),
        ("graph", recording),
    ):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    network = networks_of(gpu_models.SMALL)["M4"]
    x, y = network.data(24)
    ours = OurTraining(network, x, y, "adam", 8)
    given = network, x, y, "adam", 8, ours.initial
    graph = gpu_models.TorchGraph(*given, device="cpu", compiled=False)
    theirs = gpu_models.result_of(graph, ours.orders[0])
    assert error_between(ours.result(), theirs) < gpu_models.TOLERANCE


@fibers
def test_the_timed_models_of_the_check():
    told = gpu_processes.measured(
        ["-m", "bench.gpu_models", "--played", "--rivals-on", "nowhere", "--copy-rate", "4000"],
        ENVIRONMENT,
        120.0,
    )
    assert told.status == 0, told.why
    assert list(told.found) == ["M1 b4 sgd beside the CPU", "M4 b8 adam beside the CPU"]
    for case in told.found.values():
        assert set(case["us a step"]) == {"onepass", "onepass on the CPU"}
        assert case["limits"]["us of the update at the copy's rate"] > 0


def test_limits_of_a_step():
    m1 = networks_of(gpu_models.Sizes())["M1"]
    found = gpu_models.limits(m1, 32, "adam", 4000.0)
    assert found["us of the update at the copy's rate"] == pytest.approx(
        4 * 7 * m1.parameters / 4e6, rel=0.3
    )
    assert set(gpu_models.limits(m1, 32, "adam", None)) < set(found)


class NumpyAsCupy:
    """NumPy where a function that CuPy fuses is only called."""

    sqrt, zeros_like = np.sqrt, np.zeros_like

    @staticmethod
    def fuse():
        return lambda function: function


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_steps_that_cupy_fuses_have_our_formula(name):
    rule = gpu_steps.RULES[name]
    rng = np.random.default_rng(0)
    theirs, grads = ([rng.normal(size=50).astype("f4") for _ in range(2)] for _ in range(2))
    ours = [p.copy() for p in theirs]
    own = rule.ours()
    own.build(ours)
    gpu_steps.three_steps(gpu_steps.cupy_step(NumpyAsCupy, rule, theirs, grads))
    gpu_steps.three_steps(lambda: own.apply(grads))
    assert gpu_steps.largest_difference(ours, theirs) < 3e-7
    assert all(p.dtype == np.float32 for p in theirs)


def test_other_rules_are_not_written_for_cupy():
    with pytest.raises(ValueError, match="plain sgd and adam"):
        gpu_steps.cupy_step(NumpyAsCupy, gpu_steps.RULES["adamw"], [np.ones(1)], [np.ones(1)])


class OnCpu(gpu_steps.Played):
    """Played, with rivals of which one steps nothing and one fails."""

    def rivals(self, rule, sizes, grads):
        still = self.arrays(sizes, 0)
        return {"still": lambda: (lambda: None, still), "torch compiled": fails}


@pytest.fixture
def on_fibers(monkeypatch):
    monkeypatch.setattr(onepass._gpu, "MODULE", "onepass._cuda_fibers")
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    return OnCpu()


def test_no_number_is_a_difference():
    wrong, right = np.array([np.nan, 1.0]), np.array([0.0, 1.0])
    assert np.isnan(gpu_steps.largest_difference([right, wrong], [right, right]))
    assert gpu_steps.largest_difference([right], [right + 2]) == 2.0


def test_cupys_calls_for_thousands_of_tensors_are_left_out():
    side = object.__new__(gpu_steps.OnGpu)
    with pytest.raises(ValueError, match="4096 tensors"):
        side._by_cupy(gpu_steps.RULES["sgd"], gpu_steps.WHOLE["4096x100"], [])


class Failing(gpu_steps.Played):
    """Times nothing; a step that fails does so while it is timed."""

    def __init__(self) -> None: ...

    def microseconds(self, step, repeats):
        step()
        return 1.0


def test_steps_that_fail_while_they_are_timed_are_named():
    missing = {}
    steps = {"onepass": lambda: None, "torch fused": fails}
    assert gpu_steps.least_times(Failing(), steps, missing) == {"onepass": 1.0}
    assert missing == {"torch fused": "while it was timed, RuntimeError: no graphs today"}
    with pytest.raises(RuntimeError, match="no graphs"):
        gpu_steps.least_times(Failing(), {"onepass": fails}, {})


@fibers
def test_steps_that_fail_or_differ_are_named(on_fibers):
    found = gpu_steps.measure(on_fibers, gpu_steps.RULES["adam"], (100, 20), 1e9)
    assert found["unequal"] == ["still"]
    assert set(found["us"]) == {"onepass"}
    assert found["largest difference"]["onepass on the CPU"] == 0.0
    found = gpu_steps.measure(on_fibers, gpu_steps.RULES["adam"], (100, 20), 1e9, compiled=True)
    assert found["missing"] == {"torch compiled": "RuntimeError: no graphs today"}


@fibers
def test_what_torch_compiles_comes_last_and_only_in_time(on_fibers):
    found = list(gpu_steps.cases(on_fibers, True, until=0.0))
    rules = list(gpu_steps.RULES)
    assert list(found[0]) == ["copy GB/s"]
    assert [next(iter(one)).split()[0] for one in found[1:]] == 4 * rules
    late = {"missing": {"torch compiled": "no time was left for it"}}
    assert found[-1] == {"adamw 16x100 beside torch compiled": late}
    assert found[-9].keys() == {"adamw 16x100"}
