"""Every update rule beside torch's single-tensor classes and Keras: one line of `CASES` a rule.

``python -m tests.parity.optimizers`` from the repository's root prints the largest differences.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from onepass import optimizers

Array = NDArray[Any]
Arguments = dict[str, Any]
Step = tuple[list[Array], float]

STEPS = 50
SHAPES = [(), (7,), (5, 33), (2, 3, 4)]
SETS = ("defaults", "drawn 1", "drawn 2", "drawn 3")

# What an argument is drawn from: uniformly, or by its logarithm.
UNIFORM = {
    "momentum": (0.3, 0.95),
    "dampening": (0.1, 0.9),
    "weight_decay": (0.01, 0.3),
    "beta_1": (0.6, 0.95),
    "beta_2": (0.8, 0.999),
    "rho": (0.8, 0.99),
    "momentum_decay": (0.001, 2.0),
    "lr_decay": (0.01, 1.0),
    "initial_accumulator_value": (0.01, 1.0),
    "learning_rate_power": (-1.0, -0.1),
    "l1_regularization_strength": (0.01, 1.0),
    "l2_regularization_strength": (0.01, 1.0),
    "l2_shrinkage_regularization_strength": (0.01, 1.0),
    "beta": (0.01, 1.0),
    "beta_2_decay": (-0.9, -0.5),
    "clip_threshold": (1.0, 2.0),
    "alpha": (0.3, 1.0),
    "adam_beta_1": (0.6, 0.95),
    "adam_beta_2": (0.8, 0.999),
    "adam_weight_decay": (0.01, 0.3),
    "adam_lr_ratio": (0.1, 2.0),
    "rms_rate": (0.1, 0.5),
}
LOGARITHMIC = {
    "epsilon": (1e-9, 1e-2),
    "epsilon_1": (1e-9, 1e-2),
    "epsilon_2": (1e-3, 3.0),
    "lambd": (1e-5, 0.1),
}


@dataclass(frozen=True)
class Case:
    """A class with the arguments that choose its rule, and the names of those that are drawn."""

    name: str
    fixed: Arguments = field(default_factory=dict)
    drawn: tuple[str, ...] = ()
    torch_drawn: tuple[str, ...] = ()  # arguments that the convention "torch" has beside these
    libraries: tuple[str, ...] = ("keras", "torch")


DECAY = ("weight_decay",)
ADAM = ("beta_1", "beta_2", "epsilon", *DECAY)
RMSPROP = ("rho", "epsilon", *DECAY)
FTRL = (
    *("initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength"),
    *("l2_shrinkage_regularization_strength", "beta", *DECAY),
)
MUON = ("momentum", "rms_rate", "adam_beta_1", "adam_beta_2", "adam_weight_decay")
MUON = (*MUON, "adam_lr_ratio", "epsilon", *DECAY)
ADAFACTOR = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", *DECAY)
KERAS, TORCH = ("keras",), ("torch",)
DECOUPLED = {"decoupled_weight_decay": True}
CENTERED = {"centered": True}
AVERAGES = {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 4}
ACCUMULATION = {"gradient_accumulation_steps": 3}

CASES = {
    "sgd": Case("SGD", drawn=DECAY),
    "momentum": Case("SGD", {"momentum": 0.9}, ("momentum", *DECAY), ("dampening",)),
    "nesterov": Case("SGD", {"momentum": 0.9, "nesterov": True}, ("momentum", *DECAY)),
    "nesterov without momentum": Case("SGD", {"nesterov": True}, DECAY, libraries=KERAS),
    "clipnorm": Case("SGD", {"clipnorm": 0.5}, DECAY, libraries=KERAS),
    "adam": Case("Adam", drawn=ADAM),
    "adam, clipvalue": Case("Adam", {"clipvalue": 0.3}, ADAM, libraries=KERAS),
    "adam, global_clipnorm": Case("Adam", {"global_clipnorm": 1.5}, ADAM, libraries=KERAS),
    "adam, averages": Case("Adam", AVERAGES, ADAM, libraries=KERAS),
    "sgd, averages, clipnorm": Case("SGD", {**AVERAGES, "clipnorm": 0.5}, libraries=KERAS),
    "adamw, accumulation": Case("AdamW", {**ACCUMULATION, "clipnorm": 0.5}, ADAM, libraries=KERAS),
    "sgd, accumulation, averages": Case("SGD", ACCUMULATION | AVERAGES, DECAY, libraries=KERAS),
    "adam, loss scale": Case("Adam", {"loss_scale_factor": 64.0}, ADAM, libraries=KERAS),
    "amsgrad": Case("Adam", {"amsgrad": True}, ADAM),
    "adamw": Case("AdamW", drawn=ADAM),
    "adamw, amsgrad": Case("AdamW", {"amsgrad": True}, ADAM),
    "adamax": Case("Adamax", drawn=ADAM),
    "nadam": Case("Nadam", drawn=ADAM, torch_drawn=("momentum_decay",)),
    "nadam, decoupled": Case("Nadam", DECOUPLED, (*ADAM, "momentum_decay"), libraries=TORCH),
    "radam": Case("RAdam", drawn=ADAM, libraries=TORCH),
    "radam, decoupled": Case("RAdam", DECOUPLED, ADAM, libraries=TORCH),
    "schedule_free_adamw": Case("ScheduleFreeAdamW", drawn=ADAM, libraries=KERAS),
    "schedule_free_adamw, warm-up": Case(
        "ScheduleFreeAdamW", {"warmup_steps": 20}, ADAM, libraries=KERAS
    ),
    "rmsprop": Case("RMSprop", drawn=RMSPROP),
    "rmsprop, centered": Case("RMSprop", CENTERED, RMSPROP),
    "rmsprop, momentum": Case("RMSprop", {"momentum": 0.9}, (*RMSPROP, "momentum")),
    "rmsprop, both": Case("RMSprop", CENTERED | {"momentum": 0.9}, (*RMSPROP, "momentum")),
    "adagrad": Case(
        "Adagrad", drawn=("initial_accumulator_value", "epsilon", *DECAY), torch_drawn=("lr_decay",)
    ),
    "adadelta": Case("Adadelta", drawn=RMSPROP),
    "lion": Case("Lion", drawn=("beta_1", "beta_2", *DECAY), libraries=KERAS),
    "ftrl": Case("Ftrl", drawn=FTRL, libraries=KERAS),
    "ftrl, power": Case(
        "Ftrl", {"learning_rate_power": -0.7}, (*FTRL, "learning_rate_power"), libraries=KERAS
    ),
    "adafactor": Case("Adafactor", drawn=ADAFACTOR),
    "muon": Case("Muon", drawn=MUON, libraries=KERAS),
    "muon, plain momentum, clipnorm": Case(
        "Muon", {"nesterov": False, "clipnorm": 0.5, "ns_steps": 3}, MUON, libraries=KERAS
    ),
    "muon, without rates": Case(
        "Muon", {"rms_rate": None, "weight_decay": None}, MUON[2:-1], libraries=KERAS
    ),
    "asgd": Case("ASGD", drawn=("lambd", "alpha", *DECAY), libraries=TORCH),
    "lamb": Case("Lamb", drawn=ADAM, libraries=KERAS),
    "lamb, clipnorm": Case("Lamb", {"clipnorm": 0.5}, ADAM, libraries=KERAS),
    "rprop": Case("Rprop", libraries=TORCH),
    "rprop, etas": Case("Rprop", {"etas": (0.3, 1.4), "step_sizes": (1e-3, 0.05)}, libraries=TORCH),
}


def cases_of(library: str) -> list[str]:
    """Return the names of the cases that a library has."""
    return [name for name, case in CASES.items() if library in case.libraries]


def arguments_of(case: Case, which: str, library: str) -> Arguments:
    """Return one of the `SETS` of arguments, under Keras's names."""
    if which == "defaults":
        return dict(case.fixed)
    rng = np.random.default_rng(SETS.index(which))
    drawn: Arguments = {}
    for name in (*case.drawn, *(case.torch_drawn if library == "torch" else ())):
        if name in LOGARITHMIC:
            drawn[name] = float(np.exp(rng.uniform(*np.log(LOGARITHMIC[name]))))
        else:
            drawn[name] = float(rng.uniform(*UNIFORM[name]))
    return case.fixed | drawn


