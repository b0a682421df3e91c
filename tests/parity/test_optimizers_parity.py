"""Optimizers against torch's single-tensor classes and Keras, over 50 changing steps."""

import inspect

import numpy as np
import pytest

from onepass import optimizers

STEPS = 50
SHAPES = [(), (7,), (5, 33)]

# Ours, then torch's: class and arguments.
TORCH = {
    "sgd": ("SGD", {}, {}),
    "sgd, decay": ("SGD", {"weight_decay": 0.1}, {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9}, {"momentum": 0.9}),
    "momentum, dampening": (
        "SGD",
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.9, "dampening": 0.3},
    ),
    "momentum, decay": (
        "SGD",
        {"momentum": 0.5, "weight_decay": 0.1},
        {"momentum": 0.5, "weight_decay": 0.1},
    ),
    "nesterov, decay": (
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "adam": ("Adam", {}, {}),
    "adam, all": (
        "Adam",
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1},
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamw": ("AdamW", {}, {}),
    "adamw, all": (
        "AdamW",
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "weight_decay": 0.3},
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},
    ),
}
# The same arguments for both.
KERAS = {
    "sgd": ("SGD", {}),
    "sgd, decay": ("SGD", {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "momentum, decay": ("SGD", {"momentum": 0.5, "weight_decay": 0.1}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "nesterov without momentum": ("SGD", {"nesterov": True}),
    "sgd, clipnorm": ("SGD", {"clipnorm": 0.5}),
    "adam": ("Adam", {}),
    "adam, decay, clipvalue": ("Adam", {"weight_decay": 0.1, "clipvalue": 0.3}),
    "adam, all": (
        "Adam",
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "global_clipnorm": 1.5},
    ),
    "adamw": ("AdamW", {}),
    "adamw, all": (
        "AdamW",
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "weight_decay": 0.3, "clipnorm": 1.0},
    ),
}


def problem(dtype):
    """Return start values and the gradients and learning rate of every step."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    steps = [
        ([rng.normal(size=shape).astype(dtype) for shape in SHAPES], float(rate))
        for rate in 0.02 * (1.5 + np.sin(np.arange(STEPS)))
    ]
    return [np.asarray(p) for p in start], [([np.asarray(g) for g in gs], r) for gs, r in steps]


def ours(name, arguments, dtype, convention):
    start, steps = problem(dtype)
    parameters = [p.copy() for p in start]
    optimizer = getattr(optimizers, name)(convention=convention, **arguments)
    optimizer.build(parameters)
    for gradients, rate in steps:
        optimizer.learning_rate = rate
        optimizer.apply(gradients)
    return parameters


def tolerance(dtype):
    # 50 steps, each rounding a few times: 64 units in the last place of values around 1.
    eps = np.finfo(dtype).eps
    return {"rtol": 64 * eps, "atol": 64 * eps}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", TORCH)
def test_torch(case, dtype):
    torch = pytest.importorskip("torch")
    name, arguments, theirs = TORCH[case]
    start, steps = problem(dtype)
    tensors = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in start]
    keywords = {"foreach": False} | ({} if name == "SGD" else {"fused": False})
    optimizer = getattr(torch.optim, name)(tensors, **theirs, **keywords)
    for gradients, rate in steps:
        optimizer.param_groups[0]["lr"] = rate
        for tensor, g in zip(tensors, gradients, strict=True):
            tensor.grad = torch.from_numpy(g.copy())
        optimizer.step()
    for got, expected in zip(ours(name, arguments, dtype, "torch"), tensors, strict=True):
        np.testing.assert_allclose(got, expected.detach().numpy(), **tolerance(dtype))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_torch_defaults(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(1))]).defaults
    ours = getattr(optimizers, name)(convention="torch")
    assert ours.learning_rate == theirs["lr"]
    assert (ours.weight_decay or 0.0) == theirs["weight_decay"]
    if name == "SGD":
        assert (ours.momentum, ours.dampening) == (theirs["momentum"], theirs["dampening"])
    else:
        assert (ours.beta_1, ours.beta_2) == theirs["betas"]
        assert ours.epsilon == theirs["eps"]


@pytest.mark.parametrize("case", KERAS)
def test_keras(keras, case):
    name, arguments = KERAS[case]
    start, steps = problem("float64")
    variables = [keras.Variable(p, dtype="float64") for p in start]
    optimizer = getattr(keras.optimizers, name)(**arguments)
    optimizer.build(variables)
    for gradients, rate in steps:
        optimizer.learning_rate = rate
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype="float64") for g in gradients])
    for got, expected in zip(ours(name, arguments, "float64", "keras"), variables, strict=True):
        assert str(expected.dtype) == "float64"
        np.testing.assert_allclose(got, np.asarray(expected.value), **tolerance("float64"))


def test_keras_weight_decay_exclusion(keras):
    start, steps = problem("float64")
    variables = [keras.Variable(p, dtype="float64") for p in start]
    theirs = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    theirs.exclude_from_weight_decay([variables[1]])
    theirs.build(variables)
    parameters = [p.copy() for p in start]
    ours = optimizers.AdamW(0.01, weight_decay=0.5)
    ours.exclude_from_weight_decay([parameters[1]])
    ours.build(parameters)
    for gradients, _ in steps:
        theirs.apply([keras.ops.convert_to_tensor(g, dtype="float64") for g in gradients])
        ours.apply(gradients)
    for got, expected in zip(parameters, variables, strict=True):
        np.testing.assert_allclose(got, np.asarray(expected.value), **tolerance("float64"))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_keras_arguments(keras, name):
    """Every argument of Keras is accepted at Keras's default; positions agree."""
    theirs = inspect.signature(getattr(keras.optimizers, name).__init__).parameters
    ours = inspect.signature(getattr(optimizers, name).__init__).parameters
    positions = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positions == list(theirs)[: len(positions)]
    for argument in positions[1:]:
        assert ours[argument].default == theirs[argument].default
    rest = {
        p.name: p.default for p in theirs.values() if p.default is not p.empty and p.name != "name"
    }
    made = getattr(optimizers, name)(**rest)
    assert made.learning_rate == theirs["learning_rate"].default


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own conversion
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_keras_configuration_is_read(keras, name):
    theirs = getattr(keras.optimizers, name)(0.25, weight_decay=0.5).get_config()
    made = getattr(optimizers, name).from_config(theirs)
    for key, value in made.get_config().items():
        assert theirs.get(key, value) == value
