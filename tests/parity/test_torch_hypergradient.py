"""`onepass.torch.SGDHD` and `AdamHD`: rates that are learned, in torch's parameter groups."""

import copy
import io
import math
import pickle

import pytest

torch = pytest.importorskip("torch")

from onepass.torch import SGDHD, AdamHD  # noqa: E402
from parity.torch_steps import assert_near, assert_same, parameters_of, tensors  # noqa: E402

KINDS = [SGDHD, AdamHD]
GAIN = 1e-4


def give_gradients(parameters, k):
    for p, g in zip(parameters, tensors(1000 + k, parameters[0].dtype), strict=True):
        p.grad = (g + 0.5).reshape(p.shape)


def walk(optimizer, parameters, steps):
    for k in steps:
        give_gradients(parameters, k)
        optimizer.step()


def made(kind, dtype=torch.float64, **arguments):
    parameters = parameters_of(tensors(0, dtype))
    return kind(parameters, **{"lr": 0.01, "hypergrad_lr": GAIN} | arguments), parameters


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def flat(of):
    return torch.cat([t.detach().reshape(-1) for t in of])


def test_sgd_hd_as_its_authors_compute_it():
    optimizer, parameters = made(SGDHD, weight_decay=0.1)
    values, before, rate = flat(parameters), 0.0, 0.01
    for k in range(20):
        give_gradients(parameters, k)
        g = flat([p.grad for p in parameters]) + 0.1 * values
        rate += GAIN * float((g * before).sum())
        values, before = values - rate * g, g
        optimizer.step()
        assert rates(optimizer)[0] == pytest.approx(rate, rel=1e-12)
        assert type(rates(optimizer)[0]) is float
    assert_near([flat(parameters)], [values])
    assert abs(rate - 0.01) > 1e-3
    assert_near([flat(optimizer.state[p]["grad_prev"] for p in parameters)], [before])


def test_adam_hd_as_the_paper_has_it():
    optimizer, parameters = made(AdamHD, betas=(0.8, 0.95), eps=1e-3)
    values, u, rate = flat(parameters), 0.0, 0.01
    m = v = torch.zeros_like(values)
    for k in range(20):
        give_gradients(parameters, k)
        g = flat([p.grad for p in parameters])
        rate += GAIN * float((g * u).sum())
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        u = m / (1 - 0.8 ** (k + 1)) / ((v / (1 - 0.95 ** (k + 1))).sqrt() + 1e-3)
        values = values - rate * u
        optimizer.step()
        assert rates(optimizer)[0] == pytest.approx(rate, rel=1e-12)
    assert_near([flat(parameters)], [values])
    assert abs(rate - 0.01) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_each_group_learns_its_own(kind):
    """As two optimizers would; one of the groups goes up the slope, with another gain."""
    parameters, apart = parameters_of(tensors()), parameters_of(tensors())
    up = {"maximize": True, "lr": 0.05, "hypergrad_lr": 1e-3}
    together = kind(
        [{"params": parameters[:2], **up}, {"params": parameters[2:]}], lr=0.01, hypergrad_lr=GAIN
    )
    alone = [kind(apart[:2], **up), kind(apart[2:], lr=0.01, hypergrad_lr=GAIN)]
    for k in range(10):
        give_gradients(apart, k)
        for each in alone:
            each.step()
        walk(together, parameters, [k])
        assert rates(together) == [rate for each in alone for rate in rates(each)]
    assert_same(parameters, apart)
    assert 0.05 < rates(together)[0] < 1.0
    assert rates(together)[1] != 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["state_dict", "torch.save", "pickle", "deepcopy", "rebound"])
