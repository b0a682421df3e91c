"""Optimizers on arrays of a GPU, which queues of fibers play: the bits of the CPU, no waits."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fake_cupy as cupy
from arrays_on_gpu import AROUND, BUILT_WITHOUT, SHAPES, arrays, gpu, on_gpu  # noqa: F401
from onepass import _gpu, optimizers
from rule_cases import CASES, PRODUCTS
from strategies import assert_same_bits

pytestmark = BUILT_WITHOUT


def both(
    make,
    shapes=SHAPES,
    dtype="float32",
    steps=3,
    same_memory=False,
    gradients=arrays,
    equal=assert_same_bits,
):
    """Do steps on both sides; require equal parameters and states after each."""
    here, there = make(), make()
    p_here = arrays(0, dtype, shapes)
    p_there = on_gpu(p_here)
    here.build(p_here)
    there.build(p_there)
    kept = on_gpu(arrays(1, dtype, shapes))
    for step in range(steps):
        g = gradients(step + 1, dtype, shapes)
        g_there = on_gpu(g)
        if same_memory:
            for to, values in zip(kept, g_there, strict=True):
                to[...] = values
            g_there = kept
        here.apply(g)
        result = there.apply(g_there)
        assert result.global_norm is None
        equal([p.host() for p in p_there], p_here)
        equal([s.host() for s in there.variables], here.variables)
        assert there.global_norm == here.global_norm
    return here, there


def near(got, expected):
    """Products add up in another order."""
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=256 * np.finfo(b.dtype).eps)


@pytest.mark.parametrize("same_memory", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_rule_has_the_bits_of_the_cpu(name, dtype, same_memory) -> None:
    kind, options = CASES[name]
    equal = near if name in PRODUCTS else assert_same_bits
    both(lambda: kind(0.05, **options), dtype=dtype, same_memory=same_memory, equal=equal)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "around",
    [
        *AROUND,
        {"gradient_accumulation_steps": 2},
        {"gradient_accumulation_steps": 2, "global_clipnorm": 0.9},
    ],
    ids=str,
)
def test_what_surrounds_a_rule(around, dtype) -> None:
    here, there = both(lambda: optimizers.Adam(0.05, **around), dtype=dtype, steps=4)
    assert_same_bits([a.host() for a in there.averages], here.averages)
    there.finalize_variable_values()
    here.finalize_variable_values()
    assert_same_bits([p.host() for p in there._given], here._given)


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_clipping_of_what_is_not_finite(clip, wrong) -> None:
    def gradients(seed, dtype, shapes):
        values = arrays(seed, dtype, shapes)
        values[0][3, 2] = wrong
        return values

    here, there = optimizers.SGD(0.1, **{clip: 1.0}), optimizers.SGD(0.1, **{clip: 1.0})
    p_here = arrays(0)
    p_there = on_gpu(p_here)
    here.build(p_here)
    there.build(p_there)
    g = gradients(1, "float32", SHAPES)
    here.apply(g)
    there.apply(on_gpu(g))
    assert_same_bits([p.host() for p in p_there], p_here)
    np.testing.assert_equal(there.global_norm, here.global_norm)


def test_gradients_that_are_not_there() -> None:
    def gradients(seed, dtype, shapes):
        values = arrays(seed, dtype, shapes)
        return [v if (i + seed) % 3 else None for i, v in enumerate(values)]

    both(lambda: optimizers.Adam(0.05, global_clipnorm=0.5), steps=5, gradients=gradients)


@pytest.mark.parametrize("tensors", [1, 2, 3, 300])
def test_many_tensors(tensors) -> None:
    both(lambda: optimizers.AdamW(0.05, clipnorm=0.5), shapes=((7,),) * tensors, steps=2)


def test_steps_without_finite_gradients_are_left_out() -> None:
    opt = optimizers.Adam(0.05, skip_nonfinite=True)
    p = on_gpu(arrays(0))
    opt.build(p)
    g = arrays(1)
    g[0][0, 0] = np.inf
    assert opt.apply(on_gpu(g)).skipped
    assert_same_bits([a.host() for a in p], arrays(0))
    assert opt.iterations == 0


def test_gradients_are_cleared() -> None:
    opt = optimizers.SGD(0.05, zero_grads=True)
    opt.build(on_gpu(arrays(0)))
    g = on_gpu(arrays(1))
    opt.apply(g)
    assert all((a.host() == 0).all() for a in g)


def test_nobody_waits() -> None:
    opt = optimizers.Adam(0.05, global_clipnorm=0.1)
    p, g = on_gpu(arrays(0)), on_gpu(arrays(1))
    opt.build(p)
    cupy._fibers.onepass_fibers_waiting.restype = cupy.ctypes.c_size_t

    def waiting() -> int:
        return cupy._fibers.onepass_fibers_waiting(cupy.ctypes.c_void_p(cupy._stream))

    before = waiting()
    opt.apply(g)
    assert waiting() - before == 4  # the sums of all, a decision, a sweep and an event
    assert opt.global_norm > 0.1
    assert waiting() == 0


def test_state_goes_to_the_cpu_and_back() -> None:
    here, there = both(lambda: optimizers.Adam(0.05, use_ema=True))
    saved = there.state_dict()
    assert_same_bits(saved["states"], here.state_dict()["states"])
    again = optimizers.Adam(0.05, use_ema=True)
    p = on_gpu([a.copy() for a in here._given])
    again.build(p)
    again.load_state_dict(saved)
    here.apply(arrays(9))
    again.apply(on_gpu(arrays(9)))
    assert_same_bits([a.host() for a in p], here._given)


def test_rows_apart() -> None:
    opt = optimizers.SGD(0.5)
    with pytest.raises(ValueError, match=r"parameters\[0\] must be C-contiguous"):
        opt.build([cupy.ndarray((4,), "float32", step=2)])
    p = on_gpu([np.ones(4, np.float32)])
    opt.build(p)
    g = cupy.ndarray((4,), "float32", step=2)
    g[...] = cupy.asarray(np.ones(4, np.float32))
    opt.apply([g])
    assert (p[0].host() == 0.5).all()


def test_wrong_arrays() -> None:
    with pytest.raises(
        TypeError, match=r"parameters\[0\] is on the CPU, parameters\[1\] on the GPU"
    ):
        optimizers.SGD().build([np.ones(3), *on_gpu([np.ones(3)])])
    with pytest.raises(ValueError, match=r"must be on GPU 0.*on GPU 1"):
        optimizers.SGD().build([cupy.ndarray((3,), "float32", device=1)])
    with pytest.raises(TypeError, match=r"float32, float64 or float16, got int32"):
        optimizers.SGD().build([cupy.ndarray((3,), "int32")])
    p = on_gpu([np.ones(3, np.float32)])
    opt = optimizers.SGD()
    opt.build(p)
    with pytest.raises(TypeError, match=r"gradients\[0\] must be an array of CuPy.*got ndarray"):
        opt.apply([np.ones(3, np.float32)])
    with pytest.raises(ValueError, match=r"gradients\[0\] has shape \(4,\), its parameter \(3,\)"):
        opt.apply(on_gpu([np.ones(4, np.float32)]))
    with pytest.raises(ValueError, match=r"gradients\[0\] overlaps parameters\[0\]"):
        opt.apply(p)
    with pytest.raises(ValueError, match=r"expected 1 arrays, got 2"):
        opt.apply([p[0], p[0]])
    with pytest.raises(ValueError, match="None alone"):
        opt.apply([None])
    p[0].data = cupy.Memory(12)
    with pytest.raises(ValueError, match="moved or resized"):
        opt.apply(on_gpu([np.ones(3, np.float32)]))
    assert opt.iterations == 0


def test_without_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(_gpu, "MODULE", "onepass._no_such_module")
    opt = optimizers.SGD()
    with pytest.raises(RuntimeError, match="built without CUDA"):
        opt.build(on_gpu([np.ones(3, np.float32)]))


def test_steps_of_changing_parameters_follow_each_other() -> None:
    """Nobody reads or copies in between: what a step needs is kept while it waits for its turn."""
    here, there = (optimizers.Adam(0.05, global_clipnorm=0.5) for _ in range(2))
    p_here = arrays(0)
    p_there = on_gpu(p_here)
    here.build(p_here)
    there.build(p_there)
    gradients = [
        [v if (i + step) % 3 else None for i, v in enumerate(arrays(step))] for step in range(12)
    ]
    on_their_side = [on_gpu(g) for g in gradients]
    for g, g_there in zip(gradients, on_their_side, strict=True):
        here.apply(g)
        there.apply(g_there)
    assert_same_bits([p.host() for p in p_there], p_here)


def test_sums_without_a_first_gradient() -> None:
    def gradients(seed, dtype, shapes):
        return [v if i or seed % 2 else None for i, v in enumerate(arrays(seed, dtype, shapes))]

    both(lambda: optimizers.Adam(gradient_accumulation_steps=2), steps=6, gradients=gradients)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
def test_copies_go_on_with_copied_arrays(copied) -> None:
    here, there = both(lambda: optimizers.Adam(0.05, clipnorm=0.5, use_ema=True))
    other = copied(there)
    assert other.global_norm is None
    there.apply(on_gpu(arrays(7)))
    before = [p.host() for p in other._given]
    here_before = [p.copy() for p in here._given]
    assert_same_bits(before, here_before)
    other.apply(on_gpu(arrays(8)))
    here.apply(arrays(8))
    assert_same_bits([p.host() for p in other._given], here._given)
    assert other.global_norm == here.global_norm


def test_an_optimizer_that_goes_waits_for_its_steps() -> None:
    p_here, p_there = arrays(0), on_gpu(arrays(0))
    for place, values in (("here", p_here), ("there", p_there)):
        opt = optimizers.Adam(0.05, global_clipnorm=0.5)
        opt.build(values)
        opt.apply(arrays(1) if place == "here" else on_gpu(arrays(1)))
        del opt
    assert_same_bits([p.host() for p in p_there], p_here)


def test_the_timed_steps_of_the_gpu_check() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench.gpu_steps", "--played"],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    rate, *lines = map(json.loads, ran.stdout.splitlines())
    steps = [one for line in lines for one in line.values()]
    assert rate["copy GB/s"] > 0
    assert len(steps) == 8
    assert all(one["us"]["onepass"] > 0 for one in steps)
    assert all(one["largest difference"]["onepass on the CPU"] == 0 for one in steps)
