"""`onepass.torch` beside `torch.optim`: the same steps and states."""

import copy
import inspect
import math

import pytest

from strategies import every_backend

torch = pytest.importorskip("torch")

import onepass.torch  # noqa: E402
from onepass.torch import SGD  # noqa: E402
from parity.torch_steps import (  # noqa: E402
    BEYOND,
    CASES,
    CLASSES,
    assert_near,
    assert_same,
    ours,
    parameters_of,
    start,
    tensors,
    theirs,
    two_groups,
    walk,
)

# The same steps and states


def go_to_torch_and_back(case, dtype, accuracy):
    expected = start(case, dtype)
    reference = theirs(case, expected)
    walk(reference, expected, range(60))

    got = start(case, dtype)
    before = theirs(case, got)
    walk(before, got, range(20))
    mine = ours(case, got)
    mine.load_state_dict(before.state_dict())
    walk(mine, got, range(20, 40))
    after = theirs(case, got)
    after.load_state_dict(mine.state_dict())
    walk(after, got, range(40, 60))

    assert_near(got, expected, accuracy)
    for p, q in zip(expected, got, strict=True):
        known, found = reference.state.get(p, {}), after.state.get(q, {})
        assert known.keys() == found.keys()
        # torch gives ``mu_product`` and the like the parameter's type when it loads them.
        assert_near([found[k].to(t.dtype) for k, t in known.items()], known.values(), accuracy)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_states_go_to_torch_and_back(case, dtype):
    # torch's rates of ASGD are numbers of its default type.
    go_to_torch_and_back(case, dtype, torch.float32 if "ASGD" in case else dtype)


@pytest.mark.parametrize("case", ["Adam", "NAdam", "ASGD", "ASGD, averages", "Adafactor"])
def test_where_float64_is_torchs_default_type(case):
    torch.set_default_dtype(torch.float64)
    try:
        go_to_torch_and_back(case, torch.float64, torch.float64)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("case", CASES)
def test_state_dicts_have_torchs_keys_types_and_shapes(case):
    packed = []
    for make in (theirs, ours):
        parameters = start(case)
        optimizer = make(case, parameters)
        walk(optimizer, parameters, range(3), rate=False)
        packed.append(optimizer.state_dict())
    known, found = packed
    assert {**known["param_groups"][0], "foreach": None} == found["param_groups"][0]
    assert known["state"].keys() == found["state"].keys()
    for number, state in known["state"].items():
        facts = [
            {key: (t.dtype, t.shape, t.device) for key, t in of.items()}
            for of in (state, found["state"][number])
        ]
        assert facts[0] == facts[1]


@pytest.mark.parametrize("case", ["Adagrad", "Adam"])
def test_state_dicts_before_any_step(case):
    known, found = (make(case, parameters_of(tensors())).state_dict() for make in (theirs, ours))
    assert known["state"].keys() == found["state"].keys()
    got, expected = parameters_of(tensors()), parameters_of(tensors())
    one, other = theirs(case, got), theirs(case, expected)
    one.load_state_dict(found)
    walk(one, got, range(3))
    walk(other, expected, range(3))
    assert_same(got, expected)


@pytest.mark.parametrize("case", CASES)
def test_missing_gradients_leave_the_parameter_and_its_count_alone(case):
    missing = {0, 1, 5, 6, 9}
    expected, got = start(case), start(case)
    reference, mine = theirs(case, expected), ours(case, got)
    before = got[1].detach().clone()
    walk(mine, got, range(2), missing)
    walk(reference, expected, range(2), missing)
    assert_same([got[1]], [before])
    walk(mine, got, range(2, 20), missing)
    walk(reference, expected, range(2, 20), missing)
    assert_near(got, expected)
    for p, q in zip(expected, got, strict=True):
        if "step" in reference.state.get(p, {}):
            assert mine.state[q]["step"] == reference.state[p]["step"]


def test_every_rule_is_there():
    found = {name.lower() for name in onepass.torch.__all__ if name != "Optimizer"}
    assert found == set(onepass.optimizers.registry.names())
    assert found == {name.lower() for name in (*CLASSES, *BEYOND, "Muon")}


