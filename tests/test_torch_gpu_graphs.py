"""Steps of `onepass.torch` in CUDA graphs, on a GPU that queues of fibers play or a real one."""

from __future__ import annotations

import ctypes

import pytest

torch = pytest.importorskip("torch")

import fake_cupy  # noqa: E402
import fake_torch_gpu  # noqa: E402
from fake_torch_gpu import on_gpu  # noqa: E402
from onepass.torch import SGD, Adagrad, Adam, AdamW  # noqa: E402
from parity.torch_steps import (  # noqa: E402
    CASES,
    assert_near,
    assert_same,
    parameters_of,
    theirs,
)
from torch_graphs import LOOKING, Both, captured, parameters  # noqa: E402
from torch_on_gpu import (  # noqa: E402
    BUILT,
    EVERY,
    HALF,
    NOT_BUILT,
    REAL,
    SHAPES,
    back_to_host,
    give,
    gpu,  # noqa: F401  # a fixture
    host,
)

pytestmark = [
    pytest.mark.skipif(not BUILT, reason=NOT_BUILT),
    pytest.mark.usefixtures("gpu"),
]
played = pytest.mark.skipif(REAL, reason="looks at what only queues of fibers tell")


# The steps of the CPU


@pytest.mark.parametrize("warm", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [name for name in EVERY if name not in LOOKING])
def test_every_rule_has_the_bits_of_the_cpu(name, dtype, warm) -> None:
    both = Both(EVERY[name], warm, dtype, SHAPES)
    graph = captured(both.there)
    both.check()  # nothing was done yet
    for _ in range(3):
        both.replay(graph)
        both.check()
    both.step()
    both.replay(graph)
    both.replay(graph)
    both.check()
    if name in CASES and dtype == torch.float32:  # torch rounds some numbers of states to it
        of_torch = theirs(name, parameters_of(back_to_host(both.there)))
        of_torch.load_state_dict(both.there.state_dict())
        both.new_gradients()
        give(parameters(of_torch), both.seed)
        of_torch.step()
        both.here.step()
        assert_near(parameters(of_torch), parameters(both.here))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["SGD, nesterov", "AdamW", "Lion"])
def test_parameters_of_16_bits(name, dtype) -> None:
    both = Both(EVERY[name], dtype=dtype)
    graph = captured(both.there)
    both.replay(graph)
    both.step()
    both.replay(graph)
    both.check()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_parameters_of_two_types(kind) -> None:
    def make(p):
        mixed = [p[0], torch.nn.Parameter(p[1].detach().to(kind))]
        return AdamW([{"params": mixed[:1], "lr": 0.1}, {"params": mixed[1:]}])

    both = Both(make)
    graph = captured(both.there)
    both.replay(graph)
    both.replay(graph)
    both.check()


def test_two_graphs_several_steps_in_one_and_others_in_between() -> None:
    both = Both(lambda p: Adam(p, amsgrad=True, max_grad_norm=1.0))
    one, two = captured(both.there), captured(both.there, times=2)
    both.replay(one)
    both.replay(two, times=2)
    both.check()
    both.step()
    both.replay(two, times=2)
    both.replay(one)
    both.check()
    assert both.there.state_dict()["state"][0]["step"] == 8


def test_a_rule_with_states_from_the_start_needs_no_step_before() -> None:
    both = Both(Adagrad, warm=0)
    graph = captured(both.there)
    both.replay(graph)
    both.replay(graph)
    both.check()


@pytest.mark.parametrize("capturable", [False, True])
def test_gradients_that_are_made_in_the_graph(capturable) -> None:
    both = Both(lambda p: Adam(p, capturable=capturable and p[0].is_cuda))
    sources = [p.grad for p in parameters(both.there)]
    both.there.zero_grad()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for p, source in zip(parameters(both.there), sources, strict=True):
            p.grad = source * 2.0
        both.there.step()
    for k in range(3):
        give(parameters(both.here), 50 + k)
        for p, source in zip(parameters(both.here), sources, strict=True):
            source.copy_(p.grad)
            p.grad *= 2.0
        both.here.step()
        graph.replay()
    both.check()


def test_gradients_in_another_layout_are_copied_at_each_replay() -> None:
    here = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4).t())
    there = torch.nn.Parameter(on_gpu(here))
    one, other = SGD([here], lr=0.1, momentum=0.9), SGD([there], lr=0.1, momentum=0.9)
    there.grad = on_gpu(torch.zeros(4, 3))
    graph = None
    for k in range(4):
        here.grad = torch.randn(4, 3, generator=torch.manual_seed(k))
        there.grad.copy_(here.grad)
        one.step()
        other.step() if graph is None else graph.replay()
        assert_same([host(there)], [here])
        graph = graph or captured(other)


# Learning rates


def groups(p, rates):
    return [{"params": [one], "lr": lr} for one, lr in zip(p, rates, strict=True)]


