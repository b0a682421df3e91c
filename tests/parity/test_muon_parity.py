"""Muon beside Keras, and beside torch, whose products are in bfloat16 unless told otherwise."""

from unittest import mock

import numpy as np
import pytest

from onepass import Input, Sequential, layers, optimizers
from parity.optimizers import keras_in_double

SHAPES = [(33, 5), (5, 33), (12, 12), (1, 9), (9, 1), (64, 40)]
LARGER = [(64, 40), (40, 64), (48, 48), (100, 10), (300, 100)]
STEPS = 50
MOST = 64.0  # epsilons, as in test_optimizers_parity.py
BFLOAT16 = 0.03  # of an update's norm


def drawn(seed, dtype="float64", shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def assert_near(got, expected, dtype):
    eps = MOST * np.finfo(dtype).eps
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=eps, atol=eps)


# Keras


GIVEN = [
    {},
    {"rms_rate": None, "momentum": 0.8},
    {"nesterov": False, "ns_steps": 3, "weight_decay": 0.1},
    {"muon_a": 3.0, "muon_b": -4.0, "muon_c": 1.9, "adam_lr_ratio": 0.3},
    {"adam_beta_1": 0.7, "adam_beta_2": 0.9, "adam_weight_decay": 0.2, "epsilon": 1e-3},
    {"clipnorm": 0.5, "use_ema": True, "ema_overwrite_frequency": 4},
    {"gradient_accumulation_steps": 3},
]


@pytest.mark.parametrize("given", GIVEN)
def test_keras(keras, given):
    shapes = [*SHAPES, (7,), (2, 3, 4)]
    start = drawn(0, shapes=shapes)
    variables = [keras.Variable(p, dtype="float64") for p in start]
    theirs = keras.optimizers.Muon(**given)
    theirs.build(variables)
    ours = optimizers.Muon(**given)
    parameters = [p.copy() for p in start]
    ours.build(parameters)
    for k in range(STEPS):
        gradients = drawn(k + 1, shapes=shapes)
        ours.learning_rate = theirs.learning_rate = 0.02 * (1.5 + np.sin(k))
        with keras_in_double():
            theirs.apply([keras.ops.convert_to_tensor(g, dtype="float64") for g in gradients])
        ours.apply(gradients)
    assert_near(parameters, [np.asarray(v.value) for v in variables], "float64")


def built(library, **dense):
    """Return embedding and dense layers of one of the two libraries."""
    kit = library.layers if hasattr(library, "Model") else layers
    return [
        kit.Embedding(9, 8, name="words", **dense),
        kit.Flatten(),
        kit.Dense(70, "tanh", name="hidden", **dense),
        kit.Dense(5, use_bias=False, name="narrow", **dense),
        kit.Dense(3, name="out", **dense),
    ]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own conversion
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"exclude_layers": ["out", "nar"]},
        {"exclude_embeddings": False, "exclude_layers": ["hidden/ker"]},
    ],
)
def test_a_model(keras, given):
    """The same kernels are excluded by their names, and a few steps are the same.

    Keras takes some of the way to the gradients in float32, and small singular values grow.
    """
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (48, 4))
    y = rng.normal(size=(48, 3)).astype(np.float32)  # to which Keras rounds what it is fed
    double = {"dtype": "float64"}
    theirs = keras.Sequential([keras.Input((4,), dtype="int32"), *built(keras, **double)])
    theirs.compile(
        keras.optimizers.Muon(0.02, epsilon=1e-3, adam_lr_ratio=0.5, **given),
        "mse",
        jit_compile=False,
    )
    ours = Sequential([Input((4,), **double), *built(None, **double)])
    ours.compile(optimizers.Muon(0.02, epsilon=1e-3, adam_lr_ratio=0.5, **given), "mse")
    ours.build((None, 4))
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    for k in range(3):
        part = slice(16 * k, 16 * k + 16)
        with keras_in_double():
            theirs.train_on_batch(x[part], y[part])
        ours.train_on_batch(x[part], y[part])
    kept = sum(
        "iteration" not in v.path and "rate" not in v.path for v in theirs.optimizer.variables
    )
    assert len(ours.optimizer.variables) == kept
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=2e-6)


# torch

torch = pytest.importorskip("torch")

import onepass.torch  # noqa: E402

TORCH_GIVEN = [
    {},
    {"adjust_lr_fn": "original", "weight_decay": 0.3, "momentum": 0.8},
    {"adjust_lr_fn": "match_rms_adamw", "nesterov": False},
    {"ns_coefficients": (3.0, -4.0, 1.9), "ns_steps": 3, "eps": 5.0},
]


def in_full_precision():
    """Let torch compute in the type of its parameters: its cast to bfloat16 becomes a copy."""
    return mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone)