@pytest.mark.parametrize("name", [*CLASSES, "Muon"])
def test_arguments_are_torchs(name):
    known = inspect.signature(getattr(torch.optim, name).__init__).parameters
    found = dict(inspect.signature(getattr(onepass.torch, name).__init__).parameters)
    assert found.pop("max_grad_norm").default is None
    facts = [[(p.name, p.kind, p.default) for p in of.values()] for of in (known, found)]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("name", BEYOND)
def test_rules_that_torch_lacks_step_as_the_optimizers_of_arrays(name):
    arguments = BEYOND[name]
    got = parameters_of(tensors())
    optimizer = getattr(onepass.torch, name)(got, lr=0.01, **arguments)
    values = [t.numpy().copy() for t in tensors()]
    convention = "keras" if name in ("Lion", "Lamb") else "torch"  # of weight decay
    arrays = getattr(onepass.optimizers, name)(0.01, convention=convention, **arguments)
    arrays.build(values)
    for k in range(20):
        gradients = tensors(k)
        for p, g in zip(got, gradients, strict=True):
            p.grad = g.clone()
        optimizer.step()
        arrays.apply([g.numpy() for g in gradients])
    assert_same(got, [torch.from_numpy(v) for v in values])
    again = getattr(onepass.torch, name)(got, lr=0.01, **arguments)
    again.load_state_dict(optimizer.state_dict())
    assert_same(
        [t for state in again.state.values() for t in state.values()],
        [t for state in optimizer.state.values() for t in state.values()],
    )


@pytest.mark.parametrize("case", ["SGD, momentum", "Adam", "RMSprop, both"])
def test_threads_and_instruction_sets_give_the_same_bits(case):
    results = []
    for _ in every_backend():
        parameters = parameters_of(tensors(0, shapes=[(300, 40), (7,)]))
        optimizer = ours(case, parameters, max_grad_norm=1.0)
        for k in range(3):
            for p, g in zip(parameters, tensors(k, shapes=[(300, 40), (7,)]), strict=True):
                p.grad = g
            optimizer.step()
        results.append(parameters)
    for other in results[1:]:
        assert_same(other, results[0])


# Groups, learning rates


@pytest.mark.parametrize(
    "case", ["SGD, nesterov", "Adam", "AdamW", "RMSprop, momentum", "ASGD, averages", "Adafactor"]
)
def test_groups_have_numbers_of_their_own_and_may_change_them(case):
    pairs = [start(case), start(case)]
    both = [two_groups(make, case, p) for make, p in zip((theirs, ours), pairs, strict=True)]
    for k in range(12):
        for optimizer, parameters in zip(both, pairs, strict=True):
            first, second = optimizer.param_groups
            if k == 4:
                first["maximize"] = False
                second["weight_decay"] = 0.05
            if k == 7 and "betas" in first:
                first["betas"] = (0.5, 0.6)
            if k == 9 and "momentum" in second:
                second["momentum"] = 0.3
            if k == 7 and "t0" in first:
                first["t0"], second["alpha"] = 2.0, 0.9
            if k == 7 and "d" in first:
                first["d"], second["beta2_decay"] = 2.0, -0.7
                second["eps"] = (0.01, 0.02)
            second["lr"] = torch.tensor(0.02 * k)
            walk(optimizer, parameters, [k], rate=False)
    assert_near(pairs[1], pairs[0])


def test_a_number_that_changes_in_place():
    pairs = [parameters_of(tensors()), parameters_of(tensors())]
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        optimizer = make("SGD", parameters, lr=torch.tensor(0.1))
        optimizer.param_groups[0]["weight_decay"] = decay = torch.tensor(0.5)
        for k in range(4):
            walk(optimizer, parameters, [k], rate=False)
            decay.mul_(0.5)
            optimizer.param_groups[0]["lr"].mul_(0.7)
    assert_near(pairs[1], pairs[0])


