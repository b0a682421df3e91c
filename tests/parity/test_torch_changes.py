"""`onepass.torch` beside `torch.optim`: what changes between steps, types, refusals."""

import gc
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

import onepass.torch  # noqa: E402
from onepass.torch import SGD, Adafactor, Adam, AdamW, Lion, NAdam  # noqa: E402
from parity.torch_steps import (  # noqa: E402
    assert_near,
    assert_same,
    ours,
    parameters_of,
    tensors,
    theirs,
    walk,
)

# What may change between two steps


@pytest.mark.parametrize("case", ["SGD", "SGD, momentum", "Adam"])
def test_parameters_that_moved(case):
    pairs = [parameters_of(tensors()), parameters_of(tensors())]
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        optimizer = make(case, parameters)
        walk(optimizer, parameters, range(3))
        old = parameters[0].data
        before = old.clone()
        parameters[0].data = old.clone()
        walk(optimizer, parameters, range(3, 6))
        assert_same([old], [before])
    assert_near(pairs[1], pairs[0])


def test_parameters_that_are_converted():
    parameters = parameters_of(tensors())
    optimizer = Adam(parameters)
    walk(optimizer, parameters, range(2))
    for p in parameters:
        p.grad = None
        p.data = p.data.double()
    walk(optimizer, parameters, range(2, 4))
    assert {optimizer.state[p]["exp_avg"].dtype for p in parameters} == {torch.float64}
    assert {float(optimizer.state[p]["step"]) for p in parameters} == {4.0}
    assert all(p.dtype == torch.float64 and p.isfinite().all() for p in parameters)


def test_parameters_that_are_resized():
    p = torch.nn.Parameter(torch.zeros(8))
    optimizer = Adam([p], lr=1.0)
    p.grad = torch.ones(8)
    optimizer.step()
    whole = p.data
    p.grad = None
    p.data = whole[:4]  # at the same address
    p.grad = torch.ones(4)
    with pytest.raises(ValueError, match=r"'exp_avg' of parameter 0 must be .* shape \(4,\)"):
        optimizer.step()
    optimizer.state.clear()
    optimizer.step()
    assert_near([whole], [torch.tensor([-2.0] * 4 + [-1.0] * 4)])
    p.data = torch.zeros(2, 2).t()
    p.grad = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    optimizer.state.clear()
    optimizer.step()
    assert_near([p], [torch.tensor([[-1.0, 0.0], [0.0, 0.0]])])


def test_a_parameter_that_is_turned_where_it_lies():
    matrix = torch.arange(9.0).reshape(3, 3)
    p = torch.nn.Parameter(matrix.clone())
    optimizer = SGD([p], lr=1.0)
    p.grad = torch.ones(3, 3)
    optimizer.step()
    p.data = p.data.t()
    p.grad = matrix.clone()
    optimizer.step()
    assert_same([p], [(matrix - 1).t() - matrix])


def test_layouts_that_change_where_they_lie():
    cube = torch.arange(27.0).reshape(3, 3, 3)
    p = torch.nn.Parameter(cube.clone().permute(2, 0, 1))
    optimizer = SGD([p], lr=1.0)
    p.grad = torch.zeros_like(p)
    optimizer.step()
    p.data = p.data.permute(0, 2, 1)
    p.grad = cube.clone().permute(2, 0, 1)  # laid out as the parameter was before
    optimizer.step()
    assert_same([p], [cube.permute(2, 1, 0) - cube.permute(2, 0, 1)])


def test_a_gradient_of_the_parameters_former_size():
    p = torch.nn.Parameter(torch.zeros(8))
    whole = p.data
    optimizer = SGD([p], lr=1.0)
    p.grad = torch.ones(8)
    optimizer.step()
    p.data = whole[:4]
    with pytest.raises(ValueError, match=r"gradient of parameter 0 has shape \(8,\), .* \(4,\)"):
        optimizer.step()
    assert_same([whole], [-torch.ones(8)])


def test_memory_that_is_given_back():
    p = torch.nn.Parameter(torch.zeros(100_000))
    optimizer = SGD([p], lr=1.0)
    p.grad = torch.ones(100_000)
    optimizer.step()
    p.data = torch.zeros(3)
    p.grad = torch.ones(3)
    gc.collect()
    optimizer.step()
    assert_same([p], [-torch.ones(3)])


