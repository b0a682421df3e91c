"""`onepass.torch` on tensors of a GPU that queues of fibers play: the CPU's bits, no waits."""

from __future__ import annotations

import copy
import ctypes
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fake_cupy  # noqa: E402
import fake_torch_gpu  # noqa: E402
from fake_torch_gpu import on_gpu, on_other_gpu  # noqa: E402
from onepass import _gpu  # noqa: E402
from onepass.optimizers import _gpu_arrays  # noqa: E402
from onepass.torch import SGD, SGDHD, Adam, Muon  # noqa: E402
from parity.torch_steps import assert_same, parameters_of, tensors  # noqa: E402
from torch_on_gpu import (  # noqa: E402
    BUILT,
    EVERY,
    HALF,
    NOT_BUILT,
    REAL,
    SHAPES,
    assert_alike,
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
played = pytest.mark.skipif(REAL, reason="looks at what only queues of fibers tell")


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


@played
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


@played
@pytest.mark.parametrize(("name", "waits"), [("AdamW", 0), ("Lamb", 0), ("ScheduleFreeAdamW", 2)])
def test_a_first_step_reads_what_states_start_at_alone(name, waits) -> None:
    parameters = gpu_parameters(tensors(0, shapes=((7, 3),)))
    optimizer = EVERY[name](parameters)
    give(parameters, 0)
    fake_torch_gpu.waits.clear()
    optimizer.step()
    assert len(fake_torch_gpu.waits) == waits  # the parameter comes, its first averages go


@played
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


@played
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


def test_what_a_gpu_refuses_leaves_the_cpus_parameters_alone(monkeypatch) -> None:
    mixed = [*parameters_of([torch.ones(3)]), *gpu_parameters([torch.ones(3)])]
    give(mixed, 0)
    optimizer = Adam(mixed)

    def refuse(self):
        raise RuntimeError("no stream")

    with monkeypatch.context() as patched:
        patched.setattr(_gpu_arrays._Torch, "stream", refuse)
        with pytest.raises(RuntimeError, match="no stream"):
            optimizer.step()
    assert_same(map(host, mixed), [torch.ones(3)] * 2)
    optimizer.step()
    assert [optimizer.state[p]["step"] for p in mixed] == [1, 1]


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
