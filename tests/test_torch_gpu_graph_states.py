"""States, copies and refusals of `onepass.torch` around CUDA graphs, on a GPU that is played."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest

torch = pytest.importorskip("torch")

from fake_torch_gpu import on_gpu, on_other_gpu  # noqa: E402
from onepass.torch import SGD, Adagrad, Adam, AdamW, Muon  # noqa: E402
from parity.torch_steps import assert_same, parameters_of, tensors  # noqa: E402
from torch_graphs import LOOKING, Both, captured, parameters, refused, spared  # noqa: E402
from torch_on_gpu import (  # noqa: E402
    BUILT,
    EVERY,
    NOT_BUILT,
    REAL,
    back_to_host,
    give,
    gpu,  # noqa: F401  # a fixture
    gpu_parameters,
    host,
    walk,
)

pytestmark = [
    pytest.mark.skipif(not BUILT, reason=NOT_BUILT),
    pytest.mark.usefixtures("gpu"),
]


# States


@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_on_from_what_graphs_have_done(how) -> None:
    both = Both(lambda p: Adam(p, max_grad_norm=3.0))
    graph = captured(both.there)
    both.replay(graph)
    both.replay(graph)
    twin = how(both.there)
    before = [p.detach().clone() for p in parameters(both.here)]
    walk(twin, both.here, range(60, 63))
    assert_same(back_to_host(both.there), before)
    graph.replay()  # is not the twin's
    assert twin.state_dict()["state"][0]["step"] == 6
    assert both.there.state_dict()["state"][0]["step"] == 4


def test_counts_that_are_written_into_hold_for_graphs_too() -> None:
    both = Both(lambda p: Adam(p, lr=0.1))
    graph = captured(both.there)
    both.replay(graph)
    for optimizer in (both.here, both.there):
        for p in parameters(optimizer):
            optimizer.state[p]["step"].fill_(100.0)
    with refused(both, RuntimeError, "counts of steps were changed.* do a step before"):
        both.there.step()
    both.check()
    both.replay(graph)
    both.step()
    both.replay(graph)
    both.check()
    assert both.there.state_dict()["state"][0]["step"] == 103
    second = captured(both.there)
    both.replay(second)
    both.check()


def test_what_fails_leaves_graphs_and_other_steps_together() -> None:
    both = Both(lambda p: Adam(p, lr=0.1))
    graph = captured(both.there)
    both.replay(graph)
    p = parameters(both.there)[0]
    kept, p.grad = p.grad, None
    with pytest.raises(RuntimeError, match="no parameter may miss a step once steps were captured"):
        both.there.step()
    p.grad = kept
    new = gpu_parameters([torch.zeros(2, dtype=torch.complex64)])
    new[0].grad = on_gpu(torch.zeros(2, dtype=torch.complex64))
    both.there.param_groups[0]["params"].append(new[0])
    with pytest.raises(TypeError, match="complex64"):
        both.there.step()
    both.there.param_groups[0]["params"].pop()
    both.replay(graph)
    both.step()
    both.replay(graph)
    both.check()


def test_new_parameters_and_what_was_captured_before() -> None:
    both = Both(lambda p: Adam(p, lr=0.1))
    graph = captured(both.there)
    both.replay(graph)
    both.replay(graph)
    part = weakref.ref(both.there._binding._parts[0])
    both.here.add_param_group({"params": parameters_of([torch.ones(3)]), "lr": 0.2})
    both.there.add_param_group({"params": gpu_parameters([torch.ones(3)]), "lr": 0.2})
    assert both.there.state_dict()["state"][0]["step"] == 3
    with refused(both, RuntimeError, "it is the first one with these parameters.* before the capt"):
        both.there.step()
    both.step()  # with the count of the graphs
    both.check()
    gc.collect()
    before = [host(p) for p in parameters(both.there)]
    graph.replay()  # steps those that it had, with the count that it had
    after = [host(p) for p in parameters(both.there)]
    assert [torch.equal(p, q) for p, q in zip(before, after, strict=True)] == [False, False, True]
    assert part().native.steps_done() == 4
    assert both.there.state_dict()["state"][0]["step"] == 4


@pytest.mark.parametrize("launched", [False, True])
def test_what_graphs_read_is_kept_when_others_are_loaded(launched) -> None:
    both = Both(lambda p: Adam(p, lr=torch.tensor(0.5).to(p[0].device)))
    graph = captured(both.there) if launched else None
    p = parameters(both.there)[0]
    part = weakref.ref(both.there._binding._parts[0])
    states = weakref.ref(both.there.state[p]["exp_avg"])
    saved = copy.deepcopy(both.there.state_dict())
    both.there.load_state_dict(saved)
    gc.collect()
    assert (part() is not None, states() is not None) == (launched, launched)
    both.step()
    both.check()
    if graph is not None:
        before = states().detach().clone()
        graph.replay()
        assert not torch.equal(host(states()), host(before))
        both.there.load_state_dict(saved)
        gc.collect()
        assert part() is not None


def test_rates_and_gradients_that_graphs_read_are_kept_when_others_take_their_place() -> None:
    def make(p):
        lr = torch.tensor(0.5).to(p[0].device)
        return Adam([{"params": p, "lr": lr}], lr=1.0)

    both = Both(make)
    graph = captured(both.there)
    group, p = both.there.param_groups[0], parameters(both.there)[0]
    read = weakref.ref(group["lr"]), weakref.ref(p.grad)
    group["lr"] = 0.25
    both.there.zero_grad()
    gc.collect()
    assert all(one() is not None for one in read)
    before = host(p).clone()
    graph.replay()
    assert not torch.equal(host(p), before)


def test_betas_in_a_list_are_taken_over_when_they_change_in_place() -> None:
    both = Both(lambda p: Adam(p, lr=0.1, betas=[0.9, 0.99]))
    native = both.there._binding._parts[0].native
    planned = []
    both.there._binding._set_group = lambda *given: planned.append(given)
    both.step()
    both.check()
    assert not planned
    del both.there._binding._set_group
    for optimizer in (both.here, both.there):
        optimizer.param_groups[0]["betas"][0] = 0.5
    both.step()
    both.check()
    assert both.there._binding._parts[0].native is native
    both.there.param_groups[0]["betas"][1] = torch.tensor(0.9).to(parameters(both.there)[0].device)
    with refused(both, RuntimeError, "betas of group 0 is a tensor on the GPU"):
        both.there.step()


def test_a_new_norm_is_a_new_native_side_and_the_same_one_is_not() -> None:
    both = Both(lambda p: Adam(p, lr=0.1, max_grad_norm=0.5))
    graph = captured(both.there)
    both.there.max_grad_norm = 0.5
    both.replay(graph)
    second = captured(both.there)
    both.replay(second)
    both.check()
    both.replay(graph)  # is counted although nobody asks before there is another side
    for optimizer in (both.here, both.there):
        optimizer.max_grad_norm = 0.25
    with refused(both, RuntimeError, "it is the first one with these"):
        both.there.step()
    both.step()
    third = captured(both.there)
    both.replay(third)
    both.check()


def test_a_parameter_whose_first_gradient_came_late() -> None:
    both = Both(lambda p: SGD(p, lr=0.1, momentum=0.9), warm=0)
    for optimizer in (both.here, both.there):
        late = parameters(optimizer)[1]
        kept, late.grad = late.grad, None
        give(parameters(optimizer)[:1], 5)
        optimizer.step()
        late.grad = kept
    with refused(both, RuntimeError, "it is the first one with these"):
        both.there.step()
    both.step()
    graph = captured(both.there)  # which step of it this is does not matter
    both.replay(graph)
    both.check()


# Refusals


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_first_step(kind) -> None:
    both = Both(lambda p: kind(p, lr=0.1), warm=0)
    both.new_gradients()
    with refused(both, RuntimeError, "first one with these parameters.* do such a step before"):
        both.there.step()
    both.step()
    both.check()


def test_an_optimizer_that_makes_states_at_once() -> None:
    p = gpu_parameters([torch.zeros(3)])
    with spared(), pytest.raises(RuntimeError, match="do such a step before the capture"):
        Adagrad(p)


@pytest.mark.parametrize("name", [*LOOKING, "Muon"])
def test_rules_for_which_the_host_decides(name) -> None:
    both = Both(EVERY.get(name, Muon), shapes=((5, 7), (7, 4)))
    for kind in (float, lambda lr: on_gpu(torch.tensor(lr))):
        rate = both.there.param_groups[0]["lr"]
        both.there.param_groups[0]["lr"] = kind(float(rate))
        with refused(both, RuntimeError, "cannot be captured in a CUDA graph: the host decides"):
            both.there.step()
        both.there.param_groups[0]["lr"] = rate
    if name != "Muon":
        both.step()
        both.check()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_parameter_that_has_missed_a_step(kind) -> None:
    def make(p):  # those of float64 come first
        return Adam([torch.nn.Parameter(p[0].detach().to(kind)), *p[1:]], lr=0.1)

    both = Both(make, shapes=((5, 7), (11,), (3,)))
    for optimizer in (both.here, both.there):
        p = parameters(optimizer)[1]
        kept, p.grad = p.grad, None
        optimizer.step()
        p.grad = kept
    with refused(both, RuntimeError, "a parameter has missed a step"):
        both.there.step()
    both.step()
    both.check()


@pytest.mark.parametrize(
    ("prepare", "error", "match"),
    [
        (
            lambda both: setattr(parameters(both.there)[1], "grad", None),
            RuntimeError,
            "a parameter has no gradient",
        ),
        (
            lambda both: both.there.param_groups[0].update(betas=(0.9, on_gpu(torch.tensor(0.99)))),
            RuntimeError,
            "betas of group 0 is a tensor on the GPU, which only lr may be",
        ),
        (
            lambda both: both.there.param_groups[0].update(lr=on_gpu(torch.ones(2))),
            ValueError,
            r"lr of group 0 must have one element, got \(2,\)",
        ),
        pytest.param(
            lambda both: both.there.param_groups[0].update(lr=on_other_gpu(torch.tensor(0.1))),
            ValueError,
            "lr of group 0 must be on GPU 0",
            marks=pytest.mark.skipif(REAL, reason="there may be no other"),
        ),
        (
            lambda both: both.there.param_groups[0].update(lr=-1.0),
            ValueError,
            "lr of group 0 must be finite and >= 0",
        ),
    ],
)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_what_no_graph_can_do(prepare, error, match, kind) -> None:
    def make(p):
        return AdamW([p[0], torch.nn.Parameter(p[1].detach().to(kind))], lr=0.1)

    both = Both(make)
    prepare(both)
    with refused(both, error, match):
        both.there.step()
    for optimizer in (both.here, both.there):
        optimizer.param_groups[0].update(lr=0.1, betas=(0.9, 0.99))
    both.step()
    both.check()


@pytest.mark.parametrize("missing", [False, True])
def test_a_parameter_on_the_cpu(missing) -> None:
    both = Both(lambda p: Adam(p, lr=0.1))
    for optimizer in (both.here, both.there):
        optimizer.add_param_group({"params": parameters_of([torch.ones(3)])})
    both.step()
    before = parameters(both.there)[2].detach().clone()
    if missing:
        parameters(both.there)[2].grad = None
    with refused(both, RuntimeError, "captured in a CUDA graph: a parameter is on the CPU"):
        both.there.step()
    assert_same([parameters(both.there)[2]], [before])
    both.step()
    both.there.state_dict()
    assert_same(back_to_host(both.there), parameters(both.here)[:2])


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda o: o.grad_norm, "asked for grad_norm"),
        (lambda o: o.state_dict(), "asked for its state"),
        (lambda o: o.load_state_dict({}), "given another state"),
        (copy.deepcopy, "copied"),
    ],
)
def test_what_would_spoil_a_capture(act, what) -> None:
    both = Both(lambda p: SGD(p, lr=0.1, momentum=0.9, max_grad_norm=0.5))
    if what == "asked for grad_norm":  # also of an ordinary step
        with refused(both, RuntimeError, f"SGD cannot be {what} while torch's stream is captured"):
            act(both.there)
    graph = captured(both.there)
    both.replay(graph)
    second = torch.cuda.CUDAGraph()
    with torch.cuda.graph(second):
        with pytest.raises(RuntimeError, match=f"SGD cannot be {what} while torch's stream is cap"):
            act(both.there)
        both.there.step()
    both.replay(second)
    both.check()


def test_differentiable_is_refused() -> None:
    with pytest.raises(ValueError, match="differentiable=True is not supported"):
        Adam(gpu_parameters(tensors(0)), differentiable=True)


def test_a_state_of_a_capturable_optimizer_of_torch() -> None:
    both = Both(lambda p: Adam(p, lr=0.5))
    saved = both.there.state_dict()
    for state in saved["state"].values():
        state["step"] = on_gpu(state["step"])
    saved["param_groups"][0].update(capturable=True, lr=on_gpu(torch.tensor(0.5)))
    both.there.load_state_dict(saved)
    both.step()
    graph = captured(both.there)
    both.replay(graph)
    both.check()