def test_parameters_replaced_inside_a_group():
    """As programs do that add and remove points: states are cut and joined by hand."""
    results = []
    for kind in (torch.optim.Adam, Adam):
        p = torch.nn.Parameter(torch.zeros(3))
        optimizer = kind([p], lr=0.1)
        p.grad = torch.ones(3)
        optimizer.step()
        group = optimizer.param_groups[0]
        stored = optimizer.state.pop(p)
        for key in ("exp_avg", "exp_avg_sq"):
            stored[key] = torch.cat([stored[key], torch.zeros(2)])
        q = torch.nn.Parameter(torch.cat([p.detach(), torch.ones(2)]))
        group["params"][0] = q
        optimizer.state[q] = stored
        for k in range(3):
            q.grad = torch.full((5,), 1.0 + k)
            optimizer.step()
        results.append([q, *optimizer.state[q].values()])
    assert_near(results[1], results[0])


def test_a_rule_that_needs_one_more_state():
    found = []
    for later in (False, True):
        parameters = parameters_of(tensors())
        optimizer = Adam(parameters)
        walk(optimizer, parameters, range(3))
        optimizer.param_groups[0]["amsgrad"] = later
        walk(optimizer, parameters, range(3, 4))
        states = (optimizer.state[p] for p in parameters)
        kept = [of[key] for of in states for key in ("step", "exp_avg", "exp_avg_sq")]
        found.append([*parameters, *kept])
    assert_same(found[1], found[0])  # the largest mean square so far is that of the one step


@pytest.mark.parametrize("how", ["cleared", "replaced", "count", "count in place", "counts"])
def test_states_that_are_changed_by_hand(how):
    pairs = [parameters_of(tensors()), parameters_of(tensors())]
    counts = []
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        optimizer = make("Adam", parameters)
        walk(optimizer, parameters, range(3))
        if how == "cleared":
            optimizer.state.clear()
        elif how == "replaced":
            optimizer.state[parameters[0]]["exp_avg"] = torch.ones(parameters[0].shape)
        elif how == "count in place":
            optimizer.state[parameters[0]]["step"].fill_(100.0)
        elif how == "counts":
            for p in parameters:
                optimizer.state[p]["step"].zero_()
        else:
            optimizer.state[parameters[0]]["step"] = torch.tensor(100.0)
        walk(optimizer, parameters, range(3, 6))
        counts.append([optimizer.state[p]["step"].item() for p in parameters])
    assert_near(pairs[1], pairs[0])
    assert counts[0] == counts[1]


# Types and layouts


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parameters_of_16_bits_keep_states_in_float32(dtype):
    start = [t.to(dtype) for t in tensors()]
    got = parameters_of(start)
    optimizer = Adam(got, lr=0.01)
    expected = parameters_of([t.float() for t in start])
    reference = torch.optim.Adam(expected, lr=0.01)
    for k in range(5):
        for p, q, g in zip(got, expected, tensors(k, dtype), strict=True):
            p.grad, q.grad = g.clone(), g.float()
        optimizer.step()
        reference.step()
        with torch.no_grad():
            for q in expected:
                q.copy_(q.to(dtype).float())
    assert_near([p.float() for p in got], expected, dtype)
    states = [optimizer.state[p]["exp_avg"] for p in got]
    assert {t.dtype for t in states} == {torch.float32}
    assert_near(states, [reference.state[q]["exp_avg"] for q in expected])

    again = Adam(got)  # no state is rounded on its way
    again.load_state_dict(optimizer.state_dict())
    assert_same([again.state[p]["exp_avg"] for p in got], states)
    other = torch.optim.Adam(got)
    other.load_state_dict(optimizer.state_dict())
    other.step()
    back = Adam(got)
    back.load_state_dict(other.state_dict())
    back.step()
    assert {float(back.state[p]["step"]) for p in got} == {7.0}