def test_momentum_that_comes_and_goes():
    pairs = [parameters_of(tensors()), parameters_of(tensors())]
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        optimizer = make("SGD", parameters, lr=0.1)
        for k, momentum in enumerate([0.0, 0.9, 0.9, 0.0, 0.5, 0.5]):
            optimizer.param_groups[0]["momentum"] = momentum
            optimizer.param_groups[0]["dampening"] = 0.3
            walk(optimizer, parameters, [k], rate=False)
    assert_near(pairs[1], pairs[0])


def test_a_group_added_later():
    pairs = [parameters_of(tensors()), parameters_of(tensors())]
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        optimizer = make("Adam", parameters[:2], lr=0.1)
        walk(optimizer, parameters, range(3), rate=False)
        optimizer.add_param_group({"params": parameters[2:], "lr": 0.5, "amsgrad": True})
        walk(optimizer, parameters, range(3, 7), rate=False)
    assert_near(pairs[1], pairs[0])


SCHEDULERS = {
    "StepLR": {"step_size": 3},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 20},
    "CosineAnnealingLR": {"T_max": 10},
    "LambdaLR": {"lr_lambda": lambda epoch: 0.9**epoch},
}


@pytest.mark.parametrize(
    "case", ["SGD, nesterov", "AdamW", "RMSprop, momentum", "ASGD", "Adafactor"]
)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers(name, case):
    pairs = [start(case), start(case)]
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        optimizer = make(case, parameters, lr=0.1)
        arguments = dict(SCHEDULERS[name])
        if name == "OneCycleLR":
            arguments["cycle_momentum"] = case not in ("ASGD", "Adafactor")
        scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
        for k in range(20):
            walk(optimizer, parameters, [k], rate=False)
            scheduler.step()
    assert_near(pairs[1], pairs[0])


# Clipping


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bound", [0.5, 8.0, 1e6])
@pytest.mark.parametrize("case", ["SGD, momentum", "Adam"])
def test_max_grad_norm_is_clip_grad_norm_and_a_step(case, bound, dtype):
    expected, got = parameters_of(tensors(0, dtype)), parameters_of(tensors(0, dtype))
    reference = two_groups(theirs, case, expected)
    mine = two_groups(lambda *a, **k: ours(*a, max_grad_norm=bound, **k), case, got)
    for k in range(6):
        for p, q, g in zip(expected, got, tensors(k, dtype), strict=True):
            p.grad, q.grad = g.clone(), g.clone()
        if k == 3:
            expected[1].grad = got[1].grad = None
        norm = torch.nn.utils.clip_grad_norm_(expected, bound)
        reference.step()
        mine.step()
        assert mine.grad_norm == pytest.approx(float(norm), rel=1e-6)
    assert_near(got, expected)


@pytest.mark.parametrize("value", [math.inf, math.nan, 1e300])
def test_norms_that_are_not_finite(value):
    dtype = torch.float64
    expected, got = parameters_of(tensors(0, dtype)), parameters_of(tensors(0, dtype))
    for p, q, g in zip(expected, got, tensors(1, dtype), strict=True):
        p.grad, q.grad = g.clone(), g.clone()
    expected[0].grad[0, 0] = got[0].grad[0, 0] = value
    torch.nn.utils.clip_grad_norm_(expected, 1.0)
    theirs("SGD", expected, lr=0.1).step()
    ours("SGD", got, lr=0.1, max_grad_norm=1.0).step()
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)


def test_max_grad_norm_may_change():
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = SGD([p], lr=1.0)
    assert optimizer.max_grad_norm is optimizer.grad_norm is None
    optimizer.max_grad_norm = 1.0
    p.grad = torch.tensor([3.0, 4.0])
    optimizer.step()
    assert optimizer.grad_norm == 5.0
    p.grad = None
    optimizer.step()
    assert optimizer.grad_norm == 0.0
    torch.testing.assert_close(p.detach(), torch.tensor([-0.6, -0.8]), rtol=1e-6, atol=0)
    assert copy.deepcopy(optimizer).max_grad_norm == 1.0
    with pytest.raises(ValueError, match="max_grad_norm must be"):
        optimizer.max_grad_norm = -1.0