def test_numbers_stay_in_a_graph_and_tensors_on_the_gpu_are_followed() -> None:
    def make(p):
        one, three = torch.tensor(0.1).to(p[0].device), torch.tensor([0.3]).to(p[0].device)
        return AdamW(groups(p, (one, 0.2, three, torch.tensor(0.4))), max_grad_norm=2.0)

    both = Both(make, shapes=((5, 7), (11,), (3,), (4,)))
    graph = captured(both.there)
    both.there.param_groups[1]["lr"] = 77.0  # of other steps
    both.there.param_groups[3]["lr"].fill_(77.0)
    for k in range(3):
        for optimizer in (both.here, both.there):
            optimizer.param_groups[0]["lr"].fill_(0.1 / (k + 1))
            optimizer.param_groups[2]["lr"].mul_(0.7)
        both.replay(graph)
        both.check()
    for optimizer in (both.here, both.there):
        optimizer.param_groups[1]["lr"] = 0.05
        optimizer.param_groups[3]["lr"].fill_(0.01)
    both.step()
    second = captured(both.there)
    both.replay(second)
    both.here.param_groups[1]["lr"] = 0.2
    both.here.param_groups[3]["lr"].fill_(0.4)
    both.replay(graph)
    both.check()


def test_other_numbers_that_changed_since_the_last_step() -> None:
    both = Both(lambda p: AdamW(p, lr=torch.tensor(0.1).to(p[0].device)))
    for optimizer in (both.here, both.there):
        optimizer.param_groups[0].update(weight_decay=0.3, betas=(0.5, torch.tensor(0.75)))
    graph = captured(both.there)
    both.there.param_groups[0].update(weight_decay=0.7)
    both.replay(graph)
    both.check()


def test_graphs_keep_the_numbers_that_they_were_captured_with() -> None:
    both = Both(lambda p: SGD(groups(p, (0.1, 0.2)), momentum=0.9))
    graphs = []
    for rate in (0.1, 0.3, 0.5):
        for optimizer in (both.here, both.there):
            optimizer.param_groups[0]["lr"] = rate
        graphs.append(captured(both.there))
    for rate, graph in zip((0.5, 0.3, 0.1), graphs[::-1], strict=True):
        both.here.param_groups[0]["lr"] = rate
        both.replay(graph)
        both.check()


def test_schedulers_fill_tensors() -> None:
    both = Both(lambda p: Adam(p, lr=p[0].detach().new_full((), 0.5)))
    made = [torch.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in (both.here, both.there)]
    graph = captured(both.there)
    for _ in range(3):
        both.replay(graph)
        for scheduler in made:
            scheduler.step()
    both.check()
    assert host(both.there.param_groups[0]["lr"]) == 0.5**4


# No waits


@played
@pytest.mark.parametrize("follows", [False, True])
def test_nobody_waits_and_torch_does_what_it_must(follows) -> None:
    both = Both(lambda p: Adam(p, lr=p[0].detach().new_full((), 0.1) if follows else 0.1))
    both.new_gradients()
    fake_torch_gpu.ran.clear()
    fake_torch_gpu.waits.clear()
    graph = captured(both.there)
    assert fake_torch_gpu.ran.count("aten.copy_.default") == follows
    assert fake_torch_gpu.waits == []
    assert follows or fake_torch_gpu.ran == []  # no operation of torch at all
    count = fake_cupy._fibers.onepass_fibers_waiting
    count.restype = ctypes.c_size_t
    before = count(ctypes.c_void_p(fake_cupy._stream))
    for _ in range(5):
        graph.replay()
        both.here.step()
    assert count(ctypes.c_void_p(fake_cupy._stream)) >= before + 5 * 2
    assert parameters(both.there)[0] in both.there.state
    assert both.there.state[parameters(both.there)[0]]["step"] == 1  # until somebody asks
    both.check()
    assert both.there.state[parameters(both.there)[0]]["step"] == 6


@played
def test_a_wait_spoils_a_capture_that_is_played() -> None:
    t = on_gpu(torch.ones(3))
    graph = torch.cuda.CUDAGraph()
    with (
        pytest.raises(AssertionError, match="the capture was spoilt"),
        torch.cuda.graph(graph),
        pytest.raises(RuntimeError, match="not permitted when stream is capturing"),
    ):
        t.select(0, 1).item()


# Clipping


def test_norms_of_graphs_and_of_other_steps() -> None:
    both = Both(lambda p: SGD(p, lr=0.1, max_grad_norm=0.5))
    graph = captured(both.there)
    assert both.there.grad_norm == both.here.grad_norm
    for step in (both.step, lambda: both.replay(graph), both.step, lambda: both.replay(graph)):
        step()
        assert both.there.grad_norm == both.here.grad_norm > 0.5
    for optimizer in (both.here, both.there):
        kept = [p.grad for p in parameters(optimizer)]
        optimizer.zero_grad()
        optimizer.step()
        for p, g in zip(parameters(optimizer), kept, strict=True):
            p.grad = g
        assert optimizer.grad_norm == 0.0
    both.replay(graph)
    both.there.state_dict()
    both.there.load_state_dict(both.there.state_dict())
    assert both.there.grad_norm == both.here.grad_norm > 0.5