def problem(dtype: str) -> tuple[list[Array], list[Step]]:
    """Return start values and the gradients and learning rate of every step."""
    rng = np.random.default_rng(0)
    start = [np.asarray(rng.normal(size=shape), dtype) for shape in SHAPES]
    rates = 0.02 * (1.5 + np.sin(np.arange(STEPS)))
    steps = [
        ([np.asarray(rng.normal(size=shape), dtype) for shape in SHAPES], float(rate))
        for rate in rates
    ]
    return start, steps


def ours(case: Case, arguments: Arguments, dtype: str, convention: str) -> list[Array]:
    start, steps = problem(dtype)
    parameters = [p.copy() for p in start]
    optimizer = getattr(optimizers, case.name)(convention=convention, **arguments)
    optimizer.learning_rate = steps[0][1]  # where Rprop's steps start
    optimizer.build(parameters)
    for gradients, rate in steps:
        optimizer.learning_rate = rate
        optimizer.apply(gradients)
    return parameters


def torch_class(case: Case) -> Any:
    import torch

    return {n.lower(): c for n, c in vars(torch.optim).items()}[case.name.lower()]


def in_torch(case: Case, arguments: Arguments, dtype: str) -> list[Array]:
    """Return what torch's class makes of the problem, tensor by tensor."""
    import torch

    names = {"epsilon": "eps", "rho": "alpha" if case.name == "RMSprop" else "rho"}
    names |= {"beta_2_decay": "beta2_decay", "clip_threshold": "d"}
    given = {names.get(name, name): value for name, value in arguments.items()}
    if "beta_1" in given:
        given["betas"] = given.pop("beta_1"), given.pop("beta_2")
    if "epsilon_1" in given:
        given["eps"] = given.pop("epsilon_1"), given.pop("epsilon_2")
    start, steps = problem(dtype)
    tensors = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in start]
    optimizer = torch_class(case)(tensors, foreach=False, **given)
    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))  # of NAdam's product of momenta
    try:
        for gradients, rate in steps:
            optimizer.param_groups[0]["lr"] = rate
            for tensor, g in zip(tensors, gradients, strict=True):
                tensor.grad = torch.from_numpy(g.copy())
            optimizer.step()
    finally:
        torch.set_default_dtype(default)
    return [tensor.detach().numpy() for tensor in tensors]


