"""Optimizers against torch's single-tensor classes and Keras, over 50 changing steps."""

import inspect

import numpy as np
import pytest

from onepass import _formulas, optimizers
from onepass.optimizers._arguments import ByConvention
from parity.optimizers import CASES, SETS, Case, cases_of, difference, problem, torch_class

# 50 steps, each rounding a few times: units in the last place of values around 1.
MOST = 64.0
KERAS_CLASSES = sorted({CASES[name].name for name in cases_of("keras")})
TORCH_CLASSES = sorted({CASES[name].name for name in cases_of("torch")})


def test_every_rule_has_a_case():
    rules = {getattr(optimizers, c.name)(**c.fixed).rule.name for c in CASES.values()}
    assert rules == set(_formulas.RULES) - {"lars", "sgd_hd", "adam_hd"}  # which neither has


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize("case", cases_of("torch"))
def test_torch(case, which, dtype):
    pytest.importorskip("torch")
    assert difference("torch", case, which, dtype) <= MOST


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize("case", cases_of("keras"))
def test_keras(case, which):
    assert difference("keras", case, which) <= MOST


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_torch_defaults(name):
    torch = pytest.importorskip("torch")
    made = torch_class(Case(name))([torch.nn.Parameter(torch.zeros(1))])
    theirs = made.defaults
    ours = getattr(optimizers, name)(convention="torch")
    assert ours.learning_rate == theirs["lr"]
    assert (ours.weight_decay or 0.0) == theirs.get("weight_decay", 0.0)
    names = {"epsilon": "eps", "rho": "alpha" if name == "RMSprop" else "rho"}
    names |= {"beta_2_decay": "beta2_decay", "clip_threshold": "d"}
    compared = set()
    for key, value in ours.get_config().items():
        if names.get(key, key) in theirs:
            assert (value or 0.0) == theirs[names.get(key, key)], key
            compared.add(names.get(key, key))
        if key in ("beta_1", "beta_2"):
            assert value == theirs["betas"][int(key[-1]) - 1]
            compared.add("betas")
        if key in ("epsilon_1", "epsilon_2"):
            assert value == theirs["eps"][int(key[-1]) - 1]
            compared.add("eps")
    how = {"lr", "foreach", "maximize", "differentiable", "capturable", "fused"}
    assert set(theirs) - how - compared <= {"weight_decay", "decoupled_weight_decay"}


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
    eps = np.finfo(np.float64).eps
    for got, expected in zip(parameters, variables, strict=True):
        np.testing.assert_allclose(got, np.asarray(expected.value), rtol=64 * eps, atol=64 * eps)


@pytest.mark.parametrize("name", KERAS_CLASSES)
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
@pytest.mark.parametrize("name", KERAS_CLASSES)
def test_keras_configuration_is_read(keras, name):
    theirs = getattr(keras.optimizers, name)(0.25, weight_decay=0.5)
    config = theirs.get_config()
    serialized = keras.optimizers.serialize(theirs)
    for made in (
        getattr(optimizers, name).from_config(config),
        optimizers.deserialize(serialized),
        optimizers.get(serialized),
    ):
        assert type(made) is getattr(optimizers, name)
        for key, value in made.get_config().items():
            assert config.get(key, value) == value


def test_every_class_of_keras_is_known_by_its_name(keras):
    others = {"optimizer", "multioptimizer", "optimizermap", "lossscaleoptimizer"}
    theirs = {cls.lower() for cls, kind in vars(keras.optimizers).items() if isinstance(kind, type)}
    for name in theirs - others:
        assert type(optimizers.get(name)).__name__.lower() == name


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_a_number_given_is_not_taken_for_a_default(name):
    """Keras's default, given as a plain number, counts in the convention "torch" too."""
    cls = getattr(optimizers, name)
    for argument in inspect.signature(cls.__init__).parameters.values():
        if isinstance(argument.default, ByConvention):
            made = cls(convention="torch", **{argument.name: float(argument.default)})
            assert getattr(made, argument.name) == float(argument.default)
