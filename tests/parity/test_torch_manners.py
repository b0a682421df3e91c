"""`onepass.torch` beside `torch.optim`: closures, hooks, copies, scalers."""

import copy
import io
import math
import pickle

import pytest

torch = pytest.importorskip("torch")

import onepass.torch  # noqa: E402
from onepass.torch import SGD, Adam  # noqa: E402
from parity.torch_steps import (  # noqa: E402
    CASES,
    assert_near,
    assert_same,
    ours,
    parameters_of,
    start,
    tensors,
    theirs,
    walk,
)

# torch's manners


def small_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))


def loss_of(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 4, generator=generator)
    return (model(x) - x[:, :2]).square().mean()


def test_a_graph_of_older_values_is_refused():
    model = small_model()
    optimizer = Adam(model.parameters())
    loss = loss_of(model)
    loss.backward(retain_graph=True)
    versions = [p._version for p in model.parameters()]
    optimizer.step()
    assert all(p._version > v for p, v in zip(model.parameters(), versions, strict=True))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_closures_compute_with_gradients_and_return_the_loss():
    models = [small_model(), small_model()]
    losses = []
    for model, kind in zip(models, (torch.optim.SGD, SGD), strict=True):
        optimizer = kind(model.parameters(), lr=0.1)

        def closure(model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = loss_of(model)
            loss.backward()
            return loss

        with torch.no_grad():
            losses.append([float(optimizer.step(closure).detach()) for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[1][-1] < losses[1][0]


def test_hooks_are_called_as_torchs():
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    called = []

    def note(name):
        return lambda optimizer, args, kwargs: called.append((name, args == (optimizer,), kwargs))

    p = torch.nn.Parameter(torch.zeros(3))
    p.grad = torch.ones(3)
    optimizer = Adam([p])
    handles = [
        register_optimizer_step_pre_hook(note("all before")),
        register_optimizer_step_post_hook(note("all after")),
        optimizer.register_step_pre_hook(note("before")),
        optimizer.register_step_post_hook(note("after")),
    ]
    optimizer.step()
    for handle in handles:
        handle.remove()
    optimizer.step()
    names = ["all before", "before", "after", "all after"]
    assert called == [(name, True, {}) for name in names]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 42), {}))
    assert optimizer.step() == 42


def test_the_profiler_sees_steps():
    p = torch.nn.Parameter(torch.zeros(3))
    p.grad = torch.ones(3)
    optimizer = Adam([p])
    with torch.autograd.profiler.profile() as profile:
        optimizer.step()
    assert "Optimizer.step#Adam.step" in {event.name for event in profile.function_events}


def test_hooks_of_state_dicts():
    p = torch.nn.Parameter(torch.zeros(3))
    optimizer = Adam([p])
    walked = []
    optimizer.register_load_state_dict_pre_hook(
        lambda o, given: {**given, "state": {0: {**given["state"][0], "step": torch.tensor(7.0)}}}
    )
    optimizer.register_load_state_dict_post_hook(lambda o: walked.append(o.state[p]["step"].item()))
    p.grad = torch.ones(3)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert walked == [7.0]
    assert len(optimizer._optimizer_load_state_dict_pre_hooks) == 1
    optimizer.step()
    assert optimizer.state[p]["step"] == 8


@pytest.mark.parametrize("name", ["Adam", "NAdam", "ASGD"])
def test_hooks_see_states_as_torchs_hooks_do(name):
    seen = []
    for make in (getattr(torch.optim, name), getattr(onepass.torch, name)):
        p = torch.nn.Parameter(torch.zeros(3, 2))
        optimizer = make([p])
        p.grad = torch.ones(3, 2)
        optimizer.step()
        optimizer.register_state_dict_post_hook(lambda _, given: seen.append(given["state"][0]))
        optimizer.register_state_dict_post_hook(lambda _, given: {"keys": sorted(given)})
        assert optimizer.state_dict() == {"keys": ["param_groups", "state"]}
    theirs_has, ours_has = ({k: v.shape for k, v in state.items()} for state in seen)
    assert ours_has == theirs_has


@pytest.mark.parametrize("steps", [math.nan, -3.0])
def test_counts_that_are_none_are_refused(steps):
    p = torch.nn.Parameter(torch.zeros(3))
    optimizer = Adam([p])
    p.grad = torch.ones(3)
    optimizer.step()
    before = p.detach().clone()
    optimizer.state[p]["step"].fill_(steps)
    with pytest.raises(ValueError, match="steps done must be finite and >= 0"):
        optimizer.step()
    assert torch.equal(p, before)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "torch.save"])
def test_copies_go_on_as_the_original(case, how):
    parameters = start(case)
    optimizer = ours(case, parameters, max_grad_norm=3.0)
    walk(optimizer, parameters, range(4), {2})
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(optimizer))
    elif how == "deepcopy":
        twin = copy.deepcopy(optimizer)
    else:
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        twin = ours(case, parameters_of(parameters), max_grad_norm=3.0)
        twin.load_state_dict(torch.load(io.BytesIO(file.getvalue())))
    copies = twin.param_groups[0]["params"]
    assert not any(p is q for p, q in zip(copies, parameters, strict=True))
    for of, at in ((optimizer, parameters), (twin, copies)):
        walk(of, at, range(4, 9), {5})
    assert_same(copies, parameters)


def test_a_loaded_state_is_a_copy():
    p, q = (torch.nn.Parameter(torch.zeros(3)) for _ in range(2))
    p.grad = q.grad = torch.ones(3)
    one, other = Adam([p]), Adam([q])
    one.step()
    saved = one.state_dict()
    other.load_state_dict(saved)
    other.step()
    assert one.state[p]["step"] == 1
    assert_same([one.state[p]["exp_avg"]], [torch.full((3,), 0.1)])


def test_pickles_hold_each_count_once():
    parameters = parameters_of([torch.zeros(1) for _ in range(300)])
    optimizer = Adam(parameters)
    for p in parameters:
        p.grad = torch.ones(1)
    optimizer.step()
    assert all(optimizer.state[p]["step"].untyped_storage().nbytes() == 4 for p in parameters)


def test_gradient_scaler():
    models = [small_model(), small_model()]
    scales = []
    for model, kind in zip(models, (torch.optim.Adam, Adam), strict=True):
        optimizer = kind(model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
        for k in range(8):
            optimizer.zero_grad()
            scaler.scale(loss_of(model, k)).backward()
            if k == 4:
                model[0].weight.grad[0, 0] = math.inf
            if k == 5:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
    assert scales[:8] == scales[8:]
    assert_near(list(models[1].parameters()), list(models[0].parameters()))


def test_two_optimizers_on_one_model():
    pairs = [parameters_of(tensors()), parameters_of(tensors())]
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        one, other = make("Adam", parameters), make("SGD, momentum", parameters)
        for k in range(6):
            walk(one if k % 2 else other, parameters, [k])
    assert_near(pairs[1], pairs[0])


def test_zero_grad():
    p = torch.nn.Parameter(torch.zeros(3))
    optimizer = SGD([p], lr=1.0)
    p.grad = torch.ones(3)
    optimizer.zero_grad(set_to_none=False)
    assert_same([p.grad], [torch.zeros(3)])
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert_same([p], [torch.zeros(3)])
    assert optimizer.state_dict()["state"] == {}