@contextmanager
def keras_in_double() -> Iterator[None]:
    """Give Keras means and norms of float64 that are computed in it: its own are in float32."""
    import jax.numpy
    import keras

    def mean(x: Any, **where: Any) -> Any:
        return jax.numpy.mean(keras.ops.convert_to_tensor(x), **where)

    def norm(x: Any, **where: Any) -> Any:
        return jax.numpy.linalg.norm(keras.ops.convert_to_tensor(x), **where)

    with mock.patch("keras.src.ops.mean", mean), mock.patch("keras.src.ops.norm", norm):
        yield


def in_keras(case: Case, arguments: Arguments) -> list[Array]:
    """Return what Keras's class makes of the problem, in float64: on JAX, which has that.

    Compiled, as in Keras's own training: step by step each of its operations would be.
    """
    import jax
    import keras

    start, steps = problem("float64")
    variables = [keras.Variable(p, dtype="float64") for p in start]
    optimizer = getattr(keras.optimizers, case.name)(**arguments)
    optimizer.build(variables)
    rate_at = [v is optimizer._learning_rate for v in optimizer.variables].index(True)

    @jax.jit
    def step(values: Any, own: Any, gradients: Any) -> Any:
        return optimizer.stateless_apply(own, gradients, values)

    values = [variable.value for variable in variables]
    own = [variable.value for variable in optimizer.variables]
    with keras_in_double():
        for gradients, rate in steps:
            own[rate_at] = jax.numpy.asarray(rate, own[rate_at].dtype)
            values, own = step(values, own, gradients)
    assert {str(value.dtype) for value in values} == {"float64"}
    return [np.asarray(value) for value in values]


def difference(library: str, name: str, which: str, dtype: str = "float64") -> float:
    """Return the largest difference after all steps, in epsilons of max(1, |value|)."""
    case = CASES[name]
    arguments = arguments_of(case, which, library)
    theirs = in_torch(case, arguments, dtype) if library == "torch" else in_keras(case, arguments)
    mine = ours(case, arguments, dtype, library)
    largest = 0.0
    for got, expected in zip(mine, theirs, strict=True):
        assert got.dtype == expected.dtype == dtype
        error = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
        largest = max(largest, float(error.max()) / float(np.finfo(dtype).eps))
    return largest


def table() -> Iterator[str]:
    """Yield the lines of a table of the largest differences."""
    columns = [("torch", "float64"), ("torch", "float32"), ("keras", "float64")]
    yield f"{'largest difference, epsilons':30}" + "".join(f"{a + ' ' + b:>16}" for a, b in columns)
    for name, case in CASES.items():
        line = f"{name:30}"
        for library, dtype in columns:
            if library in case.libraries:
                worst = max(difference(library, name, which, dtype) for which in SETS)
                line += f"{worst:16.2f}"
            else:
                line += f"{'-':>16}"
        yield line


def main() -> None:
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    import keras

    keras.config.set_floatx("float64")
    for line in table():
        print(line, flush=True)


if __name__ == "__main__":
    main()