def test_what_is_learned_goes_with_the_optimizer(how, kind):
    optimizer, parameters = made(kind)
    whole, expected = made(kind)
    walk(optimizer, parameters, range(5))
    walk(whole, expected, range(10))
    rate = rates(optimizer)[0]
    if how == "rebound":
        for p in parameters:
            p.data = p.data.clone()
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))]})
    elif how in ("pickle", "deepcopy"):
        if how == "pickle":
            optimizer = pickle.loads(pickle.dumps(optimizer))
        else:
            optimizer = copy.deepcopy(optimizer)
        parameters = optimizer.param_groups[0]["params"]
    else:
        saved = optimizer.state_dict()
        if how == "torch.save":
            file = io.BytesIO()
            torch.save(saved, file)
            file.seek(0)
            saved = torch.load(file)
        optimizer = kind(parameters, lr=0.5, hypergrad_lr=0.0)
        optimizer.load_state_dict(saved)
    assert rates(optimizer)[0] == rate
    walk(optimizer, parameters, range(5, 10))
    assert rates(optimizer)[0] == rates(whole)[0]
    assert_same(parameters, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_given_one_tensor_learn_their_own(kind):
    learned = []
    for lr in (0.1, torch.tensor(0.1, dtype=torch.float64, requires_grad=True)):
        pair = [torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        optimizer = kind([{"params": [p]} for p in pair], lr=lr, hypergrad_lr=1e-2)
        for _ in range(3):
            for p, g in zip(pair, (1.0, -3.0), strict=True):
                p.grad = torch.full_like(p, g)
            optimizer.step()
        learned.append([float(group["lr"]) for group in optimizer.param_groups])
    assert learned[0] == learned[1]
    assert learned[0][0] != learned[0][1]
    whole = kind([torch.ones(3, requires_grad=True)], lr=torch.tensor(1), hypergrad_lr=1e-2)
    assert whole.param_groups[0]["lr"].is_floating_point()


@pytest.mark.parametrize("kind", KINDS)
def test_setting_lr_goes_on_from_there(kind):
    (one, p), (other, q) = made(kind), made(kind)
    walk(one, p, range(4))
    walk(other, q, range(4))
    one.param_groups[0]["lr"] = 0.002
    other.param_groups[0]["lr"] = torch.tensor(0.002, dtype=torch.float64)
    walk(one, p, range(4, 8))
    walk(other, q, range(4, 8))
    assert isinstance(rates(other)[0], torch.Tensor)
    assert float(rates(other)[0]) == rates(one)[0] != 0.002
    assert_same(p, q)


def test_schedulers_scale_what_was_learned():
    (one, p), (other, q) = made(SGDHD), made(SGDHD)
    scheduler = torch.optim.lr_scheduler.StepLR(one, 2, 0.5)
    for k in range(6):
        walk(one, p, [k])
        walk(other, q, [k])
        scheduler.step()
        if k % 2:
            other.param_groups[0]["lr"] *= 0.5
        assert rates(one) == rates(other)
    assert_same(p, q)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_below_zero_goes_on(kind):
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = kind([p], lr=1e-3, hypergrad_lr=1.0)
    for g in (1.0, -1.0):
        p.grad = torch.full_like(p, g)
        optimizer.step()
    rate = rates(optimizer)[0]
    assert rate == pytest.approx(1e-3 - 3.0)
    p.grad = torch.zeros_like(p)
    p.data = p.data.clone()  # bound anew
    optimizer.step()
    assert rates(optimizer)[0] == rate
    assert p.isfinite().all()
    again = kind([p])
    again.load_state_dict(optimizer.state_dict())
    assert rates(again)[0] == rate


@pytest.mark.parametrize("kind", KINDS)
def test_missing_gradients_teach_nothing(kind):
    (one, p), (other, q) = made(kind), made(kind)
    other = kind(q[1:], lr=0.01, hypergrad_lr=GAIN)
    for k in range(6):
        give_gradients(p, k)
        give_gradients(q, k)
        p[0].grad = None
        one.step()
        other.step()
        assert rates(one) == rates(other)
    for each in (*p, *q):
        each.grad = None
    rate = rates(one)[0]
    one.step()
    assert rates(one)[0] == rate


@pytest.mark.parametrize("kind", KINDS)
def test_refusals(kind):
    p = torch.nn.Parameter(torch.ones(3))
    for arguments, words in (
        ({"lr": -0.1}, "^lr must be finite and >= 0, got -0.1"),
        ({"lr": math.nan}, "^lr must be finite"),
        ({"hypergrad_lr": -0.1}, "^hypergrad_lr must be finite and >= 0, got -0.1"),
        ({"weight_decay": -0.1}, "^weight_decay must be"),
        ({"max_grad_norm": 0.0}, "^max_grad_norm must be"),
    ):
        with pytest.raises(ValueError, match=words):
            kind([p], **arguments)
        if "max_grad_norm" not in arguments:
            with pytest.raises(ValueError, match=words):
                kind([{"params": [p], **arguments}])
    optimizer = kind([p])
    optimizer.param_groups[0]["lr"] = math.nan
    p.grad = torch.ones(3)
    with pytest.raises(ValueError, match=r"^lr.* must be finite"):
        optimizer.step()
    torch.testing.assert_close(p.detach(), torch.ones(3))


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_has_one_precision(kind):
    p = torch.nn.Parameter(torch.ones(3))
    q = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    for each in (p, q):
        each.grad = torch.ones_like(each)
    with pytest.raises(ValueError, match="group 0 must be all float64 or none"):
        kind([p, q]).step()
    assert (p == 1.0).all()
    optimizer = kind([{"params": [p]}, {"params": [q]}], hypergrad_lr=1e-3)
    for _ in range(2):
        optimizer.step()
    assert rates(optimizer)[0] == pytest.approx(rates(optimizer)[1], rel=1e-6)
    assert rates(optimizer)[1] > 1e-3
