"""States on a GPU that queues of fibers play, torch's manners, tensors in optimizers of arrays."""

from __future__ import annotations

import copy
import io
import math
import pickle

import pytest

torch = pytest.importorskip("torch")

from fake_torch_gpu import on_gpu  # noqa: E402
from onepass import optimizers  # noqa: E402
from onepass.torch import SGD, Adagrad, Adam  # noqa: E402
from parity.torch_steps import CASES, assert_same, ours, parameters_of, tensors, theirs  # noqa: E402
from rule_cases import CASES as ARRAY_CASES  # noqa: E402
from rule_cases import PRODUCTS  # noqa: E402
from torch_on_gpu import (  # noqa: E402
    BUILT,
    EVERY,
    HALF,
    NOT_BUILT,
    SHAPES,
    back_to_host,
    both,
    give,
    gpu,  # noqa: F401  # a fixture
    gpu_parameters,
    host,
    near,
    walk,
)

pytestmark = [
    pytest.mark.skipif(not BUILT, reason=NOT_BUILT),
    pytest.mark.usefixtures("gpu"),
]


# States


@pytest.mark.parametrize("case", CASES)
def test_states_go_to_the_cpu_and_back_and_to_torch(case) -> None:
    shapes = ((5, 7), (11,), (3, 4))
    there, here = both(EVERY[case], shapes=shapes)
    fresh = [parameters_of(host(p) for p in there.param_groups[0]["params"]) for _ in range(2)]
    on_cpu = ours(case, fresh[0])
    on_cpu.load_state_dict(there.state_dict())
    walk(on_cpu, here, [4])
    back = ours(case, gpu_parameters(fresh[0]))
    back.load_state_dict(here.state_dict())
    walk(back, here, [5])
    of_torch = theirs(case, gpu_parameters(back_to_host(back)))
    of_torch.load_state_dict(back.state_dict())
    give(of_torch.param_groups[0]["params"], 6)
    of_torch.step()
    again = ours(case, gpu_parameters(back_to_host(of_torch)))
    again.load_state_dict(of_torch.state_dict())
    at_home = ours(case, parameters_of(back_to_host(of_torch)))
    at_home.load_state_dict(of_torch.state_dict())
    walk(again, at_home, [7])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", ["Adam", "ASGD"])
def test_no_state_is_rounded_or_left_behind(case, dtype) -> None:
    there, _ = both(EVERY[case], dtype=dtype, shapes=((5, 7),))
    again = ours(case, gpu_parameters(back_to_host(there)))
    again.load_state_dict(there.state_dict())
    (one,), (other,) = there.state.values(), again.state.values()
    assert {(t.dtype, t.is_cuda) for k, t in other.items() if k != "step"} == {
        (torch.float32, True)
    }
    assert_same(map(host, other.values()), map(host, one.values()))


def test_counts_that_torch_keeps_on_the_gpu_come_to_the_cpu() -> None:
    there, here = both(EVERY["Adam"])
    saved = there.state_dict()
    for state in saved["state"].values():  # as of torch's fused and capturable optimizers
        state["step"] = on_gpu(state["step"])
    again = Adam(gpu_parameters(back_to_host(there)), fused=True)
    again.load_state_dict(saved)
    again.param_groups[0].update(here.param_groups[0] | {"params": again.param_groups[0]["params"]})
    walk(again, here, [4])


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "torch.save"])
def test_copies_go_on_as_the_original(how) -> None:
    there, here = both(lambda p: ours("Adam, amsgrad", p, max_grad_norm=3.0))
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(there))
    elif how == "deepcopy":
        twin = copy.deepcopy(there)
    else:
        file = io.BytesIO()
        torch.save(there.state_dict(), file)
        twin = ours("Adam, amsgrad", gpu_parameters(back_to_host(there)), max_grad_norm=3.0)
        saved = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
        twin.load_state_dict(saved)
    before = back_to_host(there)
    walk(twin, here, range(4, 7))
    assert_same(back_to_host(there), before)


@pytest.mark.parametrize("how", ["cleared", "replaced", "from the CPU", "count in place"])
def test_states_that_are_changed_by_hand(how) -> None:
    there, here = both(EVERY["Adam"])
    for optimizer in (there, here):
        p = optimizer.param_groups[0]["params"][0]
        if how == "cleared":
            optimizer.state.clear()
        elif how == "replaced":
            optimizer.state[p]["exp_avg"] = torch.ones(p.shape, device=p.device)
        elif how == "from the CPU":
            optimizer.state[p]["exp_avg"] = torch.ones(p.shape)
        else:
            optimizer.state[p]["step"].fill_(100.0)
    walk(there, here, range(4, 7))