def parameters_of(values):
    return [torch.nn.Parameter(torch.from_numpy(v.copy())) for v in values]


def give(parameters, gradients):
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = torch.from_numpy(g.copy())


def numbers(parameters):
    return [p.detach().numpy().copy() for p in parameters]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", TORCH_GIVEN)
def test_torch_in_full_precision(given, dtype):
    expected, got = parameters_of(drawn(0, dtype)), parameters_of(drawn(0, dtype))
    reference = torch.optim.Muon(expected, **given)
    mine = onepass.torch.Muon(got, **given)
    for k in range(STEPS):
        gradients = drawn(k + 1, dtype)
        for parameters, optimizer in ((expected, reference), (got, mine)):
            give(parameters, gradients)
            optimizer.param_groups[0]["lr"] = 0.02 * (1.5 + np.sin(k))
            with in_full_precision():
                optimizer.step()
    assert_near(numbers(got), numbers(expected), dtype)
    for p, q in zip(got, expected, strict=True):
        found, known = mine.state[p], reference.state[q]
        assert found.keys() == known.keys() == {"momentum_buffer"}
        torch.testing.assert_close(found["momentum_buffer"], known["momentum_buffer"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", TORCH_GIVEN[:3])
def test_each_update_is_near_torchs_own(given, dtype):
    """From the same parameters and momentum at each step.

    Of smaller matrices torch itself is further from its formula now and then.
    """
    parameters = parameters_of(drawn(0, dtype, LARGER))
    reference = torch.optim.Muon(parameters, lr=0.1, **given)
    for k in range(20):
        before = numbers(parameters)
        twins = parameters_of(before)
        mine = onepass.torch.Muon(twins, lr=0.1, **given)
        mine.load_state_dict(reference.state_dict())
        gradients = drawn(k + 1, dtype, LARGER)
        give(parameters, gradients)
        give(twins, gradients)
        reference.step()
        mine.step()
        for start, a, b in zip(before, numbers(twins), numbers(parameters), strict=True):
            kept = start * (1.0 - 0.1 * reference.defaults["weight_decay"])
            update = np.linalg.norm(b - kept)
            assert np.linalg.norm(a - b) <= BFLOAT16 * update


@pytest.mark.parametrize("given", TORCH_GIVEN)
def test_arrays_in_the_convention_of_torch(given):
    names = {"eps": "norm_epsilon"}
    rates = {None: None, "original": None, "match_rms_adamw": 0.2}
    arguments = {names.get(k, k): v for k, v in given.items()}
    arguments["rms_rate"] = rates[arguments.pop("adjust_lr_fn", None)]
    for key, value in zip("abc", arguments.pop("ns_coefficients", ()), strict=False):
        arguments[f"muon_{key}"] = value
    got = drawn(0)
    ours = optimizers.Muon(0.1, convention="torch", **arguments)
    ours.build(got)
    expected = parameters_of(drawn(0))
    theirs = onepass.torch.Muon(expected, lr=0.1, **given)
    for k in range(5):
        ours.apply(drawn(k + 1))
        give(expected, drawn(k + 1))
        theirs.step()
    for a, b in zip(got, numbers(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_defaults_are_torchs():
    defaults = torch.optim.Muon(parameters_of(drawn(0))).defaults
    ours = optimizers.Muon(convention="torch")
    assert (ours.learning_rate, ours.weight_decay) == (defaults["lr"], defaults["weight_decay"])
    assert (ours.muon_a, ours.muon_b, ours.muon_c) == defaults["ns_coefficients"]
    assert (ours.momentum, ours.nesterov) == (defaults["momentum"], defaults["nesterov"])
    assert (ours.norm_epsilon, ours.ns_steps) == (defaults["eps"], defaults["ns_steps"])
    assert ours.rms_rate is defaults["adjust_lr_fn"] is None
    adamw = torch.optim.AdamW(parameters_of([np.zeros(1)])).defaults
    assert (ours.epsilon, ours.adam_weight_decay) == (adamw["eps"], adamw["weight_decay"])
    assert (ours.adam_beta_1, ours.adam_beta_2) == adamw["betas"]


def test_states_go_to_torch_and_back():
    expected, got = parameters_of(drawn(0)), parameters_of(drawn(0))
    reference = torch.optim.Muon(expected, lr=0.1)
    optimizer = torch.optim.Muon(got, lr=0.1)
    turns = (torch.optim.Muon, onepass.torch.Muon, torch.optim.Muon)
    with in_full_precision():
        for turn, kind in enumerate(turns):
            following = kind(got, lr=0.5)
            following.load_state_dict(optimizer.state_dict())
            optimizer = following
            assert optimizer.param_groups[0]["lr"] == 0.1
            for k in range(4):
                for parameters, one in ((expected, reference), (got, optimizer)):
                    give(parameters, drawn(10 * turn + k))
                    one.step()
    assert_near(numbers(got), numbers(expected), "float64")
    known, found = reference.state_dict(), optimizer.state_dict()
    assert known["state"].keys() == found["state"].keys()
    (group,) = onepass.torch.Muon(got, lr=0.1).state_dict()["param_groups"]
    assert group == known["param_groups"][0]


def test_groups_missing_gradients_and_numbers_that_change():
    pairs = [parameters_of(drawn(0)), parameters_of(drawn(0))]
    with in_full_precision():
        for kind, parameters in zip((torch.optim.Muon, onepass.torch.Muon), pairs, strict=True):
            groups = [{"params": parameters[:2], "lr": 0.1}, {"params": parameters[2:]}]
            optimizer = kind(groups, lr=0.02)
            for k in range(12):
                first, second = optimizer.param_groups
                give(parameters, drawn(k))
                if k in (0, 3, 4):
                    parameters[1].grad = None
                if k == 5:
                    first["adjust_lr_fn"] = "match_rms_adamw"
                    second["momentum"] = 0.5
                    second["ns_steps"] = 4
                optimizer.step()
    assert_near(numbers(pairs[1]), numbers(pairs[0]), "float64")


def test_max_grad_norm():
    got, expected = parameters_of(drawn(0)), parameters_of(drawn(0))
    mine = onepass.torch.Muon(got, lr=0.1, max_grad_norm=1.0)
    reference = torch.optim.Muon(expected, lr=0.1)
    with in_full_precision():
        for k in range(3):
            give(got, drawn(k))
            give(expected, drawn(k))
            norm = torch.nn.utils.clip_grad_norm_(expected, 1.0)
            reference.step()
            mine.step()
            assert mine.grad_norm == pytest.approx(float(norm), rel=1e-12)
    assert_near(numbers(got), numbers(expected), "float64")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"lr": -1.0}, "lr must be"),
        ({"momentum": -0.1}, "momentum must be"),
        ({"weight_decay": -0.1}, "weight_decay must be"),
        ({"adjust_lr_fn": "mine"}, "adjust_lr_fn must be 'original', .*got 'mine'"),
        ({"ns_coefficients": (1.0, 2.0)}, "ns_coefficients must be three numbers"),
        ({"ns_coefficients": (1.0, float("nan"), 2.0)}, r"ns_coefficients\[1\] must be"),
        ({"eps": -1.0}, "eps must be"),
        ({"ns_steps": 100}, "ns_steps must be below 100"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        onepass.torch.Muon(parameters_of(drawn(0)), **arguments)


def test_parameters_must_be_matrices():
    vector, matrix = torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2, 3))
    for wrong in (vector, torch.nn.Parameter(torch.zeros(2, 3, 4))):
        with pytest.raises(ValueError, match="2 dimensions only, got one of shape"):
            onepass.torch.Muon([matrix, wrong])
    optimizer = onepass.torch.Muon([matrix])
    with pytest.raises(ValueError, match=r"2 dimensions only, got one of shape \(3,\)"):
        optimizer.add_param_group({"params": [vector]})
    assert len(optimizer.param_groups) == 1
    matrix.grad = torch.ones(2, 3)
    optimizer.step()
    assert (matrix != 0).all()


def test_a_turned_parameter_is_refused():
    p = torch.nn.Parameter(torch.zeros(2, 3).T)
    p.grad = torch.ones(3, 2)
    with pytest.raises(ValueError, match="parameter 0 must be contiguous"):
        onepass.torch.Muon([p]).step()
    np.testing.assert_array_equal(p.detach().numpy(), 0.0)


def test_gradients_in_another_layout():
    p = parameters_of([np.ones((3, 4))])
    q = parameters_of([np.ones((3, 4))])
    gradient = torch.from_numpy(drawn(0, shapes=[(4, 3)])[0])
    p[0].grad, q[0].grad = gradient.T, gradient.T.contiguous()
    for parameters in (p, q):
        onepass.torch.Muon(parameters, lr=0.1).step()
    torch.testing.assert_close(p[0], q[0], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parameters_of_16_bits(dtype):
    values = [torch.from_numpy(v).to(dtype) for v in drawn(0, "float32")]
    parameters = [torch.nn.Parameter(v.clone()) for v in values]
    wide = [torch.nn.Parameter(v.float()) for v in values]
    for k, of in enumerate((parameters, wide)):
        for p, g in zip(of, drawn(1, "float32"), strict=True):
            g = torch.from_numpy(g).to(dtype)
            p.grad = g if k == 0 else g.float()
        onepass.torch.Muon(of, lr=0.1).step()
    for p, q in zip(parameters, wide, strict=True):
        torch.testing.assert_close(p, q.to(dtype), rtol=0, atol=0)
