"""Tensors of torch in the optimizers of arrays: the same memory, the same steps."""

import copy
import pickle

import numpy as np
import pytest

from onepass import optimizers

torch = pytest.importorskip("torch")

from parity.torch_steps import assert_near, assert_same, parameters_of, tensors  # noqa: E402

NAMES = ["SGD", "Adam", "Adagrad", "Rprop", "ScheduleFreeAdamW", "Ftrl", "Muon"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_stepped_as_arrays(name, dtype):
    got = parameters_of(tensors(0, dtype))
    arrays = [t.numpy().copy() for t in tensors(0, dtype)]
    one, other = (getattr(optimizers, name)(0.01) for _ in range(2))
    one.build(got)
    other.build(arrays)
    one.build(got)  # again, without effect
    for k in range(5):
        gradients: list = tensors(k, dtype)
        plain: list = [g.numpy() for g in gradients]
        if k == 3:
            gradients[1] = plain[1] = None
        addresses = [p.data_ptr() for p in got]
        one.apply(gradients)
        other.apply(plain)
        assert addresses == [p.data_ptr() for p in got]
    assert_same(got, [torch.from_numpy(a) for a in arrays])


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16(name):
    start = tensors(0, torch.bfloat16)
    got, expected = parameters_of(start), parameters_of([t.float() for t in start])
    one, other = (getattr(optimizers, name)(0.01, use_ema=True) for _ in range(2))
    one.build(got)
    other.build(expected)
    for k in range(4):
        gradients = tensors(k, torch.bfloat16)
        one.apply(gradients)
        other.apply([g.float() for g in gradients])
        with torch.no_grad():
            for p in expected:
                p.copy_(p.bfloat16().float())
    assert_near([p.float() for p in got], expected, torch.bfloat16)
    one.finalize_variable_values()
    assert_same(got, [torch.from_numpy(a).bfloat16() for a in one.averages])


def test_arrays_and_tensors_may_be_mixed():
    p, a = torch.nn.Parameter(torch.zeros(3)), np.zeros(2, np.float32)
    optimizer = optimizers.SGD(1.0)
    optimizer.build([p, a])
    optimizer.apply([np.ones(3, np.float32), torch.ones(2, dtype=torch.float64)])
    optimizer.apply([torch.arange(6.0)[::2], torch.ones(2).requires_grad_()])
    assert p.tolist() == [-1.0, -3.0, -5.0]
    assert a.tolist() == [-2.0, -2.0]
    plain = np.zeros(3, np.float32)
    optimizer = optimizers.SGD(1.0)
    optimizer.build([plain])
    optimizer.apply([torch.ones(3)])
    assert plain.tolist() == [-1.0] * 3


def test_a_graph_of_older_values_is_refused():
    p, q = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    optimizer = optimizers.SGD(1.0)
    optimizer.build([p, q])
    loss = (p * p).sum()
    optimizer.apply([None, torch.ones(3)])
    loss.backward(retain_graph=True)
    optimizer.apply([np.ones(3, np.float32), None])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_that_are_cleared():
    p, g = torch.nn.Parameter(torch.zeros(3)), torch.ones(3)
    optimizer = optimizers.SGD(1.0, zero_grads=True)
    optimizer.build([p])
    version = g._version
    optimizer.apply([g])
    assert p.tolist() == [-1.0] * 3
    assert g.tolist() == [0.0] * 3
    assert g._version > version
    with pytest.raises(ValueError, match=r"gradients\[0\] must be contiguous for zero_grads"):
        optimizer.apply([torch.ones(6)[::2]])


def test_results_clips_and_exclusions():
    parameters = parameters_of([torch.ones(2), torch.ones(2)])
    optimizer = optimizers.SGD(0.5, weight_decay=1.0, global_clipnorm=5.0, skip_nonfinite=True)
    optimizer.exclude_from_weight_decay([parameters[1]])
    optimizer.build(parameters)
    result = optimizer.apply([torch.tensor([6.0, 0.0]), torch.tensor([0.0, 8.0])])
    assert result.global_norm == pytest.approx(10.0)
    assert parameters[0].tolist() == [-1.0, 0.5]
    assert parameters[1].tolist() == [1.0, -1.0]
    assert optimizer.apply([torch.full((2,), torch.nan), torch.ones(2)]).skipped
    assert parameters[0].tolist() == [-1.0, 0.5]


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_copies_go_on_with_copied_tensors(how, dtype):
    parameters = parameters_of(tensors(0, dtype))
    optimizer = optimizers.Adam(0.01)
    optimizer.build(parameters)
    optimizer.apply(tensors(1, dtype))
    pair = (optimizer, parameters)
    twin, copies = pickle.loads(pickle.dumps(pair)) if how == "pickle" else copy.deepcopy(pair)
    before = [p.detach().clone() for p in parameters]
    twin.apply(tensors(2, dtype))
    assert_same(parameters, before)
    optimizer.apply(tensors(2, dtype))
    assert_same(copies, parameters)


def moved(p):
    p.data = p.data.clone()


def shortened(p):
    p.data = p.data[:2]


def converted(p):
    p.data = p.data.half()


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("change", [moved, shortened, converted])
def test_parameters_that_moved_are_refused(change, tensor):
    parameters = parameters_of([torch.zeros(3), torch.zeros(4)])
    optimizer = optimizers.SGD(1.0)
    optimizer.build(parameters)
    old = parameters[1].data
    change(parameters[1])
    gradients: list = [np.ones(3, np.float32), np.ones(4, np.float32)]
    if tensor:
        gradients = [torch.from_numpy(g) for g in gradients]
    with pytest.raises(ValueError, match=r"parameters\[1\] was moved"):
        optimizer.apply(gradients)
    assert parameters[0].tolist() == [0.0] * 3
    assert old.tolist() == [0.0] * 4
    assert optimizer.iterations == 0


@pytest.mark.parametrize(
    ("t", "error", "message"),
    [
        (lambda: torch.zeros(3, dtype=torch.int32), TypeError, "must be float32, .* got torch.int"),
        (
            lambda: torch.zeros(3, dtype=torch.complex64),
            TypeError,
            "must be .* got torch.complex64",
        ),
        (lambda: torch.zeros(3, device="meta"), TypeError, "must be on the CPU, got .* meta"),
        (lambda: torch.eye(3).to_sparse(), TypeError, "must be dense"),
        (lambda: torch.zeros(2, 3).t(), ValueError, "must be contiguous, got shape"),
        (lambda: torch.ones(()).expand(3), ValueError, "must be contiguous"),
    ],
)
def test_tensors_that_cannot_be_stepped(t, error, message):
    optimizer = optimizers.SGD()
    with pytest.raises(error, match=r"parameters\[1\] " + message):
        optimizer.build([torch.zeros(3), t()])
    assert not optimizer.built
    if error is TypeError:
        optimizer.build([torch.zeros(3)])
        with pytest.raises(error, match=r"gradients\[0\] " + message):
            optimizer.apply([t()])


def test_overlaps_and_shapes_are_refused():
    p = torch.zeros(6)
    with pytest.raises(ValueError, match="overlap in memory"):
        optimizers.SGD().build([p[:4], p[3:]])
    optimizer = optimizers.SGD()
    optimizer.build([p[:4]])
    with pytest.raises(ValueError, match="overlaps"):
        optimizer.apply([p[2:]])
    with pytest.raises(ValueError, match="shape"):
        optimizer.apply([torch.ones(2, 2)])
    with pytest.raises(ValueError, match="already built"):
        optimizer.build([p[:4]])