def test_memory_of_a_state_that_was_exchanged_is_kept_while_it_is_stepped() -> None:
    (p,) = gpu_parameters([torch.zeros(3)])
    optimizer = Adam([p])
    give([p], 0)
    optimizer.step()
    optimizer.state[p]["exp_avg"].data = torch.ones(3, device="cuda")
    give([p], 1)
    optimizer.step()
    assert host(p).isfinite().all()


def test_adagrad_has_states_at_once() -> None:
    (p,) = gpu_parameters([torch.zeros(3)])
    optimizer = Adagrad([p], initial_accumulator_value=0.5)
    assert optimizer.state[p]["sum"].is_cuda
    assert_same([host(optimizer.state[p]["sum"])], [torch.full((3,), 0.5)])


# torch's manners


def test_closures_and_zero_grad() -> None:
    (p,) = gpu_parameters([torch.zeros(3)])
    optimizer = SGD([p], lr=1.0)

    def closure():
        optimizer.zero_grad(set_to_none=False)
        p.grad = on_gpu(torch.ones(3))
        return 42

    assert optimizer.step(closure) == 42
    optimizer.zero_grad(set_to_none=False)
    assert_same([host(p.grad)], [torch.zeros(3)])
    optimizer.zero_grad()
    optimizer.step()
    assert_same([host(p)], [-torch.ones(3)])


def test_gradient_scaler(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    results = []
    for kind, make in (("cpu", parameters_of), ("cuda", gpu_parameters)):
        parameters = make(tensors(0, shapes=((5, 7), (3,))))
        optimizer = Adam(parameters, lr=0.1)
        scaler = torch.amp.GradScaler(kind, init_scale=1024.0, growth_interval=3)
        for k in range(6):
            scaler.scale(torch.ones((), device=kind))  # as of a loss
            give(parameters, k)
            for p in parameters:
                p.grad.mul_(scaler.get_scale())
            if k == 2:
                parameters[0].grad.as_strided((1,), (1,)).fill_(math.inf)
            if k == 4:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        assert scaler.is_enabled()
        results.append([*map(host, parameters), torch.tensor(scaler.get_scale())])
        assert optimizer.state[parameters[0]]["step"] == 5
    assert_same(results[1], results[0])


# The optimizers of arrays


def apply(there, here, steps, dtype, equal=assert_same):
    for k in range(steps):
        gradients = tensors(k + 1, dtype, SHAPES)
        on_their_side = [on_gpu(g) for g in gradients]
        here.apply(gradients)
        there.apply(on_their_side)
        equal(map(host, there._given), here._given)
        equal(map(host, there.variables), [torch.from_numpy(a) for a in here.variables])
        assert there.global_norm == here.global_norm


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALF])
@pytest.mark.parametrize("name", sorted(ARRAY_CASES))
def test_tensors_are_stepped_as_on_the_cpu(name, dtype) -> None:
    kind, options = ARRAY_CASES[name]
    here, there = kind(0.05, **options), kind(0.05, **options)
    here.build(parameters_of(tensors(0, dtype, SHAPES)))
    there.build(gpu_parameters(tensors(0, dtype, SHAPES)))
    apply(there, here, 3, dtype, near if name in PRODUCTS else assert_same)


def test_states_and_averages_of_tensors() -> None:
    made = {"use_ema": True, "global_clipnorm": 0.5, "zero_grads": True}
    here, there = optimizers.Adam(0.05, **made), optimizers.Adam(0.05, **made)
    here.build(parameters_of(tensors(0, shapes=SHAPES)))
    there.build(gpu_parameters(tensors(0, shapes=SHAPES)))
    apply(there, here, 3, torch.float32)
    saved = there.state_dict()
    again = optimizers.Adam(0.05, **made)
    again.build(gpu_parameters(map(host, there._given)))
    for a in saved["states"]:
        a.flags.writeable = False
    again.load_state_dict(saved)
    apply(again, here, 2, torch.float32)
    twin = copy.deepcopy(again)
    apply(twin, here, 1, torch.float32)
    for optimizer in (twin, here):
        optimizer.finalize_variable_values()
    assert_same(map(host, twin._given), here._given)
    g = [on_gpu(t) for t in tensors(5, shapes=SHAPES)]
    twin.apply(g)
    assert all(not host(t).any() for t in g)
    with pytest.raises(TypeError, match=r"must be an array of torch on the GPU.* got Tensor"):
        twin.apply([host(t) for t in g])