@pytest.mark.parametrize("case", ["AdamW", "Adagrad"])
def test_parameters_of_all_types_in_one_optimizer(case):
    kinds = [torch.float64, torch.bfloat16, torch.float32]
    values = [torch.linspace(-1, 1, 9, dtype=kind) for kind in kinds]
    pairs = [parameters_of(values), parameters_of(values)]
    for make, parameters in zip((theirs, ours), pairs, strict=True):
        optimizer = make(case, parameters)
        for _ in range(5):
            for p in parameters:
                p.grad = torch.linspace(1, -2, 9, dtype=p.dtype)
            optimizer.step()
    assert_near(pairs[1][::2], pairs[0][::2])
    torch.testing.assert_close(pairs[1][1], pairs[0][1], rtol=0.02, atol=0.02)


def test_max_grad_norm_needs_one_precision():
    parameters = [torch.nn.Parameter(torch.ones(3, dtype=kind)) for kind in (torch.float64, None)]
    for p in parameters:
        p.grad = torch.ones_like(p)
    with pytest.raises(ValueError, match=r"parameter 0 is torch\.float64, parameter 1"):
        SGD(parameters, max_grad_norm=1.0).step()


LAYOUTS = {
    "transposed": lambda: torch.arange(12.0).reshape(3, 4).t(),
    "channels last": lambda: (
        torch.arange(48.0).reshape(2, 3, 2, 4).contiguous(memory_format=torch.channels_last)
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("gradient", ["as the parameter", "contiguous"])
def test_dense_layouts(name, gradient):
    results = []
    for kind in (torch.optim.Adam, Adam):
        p = torch.nn.Parameter(LAYOUTS[name]())
        optimizer = kind([p], lr=0.1)
        for _ in range(3):
            g = torch.empty_like(p).copy_(torch.randn(p.shape, generator=torch.manual_seed(1)))
            p.grad = g if gradient == "as the parameter" else g.contiguous()
            optimizer.step()
        assert optimizer.state[p]["exp_avg"].stride() == p.stride()
        results.append([p, optimizer.state[p]["exp_avg"]])
    assert_near(results[1], results[0])


MATRICES = {
    "matrix": lambda: torch.arange(12.0).reshape(3, 4).t(),
    "matrices": lambda: torch.arange(24.0).reshape(2, 3, 4).transpose(1, 2),
    "square": lambda: torch.arange(9.0).reshape(3, 3).t(),
    "column": lambda: torch.arange(4.0).reshape(1, 4).t(),
}


@pytest.mark.parametrize("name", MATRICES)
def test_rows_and_columns_of_transposed_matrices(name):
    results = []
    for kind in (torch.optim.Adafactor, Adafactor):
        p = torch.nn.Parameter(MATRICES[name]())
        optimizer = kind([p], lr=0.1)
        for k in range(4):
            p.grad = torch.randn(p.shape, generator=torch.manual_seed(k))
            optimizer.step()
            if k == 1:
                optimizer.load_state_dict(optimizer.state_dict())
        state = optimizer.state[p]
        assert state["row_var"].shape == (*p.shape[:-1], 1)
        results.append([p, state["row_var"], state["col_var"]])
    assert_near(results[1], results[0])


def test_rows_and_columns_that_lie_apart_are_refused():
    p = torch.nn.Parameter(LAYOUTS["channels last"]())
    before = p.detach().clone()
    p.grad = torch.ones_like(p)
    optimizer = Adafactor([p])
    with pytest.raises(ValueError, match="parameter 0 must be contiguous, but for its last two"):
        optimizer.step()
    assert_same([p], [before])
    assert not optimizer.state


def test_states_of_another_shape():
    p = torch.nn.Parameter(torch.ones(2, 3))
    p.grad = torch.ones(2, 3)
    optimizer = Adafactor([p])
    optimizer.state[p]["row_var"] = torch.ones(2)
    with pytest.raises(ValueError, match=r"'row_var' of parameter 0 must be .* shape \(2, 1\)"):
        optimizer.step()


def test_gradients_out_of_the_ordinary():
    p = torch.nn.Parameter(torch.zeros(4))
    optimizer = SGD([p], lr=1.0)
    expected = torch.zeros(4)
    wide = torch.ones(4, 3, requires_grad=True)
    for g in (
        torch.ones(1).expand(4),
        torch.arange(8.0)[::2],
        (wide * 2).sum(1),
        torch.view_as_complex(torch.ones(1, 2)).conj().imag.expand(4),
        torch.complex(torch.zeros(4), torch.ones(4)).conj().imag,
    ):
        p.grad = g
        optimizer.step()
        expected -= g.detach()
    assert_same([p], [expected])
    p.grad = p.data  # the same memory
    optimizer.step()
    assert_same([p], [torch.zeros(4)])
    one = torch.nn.Parameter(torch.zeros(()))
    one.grad = torch.complex(torch.zeros(()), torch.ones(())).conj().imag
    assert one.grad.is_neg()
    SGD([one], lr=1.0).step()
    assert one == 1.0


def test_gradients_of_another_type():
    p = torch.nn.Parameter(torch.zeros(3, dtype=torch.bfloat16))
    p.grad_dtype = torch.float32
    p.grad = torch.tensor([1.0, 2.0, 3.0])
    SGD([p], lr=1.0).step()
    assert p.tolist() == [-1.0, -2.0, -3.0]


# Refusals


def of_gradient(g):
    p = torch.nn.Parameter(torch.zeros(3))
    p.grad = g
    return [p]


def with_gradient(value):
    p = torch.nn.Parameter(value)
    p.grad = torch.zeros_like(value)
    return [p]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (lambda: with_gradient(torch.zeros(3, dtype=torch.complex64)), TypeError, "complex64"),
        (
            lambda: with_gradient(torch.zeros(3, device="meta")),
            TypeError,
            "on the CPU or a CUDA GPU, got .* meta",
        ),
        (lambda: with_gradient(torch.zeros(3, 4)[:, ::2]), ValueError, "must fill its memory"),
        (lambda: with_gradient(torch.zeros(3)) * 2, ValueError, "parameter 0 and parameter 1"),
        (
            lambda: of_gradient(torch.sparse_coo_tensor([[0]], [1.0], (3,), check_invariants=True)),
            TypeError,
            "the gradient of parameter 0 must be dense",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate")
def test_tensors_that_cannot_be_stepped(parameters, error, message):
    first = torch.nn.Parameter(torch.ones(2))
    first.grad = torch.ones(2)
    listed = parameters()
    optimizer = Adam(listed)
    with pytest.raises(error, match=message):
        optimizer.step()
    assert not optimizer.state
    optimizer = Adam([first])
    optimizer.step()
    before = first.detach().clone()
    optimizer.add_param_group({"params": listed})
    with pytest.raises(error, match=message.replace("1", "2").replace(" 0", " 1")):
        optimizer.step()
    assert_same([first], [before])
    assert optimizer.state[first]["step"] == 1


@pytest.mark.parametrize("kind", ["Adam", "NAdam", "RMSprop", "Adadelta", "Rprop", "ASGD"])
def test_capturable_is_for_a_gpu_as_in_torch(kind):
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    with pytest.raises(AssertionError, match="capturable=True"):
        getattr(torch.optim, kind)([p], capturable=True, foreach=False).step()
    optimizer = getattr(onepass.torch, kind)([p], capturable=True)
    with pytest.raises(ValueError, match=r"^capturable=True needs .* group 0 has some on the CPU"):
        optimizer.step()
    assert_same([p], [torch.ones(3)])
    assert not optimizer.state
    optimizer.param_groups[0]["capturable"] = False
    optimizer.step()
    optimizer.param_groups[0]["capturable"] = True
    before = p.detach().clone()
    with pytest.raises(ValueError, match=r"^capturable=True needs"):
        optimizer.step()
    assert_same([p], [before])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("SGD", {"lr": -0.1}, "^lr must be"),
        ("SGD", {"nesterov": True}, "nesterov needs momentum"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening"),
        ("SGD", {"weight_decay": -1.0}, "^weight_decay must be"),
        ("Adam", {"betas": (1.0, 0.9)}, r"^betas\[0\] must be"),
        ("Adam", {"betas": (0.9, -0.1)}, r"^betas\[1\] must be"),
        ("Adam", {"betas": 0.9}, "^betas must be a pair"),
        ("Adam", {"eps": -1.0}, "^eps must be"),
        ("Adam", {"differentiable": True}, "^differentiable=True"),
        ("Adam", {"lr": torch.ones(2)}, "one element"),
        ("Adam", {"max_grad_norm": 0.0}, "^max_grad_norm must be"),
        ("RMSprop", {"alpha": 2.0}, "^alpha must be"),
        ("Adadelta", {"rho": 2.0}, "^rho must be"),
        ("Rprop", {"etas": (1.2, 0.5)}, "^etas must be"),
        ("ASGD", {"alpha": -1.0}, "^alpha must be"),
        ("Adafactor", {"beta2_decay": 0.1}, "^beta2_decay must be"),
        ("Adafactor", {"eps": (-1.0, 0.1)}, r"^eps\[0\] must be"),
        ("Adafactor", {"eps": (None, -1.0)}, r"^eps\[1\] must be"),
        ("Adafactor", {"eps": 0.1}, "^eps must be a pair"),
        ("Adafactor", {"d": 0.0}, "^d must be"),
        ("LARS", {"trust_coefficient": -1.0}, "^trust_coefficient must be"),
        ("Lamb", {"eps": -1.0}, "^eps must be"),
    ],
)
def test_numbers_out_of_range(kind, arguments, message):
    p = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match=message):
        getattr(onepass.torch, kind)([p], **arguments)
    optimizer = getattr(onepass.torch, kind)([p])
    if arguments.keys() & {"max_grad_norm", "nesterov"}:
        return  # not of a group, or in a group without momentum not wrong
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], **arguments})
    assert len(optimizer.param_groups) == 1
    state = optimizer.state_dict()
    state["param_groups"][0].update(arguments)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    optimizer.param_groups[0].update(arguments)
    p.grad = torch.ones(3)
    with pytest.raises(ValueError, match=message):
        optimizer.step()
    assert_same([p], [torch.zeros(3)])


