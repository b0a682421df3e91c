"""`onepass.torch`, and the optimizers of arrays, on tensors of a GPU that queues of fibers play."""

from __future__ import annotations

import copy
import ctypes
import io
import math
import pickle

import numpy as np
import pytest

import fake_cupy
from onepass import _core, _gpu, optimizers
from rule_cases import CASES as ARRAY_CASES
from rule_cases import PRODUCTS

torch = pytest.importorskip("torch")

import fake_torch_gpu  # noqa: E402
import onepass.torch  # noqa: E402
from fake_torch_gpu import on_gpu, on_other_gpu, on_this_gpu  # noqa: E402
from onepass.torch import SGD, SGDHD, Adagrad, Adam, Muon  # noqa: E402
from parity.torch_steps import (  # noqa: E402
    BEYOND,
    CASES,
    assert_same,
    ours,
    parameters_of,
    tensors,
    theirs,
)

pytestmark = pytest.mark.skipif(
    not fake_cupy.BUILT, reason="built without the GPU's kernels as fibers"
)
SHAPES = ((37, 11), (11,), (), (3, 4, 5), (2, 0), (9000,))
EVERY = {name: lambda p, name=name, **more: ours(name, p, **more) for name in CASES} | {
    name: lambda p, name=name, **more: getattr(onepass.torch, name)(p, **BEYOND[name], **more)
    for name in BEYOND
}
HALF = (torch.float16, torch.bfloat16)


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    monkeypatch.setattr(_gpu, "MODULE", "onepass._cuda_fibers")
    _core.set_isa("baseline")  # products without fused instructions
    with on_this_gpu():
        yield


def gpu_parameters(values):
    return [torch.nn.Parameter(on_gpu(v)) for v in values]


def host(tensor):
    return tensor.detach().cpu()


def give(parameters, seed, missing=()):
    """Give parameters of either side the same gradients."""
    for i, p in enumerate(parameters):
        (g,) = tensors(1000 + 10 * seed + i, p.dtype, [tuple(p.shape)])
        p.grad = None if i in missing else (on_gpu(g) if p.is_cuda else g)


def assert_alike(there, here, equal=assert_same):
    """Require equal parameters, states and counts of two optimizers."""
    pairs = [[p for group in o.param_groups for p in group["params"]] for o in (there, here)]
    for p, q in zip(*pairs, strict=True):
        equal([host(p)], [q])
        mine, expected = there.state.get(p, {}), here.state.get(q, {})
        assert mine.keys() == expected.keys()
        for key, state in mine.items():
            assert state.device.type == ("cpu" if key == "step" else p.device.type)
            assert state.stride() == expected[key].stride()
            equal([host(state)], [expected[key]])


def both(make, steps=4, dtype=torch.float32, shapes=SHAPES, missing=(), equal=assert_same):
    here, there = (
        parameters_of(tensors(0, dtype, shapes)),
        gpu_parameters(tensors(0, dtype, shapes)),
    )
    one, other = make(here), make(there)
    walk(other, one, range(steps), missing, equal)
    return other, one


def walk(there, here, steps, missing=(), equal=assert_same):
    for k in steps:
        for optimizer in (there, here):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            give(parameters, k, {1} if k in missing else ())
            optimizer.param_groups[0]["lr"] = 0.01 * (1 + k % 3)
            optimizer.step()
        assert_alike(there, here, equal)


def near(got, expected):
    """Products add up in another order."""
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(
            a.detach(), b.detach(), rtol=0, atol=256 * torch.finfo(b.dtype).eps
        )


def waiting():
    count = fake_cupy._fibers.onepass_fibers_waiting
    count.restype = ctypes.c_size_t
    return count(ctypes.c_void_p(fake_cupy._stream))


# The steps of the CPU


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EVERY)
def test_every_rule_has_the_bits_of_the_cpu(name, dtype) -> None:
    shapes = SHAPES if name[:9] != "Adafactor" else ((37, 11), (11,), (), (3, 4, 5), (9000,))
    both(EVERY[name], dtype=dtype, shapes=shapes, missing={1})


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", EVERY)
def test_parameters_of_16_bits(name, dtype) -> None:
    both(EVERY[name], dtype=dtype, shapes=((37, 11), (11,), ()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_muon(dtype) -> None:
    both(lambda p: Muon(p, max_grad_norm=1.0), dtype=dtype, shapes=((33, 5), (5, 33)), equal=near)


@pytest.mark.parametrize("name", ["SGD, nesterov", "AdamW", "Lamb", "Adafactor", "SGDHD"])
def test_clipped_steps_and_their_norm(name) -> None:
    there, here = both(lambda p: EVERY[name](p, max_grad_norm=2.0), shapes=((37, 11), (11,)))
    assert there.grad_norm == here.grad_norm > 2.0
    for optimizer in (there, here):
        optimizer.zero_grad()
        optimizer.step()
        assert optimizer.grad_norm == 0.0
        optimizer.max_grad_norm = None
    walk(there, here, [7])
    assert there.grad_norm is None


def test_norms_that_are_not_finite() -> None:
    for wrong in (math.inf, math.nan):
        p = [*parameters_of([torch.zeros(3)]), *gpu_parameters([torch.zeros(3)])]
        for one in p:
            g = torch.tensor([1.0, wrong, 2.0])
            one.grad = on_gpu(g) if one.is_cuda else g
            optimizer = SGD([one], lr=0.1, max_grad_norm=1.0)
            optimizer.step()
            np.testing.assert_equal(optimizer.grad_norm, wrong)
        assert_same([host(p[1])], [p[0]])


def test_groups_have_numbers_of_their_own_and_may_change_them() -> None:
    def make(p):
        more = [{"params": p[:2], "maximize": True}, {"params": p[2:], "weight_decay": 0.3}]
        return Adam(more, lr=0.1)

    there, here = both(make)
    for optimizer in (there, here):
        first, second = optimizer.param_groups
        first["betas"], second["weight_decay"], second["lr"] = (0.5, 0.6), 0.1, torch.tensor(0.2)
    walk(there, here, range(4, 6))
    for optimizer in (there, here):
        optimizer.param_groups[1]["amsgrad"] = True  # another rule, with one more state
        new = torch.ones(5)
        add = gpu_parameters([new]) if optimizer is there else parameters_of([new])
        optimizer.add_param_group({"params": add, "lr": 0.5})
    walk(there, here, range(6, 8))
    there.param_groups[0]["lr"] = on_gpu(torch.tensor(0.3))
    here.param_groups[0]["lr"] = torch.tensor(0.3)
    for optimizer in (there, here):
        give([p for group in optimizer.param_groups for p in group["params"]], 9)
        optimizer.step()
    assert_alike(there, here)


LAYOUTS = {
    "transposed": lambda: torch.arange(12.0).reshape(3, 4).t(),
    "channels last": lambda: (
        torch.arange(48.0).reshape(2, 3, 2, 4).contiguous(memory_format=torch.channels_last)
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("gradient", ["as the parameter", "contiguous"])
def test_dense_layouts(name, gradient) -> None:
    here, there = torch.nn.Parameter(LAYOUTS[name]()), torch.nn.Parameter(on_gpu(LAYOUTS[name]()))
    assert there.stride() == here.stride()
    one, other = Adam([here], lr=0.1), Adam([there], lr=0.1)
    for k in range(3):
        g = torch.randn(here.shape, generator=torch.manual_seed(k))
        here.grad = torch.empty_like(here).copy_(g) if gradient == "as the parameter" else g
        there.grad = on_gpu(here.grad)
        one.step()
        other.step()
        assert_alike(other, one)


def test_gradients_out_of_the_ordinary() -> None:
    p = torch.nn.Parameter(on_gpu(torch.zeros(4, dtype=torch.bfloat16)))
    p.grad_dtype = torch.float32
    p.grad = on_gpu(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    optimizer = SGD([p], lr=1.0)
    optimizer.step()
    p.grad = on_gpu(torch.arange(8.0)).as_strided((4,), (2,))
    optimizer.step()
    assert host(p).tolist() == [-1.0, -4.0, -7.0, -10.0]


# No waits


def test_nobody_waits() -> None:
    parameters = gpu_parameters(tensors(0, shapes=SHAPES))
    optimizer = Adam(parameters, max_grad_norm=0.1)
    give(parameters, 0)
    optimizer.step()
    give(parameters, 1)
    before = waiting()  # memory of gradients that are gone
    fake_torch_gpu.ran.clear()
    versions = [p._version for p in parameters]
    optimizer.step()
    assert waiting() >= before + len(SHAPES) - 1 + 2  # a sum a tensor, a decision and a sweep
    assert fake_torch_gpu.ran == []  # no operation of torch at all
    assert all(p._version > v for p, v in zip(parameters, versions, strict=True))
    assert optimizer.grad_norm > 0.1
    assert waiting() == 0


@pytest.mark.parametrize(("name", "waits"), [("AdamW", 0), ("Lamb", 0), ("ScheduleFreeAdamW", 2)])
def test_a_first_step_reads_what_states_start_at_alone(name, waits) -> None:
    parameters = gpu_parameters(tensors(0, shapes=((7, 3),)))
    optimizer = EVERY[name](parameters)
    give(parameters, 0)
    fake_torch_gpu.waits.clear()
    optimizer.step()
    assert len(fake_torch_gpu.waits) == waits  # the parameter comes, its first averages go


def test_a_gradient_in_another_layout_is_copied_without_a_wait() -> None:
    p = torch.nn.Parameter(on_gpu(LAYOUTS["transposed"]()))
    optimizer = SGD([p], lr=1.0)
    p.grad = on_gpu(torch.ones(4, 3))
    fake_torch_gpu.waits.clear()
    optimizer.step()
    p.grad = None  # gone before the step has begun
    assert fake_torch_gpu.waits == []
    assert waiting() > 0
    assert_same([host(p)], [LAYOUTS["transposed"]() - 1])


def test_a_norm_outlives_what_changes() -> None:
    (p,) = gpu_parameters([torch.zeros(2)])
    optimizer = SGD([p], lr=1.0, max_grad_norm=1.0)
    p.grad = on_gpu(torch.tensor([3.0, 4.0]))
    optimizer.step()
    optimizer.add_param_group({"params": gpu_parameters([torch.zeros(1)])})
    assert optimizer.grad_norm == 5.0
    assert copy.deepcopy(optimizer).grad_norm is None


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


def back_to_host(optimizer):
    return [host(p) for p in optimizer.param_groups[0]["params"]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_state_is_rounded_on_its_way(dtype) -> None:
    there, _ = both(EVERY["Adam"], dtype=dtype, shapes=((5, 7),))
    again = ours("Adam", gpu_parameters(back_to_host(there)))
    again.load_state_dict(there.state_dict())
    (one,), (other,) = there.state.values(), again.state.values()
    assert other["exp_avg"].is_cuda
    assert other["exp_avg"].dtype is torch.float32
    assert_same(map(host, other.values()), map(host, one.values()))


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
    state = optimizer.state[p]["exp_avg"]
    optimizer.state[p]["exp_avg"].set_(torch.ones(3, device="cuda"))
    del state
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


# Several devices


def test_parameters_of_both_sides_are_stepped_where_they_are() -> None:
    values = tensors(0, shapes=((5, 7), (3,), (4,)))
    mixed = [*gpu_parameters(values[:1]), *parameters_of(values[1:2]), *gpu_parameters(values[2:])]
    there, here = Adam(mixed), Adam(parameters_of(values))
    walk(there, here, range(4), missing={1})
    other = Adam([*parameters_of(values[:1]), *gpu_parameters(values[1:])])
    other.load_state_dict(there.state_dict())
    for p, q in zip(back_to_host(there), other.param_groups[0]["params"], strict=True):
        q.data.copy_(p)
    walk(other, here, range(4, 6))


def test_what_needs_one_device() -> None:
    (there,), (here,) = gpu_parameters([torch.ones(3)]), parameters_of([torch.ones(3)])
    give([there, here], 0)
    with pytest.raises(
        ValueError, match=r"max_grad_norm needs .* on one device: parameter 0 is cpu, .* 1 is cuda"
    ):
        SGD([here, there], max_grad_norm=1.0).step()
    with pytest.raises(ValueError, match=r"of group 0 must be all on one device, since they learn"):
        SGDHD([here, there]).step()
    assert_same([host(there), here], [torch.ones(3)] * 2)
    SGDHD([{"params": [here]}, {"params": [there]}]).step()


def test_another_gpu() -> None:
    p = torch.nn.Parameter(on_other_gpu(torch.ones(3)))
    assert p.get_device() == 1
    p.grad = on_other_gpu(torch.ones(3))
    with pytest.raises(ValueError, match=r"parameter 0 must be on GPU 0.* it is on GPU 1"):
        Adam([p]).step()


def test_without_a_gpu_nothing_has_changed(monkeypatch) -> None:
    monkeypatch.setattr(_gpu, "MODULE", "onepass._no_such_module")
    mixed = [*parameters_of([torch.ones(3)]), *gpu_parameters([torch.ones(3)])]
    give(mixed, 0)
    optimizer = SGD(mixed, momentum=0.9)
    with pytest.raises(RuntimeError, match="built without CUDA"):
        optimizer.step()
    assert_same(map(host, mixed), [torch.ones(3)] * 2)
    assert not optimizer.state


def test_tensors_that_cannot_be_stepped() -> None:
    p = torch.nn.Parameter(on_gpu(torch.zeros(3, dtype=torch.complex64)))
    p.grad = on_gpu(torch.zeros(3, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"parameter 0 must be float32.* got torch\.complex64"):
        Adam([p]).step()
    q = torch.nn.Parameter(on_gpu(torch.zeros(3, 4)).as_strided((3, 2), (4, 2)))
    q.grad = on_gpu(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="parameter 0 must fill its memory"):
        Adam([q]).step()
    whole = on_gpu(torch.zeros(6))
    pair = [torch.nn.Parameter(whole.as_strided((4,), (1,), at)) for at in (0, 2)]
    give(pair, 0)
    with pytest.raises(ValueError, match="parameter 0 and parameter 1 overlap"):
        Adam(pair).step()
    turned = torch.nn.Parameter(on_gpu(torch.zeros(3, 4).t()))
    give([turned], 0)
    with pytest.raises(ValueError, match="parameter 0 must be contiguous"):
        Muon([turned]).step()


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