def test_implementations_that_torch_can_choose_from_are_accepted():
    p = torch.nn.Parameter(torch.zeros(3))
    p.grad = torch.ones(3)
    for how in ({"foreach": True}, {"fused": True}):
        AdamW([p], **how).step()


def test_lion_stays_where_nothing_pushes():
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.zeros(3)
    optimizer = Lion([p])
    optimizer.step()
    assert_same([p], [torch.ones(3)])
    assert optimizer.state[p].keys() == {"exp_avg"}


def test_nadams_product_is_not_among_the_live_states():
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.zeros(3)
    optimizer, reference = NAdam([p]), torch.optim.NAdam([p])
    optimizer.step()
    reference.step()
    optimizer.load_state_dict(reference.state_dict())
    assert "mu_product" not in optimizer.state[p]
    assert_near(
        [optimizer.state_dict()["state"][0]["mu_product"]], [reference.state[p]["mu_product"]]
    )


@pytest.mark.parametrize("missed", [False, True])
def test_the_rate_and_the_weight_of_asgd_in_state_dicts(missed):
    """Whatever the learning rate was at the step behind which they are taken."""
    packed = []
    for kind in (torch.optim.ASGD, onepass.torch.ASGD):
        parameters = parameters_of(tensors())
        optimizer = kind(parameters, lambd=0.1, t0=2.0)
        for k in range(6):
            walk(optimizer, parameters, [k], {3} if missed else (), rate=False)
            optimizer.param_groups[0]["lr"] *= 0.5
        optimizer.load_state_dict(optimizer.state_dict())  # and without a step behind a load
        packed.append(optimizer.state_dict()["state"])
    for i, known in packed[0].items():
        if parameters[i].numel():
            names = ("eta", "mu", "step", "ax")
            assert_near([packed[1][i][k] for k in names], [known[k] for k in names])


# Importing


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_onepass_does_not_import_torch():
    code = "import sys, onepass; assert 'torch' not in sys.modules"
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_without_torch_the_import_says_what_to_install():
    done = run("import sys; sys.modules['torch'] = None; import onepass; import onepass.torch")
    assert "ImportError: onepass.torch needs torch: pip install torch" in done.stderr
